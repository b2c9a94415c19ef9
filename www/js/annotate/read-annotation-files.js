/**
 * Annotation files beside images: VOC, COCO, YOLO, tables and label images. The image worker reads them; here they
 * find their images, wait for those that are not there yet, and never replace a user's own boxes unasked.
 */
import { putAnnotations, withMasks } from './merge-annotations.js';
import { nextLabel } from './annotations.js';
import { openClassChart } from './class-chart.js';
import { notify, plural, sentenceOf } from '../ui/dom.js';
import { imageInfos } from '../images/file-names.js';
import { connection, measure } from '../images/images.js';
import { openLeftOut } from '../images/left-out.js';
import { store } from '../shared/page-state.js';

/**
 * @typedef {typeof import('../images/files.js').known} Known every dropped file by its path
 * @typedef {import('../shared/page-state.js').ImageEntry} ImageEntry
 * @typedef {import('../shared/page-state.js').Annotations} Annotations
 * @typedef {{file: string, object: string, reason: string}} Remark
 * @typedef {import('../engine/protocol.js').Recognised} Recognised
 * @typedef {Map<string, Pick<Recognised, 'kind'|'stem'|'image'> & {isMask?: boolean}>} Kinds what each file is, and which image it is
 *   named after; `isMask`: it was grouped with that image, by its name and its content
 *
 * @typedef {Object} Batch files of one request
 * @property {string[]} paths
 * @property {boolean} alone a table, of which one file speaks of many images
 * @property {boolean} [numbered] the pieces of its label images get numbers of their own
 *
 * @typedef {{found: import('../engine/protocol.js').ImageAnnotations, path: string}} Found `path`: the file that has them
 */

const BATCH_FILES = 200;
const BATCH_BYTES = 32 << 20;
const READERS = 16;
/** Of one image, after which they are named. @type {Set<Recognised['kind']>} */
const SINGLE = new Set(['voc', 'yolo', 'outlines', 'labelImage', 'unknown']);
/** Of many images, whose sizes they may need. @type {Set<Recognised['kind']>} */
const OF_MANY = new Set(['json', 'jsonLines', 'table']);

/** What was read, and of which images; a file is read again when it has changed. @type {Map<string, {file: File, images: Set<string>}>} */
const read = new Map();
/** Annotations without an image, by the file that has them. @type {Map<string, string[]>} */
const waiting = new Map();
/** @type {Map<string, Remark[]>} */
const remarks = new Map();
/** Label images whose values do not tell objects apart. @type {Set<string>} */
const unnumbered = new Set();
/** Those of them whose pieces the user wants to be numbered. @type {Set<string>} */
const numbered = new Set();
/** Names of the images of the last time. */
let lastImages = '';
/** The project that all of this is about. */
let project = '';

/** The label image, or the files of one object each. @param {import('../engine/protocol.js').GroupedImage} image */
const masksOf = ({ mask, objectMasks = [] }) => (mask ? [mask] : objectMasks);

/** The file of a path that is known to be there. @param {Known} known @param {string} path */
function fileAt(known, path) {
  const one = known.get(path);
  if (!one) throw new Error(`${path} is no longer available; drop it again.`);
  return one.file;
}

/**
 * What the annotation files are: by the engine's word, and the label images as they were grouped.
 * @param {import('../engine/protocol.js').Groups} groups @param {Known} known @returns {Promise<Kinds>}
 */
async function recognise(groups, known) {
  const paths = groups.annotations.filter((path) => known.has(path));
  const files = paths.map((name) => ({ name, head: known.get(name)?.head ?? new Uint8Array() }));
  const answer = paths.length ? await connection.request({ type: 'recogniseAnnotations', files, images: imageInfos(store.state.images) }) : { files: [] };
  /** @type {Kinds} */
  const kinds = new Map(paths.map((path, index) => [path, answer.files[index]]));
  for (const image of groups.images)
    for (const path of masksOf(image)) kinds.set(path, { kind: 'labelImage', stem: image.name, image: image.name, isMask: true });
  return kinds;
}

/** Files of one owner are read together: an image, or a name that no image has yet. @param {Kinds} kinds @param {string} path */
function ownerOf(kinds, path) {
  const one = kinds.get(path);
  return one?.image ?? one?.stem ?? path;
}

/**
 * Reads what is new, and again what waits for an image that may be there now.
 * @param {import('../engine/protocol.js').Groups} groups @param {Known} known
 */
