/**
 * Copies the files of the images, and the detector's, into the database: a few at a time, those of annotated images
 * before all others and always, the others as far as there is room.
 */
import { Unavailable, isQuota, readSome, reasonOf, write } from './database.js';
import { headOf } from '../images/files.js';
import { BATCH_BYTES, BATCH_FILES, FILES_SHARE, SPARE_BYTES } from '../shared/limits.js';
import { store } from '../shared/page-state.js';

/** @typedef {{path: string, blob: File, image: import('../shared/page-state.js').ImageEntry, always: boolean}} Wanted */
/** @typedef {{database: IDBDatabase, detector: File|null}} Place */

/** How often a detector that is too large for what is left is tried. */
const TRIES = 3;

/** What the database has: by path, the file on the page that it is a copy of. @type {Map<string, File>} */
const kept = new Map();
/** Files that cannot be copied: unreadable, or too large for what is left. @type {WeakSet<File>} */
let givenUp = new WeakSet();
/** @type {{database: IDBDatabase, writer: string}|null} */
let target = null;
/** The databases that keep the detector, and the one that each has; the first of them is the target. @type {Place[]} */
let places = [];
/** No room is left for files of images without annotations. */
let full = false;
let working = false;
let again = false;
/** Told what hinders the copying; an empty sentence when nothing does any more. @type {(sentence: string, error?: unknown) => void} */
let report = () => {};

/**
 * Follows other databases, or none.
 * @param {{places: Place[], writer: string}} next the first place has the files as well
 * @param {Map<string, File>} files that it has
 * @param {(sentence: string, error?: unknown) => void} onFailure
 */
export function keepIn(next, files, onFailure) {
  places = next.places;
  target = places.length > 0 ? { database: places[0].database, writer: next.writer } : null;
  report = onFailure;
  kept.clear();
  for (const [path, file] of files) kept.set(path, file);
  givenUp = new WeakSet();
  full = false;
}

/** The project's own detector as it was kept, for when the engine does not have it. */
export function savedDetector() {
  return places[0]?.detector ?? null;
}

/** Whether the files of an annotated image are still on their way. */
export function isCopyingNeeded() {
  return wanted().some(({ always }) => always);
}

/** Takes up what has changed. */
export async function keepFiles() {
  again = true;
  if (working) return;
  working = true;
  try {
    while (again && target) {
      again = false;
      await round();
    }
  } catch (error) {
    report(reasonOf(error), error);
  } finally {
    working = false;
    showCopying(0);
  }
}

/** Files that are to be copied, the needed ones first. @returns {Wanted[]} */
function wanted() {
  /** @type {Wanted[]} */
  const first = [];
  /** @type {Wanted[]} */
  const rest = [];
  for (const image of store.state.images) {
    const always = image.annotations !== null;
    if (!always && full) continue;
    for (const { file, blob } of image.files) {
      if (kept.get(file.file) === blob || givenUp.has(blob)) continue;
      (always ? first : rest).push({ path: file.file, blob, image, always });
    }
  }
  return [...first, ...rest];
}

/** Images of which at least one file is not in the database. */
function unkeptImages() {
  return store.state.images.filter(({ files }) => files.some(({ file, blob }) => kept.get(file.file) !== blob)).length;
}

/** @param {number} copying */
function showCopying(copying) {
  const unkept = copying > 0 ? store.state.saving.unkept : target ? unkeptImages() : 0;
  const { saving } = store.state;
  if (saving.copying !== copying || saving.unkept !== unkept) store.set({ saving: { ...saving, copying, unkept } });
}

async function round() {
  await forgetUnused();
  await keepDetector();
  const list = wanted();
  let room = list.some(({ always }) => !always) ? await roomLeft() : 0;
  for (let at = 0; at < list.length && !again && target;) {
    showCopying(list.length - at);
    const batch = nextBatch(list, at);
    at += batch.length;
    const [{ always }] = batch;
    if (!always) {
      room -= batch.reduce((sum, { blob }) => sum + blob.size, 0);
      if (room < 0) {
        full = true;
        return;
      }
    }
    await copy(batch);
  }
}

/** @param {Wanted[]} list @param {number} at */
function nextBatch(list, at) {
  const batch = [list[at]];
  let bytes = list[at].blob.size;
  for (let i = at + 1; i < list.length && batch.length < BATCH_FILES; i += 1) {
    bytes += list[i].blob.size;
    if (bytes > BATCH_BYTES || list[i].always !== list[at].always) break;
    batch.push(list[i]);
  }
  return batch;
}

/** Bytes that may still be filled with files of images without annotations. */
async function roomLeft() {
  const { quota, usage } = (await navigator.storage?.estimate?.()) ?? {};
  if (!quota) return Infinity;
  return Math.min(quota * FILES_SHARE, quota - SPARE_BYTES) - (usage ?? 0);
}

