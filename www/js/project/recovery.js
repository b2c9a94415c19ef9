/**
 * The saved project read back when the page is opened: from the database, or, where the browser has lost that, from its
 * copy; what of it cannot be read is left out and said.
 */
import { Unavailable, deleteDatabase, openCopy, openDatabase, readAll, readSome, write } from './database.js';
import { BadRecord, SETTINGS, imageEntry, readAnnotations, readImage, readResult, readSetting } from './project-records.js';
import { plural } from '../ui/dom.js';

/** Milliseconds of checking records at a time. */
const SLICE = 8;

/**
 * @typedef {Object} Project
 * @property {string} id
 * @property {Record<string, any>} settings those that are known; the others stay at their defaults
 * @property {import('../shared/page-state.js').ImageEntry[]} images
 * @property {number|null} current
 * @property {number} lastId the highest number that was ever given to an image that is still in the database
 * @property {Map<string, import('../images/files.js').KnownFile>} files by path
 * @property {File|null} detector
 * @property {string[]} faults what could not be read, as sentences
 */

/** @typedef {{database: IDBDatabase|null, copy: IDBDatabase|null}} Both */
/** @typedef {{copy: IDBDatabase|null, written: number}} Copy `written` is 0 where there is nothing in it */

/** @type {Copy} */
const NONE = { copy: null, written: 0 };

/**
 * @typedef {Object} Saved
 * @property {IDBDatabase} database
 * @property {IDBDatabase|null} copy
 * @property {Project} project
 * @property {number} revision when the project was written last, in milliseconds; 0 for one that never was
 * @property {boolean} restored the project is from the copy
 * @property {boolean} inStep both have the same
 * @property {File|null} copied the detector in the copy
 */

/**
 * Opens what is not open yet and reads the newer of the two.
 * @param {Both} open
 * @param {Object} how
 * @param {boolean} how.edit from now on this tab writes; otherwise the copy is left alone
 * @param {string} how.writer this tab
 * @param {(error: Unavailable) => void} how.gone the database was taken away
 * @param {() => void} how.copyGone
 * @param {() => void} how.slow the database is still waited for
 * @returns {Promise<Saved>}
 */
export async function openBoth(open, { edit, writer, gone, copyGone, slow }) {
  let emptied = false;
  const second = edit ? openSecond(open.copy, copyGone) : Promise.resolve(NONE);
  const database = open.database ?? (await openFirst(second, { gone, slow, emptied: () => (emptied = true) }));
  const { copy, written: theirs } = await second;
  if (edit) await write(database, [{ store: 'settings', key: 'writer', value: writer }]);
  const ours = await revisionOf(database);
  const restored = copy !== null && theirs > ours;
  const project = await readProject(restored ? copy : database, database);
  if (emptied && !restored) project.faults.push('The browser found its database damaged and cleared it; the data saved in it is lost.');
  const copied = copy ? await detectorIn(copy) : null;
  return { database, copy, project, revision: Math.max(ours, theirs), restored, inStep: theirs > 0 && ours === theirs, copied };
}

/**
 * The database; one that cannot be read is recreated where there is a copy.
 * @param {Promise<Copy>} second
 * @param {Parameters<typeof openDatabase>[0]} options
 */
async function openFirst(second, options) {
  try {
    return await openDatabase(options);
  } catch (error) {
    if (!(error instanceof Unavailable) || error.code !== 'broken' || (await second).written === 0) throw error;
    await deleteDatabase();
    return openDatabase(options);
  }
}

/** @param {IDBDatabase|null} open @param {() => void} gone @returns {Promise<Copy>} */
async function openSecond(open, gone) {
  try {
    const copy = open ?? (await openCopy(gone));
    return copy ? { copy, written: await revisionOf(copy) } : NONE;
  } catch {
    return NONE;
  }
}

/** @param {IDBDatabase} from */
async function revisionOf(from) {
  const [value] = await readSome(from, 'settings', ['revision']);
  return Number.isFinite(value) ? value : 0;
}

/** @param {IDBDatabase} from @returns {Promise<File|null>} */
async function detectorIn(from) {
  const [file] = await readSome(from, 'detector', ['file']).catch(() => []);
  return file instanceof File ? file : null;
}

