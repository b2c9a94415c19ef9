/**
 * images/ is how images come in and are listed: files and folders, channels, what was left out.
 *
 * The second worker: it groups, decodes, merges and exports while the engine computes. Images are decoded when they
 * are looked at, thumbnails when their row is on the screen, one at a time, and what is no longer looked at is let go.
 */
import { bitDepth, decidedDepth } from './bit-depth.js';
import { headOf, known } from './files.js';
import { notify, sentenceOf } from '../ui/dom.js';
import { plain } from '../engine/protocol.js';
import { currentImage, store } from '../shared/page-state.js';
import { Connection, Refused, WorkerDied } from '../engine/connection.js';

/**
 * @typedef {Object} Opened one image as it is shown
 * @property {number} id
 * @property {number} width
 * @property {number} height
 * @property {number} bits
 * @property {number} black sample value that is shown black
 * @property {number} whiteLevel sample value of full brightness
 * @property {import('../engine/protocol.js').StackPlane|null} stack what it is of the stack in its files
 * @property {Record<string, string>|null} proposal the channel of the image for each of the detector's, where that was trained on others
 * @property {import('../engine/protocol.js').Merge} merge the weights that made these layers
 * @property {string[]} warnings
 * @property {{channel: string, bitmap: ImageBitmap}[]} layers
 * @property {number} white share of full brightness that nearly all of the thumbnail stays below
 *
 * @typedef {(path: string, blob: File) => Promise<File|null>} Readable
 */

const THUMBNAIL = 96;
/** Bitmaps kept of images that were looked at, in pixels of all layers. */
const OPENED_PIXELS = 96 << 20;
const THUMBNAILS = 1000;

export const connection = new Connection('images', (sentence) => {
  console.error(`images: ${sentence}`);
  notify(`The image reader stopped and was restarted: ${sentence}`, { kind: 'error' });
});

/** @type {Map<number, Opened>} in the order of use */
const cache = new Map();
/** Images with a thumbnail, in the order of making. @type {number[]} */
const thumbnails = [];
/** What images were opened with: their channels and weights, whether these are the detector's, the bit depth of 16-bit ones, and
 *  whether they are of a stack.
 *  @type {WeakMap<object, {channels: string[], merge: import('../engine/protocol.js').Merge, trained: boolean, depth: number|null, stack: boolean,
 *    detector: import('../engine/protocol.js').Merge|undefined}>} */
const weights = new WeakMap();
/** Images whose weights, bit depth or plane have changed: what is shown stays until they were opened again. @type {WeakSet<object>} */
const outdated = new WeakSet();
/** @type {number[]} */
let wanted = [];
let working = false;
/** A file that can be read: the one that was dropped, or the copy that the project keeps of it. @type {Readable} */
let readable = async (_path, blob) => blob;

/** The rows on the screen, whose thumbnails are to be made. @param {number[]} ids */
export function wantThumbnails(ids) {
  wanted = ids;
  pump();
}

/**
 * Reads the files of an image; the bytes are given away with the request.
 * @param {import('../shared/page-state.js').ImageEntry} image @returns {Promise<import('../engine/protocol.js').ImageInput>}
 */
export async function inputOf(image) {
  const depth = await bitDepth(survey);
  const { name, fill, pages } = image;
  const stack = stackRule(image);
  const files = await bytesOf(image);
  return { name, files, fill, pages, stack, merge: image.merge ?? undefined, detectorMerge: detectorMerge(), bitDepth: depth ?? undefined };
}

/** What is read of its files where they are a stack. @param {import('../shared/page-state.js').ImageEntry} image @returns {import('../engine/protocol.js').StackRule} */
function stackRule({ z, t }) {
  return { projection: store.state.projection, ...(z ? { z } : {}), ...(t ? { t } : {}) };
}

/** The bits that an image by itself asks for; 0 for an 8-bit one. @param {import('../shared/page-state.js').ImageEntry} image */
async function survey(image) {
  const [{ mayBeDeep }] = await glances([image]);
  if (!mayBeDeep) return 0;
  const { name, fill, pages } = image;
  const files = await bytesOf(image);
  const transfer = files.map((file) => file.bytes.buffer);
  const { depth } = await connection.request({ type: 'survey', image: { name, files, fill, pages, stack: stackRule(image) } }, { transfer });
  return depth ?? 0;
}

/** @param {import('../shared/page-state.js').ImageEntry} image */
function bytesOf(image) {
  return Promise.all(
    image.files.map(async ({ file, blob }) => {
      try {
        const content = (await readable(file.file, blob)) ?? blob;
        return { ...file, bytes: new Uint8Array(await content.arrayBuffer()) };
      } catch {
        throw new Refused('io', `${blob.name} can no longer be read; it was changed or moved. Drop it again.`);
      }
    }),
  );
}

