/**
 * Annotation files beside images: VOC, COCO, YOLO, tables and label images. The image worker reads them; here they
 * find their images, wait for those that are not there yet, and never replace a user's own boxes unasked.
 */
import { putAnnotations, withMasks } from './merge-annotations.js';
import { nextLabel } from './annotations.js';
import { openClassChart } from './class-chart.js';
import { notify, plural, sentenceOf } from '../ui/dom.js';
import { connection, measure } from '../images/images.js';
import { openLeftOut } from '../images/left-out.js';
import { store } from '../shared/page-state.js';

/**
 * @typedef {typeof import('../images/files.js').known} Known every dropped file by its path
 * @typedef {import('../shared/page-state.js').ImageEntry} ImageEntry
 * @typedef {import('../shared/page-state.js').Annotations} Annotations
 * @typedef {{file: string, object: string, reason: string}} Remark
 *
 * @typedef {Object} Batch files of one request
 * @property {string[]} paths
 * @property {string} folder whose images go by their stem alone
 * @property {boolean} alone a table, of which one file speaks of many images
 *
 * @typedef {{found: import('../engine/protocol.js').ImageAnnotations, batch: Batch}} Found
 */

const BATCH_FILES = 200;
const BATCH_BYTES = 32 << 20;
const READERS = 16;
/** Kaggle's table of labels for whole images needs no image and no size. */
const IMAGE_LABELS = /^\W*id\W*,\W*target/i;

/** What was read, and of which images; a file is read again when it has changed. @type {Map<string, {file: File, images: Set<string>}>} */
const read = new Map();
/** Annotations without an image, by the file that has them. @type {Map<string, string[]>} */
const waiting = new Map();
/** @type {Map<string, Remark[]>} */
const remarks = new Map();
/** Names of the images of the last time. */
let lastImages = '';
/** The project that all of this is about. */
let project = '';

/** @param {string} path */
const baseOf = (path) => path.slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1);
/** @param {string} path */
const folderOf = (path) => path.slice(0, Math.max(0, path.length - baseOf(path).length - 1));
/** @param {string} path */
const stemOf = (path) => baseOf(path).replace(/\.(xml|txt|json|csv)$/i, '');
/** @param {string} path */
const isClassList = (path) => /^(classes|obj)\.(txt|names)$/i.test(baseOf(path));

/** The file of a path that is known to be there. @param {Known} known @param {string} path */
function fileAt(known, path) {
  const one = known.get(path);
  if (!one) throw new Error(`${path} is not there any more; drop it again.`);
  return one.file;
}

/** @param {string} path @param {Known} known */
function isTable(path, known) {
  if (/\.(csv|json)$/i.test(path)) return true;
  return /\.txt$/i.test(path) && new TextDecoder().decode(known.get(path)?.head).includes(',');
}

/**
 * Reads what is new, and again what waits for an image that may be there now.
 * @param {import('../engine/protocol.js').Groups} groups @param {Known} known
 */
export async function takeAnnotations(groups, known) {
  if (project !== store.state.projectId) {
    project = store.state.projectId;
    for (const map of [read, waiting, remarks]) map.clear();
  }
  const images = store.state.images.map(({ name }) => name).join('\n');
  const grown = images !== lastImages;
  lastImages = images;
  const paths = wantedPaths(groups, known, grown);
  if (paths.size === 0) return;
  const batches = batched([...paths], known);
  await measureFor(batches, known);
  /** @type {Map<ImageEntry, Found>} */
  const found = new Map();
  /** @type {Map<string, string[]>} */
  const imageLabels = new Map();
  let done = 0;
  for (const batch of batches) {
    store.set({ reading: `Reading annotations: ${done.toLocaleString('en')} of ${paths.size.toLocaleString('en')} files …` });
    await readBatch(batch, groups, known, found, imageLabels);
    done += batch.paths.length;
  }
  for (const path of paths) read.set(path, { file: fileAt(known, path), images: read.get(path)?.images ?? new Set() });
  if (imageLabels.size) takeImageLabels(imageLabels);
  await measure([...found.keys()], tellMeasure);
  store.set({ reading: '' });
  const taken = await putAnnotations([...found].map(([image, one]) => ({ image, found: one.found, boxed: hasBoxes(one) })));
  showRemarks();
  report(taken, paths);
}

/**
 * Files that are new or have changed, with what belongs to them; and the waiting ones, if there are more images now.
 * @param {import('../engine/protocol.js').Groups} groups @param {Known} known @param {boolean} grown
 */
