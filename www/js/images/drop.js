/**
 * Files come in by drop or picker, folders with all that is in them. Detectors go to the engine; of everything else
 * the first bytes go to the image worker, which says what belongs together.
 */
import { announce, byId, notify, plural, sentenceOf } from '../ui/dom.js';
import { loadModel } from '../engine/engine.js';
import { headOf, known, newId } from './files.js';
import { connection, forget } from './images.js';
import { select, store } from '../shared/page-state.js';

/** @typedef {{path: string, file: File}} Dropped */
/**
 * @typedef {Object} Takers of what is dropped and is neither an image nor a detector
 * @property {(groups: import('../engine/protocol.js').Groups, known: typeof import('./files.js').known) => Promise<void>} takeAnnotations
 * @property {(archive: File) => void} openProject
 */

const READERS = 32;
const SAMPLES = 6;
const SAMPLE_SIDE = 512;

/** @type {Takers} */
let takers;
/** Heads that are being read just now. */
let reading = 0;
/** Files are taken in one batch after the other. */
let queue = Promise.resolve();
/** The project of the last time is there; its detector must not take the place of one that was dropped since. */
let opened = Promise.resolve();

/** What is dropped waits for this, as for the project of the last time. @param {Promise<unknown>} before */
export function holdBack(before) {
  opened = Promise.resolve(before).then(
    () => {},
    () => {},
  );
  queue = queue.then(() => opened);
}

/**
 * Whether its user takes it for a detector, by the endings that the picker offers: the engine says what is wrong with one that
 * cannot be read. Others are told by their content.
 * @param {File} file
 */
function isDetector({ name }) {
  const endings = byId('pick-model').accept.split(',');
  return endings.some((ending) => name.toLowerCase().endsWith(ending));
}

/** @param {Dropped[]} dropped */
export function take(dropped) {
  if (store.state.readOnly) {
    notify('This project is open in another tab; press Edit here to add files.', { kind: 'error' });
    return queue;
  }
  const detectors = dropped.filter(({ file }) => isDetector(file));
  const others = dropped.filter(({ file }) => !isDetector(file));
  if (detectors.length > 1) notify(`${plural(detectors.length, 'detector file')}: only the last one, ${detectors.at(-1)?.file.name}, is loaded.`);
  const detector = detectors.at(-1);
  if (detector) opened.then(() => loadModel(detector.file));
  if (others.length === 0) return queue;
  reading += others.length;
  store.set({ reading: `Reading ${plural(reading, 'file')} …` });
  queue = queue.then(() => takeImages(others)).catch((error) => notify(sentenceOf(error), { kind: 'error' }));
  return queue;
}

/** @param {Dropped[]} files */
async function takeImages(files) {
  /** @type {{file: string, reason: string}[]} */
  const unreadable = [];
  const waiting = [...files];
  const reader = async () => {
    for (let one = waiting.pop(); one; one = waiting.pop()) {
      try {
        known.set(one.path, { file: one.file, head: await headOf(one.file) });
      } catch {
        unreadable.push({ file: one.path, reason: 'cannot be read from the disk' });
      }
      reading -= 1;
    }
  };
  await Promise.all(Array.from({ length: READERS }, reader));
  store.set({ reading: reading ? `Reading ${plural(reading, 'file')} …` : 'Sorting …' });
  await group(unreadable);
  if (reading === 0) store.set({ reading: '' });
}

/**
 * Groups everything that is known, so that a channel dropped later completes its image.
 * @param {{file: string, reason: string}[]} unreadable
 */
async function group(unreadable) {
  const files = [...known].map(([name, { head }]) => ({ name, head }));
  const groups = await connection.request({ type: 'group', files });
  const earlier = imagesBefore();
  const images = withAbsent(groups.images.map((entry) => merged(entry, earlier(entry))));
  store.set({ images, ignored: [...leftOut(groups), ...unreadable] });
  const { current } = store.state;
  if (!images.some((image) => image.id === current)) select(images[0]?.id ?? null);
  const problems = images.filter((image) => image.problem).length;
  await takers.takeAnnotations(groups, known);
  announce(`${plural(images.length, 'image')}, ${problems} with a problem, ${plural(store.state.ignored.length, 'file')} left out.`);
}

/** @param {import('../engine/protocol.js').Groups} groups */
function leftOut(groups) {
  // A detector is known by its content, whatever it is called.
  for (const file of groups.models) {
    const detector = known.get(file)?.file;
    known.delete(file);
    if (detector) loadModel(detector);
  }
  for (const file of groups.projects) {
    const archive = known.get(file)?.file;
    known.delete(file);
    if (archive) takers.openProject(archive);
  }
  return groups.ignored;
}

/**
 * An image as grouped now; what was known of it stays as long as its files are the same.
 * @param {import('../engine/protocol.js').GroupedImage} entry
 * @param {import('../shared/page-state.js').ImageEntry|undefined} old
 * @returns {import('../shared/page-state.js').ImageEntry}
 */
