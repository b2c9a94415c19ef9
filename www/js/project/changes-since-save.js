/**
 * What of the project one database does not have yet. A change is told by identity, as everything of the project is
 * replaced, never changed in place.
 */
import { LARGE, SETTINGS, imageRecord, settingRecord } from './project-records.js';
import { store } from '../shared/page-state.js';

/** @typedef {{base: unknown[], annotations: unknown, result: unknown, stale: boolean}} Snapshot */

export class Delta {
  /** What the database has of each image. @type {Map<number, Snapshot>} */
  #images = new Map();
  /** The settings in the database: small ones, which may be changed in place, as JSON; large ones by identity. @type {Map<string, unknown>} */
  #settings = new Map();
  /** The list whose order is in the database. @type {unknown} */
  #list = null;
  /** What is in these stores is not of this project and goes with the next write. @type {readonly string[]} */
  #foreign = [];
  /** Counts what makes a write that is under way say nothing of the present state. */
  #era = 0;
  #writer;

  /** @param {string} writer the tab that the database belongs to */
  constructor(writer) {
    this.#writer = writer;
  }

  /** The database has the images of the page as they are; which settings it has is not known. */
  inStep() {
    this.startOver([]);
    for (const image of store.state.images) this.#images.set(image.id, snapshot(image));
  }

  /** The database has nothing of the project. @param {readonly string[]} foreign stores to be emptied */
  startOver(foreign) {
    this.#images = new Map();
    this.#settings = new Map();
    this.#list = null;
    this.#foreign = foreign;
    this.#era += 1;
  }

  /** Whether something of another project is still in the database. */
  get isForeign() {
    return this.#foreign.length > 0;
  }

  /** The annotations and the result of an image in the database. @param {number} id */
  of(id) {
    return this.#images.get(id);
  }

  /**
   * What is to be written, and what to do when it has been.
   * @returns {{operations: import('./database.js').Operation[], done: () => void}}
   */
  changes() {
    const era = this.#era;
    /** @type {import('./database.js').Operation[]} */
    const operations = this.#foreign.map((name) => ({ store: name }));
    const { images } = store.state;
    const next = new Map();
    for (const image of images) {
      const old = this.#images.get(image.id);
      const now = snapshot(image);
      if (!old || now.base.some((value, index) => value !== old.base[index])) {
        operations.push({ store: 'images', key: image.id, value: imageRecord(image) });
      }
      if (now.annotations !== (old?.annotations ?? null)) {
        operations.push({ store: 'annotations', key: image.id, value: image.annotations ?? undefined });
      }
      if (now.result !== (old?.result ?? null) || now.stale !== (old?.stale ?? false)) {
        operations.push({ store: 'results', key: image.id, value: image.result ?? undefined });
      }
      next.set(image.id, now);
    }
    if (images !== this.#list) {
      for (const id of this.#images.keys()) {
        if (!next.has(id)) for (const name of ['images', 'annotations', 'results']) operations.push({ store: name, key: id });
      }
      operations.push({ store: 'settings', key: 'order', value: images.map(({ id }) => id) });
    }
    const settings = this.#changedSettings();
    for (const [key, value, mark] of settings) {
      operations.push({ store: 'settings', key, value: LARGE.has(key) ? settingRecord(/** @type {any} */ (key), value) : JSON.parse(String(mark)) });
    }
    const done = () => {
      if (this.#era !== era) return;
      this.#images = next;
      this.#list = images;
      this.#foreign = [];
      for (const [key, , mark] of settings) this.#settings.set(key, mark);
    };
    return { operations, done };
  }

  /** What of the settings is not in the database yet, each with what it is known by. @returns {[string, any, unknown][]} */
  #changedSettings() {
    const { state } = store;
    /** @type {[string, any][]} */
    const all = [['project', state.projectId], ['current', state.current], ...SETTINGS.map((name) => /** @type {[string, any]} */ ([name, state[name]]))];
    if (this.isForeign) all.push(['writer', this.#writer]);
    return all
      .map(([key, value]) => /** @type {[string, any, unknown]} */ ([key, value, LARGE.has(key) ? value : JSON.stringify(value)]))
      .filter(([key, , mark]) => this.#settings.get(key) !== mark);
  }
}

/** @param {import('../shared/page-state.js').ImageEntry} image @returns {Snapshot} */
function snapshot(image) {
  const { name, files, channels, missing, fill, pages, z, t, problem, notes, merge, size, absent, annotations, result } = image;
  return { base: [name, files, channels, missing, fill, pages, z, t, problem, notes, merge, size, absent], annotations, result, stale: result?.stale ?? false };
}