/** The weights that the detector was trained with: an image without its own is shown and merged as it will be detected in. */
function detectorMerge() {
  return store.state.model?.report.config.merge ?? undefined;
}

/**
 * Forgets what was decoded, after the files, the fill or the weights of an image have changed.
 * @param {import('../shared/page-state.js').ImageEntry} image
 */
export function forget(image) {
  letThumbnailGo(image);
  drop(image.id);
  if (store.state.current === image.id) store.set({ opened: null });
  pump();
}

/** @param {import('../shared/page-state.js').ImageEntry} image */
function letThumbnailGo(image) {
  image.thumbnail?.close();
  image.thumbnail = null;
}

/** @param {number} id */
function drop(id) {
  for (const { bitmap } of cache.get(id)?.layers ?? []) bitmap.close();
  cache.delete(id);
}

/** Follows the current image and the list. @param {Readable} findReadable */
export function startImages(findReadable) {
  readable = findReadable;
  store.subscribe(['current'], show);
  store.subscribe(['model', 'bitDepth'], openAnew);
}

/** Opens again what the detector that has been loaded sees otherwise than it was opened, by its weights or its bit depth. */
function openAnew() {
  const trained = detectorMerge();
  for (const image of store.state.images) {
    const before = weights.get(image);
    if (!before) continue;
    const sameDepth = before.depth === null || before.depth === decidedDepth();
    const fits = fitsAll(trained, before.channels);
    const same = fits ? before.channels.every((channel) => String(before.merge[channel]) === String(trained[channel])) : !before.trained;
    if ((same || image.merge) && sameDepth) {
      if (fits || before.detector === trained) continue;
      // It looks the same, but what it should be mapped to is another.
      before.detector = trained;
      if (store.state.current === image.id) outdated.add(image);
      else drop(image.id);
      continue;
    }
    letGo(image);
  }
  pump();
}

/** Opens an image again; the current one stays on the screen until then. @param {import('../shared/page-state.js').ImageEntry} image */
export function openAgain(image) {
  letGo(image);
  pump();
}

/** @param {import('../shared/page-state.js').ImageEntry} image */
function letGo(image) {
  weights.delete(image);
  if (store.state.current === image.id) outdated.add(image);
  else forget(image);
}

/** Whether an image was opened and is of a stack. @param {import('../shared/page-state.js').ImageEntry} image */
export function isOfStack(image) {
  return weights.get(image)?.stack ?? false;
}

/**
 * Whether a detector's weights name every channel, without which the engine does not take them; here to know what need not be
 * opened again.
 * @param {import('../engine/protocol.js').Merge|null|undefined} merge @param {string[]} channels
 * @returns {merge is import('../engine/protocol.js').Merge}
 */
export function fitsAll(merge, channels) {
  return Boolean(merge) && channels.every((channel) => merge?.[channel]);
}

function show() {
  const image = currentImage();
  if (!image) return;
  const known = cache.get(image.id);
  if (known) {
    cache.delete(image.id);
    cache.set(image.id, known);
    store.set({ opened: known });
  }
  pump();
}

/** What to decode next: the current image before any thumbnail. */
function nextJob() {
  const { opened, images } = store.state;
  const current = currentImage();
  if (current && !current.problem && (opened?.id !== current.id || outdated.has(current))) return current;
  for (const id of wanted) {
    const image = images.find((one) => one.id === id);
    if (image && !image.problem && !image.thumbnail) return image;
  }
  return null;
}

async function pump() {
  if (working) return;
  working = true;
  try {
    for (let image = nextJob(); image; image = nextJob()) await open(image);
  } finally {
    working = false;
  }
}

/** @param {import('../shared/page-state.js').ImageEntry} image */
async function open(image) {
  const { files, fill, pages, z, t } = image;
  const { projection } = store.state;
  const trained = detectorMerge();
  const merge = image.merge ?? detectorMerge();
  const changed = () =>
    !store.state.images.includes(image) ||
    image.files !== files ||
    image.fill !== fill ||
    image.pages !== pages ||
    image.z !== z ||
    image.t !== t ||
    store.state.projection !== projection ||
    (image.merge ?? detectorMerge()) !== merge;
  try {
    const input = await inputOf(image);
    const depth = input.bitDepth ?? null;
    const transfer = input.files.map((file) => file.bytes.buffer);
    const outcome = await connection.request({ type: 'open', image: input, thumbnail: THUMBNAIL }, { transfer });
    if (changed()) return;
    if (outdated.delete(image)) {
      letThumbnailGo(image);
      if (store.state.current !== image.id) drop(image.id);
    }
    image.thumbnail ??= await bitmapOf(outcome.thumbnail.rgba, outcome.thumbnail.width, outcome.thumbnail.height);
    thumbnails.push(image.id);
    image.size ??= { width: outcome.width, height: outcome.height };
    image.orientation = outcome.orientation;
    if (image.state === 'new') image.state = 'ready';
    const channels = outcome.layers.map(({ channel }) => channel);
    weights.set(image, {
      channels,
      merge: plain(outcome.merge),
      trained: !image.merge && fitsAll(merge, channels),
      depth: outcome.bits === 16 ? depth : null,
      stack: Boolean(outcome.stack),
      detector: trained,
    });
    if (image.channels.length === 0) image.channels = outcome.layers.map(({ channel }) => channel);
    if (store.state.current === image.id) await keep(image, outcome);
  } catch (error) {
    if (changed()) return;
    if (outdated.delete(image)) forget(image);
    const code = error instanceof Refused ? error.code : 'engine';
    const sentence = error instanceof WorkerDied ? `${image.name}: the image reader crashed on this image` : sentenceOf(error);
    image.problem = { code, sentence };
    image.state = 'problem';
  }
  forgetOldThumbnails();
  store.touch('images');
}