/** @param {Wanted[]} batch */
async function copy(batch) {
  const mine = target;
  const operations = [];
  for (const one of batch) {
    try {
      operations.push({ store: 'files', key: one.path, value: { file: one.blob, head: await headOf(one.blob) } });
    } catch {
      givenUp.add(one.blob);
    }
  }
  // In the meantime there may be another project.
  if (!mine || target !== mine || operations.length === 0) return;
  const [{ always }] = batch;
  try {
    // What can be dropped again need not wait for the disk.
    await write(mine.database, operations, { writer: mine.writer, durability: always ? 'strict' : 'relaxed' });
  } catch (error) {
    if (target === mine) await lacking(error, batch);
    return;
  }
  if (target !== mine) return;
  for (const { path, blob } of batch) if (!givenUp.has(blob)) kept.set(path, blob);
  if (always) report('');
}

/** @param {any} error @param {Wanted[]} batch */
async function lacking(error, batch) {
  const [{ always, blob }] = batch;
  if (error instanceof Unavailable) throw error;
  if (isQuota(error)) {
    if (!always) {
      full = true;
      return;
    }
    if (await makeRoom(batch.reduce((sum, one) => sum + one.blob.size, 0))) {
      again = true;
      return;
    }
  }
  // One file of several spoils the batch: it is found by copying them singly.
  if (batch.length > 1) {
    for (const one of batch) await copy([one]);
    return;
  }
  givenUp.add(blob);
  if (always) report(`${blob.name} could not be copied. ${reasonOf(error)}`);
}

/**
 * A file that can be read: the one that was dropped, or its copy where that was moved, changed or on a stick that is gone.
 * @param {string} path @param {File} blob @returns {Promise<File|null>}
 */
export async function readable(path, blob) {
  try {
    await headOf(blob);
    return blob;
  } catch {
    if (!target || kept.get(path) !== blob) return null;
    const [record] = await readSome(target.database, 'files', [path]).catch(() => []);
    return record?.file instanceof File && record.file.size === blob.size ? record.file : null;
  }
}

/**
 * Takes files of images without annotations out, the last of the list first.
 * @param {number} bytes that are needed
 * @returns {Promise<boolean>} whether there was anything to take
 */
export async function makeRoom(bytes) {
  full = true;
  if (!target) return false;
  /** @type {string[]} */
  const spare = [];
  let freed = 0;
  for (const { annotations, files } of store.state.images.toReversed()) {
    if (freed >= bytes) break;
    if (annotations) continue;
    for (const { file } of files) {
      const size = kept.get(file.file)?.size;
      if (size === undefined) continue;
      spare.push(file.file);
      freed += size;
    }
  }
  if (spare.length === 0) return false;
  await forget(spare);
  return true;
}

/** @param {string[]} paths */
async function forget(paths) {
  if (!target || paths.length === 0) return;
  await write(
    target.database,
    paths.map((key) => ({ store: 'files', key })),
    { writer: target.writer },
  );
  for (const path of paths) kept.delete(path);
}

/** Files that no image has any more. */
async function forgetUnused() {
  if (!target) return;
  const used = new Set();
  for (const { files, absent } of store.state.images) {
    for (const { file } of files) used.add(file.file);
    for (const { path } of absent ?? []) used.add(path);
  }
  await forget([...kept.keys()].filter((path) => !used.has(path)));
}

/**
 * Puts the loaded detector into the database before everything else.
 * @returns {Promise<boolean>} whether it is there
 */
export async function keepModel() {
  const file = store.state.model?.file ?? null;
  try {
    // Each time that there is no room, some is made.
    for (let tries = 0; tries < TRIES && target && file !== savedDetector(); tries += 1) await keepDetector();
  } catch (error) {
    report(reasonOf(error), error);
  } finally {
    if (!working) showCopying(0);
  }
  return file !== null && file === savedDetector();
}

async function keepDetector() {
  const { model } = store.state;
  if (!target || !model) return;
  const { writer } = target;
  // The page brings its own again next time, or a better one; a project without a detector is one that has this.
  const file = model.brought ? null : model.file;
  const all = places;
  for (const [at, place] of all.entries()) {
    // In the meantime there may be another project, or another tab's turn.
    if (places !== all) return;
    if (file === place.detector || (file && givenUp.has(file))) continue;
    // The project is not saved as long as this is not.
    showCopying(Math.max(1, store.state.saving.copying));
    const first = at === 0;
    try {
      await write(place.database, [{ store: 'detector', key: 'file', value: file ?? undefined }], { writer: first ? writer : null });
      place.detector = file;
    } catch (error) {
      if (first) await detectorRefused(error, file);
      else if (places === all) places = all.filter((one) => one !== place);
      return;
    }
  }
}

/** @param {any} error @param {File|null} file */
async function detectorRefused(error, file) {
  if (error instanceof Unavailable || !file) throw error;
  if (isQuota(error) && (await makeRoom(file.size))) {
    again = true;
    return;
  }
  givenUp.add(file);
  report(`The detector ${file.name} is not saved in this browser. ${reasonOf(error)}`);
}
