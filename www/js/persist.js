/**
 * Nothing is lost: what changed goes into the browser's database within a moment, and comes back when the page is
 * opened again. What has changed is told by identity, as everything of the project is replaced, never changed in place.
 */
import { adopt, newProjectId } from './adopt.js';
import { isImported } from './annotation-merge.js';
import { forgetCheckpoints } from './checkpoints.js';
import { Unavailable, deleteDatabase, isQuota, openDatabase, reasonOf, write } from './database.js';
import { announce, notify } from './dom.js';
import { loadModel } from './engine.js';
import { isCopyingNeeded, keepFiles, keepIn, makeRoom } from './keep.js';
import { LARGE, SETTINGS, imageRecord, settingRecord } from './records.js';
import { readProject } from './restore.js';
import { store } from './store.js';

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
/** What the database has of each image, by identity. @type {Map<number, {base: unknown[], annotations: unknown, result: unknown, stale: boolean}>} */
let saved = new Map();
/** The settings in the database: small ones, which may be changed in place, as JSON; large ones by identity. @type {Map<string, unknown>} */
let savedSettings = new Map();
/** The list whose order is in the database. @type {unknown} */
let savedList = null;
/** Everything in the database is of another project and goes with the next write. */
let wipe = false;
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

/** @param {Partial<import('./store.js').Saving>} patch */
function tell(patch) {
  const next = { ...store.state.saving, ...patch };
  if (Object.entries(next).some(([key, value]) => store.state.saving[key] !== value)) store.set({ saving: next });
}

/** @param {'records'|'files'} way @param {string} sentence */
function hinder(way, sentence) {
  const before = hindrance.records || hindrance.files;
  hindrance[way] = sentence;
  const why = hindrance.records || hindrance.files;
  tell({ why });
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
export function startPersist(onTaken) {
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
    database ??= await openDatabase(gone, slow);
    if (edit) await write(database, [{ store: 'settings', key: 'writer', value: writer }]);
    show(await readProject(database), edit);
    tell({ phase: 'on', why: '' });
  } catch (error) {
    database = null;
    unreadable = error instanceof Unavailable && error.code === 'broken';
    if (!store.state.projectId) store.set({ projectId: newProjectId() });
    tell({ phase: 'off', why: reasonOf(error) });
  }
  // Not before: what this tab has on the screen until now is not the newest.
  if (edit) store.set({ readOnly: false });
  schedule();
}

/** @param {import('./restore.js').Project} project @param {boolean} edit */
function show(project, edit) {
  adopt(project.id ? project : { ...project, id: newProjectId() });
  saved = new Map();
  for (const image of project.images) saved.set(image.id, snapshot(image));
  savedSettings = new Map();
  savedList = null;
  const files = new Map([...project.files].map(([path, { file }]) => [path, file]));
  const { detector } = project;
  const loaded = store.state.model?.file;
  const same = Boolean(detector && loaded && ['name', 'size', 'lastModified'].every((fact) => detector[fact] === loaded[fact]));
  keepIn(database && edit ? { database, writer } : null, files, same && loaded ? loaded : detector, filesHindered);
  if (edit && detector && !same) {
    // Another tab may have trained it; the one that is loaded here must not take its place.
    store.set({ model: null });
    loadModel(detector);
  }
  store.set({ faults: project.faults });
}

/** Puts another project in the place of this one, on the page and in the database. @param {import('./restore.js').Project} project */
export async function replaceProject(project) {
  await revive();
  adopt(project);
  saved = new Map();
  savedSettings = new Map();
  savedList = null;
  wipe = true;
  keepIn(database ? { database, writer } : null, new Map(), null, filesHindered);
  hindrance.files = '';
  store.set({ faults: [] });
  await flush();
  if (!wipe) forgetCheckpoints(project.id);
}

/** A database that cannot be read has nothing to lose any more: a new project is its chance. */
async function revive() {
  if (!unreadable) return;
  try {
    await deleteDatabase();
    database = await openDatabase(gone);
    unreadable = false;
    tell({ phase: 'on', why: '' });
  } catch (error) {
    tell({ why: reasonOf(error) });
  }
}

/** The browser or a newer page has closed the database. @param {Unavailable} error */
async function gone(error) {
  database = null;
  keepIn(null, new Map(), null, filesHindered);
  if (error.code !== 'lost' || store.state.readOnly) {
    tell({ phase: 'off', why: error.message });
    return;
  }
  // What is on the page is all that there is now: it is written anew.
  try {
    database = await openDatabase(gone);
    saved = new Map();
    savedSettings = new Map();
    savedList = null;
    wipe = true;
    keepIn({ database, writer }, new Map(), null, filesHindered);
    await flush();
  } catch (failure) {
    tell({ phase: 'off', why: reasonOf(failure) });
  }
}