export async function takeAnnotations(groups, known) {
  if (project !== store.state.projectId) {
    project = store.state.projectId;
    for (const one of [read, waiting, remarks, unnumbered, numbered]) one.clear();
  }
  const images = store.state.images.map(({ name }) => name).join('\n');
  const grown = images !== lastImages;
  lastImages = images;
  const kinds = await recognise(groups, known);
  const paths = wantedPaths(kinds, known, grown);
  if (paths.size === 0) return;
  const batches = batched([...paths], kinds, known);
  await measureFor(batches, kinds);
  /** @type {Map<ImageEntry, Found>} */
  const found = new Map();
  /** @type {Map<string, string[]>} */
  const imageLabels = new Map();
  let done = 0;
  for (const batch of batches) {
    store.set({ reading: `Reading annotations: ${done.toLocaleString('en')} of ${paths.size.toLocaleString('en')} files …` });
    await readBatch(batch, kinds, known, found, imageLabels);
    done += batch.paths.length;
  }
  for (const path of paths) read.set(path, { file: fileAt(known, path), images: read.get(path)?.images ?? new Set() });
  if (imageLabels.size) takeImageLabels(imageLabels);
  await measure([...found.keys()], tellMeasure);
  store.set({ reading: '' });
  const taken = await putAnnotations([...found].map(([image, one]) => ({ image, found: one.found, boxed: hasBoxes(one, kinds) })));
  showRemarks(kinds);
  report(taken, paths);
  offerNumbers(groups, known);
}

/**
 * Offers to number the pieces of label images that have one value for all.
 * @param {import('../engine/protocol.js').Groups} groups @param {Known} known
 */
function offerNumbers(groups, known) {
  if (unnumbered.size === 0) return;
  const paths = [...unnumbered];
  unnumbered.clear();
  const some = `${paths.slice(0, 3).join(', ')}${paths.length > 3 ? ', …' : ''}`;
  const run = () => {
    for (const path of paths) {
      numbered.add(path);
      read.delete(path);
    }
    return takeAnnotations(groups, known);
  };
  notify(`${plural(paths.length, 'label image')} with separate regions that share a value: ${some}.`, { action: { label: 'Split into objects', run } });
}

/**
 * Files that are new or have changed, with what belongs to them; and the waiting ones, if there are more images now.
 * @param {Kinds} kinds @param {Known} known @param {boolean} grown
 */
function wantedPaths(kinds, known, grown) {
  /** @param {string} path */
  const isNew = (path) => known.has(path) && read.get(path)?.file !== known.get(path)?.file;
  const list = [...kinds].some(([path, { kind }]) => kind === 'classList' && isNew(path));
  /** @type {Set<string>} */
  const wanted = new Set();
  /** @type {Map<string, string[]>} */
  const byOwner = new Map();
  for (const [path, { kind, image, isMask }] of kinds) {
    if (!isMask && (isNew(path) || (grown && waiting.has(path)))) wanted.add(path);
    if (list && kind === 'yolo') wanted.add(path);
    if (image === null || !SINGLE.has(kind)) continue;
    byOwner.set(image, [...(byOwner.get(image) ?? []), path]);
  }
  // Boxes and masks of an image are read together: value k of the mask is the k-th box.
  for (const all of byOwner.values()) {
    const masks = all.filter((path) => kinds.get(path)?.isMask);
    if (masks.length > 0 && (masks.some(isNew) || all.some((path) => wanted.has(path)))) for (const path of all) wanted.add(path);
  }
  return wanted;
}

/**
 * Single files in batches, all of one image together; then each table by itself. @returns {Batch[]}
 * @param {string[]} paths @param {Kinds} kinds @param {Known} known
 */
function batched(paths, kinds, known) {
  const apart = new Set([...numbered].map((path) => ownerOf(kinds, path)));
  /** @type {Batch[]} */
  const batches = [];
  /** @type {Map<boolean, {batch: Batch, bytes: number, owner: string}>} */
  const open = new Map();
  /** @param {string} path */
  const isSingle = (path) => SINGLE.has(kinds.get(path)?.kind ?? 'unknown');
  const single = paths.filter(isSingle).map((path) => ({ path, owner: ownerOf(kinds, path) }));
  for (const { path, owner } of single.sort((a, b) => (a.owner < b.owner ? -1 : 1))) {
    const isNumbered = apart.has(owner);
    const { size } = fileAt(known, path);
    let last = open.get(isNumbered);
    const full = last && (last.batch.paths.length >= BATCH_FILES || last.bytes + size > BATCH_BYTES);
    if (!last || (full && owner !== last.owner)) {
      last = { batch: { paths: [], alone: false, numbered: isNumbered }, bytes: 0, owner };
      open.set(isNumbered, last);
      batches.push(last.batch);
    }
    last.batch.paths.push(path);
    last.bytes += size;
    last.owner = owner;
  }
  for (const path of paths) if (!isSingle(path) && kinds.get(path)?.kind !== 'classList') batches.push({ paths: [path], alone: true });
  return batches;
}

/**
 * Opens images whose size the files need: parts of the image, boxes without one, edges to check against.
 * @param {Batch[]} batches @param {Kinds} kinds
 */
async function measureFor(batches, kinds) {
  const files = batches.flatMap(({ paths }) => paths.map((path) => kinds.get(path)));
  const all = files.some((file) => file && OF_MANY.has(file.kind));
  const named = new Set(files.map((file) => file?.image));
  await measure(
    store.state.images.filter(({ name }) => all || named.has(name)),
    tellMeasure,
  );
}