function wantedPaths(groups, known, grown) {
  /** @param {string} path */
  const isNew = (path) => known.has(path) && read.get(path)?.file !== known.get(path)?.file;
  /** @type {Set<string>} */
  const wanted = new Set(groups.annotations.filter((path) => isNew(path) || (grown && waiting.has(path))));
  const masks = new Map(groups.images.flatMap(({ name, mask }) => (mask ? [/** @type {const} */ ([name, mask])] : [])));
  const byStem = new Map(groups.annotations.filter((path) => !isTable(path, known)).map((path) => [stemOf(path), path]));
  // Boxes and masks of an image are read together: value k of the mask is the k-th box.
  for (const [name, mask] of masks) {
    const boxes = byStem.get(name) ?? byStem.get(baseOf(name));
    if (isNew(mask)) {
      wanted.add(mask);
      if (boxes) wanted.add(boxes);
    } else if (boxes && wanted.has(boxes)) {
      wanted.add(mask);
    }
  }
  const list = groups.annotations.find(isClassList);
  if (list && isNew(list)) for (const path of groups.annotations) if (/\.txt$/i.test(path)) wanted.add(path);
  return wanted;
}

/**
 * Single files in batches, folder by folder, boxes beside their masks; then each table by itself. @returns {Batch[]}
 * @param {string[]} paths @param {Known} known
 */
function batched(paths, known) {
  const folders = store.state.images.some(({ name }) => name.includes('/'));
  /** @type {Batch[]} */
  const batches = [];
  /** @type {Map<string, {batch: Batch, bytes: number}>} */
  const open = new Map();
  /** @param {string} path */
  const stem = (path) => `${folders ? folderOf(path) : ''}/${stemOf(path).replace(/_(mask|label)\.\w+$/i, '')}`;
  const single = paths.filter((path) => !isTable(path, known) && !isClassList(path));
  for (const path of single.sort((a, b) => (stem(a) < stem(b) ? -1 : 1))) {
    const folder = folders ? folderOf(path) : '';
    const { size } = fileAt(known, path);
    let last = open.get(folder);
    const full = last && (last.batch.paths.length >= BATCH_FILES || last.bytes + size > BATCH_BYTES);
    const splits = last && stem(path) === stem(last.batch.paths.at(-1) ?? '');
    if (!last || (full && !splits)) {
      last = { batch: { paths: [], folder, alone: false }, bytes: 0 };
      open.set(folder, last);
      batches.push(last.batch);
    }
    last.batch.paths.push(path);
    last.bytes += size;
  }
  for (const path of paths) if (isTable(path, known) && !isClassList(path)) batches.push({ paths: [path], folder: '', alone: true });
  return batches;
}

/**
 * Opens images whose size the files need: parts of the image, boxes without one, edges to check against.
 * @param {Batch[]} batches @param {Known} known
 */
async function measureFor(batches, known) {
  const tables = batches.some(({ alone, paths }) => alone && !IMAGE_LABELS.test(new TextDecoder().decode(known.get(paths[0])?.head)));
  const stems = new Set(batches.flatMap(({ paths }) => paths.map(stemOf)));
  const needed = store.state.images.filter(({ name }) => tables || stems.has(name) || stems.has(baseOf(name)));
  await measure(needed, tellMeasure);
}

/** @param {number} done @param {number} total */
function tellMeasure(done, total) {
  store.set({ reading: `Looking up image sizes: ${done.toLocaleString('en')} of ${total.toLocaleString('en')} …` });
}

/** The images by the names under which files of that folder know them. @param {string} folder */
function imagesFor(folder) {
  /** @type {Map<string, ImageEntry>} */
  const byName = new Map(store.state.images.map((image) => [image.name, image]));
  if (folder) for (const image of store.state.images) if (folderOf(image.name) === folder) byName.set(baseOf(image.name), image);
  return byName;
}

/** @param {string[]} paths @param {Known} known */
async function bytesOf(paths, known) {
  /** @type {import('../engine/protocol.js').NamedBytes[]} */
  const files = [];
  const queue = [...paths.entries()];
  const reader = async () => {
    for (let one = queue.pop(); one; one = queue.pop()) {
      const [at, path] = one;
      files[at] = { name: path, bytes: new Uint8Array(await fileAt(known, path).arrayBuffer()) };
    }
  };
  await Promise.all(Array.from({ length: READERS }, reader));
  return files;
}

