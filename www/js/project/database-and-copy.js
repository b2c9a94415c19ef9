/** The saved project: in the database, or, where the browser has lost that, in its copy. */
import { Unavailable, deleteDatabase, openCopy, openDatabase, readSome, write } from './database.js';
import { readProject } from './read-project.js';

/** @typedef {{database: IDBDatabase|null, copy: IDBDatabase|null}} Both */
/** @typedef {{copy: IDBDatabase|null, written: number}} Copy `written` is 0 where there is nothing in it */

/** @type {Copy} */
const NONE = { copy: null, written: 0 };

/**
 * @typedef {Object} Saved
 * @property {IDBDatabase} database
 * @property {IDBDatabase|null} copy
 * @property {import('./read-project.js').Project} project
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
  if (emptied && !restored) project.faults.push('The browser found its database damaged and emptied it; what was saved in it is lost.');
  const copied = copy ? await detectorIn(copy) : null;
  return { database, copy, project, revision: Math.max(ours, theirs), restored, inStep: theirs > 0 && ours === theirs, copied };
}

/**
 * The database; one that cannot be read is made anew where there is a copy.
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