/** @param {number} done @param {number} total */
function tellMeasure(done, total) {
  store.set({ reading: `Looking up image sizes: ${done.toLocaleString('en')} of ${total.toLocaleString('en')} …` });
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

/** @param {Batch} batch @param {Kinds} kinds @param {Known} known @param {Map<ImageEntry, Found>} found @param {Map<string, string[]>} imageLabels */
async function readBatch(batch, kinds, known, found, imageLabels) {
  const lists = batch.alone ? [] : [...kinds].filter(([, { kind }]) => kind === 'classList').map(([path]) => path);
  for (const path of batch.paths) {
    remarks.delete(path);
    waiting.delete(path);
  }
  const byName = new Map(store.state.images.map((image) => [image.name, image]));
  const images = imageInfos(store.state.images);
  const orientations = Object.fromEntries(store.state.images.map(({ name, orientation }) => [name, orientation ?? 1]));
  /** @type {import('../engine/protocol.js').ReadAnnotations} */
  let outcome;
  try {
    const files = await bytesOf([...batch.paths, ...lists], known);
    const transfer = files.map(({ bytes }) => bytes.buffer);
    const numberPieces = batch.numbered ?? false;
    outcome = await connection.request({ type: 'readAnnotations', files, images, label: nextLabel(), orientations, numberPieces }, { transfer });
  } catch (error) {
    for (const path of batch.paths) addRemark(batch, `${path}: ${sentenceOf(error)}`);
    return;
  }
  for (const sentence of [...outcome.rejected, ...outcome.warnings]) addRemark(batch, sentence);
  for (const { image, labels } of outcome.imageLabels) imageLabels.set(image, labels);
  for (const path of outcome.unnumbered) unnumbered.add(path);
  outcome.withoutImage.forEach((name, index) => addWaiting(outcome.withoutImageSources[index] ?? batch.paths[0], name));
  /** @type {string[]} */
  const second = [];
  for (const [index, one] of outcome.annotations.entries()) {
    const entry = byName.get(one.image);
    const path = outcome.sources[index] ?? batch.paths[0];
    // A file that waited for other images has been used for this one, and it may have been edited since.
    if (!entry || (read.get(path)?.file === known.get(path)?.file && read.get(path)?.images.has(entry.name) && batch.alone)) continue;
    const first = found.get(entry);
    // A table beside label images: the names are in the one and the outlines in the other.
    const both = first && !hasBoxes(first, kinds) && (await withMasks(one, first.found));
    if (first && !both) {
      second.push(entry.name);
      continue;
    }
    found.set(entry, { found: both || one, path });
    read.set(path, { file: fileAt(known, path), images: (read.get(path)?.images ?? new Set()).add(entry.name) });
  }
  if (second.length) {
    const some = `${second.slice(0, 3).join(', ')}${second.length > 3 ? ', …' : ''}`;
    addRemark(batch, `${batch.paths[0]}: contains a second set of annotations for ${plural(second.length, 'image')} (${some}); only the first is used`);
  }
}

/** Whether the boxes were in a file of their own, and not only in a label image. @param {{path: string}} found @param {Kinds} kinds */
function hasBoxes({ path }, kinds) {
  return kinds.get(path)?.kind !== 'labelImage';
}

/** Splits the engine's sentence into its file, its object and the reason. @param {Batch} batch @param {string} sentence */
function addRemark(batch, sentence) {
  const path = batch.paths.filter((one) => sentence.startsWith(one)).sort((a, b) => b.length - a.length)[0] ?? '';
  const [, object, reason] = /^(?:, object (\d+))?:? ?(.*)$/s.exec(sentence.slice(path.length)) ?? [];
  const remark = { file: path, object: object ?? '', reason: reason ?? sentence };
  const key = path || batch.paths[0];
  remarks.set(key, [...(remarks.get(key) ?? []), remark]);
}

/** @param {string} path @param {string} name */
function addWaiting(path, name) {
  const names = waiting.get(path);
  if (names) names.push(name);
  else waiting.set(path, [name]);
}

/** @param {Map<string, string[]>} fresh */
function takeImageLabels(fresh) {
  const imageLabels = new Map([...store.state.imageLabels, ...fresh]);
  store.set({ imageLabels });
  const classes = new Set([...fresh.values()].flat());
  notify(`Image labels of ${plural(fresh.size, 'image')} read: ${plural(classes.size, 'class', 'classes')}.`, {
    action: { label: 'Show', run: openClassChart },
  });
}

/** @param {Kinds} kinds */
function showRemarks(kinds) {
  const list = [...remarks.values()].flat();
  for (const [file, names] of waiting) {
    const own = kinds.get(file)?.stem;
    for (const name of names)
      list.push({ file, object: name === own ? '' : name, reason: 'no matching image yet; the file is kept and applied when the image is added' });
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
  if (left) parts.push(`${plural(left, 'warning')} about the files.`);
  if (wait) parts.push(`${plural(wait, 'file')} without a matching image yet.`);
  if (parts.length) notify(parts.join(' '), left || wait ? { action: { label: 'Show', run: openLeftOut } } : {});
}