function slow() {
  notify('The storage of the browser is slow to answer. The saved project appears when it does.');
}

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
    tell({ writing: false });
  });
  return writing;
}

/** The page is about to be hidden or closed: everything is handed over now. */
function hurry() {
  if (!able()) return;
  const { operations, done } = changes();
  if (operations.length === 0) return;
  write(/** @type {IDBDatabase} */ (database), operations, { writer, hurry: true }).then(done, () => {});
}

async function save() {
  if (!able()) return;
  const to = /** @type {IDBDatabase} */ (database);
  const { operations, done } = changes();
  if (operations.length === 0) {
    hinder('records', '');
    keepFiles();
    return;
  }
  tell({ writing: true });
  turn();
  const fenced = doubt && !wipe;
  try {
    await write(to, operations, { writer: fenced ? writer : null });
    if (fenced) doubt = false;
    done();
    hinder('records', '');
    askToKeep();
    keepFiles();
  } catch (error) {
    await failed(error);
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

/** What the database does not have yet, and what to do when it has. */
function changes() {
  /** @type {import('./database.js').Operation[]} */
  const operations = [];
  const { images } = store.state;
  const wiped = wipe;
  if (wiped) for (const name of ['settings', 'images', 'annotations', 'results', 'files', 'detector']) operations.push({ store: name });
  const next = new Map();
  for (const image of images) {
    const old = saved.get(image.id);
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
  const list = images;
  if (list !== savedList) {
    for (const id of saved.keys()) {
      if (!next.has(id)) for (const name of ['images', 'annotations', 'results']) operations.push({ store: name, key: id });
    }
    operations.push({ store: 'settings', key: 'order', value: images.map(({ id }) => id) });
  }
  const settings = changedSettings();
  for (const [key, value, mark] of settings) {
    operations.push({ store: 'settings', key, value: LARGE.has(key) ? settingRecord(/** @type {any} */ (key), value) : JSON.parse(String(mark)) });
  }
  const done = () => {
    saved = next;
    savedList = list;
    if (wiped) wipe = false;
    for (const [key, , mark] of settings) savedSettings.set(key, mark);
  };
  return { operations, done };
}

/** What of the settings is not in the database yet, each with what it is known by. @returns {[string, any, unknown][]} */
function changedSettings() {
  const { state } = store;
  /** @type {[string, any][]} */
  const all = [['project', state.projectId], ['current', state.current], ...SETTINGS.map((name) => /** @type {[string, any]} */ ([name, state[name]]))];
  if (wipe) all.push(['writer', writer]);
  return all
    .map(([key, value]) => /** @type {[string, any, unknown]} */ ([key, value, LARGE.has(key) ? value : JSON.stringify(value)]))
    .filter(([key, , mark]) => savedSettings.get(key) !== mark);
}

/** @param {import('./store.js').ImageEntry} image */
function snapshot(image) {
  const { name, files, channels, missing, fill, problem, notes, merge, size, absent, annotations, result } = image;
  return { base: [name, files, channels, missing, fill, problem, notes, merge, size, absent], annotations, result, stale: result?.stale ?? false };
}

let asked = false;
/** Once there is work in the project, the browser is asked not to clear it away when the disk runs full. */
function askToKeep() {
  if (asked || !store.state.images.some(({ annotations, result }) => annotations || result)) return;
  asked = true;
  navigator.storage?.persist?.().catch(() => {});
}

/** Annotations and results that have left the page in a file; others may have come out of one. @type {WeakSet<object>} */
const outside = new WeakSet();

/** Notes that these are safe in a file, whatever becomes of the database. @param {(object|null)[]} things */
export function leftInFile(things) {
  for (const thing of things) if (thing) outside.add(thing);
}

/** Whether leaving the page now would lose work. */
function isUnsaved() {
  const { saving, readOnly, images } = store.state;
  if (readOnly) return false;
  if (saving.phase === 'on' && !saving.why) return isCopyingNeeded();
  const safe = (thing, stored) => thing === null || outside.has(thing) || isImported(thing) || (saving.phase === 'on' && thing === stored);
  return images.some(({ id, annotations, result }) => {
    const old = saved.get(id);
    return !safe(annotations, old?.annotations) || !safe(result, old?.result);
  });
}
