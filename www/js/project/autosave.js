/**
 * project/ keeps everything: the database and its copy, what has changed since, recovery, and the project file.
 *
 * Nothing is lost: what changed goes into the browser's database within a moment, and comes back when the page is
 * opened again.
 */
import { adopt, newProjectId } from './show-project.js';
import { isImported } from '../annotate/merge-annotations.js';
import { forgetCheckpoints } from './training-checkpoints.js';
import { STORES, Unavailable, deleteDatabase, isQuota, openDatabase, reasonOf, write } from './database.js';
import { Delta } from './changes-since-save.js';
import { announce, notify } from '../ui/dom.js';
import { loadModel } from '../engine/engine.js';
import { isCopyingNeeded, keepFiles, keepIn, makeRoom } from './kept-files.js';
import { SETTINGS } from './project-records.js';
import { isInFile } from '../shared/left-in-file.js';
import { store } from '../shared/page-state.js';
import { openBoth } from './recovery.js';

/** What the copy has as well. */
const RECORDS = STORES.filter((name) => name !== 'files' && name !== 'detector');

/** Milliseconds from a change to its writing: what one action changes goes together. The disk takes some ten more. */
const DELAY = 20;
/** Milliseconds until a write that failed is tried again. */
const RETRY = 5000;

/** Milliseconds without a turn after which another tab may have taken the project over; it waits longer for an answer. */
const STUCK = 2000;

/** Tells this tab from all others that have the database open. */
const writer = newProjectId();
/** @type {IDBDatabase|null} */
let database = null;
/** A second database for all but the images' files, where the browser has one; it is written after the first. @type {IDBDatabase|null} */
let copy = null;
/** What the database lacks, and what its copy lacks. */
const delta = new Delta(writer);
const copyDelta = new Delta(writer);
/** When what is in the database was written, in milliseconds; it grows with each write. */
let revision = 0;
/** @type {Promise<void>|null} */
let writing = null;
let again = false;
/** @type {ReturnType<typeof setTimeout>|undefined} */
let timer;
/** The database is there, but cannot be read. */
let unreadable = false;
/** Bytes that are freed for annotations and results at a time. */
const RECORDS_ROOM = 8 << 20;
/** What hinders the two ways into the database. */
const hindrance = { records: '', files: '' };
/** Told when another tab has taken the project over. @type {() => void} */
let taken = () => {};

/** @param {Partial<import('../shared/page-state.js').Saving>} patch */
function showSaving(patch) {
  const next = { ...store.state.saving, ...patch };
  const keys = /** @type {(keyof typeof next)[]} */ (Object.keys(next));
  if (keys.some((key) => store.state.saving[key] !== next[key])) store.set({ saving: next });
}

/** @param {'records'|'files'} way @param {string} sentence */
function hinder(way, sentence) {
  const before = hindrance.records || hindrance.files;
  hindrance[way] = sentence;
  const why = hindrance.records || hindrance.files;
  showSaving({ why });
  if (before && !why) announce('The project is saved again.');
}

/** Whether this tab writes. */
function able() {
  return database !== null && !store.state.readOnly && store.state.saving.phase === 'on';
}

let lastTurn = performance.now();
/** Whether the next write asks first whose the project is, which costs it a way through the browser and back. */
let doubt = true;

/** Notices that this tab stood still. */
function turn() {
  const now = performance.now();
  // Without locks nobody asks this tab before taking over.
  if (now - lastTurn > STUCK || !navigator.locks) doubt = true;
  lastTurn = now;
}

/** @param {() => void} onTaken another tab has taken the project over */
export function startAutosave(onTaken) {
  taken = onTaken;
  const wanted = new Set(['images', 'current', 'model', ...SETTINGS]);
  // Not by subscription: that waits for a frame, which a busy page draws late and a hidden one not at all.
  store.watch((keys) => {
    if (keys.some((key) => wanted.has(key))) schedule();
  });
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) hurry();
  });
  setInterval(turn, STUCK / 4);
  addEventListener('pagehide', hurry);
  addEventListener('beforeunload', (event) => {
    hurry();
    if (isUnsaved()) event.preventDefault();
  });
}