/** @param {Batch} batch @param {import('../engine/protocol.js').Groups} groups @param {Known} known @param {Map<ImageEntry, Found>} found @param {Map<string, string[]>} imageLabels */
async function readBatch(batch, groups, known, found, imageLabels) {
  const lists = batch.alone ? [] : groups.annotations.filter((path) => isClassList(path) && known.has(path));
  for (const path of batch.paths) {
    remarks.delete(path);
    waiting.delete(path);
  }
  const byName = imagesFor(batch.folder);
  const images = [...byName].map(([name, { size }]) => ({ name, width: size?.width ?? 0, height: size?.height ?? 0 }));
  /** @type {import('../engine/protocol.js').ReadAnnotations} */
  let outcome;
  try {
    const files = await bytesOf([...batch.paths, ...lists], known);
    const transfer = files.map(({ bytes }) => bytes.buffer);
    outcome = await connection.request({ type: 'readAnnotations', files, images, label: nextLabel() }, { transfer });
  } catch (error) {
    for (const path of batch.paths) addRemark(batch, `${path}: ${sentenceOf(error)}`);
    return;
  }
  for (const sentence of [...outcome.rejected, ...outcome.warnings]) addRemark(batch, sentence);
  for (const { image, labels } of outcome.imageLabels) imageLabels.set(image, labels);
  for (const name of outcome.withoutImage) addWaiting(batch, name);
  /** @type {string[]} */
  const second = [];
  for (const one of outcome.annotations) {
    const entry = byName.get(one.image);
    const path = fileOf(batch, one.image);
    // A file that waited for other images has been used for this one, and it may have been edited since.
    if (!entry || (read.get(path)?.file === known.get(path)?.file && read.get(path)?.images.has(entry.name) && batch.alone)) continue;
    const first = found.get(entry);
    // A table beside label images: the names are in the one and the outlines in the other.
    const both = first && !hasBoxes(first) && withMasks(one, first.found);
    if (first && !both) {
      second.push(entry.name);
      continue;
    }
    found.set(entry, { found: both || one, batch });
    read.set(path, { file: fileAt(known, path), images: (read.get(path)?.images ?? new Set()).add(entry.name) });
  }
  if (second.length) {
    const some = `${second.slice(0, 3).join(', ')}${second.length > 3 ? ', …' : ''}`;
    addRemark(batch, `${fileOf(batch, second[0])}: is a second set of annotations for ${plural(second.length, 'image')} (${some}); only the first is used`);
  }
}

/** Whether the boxes were in a file of their own, and not only in a label image. @param {Found} found */
function hasBoxes({ found: { image }, batch }) {
  return batch.alone || batch.paths.some((path) => stemOf(path) === image);
}

/** The file of a batch that speaks of an image: the only one, or the one of its name. @param {Batch} batch @param {string} name */
function fileOf(batch, name) {
  return batch.paths.find((path) => batch.paths.length === 1 || stemOf(path) === name) ?? batch.paths[0];
}

/** Splits the engine's sentence into its file, its object and the reason. @param {Batch} batch @param {string} sentence */
function addRemark(batch, sentence) {
  const path = batch.paths.filter((one) => sentence.startsWith(one)).sort((a, b) => b.length - a.length)[0] ?? '';
  const [, object, reason] = /^(?:, object (\d+))?:? ?(.*)$/s.exec(sentence.slice(path.length)) ?? [];
  const remark = { file: path, object: object ?? '', reason: reason ?? sentence };
  const key = path || batch.paths[0];
  remarks.set(key, [...(remarks.get(key) ?? []), remark]);
}

/** @param {Batch} batch @param {string} name */
function addWaiting(batch, name) {
  const path = fileOf(batch, name);
  const names = waiting.get(path);
  if (names) names.push(name);
  else waiting.set(path, [name]);
}

/** @param {Map<string, string[]>} fresh */
function takeImageLabels(fresh) {
  const imageLabels = new Map([...store.state.imageLabels, ...fresh]);
  store.set({ imageLabels });
  const classes = new Set([...fresh.values()].flat());
  notify(`Labels of ${plural(fresh.size, 'whole image')} read: ${plural(classes.size, 'class', 'classes')}.`, { action: { label: 'Show them', run: openClassChart } });
}

function showRemarks() {
  const list = [...remarks.values()].flat();
  for (const [file, names] of waiting) {
    for (const name of names) list.push({ file, object: name === stemOf(file) ? '' : name, reason: 'its image is not here; it is kept and used when the image comes' });
  }
  store.set({ remarks: list });
}

/** @param {[ImageEntry, Annotations][]} taken @param {Set<string>} paths what was read this time */
function report(taken, paths) {
  const objects = taken.flatMap(([, { objects: all }]) => all);
  const masks = objects.filter(({ mask }) => mask).length;
  const parts = [];
  if (taken.length) parts.push(`Annotations of ${plural(taken.length, 'image')} read: ${plural(objects.length, 'box', 'boxes')}, ${plural(masks, 'mask')}.`);
  const left = [...paths].reduce((sum, path) => sum + (remarks.get(path)?.length ?? 0), 0);
  const wait = [...paths].filter((path) => waiting.has(path)).length;
  if (left) parts.push(`${plural(left, 'remark')} about the files.`);
  if (wait) parts.push(`${plural(wait, 'file')} ${wait === 1 ? 'waits' : 'wait'} for an image.`);
  if (parts.length) notify(parts.join(' '), left || wait ? { action: { label: 'Show', run: openLeftOut } } : {});
}