function merged(entry, old) {
  const files = entry.files.flatMap((file) => {
    const blob = known.get(file.file)?.file;
    return blob ? [{ file, blob }] : [];
  });
  const same = old && old.files.length === files.length && files.every(({ blob }, index) => blob === old.files[index].blob);
  if (same) return renamed(old, entry.name);
  const sentences = entry.problems.map(({ sentence }) => sentence);
  const usable = entry.state === 'ready';
  if (old) forget(old);
  // What was found in these very files still holds; the files are the ones of last time when their sizes are.
  const again = old?.absent && old.absent.length === files.length && files.every(({ blob }) => old.absent?.some(({ size }) => size === blob.size));
  const result = old?.absent && old.result ? { ...old.result, stale: old.result.stale || !again } : null;
  return {
    id: old?.id ?? newId(),
    name: entry.name,
    files,
    channels: entry.files.map(({ channel }) => channel).filter((channel) => channel != null),
    missing: entry.missing,
    fill: old?.absent ? old.fill : [],
    pages: old?.absent ? old.pages : 'ask',
    ...(old?.absent && old.z ? { z: old.z } : {}),
    ...(old?.absent && old.t ? { t: old.t } : {}),
    problem: usable ? null : { code: entry.problems[0]?.code ?? 'image', sentence: sentences.join('. ') },
    notes: usable ? sentences : [],
    failure: '',
    merge: old?.merge ?? null,
    state: usable ? (result ? 'done' : 'new') : 'problem',
    thumbnail: null,
    size: old?.absent ? old.size : null,
    annotations: old?.annotations ?? null,
    absent: null,
    result,
  };
}

/**
 * Which image a grouped one was before: the one with the same file, as a name gets its folder when another folder has
 * the same one; else the one of the same name. No image becomes two.
 */
function imagesBefore() {
  const byName = new Map();
  const byBlob = new Map();
  const left = new Set(store.state.images);
  for (const image of left) {
    byName.set(image.name, image);
    for (const { blob } of image.files) byBlob.set(blob, image);
  }
  /** @param {import('../engine/protocol.js').GroupedImage} entry */
  return (entry) => {
    const old = entry.files.map(({ file }) => byBlob.get(known.get(file)?.file)).find(Boolean) ?? byName.get(entry.name);
    return left.delete(old) ? old : undefined;
  };
}

/** Another name, for an image and for what was found in it. @param {import('../shared/page-state.js').ImageEntry} image @param {string} name */
function renamed(image, name) {
  if (image.name === name) return image;
  image.name = name;
  if (image.result) image.result = { ...image.result, detections: { ...image.result.detections, image: name } };
  return image;
}

/** Images whose files were not kept stay in the list, with what was made of them. @param {import('../shared/page-state.js').ImageEntry[]} found */
function withAbsent(found) {
  const ids = new Set(found.map(({ id }) => id));
  return [...found, ...store.state.images.filter(({ id, absent }) => absent && !ids.has(id))];
}

/** Walks what was dropped; entries have to be taken within the event, before anything is awaited. @param {FileSystemEntry[]} entries */
async function walk(entries) {
  /** @type {Dropped[]} */
  const found = [];
  /** @param {FileSystemEntry} entry @returns {Promise<void>} */
  const visit = async (entry) => {
    if (entry.isFile) {
      const file = await new Promise((/** @type {FileCallback} */ yes, no) => /** @type {FileSystemFileEntry} */ (entry).file(yes, no));
      found.push({ path: entry.fullPath.replace(/^\//, ''), file });
      return;
    }
    const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader();
    for (;;) {
      // A folder is read in parts, of a hundred in Chrome.
      const part = await new Promise((/** @type {FileSystemEntriesCallback} */ yes, no) => reader.readEntries(yes, no));
      if (part.length === 0) return;
      await Promise.all(part.map(visit));
    }
  };
  for (const entry of entries) await visit(entry);
  return found;
}

/** @param {DragEvent} event */
async function dropped(event) {
  event.preventDefault();
  document.body.classList.remove('dropping');
  const items = [...(event.dataTransfer?.items ?? [])].filter((item) => item.kind === 'file');
  const entries = items.map((item) => item.webkitGetAsEntry?.()).filter((entry) => entry !== null && entry !== undefined);
  const files = [...(event.dataTransfer?.files ?? [])];
  if (entries.length === 0) {
    take(files.map((file) => ({ path: file.name, file })));
    return;
  }
  try {
    take(await walk(entries));
  } catch (error) {
    notify(`The folder cannot be read: ${sentenceOf(error)}`, { kind: 'error' });
  }
}

/** Synthetic sample images, for users without images at hand. */
async function takeSamples() {
  store.set({ reading: 'Generating synthetic images …' });
  try {
    const { files } = await connection.request({ type: 'samples', images: SAMPLES, seed: 1, side: SAMPLE_SIDE });
    await take(files.map(({ name, bytes }) => ({ path: name, file: new File([bytes], name) })));
  } catch (error) {
    store.set({ reading: '' });
    notify(sentenceOf(error), { kind: 'error' });
  }
}

/** @param {HTMLInputElement} picker */
function picked(picker) {
  const files = [...(picker.files ?? [])].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
  picker.value = '';
  if (files.length) take(files);
}

/** @param {Takers} all */
export function startDrop(all) {
  takers = all;
  byId('samples').addEventListener('click', takeSamples);
  let depth = 0;
  /** @param {DragEvent} event */
  const overPage = (event) => event.dataTransfer?.types.includes('Files') ?? false;
  document.addEventListener('dragenter', (event) => {
    if (!overPage(event)) return;
    event.preventDefault();
    depth += 1;
    document.body.classList.add('dropping');
  });
  document.addEventListener('dragleave', (event) => {
    if (!overPage(event)) return;
    depth -= 1;
    if (depth <= 0) document.body.classList.remove('dropping');
  });
  document.addEventListener('dragover', (event) => {
    if (overPage(event)) event.preventDefault();
  });
  document.addEventListener('drop', (event) => {
    depth = 0;
    if (overPage(event)) dropped(event);
  });
  for (const kind of /** @type {const} */ (['files', 'folder'])) {
    const picker = byId(`pick-${kind}`);
    picker.addEventListener('change', () => picked(picker));
    for (const button of document.querySelectorAll(`[data-pick="${kind}"]`)) button.addEventListener('click', () => picker.click());
  }
}