/**
 * Reads the project from the database onto the page; with `edit`, from now on this tab writes it.
 * @param {boolean} edit
 */
export async function openSaved(edit) {
  try {
    const saved = await openBoth({ database, copy }, { edit, writer, gone, copyGone: () => (copy = null), slow });
    ({ database, copy, revision } = saved);
    show(saved, edit);
    showSaving({ phase: 'on', why: '' });
  } catch (error) {
    database = null;
    unreadable = error instanceof Unavailable && error.code === 'broken';
    if (!store.state.projectId) store.set({ projectId: newProjectId() });
    showSaving({ phase: 'off', why: reasonOf(error) });
  }
  // Not before: what this tab has on the screen until now is not the newest.
  if (edit) store.set({ readOnly: false });
  schedule();
}

/** @param {import('./recovery.js').Saved} saved @param {boolean} edit */
function show({ project, restored, inStep, copied, revision: when }, edit) {
  adopt(project.id ? project : { ...project, id: newProjectId() });
  if (restored) delta.startOver(RECORDS);
  else delta.inStep();
  if (restored || inStep) copyDelta.inStep();
  else copyDelta.startOver(RECORDS);
  const files = new Map([...project.files].map(([path, { file }]) => [path, file]));
  const loaded = store.state.model?.file;
  const same = isSame(project.detector, loaded);
  const detector = same && loaded ? loaded : project.detector;
  keep(edit, files, restored ? null : detector, isSame(copied, detector) ? detector : null);
  if (edit && detector && !same) {
    // Another tab may have trained it; the one that is loaded here must not take its place.
    store.set({ model: null });
    loadModel(detector);
  }
  store.set({ faults: project.faults });
  if (restored) {
    const what = 'Annotations, results, settings and the detector';
    notify(`The browser lost its database, which can happen when it is killed. ${what} were restored to their state of ${new Date(when).toLocaleString()}.`, {
      kind: 'error',
    });
  }
}

/** @param {File|null|undefined} one @param {File|null|undefined} other */
function isSame(one, other) {
  return Boolean(one && other && one.name === other.name && one.size === other.size && one.lastModified === other.lastModified);
}

/** The databases have these files and detectors. @param {boolean} edit @param {Map<string, File>} files @param {File|null} detector @param {File|null} copied */
function keep(edit, files, detector, copied) {
  const places = database && edit ? [{ database, detector }, ...(copy ? [{ database: copy, detector: copied }] : [])] : [];
  keepIn({ places, writer }, files, filesHindered);
}

/** Puts another project in the place of this one, on the page and in the database. @param {import('./recovery.js').Project} project */
export async function replaceProject(project) {
  await revive();
  adopt(project);
  startOver();
  hindrance.files = '';
  store.set({ faults: [] });
  await flush();
  if (!delta.isForeign) forgetCheckpoints(project.id);
}

/** Neither database has anything of what is on the page. */
function startOver() {
  delta.startOver(STORES);
  copyDelta.startOver(STORES);
  keep(true, new Map(), null, null);
}

/** A database that cannot be read has nothing to lose any more: a new project is its chance. */
async function revive() {
  if (!unreadable) return;
  try {
    await deleteDatabase();
    database = await openDatabase({ gone });
    unreadable = false;
    showSaving({ phase: 'on', why: '' });
  } catch (error) {
    showSaving({ why: reasonOf(error) });
  }
}

/** The browser or a newer page has closed the database. @param {Unavailable} error */
async function gone(error) {
  database = null;
  keep(false, new Map(), null, null);
  if (error.code !== 'lost' || store.state.readOnly) {
    showSaving({ phase: 'off', why: error.message });
    return;
  }
  // What is on the page is all that there is now: it is written in full.
  try {
    database = await openDatabase({ gone });
    startOver();
    await flush();
  } catch (failure) {
    showSaving({ phase: 'off', why: reasonOf(failure) });
  }
}