/**
 * What the first bytes of images tell, by the first file of each: the channels of an image are all of one size and depth.
 * @param {import('../shared/page-state.js').ImageEntry[]} images @returns {Promise<import('../engine/protocol.js').Glance[]>}
 */
async function glances(images) {
  const heads = images.map(async ({ files: [first] }) => {
    const path = first?.file.file ?? '';
    const one = known.get(path);
    const head = one && one.file === first?.blob ? one.head : await headOf(first?.blob ?? new Blob()).catch(() => new Uint8Array());
    return { name: path, head };
  });
  return (await connection.request({ type: 'glance', files: await Promise.all(heads) })).glances;
}

/**
 * Finds out the size of images, opening those whose file does not say it at its beginning.
 * @param {import('../shared/page-state.js').ImageEntry[]} images @param {(done: number, total: number) => void} [onProgress]
 */
export async function measure(images, onProgress = () => {}) {
  const unknown = images.filter((image) => !image.size && !image.problem);
  if (unknown.length === 0) return;
  // What goes wrong here is said when the image is opened.
  const told = await glances(unknown).catch(() => []);
  for (const [index, image] of unknown.entries()) {
    onProgress(index, unknown.length);
    const size = told[index]?.size;
    if (size) image.size = { width: size[0], height: size[1] };
    else await open(image);
  }
}

/** @param {import('../engine/protocol.js').OpenedImage} outcome @param {import('../shared/page-state.js').ImageEntry} image */
async function keep(image, outcome) {
  const layers = [];
  for (const { channel, rgba } of outcome.layers) {
    layers.push({ channel, bitmap: await bitmapOf(rgba, outcome.width, outcome.height) });
  }
  const { width, height, bits, black, white: whiteLevel } = outcome;
  const warnings = [...image.notes, ...outcome.warnings];
  const stack = outcome.stack ?? null;
  const proposal = outcome.proposal ? plain(outcome.proposal) : null;
  const white = whiteOf(outcome.thumbnail.rgba);
  const opened = { id: image.id, width, height, bits, black, whiteLevel, stack, proposal, merge: plain(outcome.merge), warnings, layers, white };
  drop(image.id);
  cache.set(image.id, opened);
  if (store.state.current === image.id) store.set({ opened });
  let pixels = 0;
  for (const one of cache.values()) pixels += one.width * one.height * one.layers.length;
  for (const [id, one] of cache) {
    if (pixels <= OPENED_PIXELS || id === store.state.current) break;
    pixels -= one.width * one.height * one.layers.length;
    drop(id);
  }
}

/** @param {Uint8Array<ArrayBuffer>} rgba @param {number} width @param {number} height */
function bitmapOf(rgba, width, height) {
  const pixels = new Uint8ClampedArray(rgba.buffer, rgba.byteOffset, rgba.byteLength);
  return createImageBitmap(new ImageData(pixels, width, height));
}

/** For “auto”: the brightness that 99.5 % of the samples of the thumbnail do not reach. @param {Uint8Array} rgba */
function whiteOf(rgba) {
  const counts = new Uint32Array(256);
  for (let i = 0; i < rgba.length; i += 4) counts[Math.max(rgba[i], rgba[i + 1], rgba[i + 2])] += 1;
  let left = (rgba.length / 4) * 0.005;
  let white = 255;
  while (white > 8 && (left -= counts[white]) > 0) white -= 1;
  return white / 255;
}

function forgetOldThumbnails() {
  while (thumbnails.length > THUMBNAILS) {
    const id = thumbnails.shift();
    const image = store.state.images.find((one) => one.id === id);
    if (!image?.thumbnail || wanted.includes(image.id)) continue;
    image.thumbnail.close();
    image.thumbnail = null;
  }
}