/**
 * The project as a database has it; what of it cannot be read is left out and said.
 * @param {IDBDatabase} database
 * @param {IDBDatabase} withFiles the one that has the images' files
 * @returns {Promise<Project>}
 */
async function readProject(database, withFiles) {
  const [settings, images, annotations, results, detector, files] = await Promise.all([
    ...['settings', 'images', 'annotations', 'results', 'detector'].map((store) => readAll(database, store)),
    readAll(withFiles, 'files'),
  ]);
  /** @type {string[]} */
  const faults = [];
  /** @param {string} sentence */
  const fault = (sentence) => faults.push(sentence);
  /** @param {number} count @param {string} one @param {string} [many] */
  const lost = (count, one, many) => count && fault(`${plural(count, one, many)} cannot be read.`);
  lost(images.unreadable.length, 'saved image');
  lost(annotations.unreadable.length, 'saved annotation', 'saved annotations');
  lost(results.unreadable.length, 'saved result');

  const here = readFiles(files.entries);
  const blobs = new Map([...here].map(([path, { file }]) => [path, file]));
  /** @type {Map<number, import('../shared/page-state.js').ImageEntry>} */
  const entries = new Map();
  for (const [key, value] of images.entries) {
    await breathe();
    const record = attempt(() => readImage(value, `image ${String(key)}`), fault);
    if (record && typeof key === 'number') entries.set(key, imageEntry(key, record, blobs));
  }
  for (const [key, value] of annotations.entries) {
    await breathe();
    const image = entries.get(Number(key));
    if (!image) continue;
    image.annotations = attempt(() => readAnnotations(value, `object of ${image.name}`, fault), fault);
  }
  for (const [key, value] of results.entries) {
    await breathe();
    const image = entries.get(Number(key));
    if (!image) continue;
    image.result = attempt(() => readResult(value, `result of ${image.name}`), fault);
    if (image.result && !image.problem) image.state = 'done';
  }
  const order = settings.entries.get('order');
  const current = settings.entries.get('current');
  const file = detector.entries.get('file');
  return {
    id: typeof settings.entries.get('project') === 'string' ? settings.entries.get('project') : '',
    settings: readSettings(settings.entries, fault),
    images: inOrder(entries, Array.isArray(order) ? order : []),
    current: entries.has(current) ? current : null,
    // What belongs to an image that cannot be read must not come to belong to a new one.
    lastId: [images, annotations, results]
      .flatMap((all) => [...all.entries.keys(), ...all.unreadable])
      .filter((id) => typeof id === 'number')
      .reduce((most, id) => Math.max(most, id), 0),
    files: here,
    detector: file instanceof File ? file : null,
    faults,
  };
}

let rested = 0;

/** Lets the page draw from time to time, as thousands of records take longer than a frame. */
async function breathe() {
  if (performance.now() - rested < SLICE) return;
  await new Promise((resolve) => setTimeout(resolve));
  rested = performance.now();
}

/** @template T @param {() => T} read @param {(sentence: string) => void} fault @returns {T|null} */
function attempt(read, fault) {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof BadRecord)) throw error;
    fault(`${error.message}.`);
    return null;
  }
}

/** @param {Map<any, any>} entries */
function readFiles(entries) {
  const here = new Map();
  for (const [path, value] of entries) {
    if (typeof path === 'string' && value?.file instanceof File && value.head instanceof Uint8Array) here.set(path, value);
  }
  return here;
}

/** @param {Map<any, any>} entries @param {(sentence: string) => void} fault */
function readSettings(entries, fault) {
  /** @type {Record<string, any>} */
  const settings = {};
  for (const name of SETTINGS) {
    if (!entries.has(name)) continue;
    const value = attempt(() => readSetting(name, entries.get(name)), fault);
    if (value !== null) settings[name] = value;
  }
  return settings;
}

/**
 * Images in the order of the list; what the list does not name comes last.
 * @param {Map<number, import('../shared/page-state.js').ImageEntry>} entries @param {unknown[]} order
 */
function inOrder(entries, order) {
  const left = new Map(entries);
  const images = [];
  for (const id of order) {
    if (typeof id !== 'number') continue;
    const image = left.get(id);
    if (image) images.push(image);
    left.delete(id);
  }
  return [...images, ...left.values()];
}