function slow() {
  notify('The browser’s storage is slow to answer. The saved project will appear when it responds.');
}

/** @param {string} sentence @param {unknown} [error] */
function filesHindered(sentence, error) {
  if (error instanceof Unavailable && error.code === 'taken') taken();
  else hinder('files', sentence);
}

function schedule() {
  if (!able()) return;
  if (document.hidden) queueMicrotask(flush);
  else timer ??= setTimeout(flush, DELAY);
}

/** Writes what has changed; resolves when it is on the disk, or cannot be. @returns {Promise<void>} */
export function flush() {
  clearTimeout(timer);
  timer = undefined;
  again = true;
  writing ??= (async () => {
    while (again) {
      again = false;
      await save();
    }
  })().finally(() => {
    writing = null;
    showSaving({ writing: false });
  });
  return writing;
}

/** The page is about to be hidden or closed: everything is handed over now. */
function hurry() {
  if (!able()) return;
  const [first, second] = changes();
  for (const { to, operations, done } of [first, second]) {
    if (to && operations.length > 0) write(to, operations, { writer, hurry: true }).then(done, () => {});
  }
}

/** What each database does not have yet; what is written into both is the same state. */
function changes() {
  const first = { to: database, ...delta.changes() };
  const second = copy ? { to: copy, ...copyDelta.changes() } : { to: null, operations: [], done: () => {} };
  if (first.operations.length > 0) revision = Math.max(Date.now(), revision + 1);
  for (const { operations } of [first, second]) {
    if (operations.length > 0) operations.push({ store: 'settings', key: 'revision', value: revision });
  }
  return [first, second];
}

async function save() {
  if (!able()) return;
  const to = /** @type {IDBDatabase} */ (database);
  const [first, second] = changes();
  if (first.operations.length + second.operations.length === 0) {
    hinder('records', '');
    keepFiles();
    return;
  }
  showSaving({ writing: true });
  turn();
  const fenced = doubt && !delta.isForeign;
  try {
    if (first.operations.length > 0) {
      await write(to, first.operations, { writer: fenced ? writer : null });
      if (fenced) doubt = false;
      first.done();
    }
    hinder('records', '');
  } catch (error) {
    await failed(error);
    return;
  }
  // Not before the first is done: a browser that is killed now damages at most one of the two.
  await saveCopy(second);
  askToKeep();
  keepFiles();
}

/** @param {{to: IDBDatabase|null, operations: import('./database.js').Operation[], done: () => void}} changes */
async function saveCopy({ to, operations, done }) {
  if (!to || operations.length === 0) return;
  try {
    await write(to, operations);
    done();
  } catch {
    // The project is saved all the same. A copy that is behind is rewritten when the page is opened again.
    if (copy === to) copy = null;
  }
}

/** @param {any} error */
async function failed(error) {
  if (error instanceof Unavailable && error.code === 'taken') {
    taken();
    return;
  }
  if (isQuota(error) && (await makeRoom(RECORDS_ROOM).catch(() => false))) {
    again = true;
    return;
  }
  hinder('records', reasonOf(error));
  timer ??= setTimeout(flush, RETRY);
}

let asked = false;
/** Once there is work in the project, the browser is asked not to clear it away when the disk runs full. */
function askToKeep() {
  if (asked || !store.state.images.some(({ annotations, result }) => annotations || result)) return;
  asked = true;
  navigator.storage?.persist?.().catch(() => {});
}

/** Whether leaving the page now would lose work. */
function isUnsaved() {
  const { saving, readOnly, images } = store.state;
  if (readOnly) return false;
  if (saving.phase === 'on' && !saving.why) return isCopyingNeeded();
  /** @param {object|null} thing @param {unknown} stored */
  const safe = (thing, stored) => thing === null || isInFile(thing) || isImported(thing) || (saving.phase === 'on' && thing === stored);
  return images.some(({ id, annotations, result }) => {
    const old = delta.of(id);
    return !safe(annotations, old?.annotations) || !safe(result, old?.result);
  });
}
