/**
 * Pictures of cells. An image is decoded in the image worker when one of its cells comes into view, and the pictures of its cells are
 * cut there together; what was not looked at for long is let go.
 */
import { connection, inputOf } from '../images/images.js';
import { cells } from './cells.js';

/** @typedef {import('./cells.js').Row} Row */
/** @typedef {import('../shared/page-state.js').ImageEntry} ImageEntry */

/** Pixels of a picture, and pictures that are cut together: below the largest bitmap of every GPU, one below another. */
export const SIDE = 72;
const TOGETHER = 100;
/** Cells after those in view among which more of the same image are looked for. */
const AHEAD = 1000;
/** Pictures that are kept: some 80 MB. */
const KEPT = 4000;

/** @typedef {{bitmap: ImageBitmap, count: number, isClosed: boolean}} Strip */

/** @type {WeakMap<object, {strip: Strip, at: number}>} */
const places = new WeakMap();
/** In the order of use. @type {Set<Strip>} */
const strips = new Set();
/** Images whose cells cannot be cut, and why. @type {WeakMap<object, string>} */
const problems = new WeakMap();
/** Rows in view. @type {Row[]} */
let wanted = [];
let working = false;
let onCut = () => {};

/**
 * Cells of one image as squares of RGBA, one after another.
 * @param {ImageEntry} image @param {Row[]} rows @param {number} side
 */
export async function cropsOf(image, rows, side) {
  if (image.problem) throw new Error(image.problem.sentence);
  const input = await inputOf(image);
  // What was detected in stays that, whatever has been chosen or loaded since.
  input.merge = image.result?.detections.merge ?? input.merge;
  const boxes = rows.map(({ cell }) => cell.box);
  const { rgba } = await connection.request({ type: 'cropCells', image: input, boxes, side }, { transfer: input.files.map((file) => file.bytes.buffer) });
  return rgba;
}

/** @param {() => void} run when pictures have come */
export function startCrops(run) {
  onCut = run;
}

/** @param {Row} row @returns {{bitmap: ImageBitmap, y: number}|null} null until it is cut */
export function pictureOf({ cell }) {
  const place = places.get(cell);
  if (!place || place.strip.isClosed) return null;
  strips.delete(place.strip);
  strips.add(place.strip);
  return { bitmap: place.strip.bitmap, y: place.at * SIDE };
}

/** Why a cell has no picture; empty where it has one, or will. @param {Row} row */
export function problemOf({ image }) {
  return problems.get(image) ?? '';
}

/** Asks for the pictures in view. @param {Row[]} rows */
export function wantPictures(rows) {
  wanted = rows;
  if (!working) work();
}

async function work() {
  working = true;
  for (let next = nextImage(); next; next = nextImage()) {
    const { image, rows } = next;
    try {
      await cut(image, rows);
    } catch (error) {
      problems.set(image, error instanceof Error ? error.message : String(error));
    }
    onCut();
  }
  working = false;
}

/** The image of the first cell in view without a picture, and which of its cells to cut: those in view, then those after them. */
function nextImage() {
  const first = wanted.find((row) => !pictureOf(row) && !problems.has(row.image));
  if (!first) return null;
  const { image } = first;
  const open = (/** @type {Row} */ row) => row.image === image && !pictureOf(row);
  const rows = new Set(wanted.filter(open));
  const from = cells.shown.indexOf(first);
  for (const row of cells.shown.slice(from, from + AHEAD)) {
    if (rows.size >= TOGETHER) break;
    if (open(row)) rows.add(row);
  }
  return { image, rows: [...rows].slice(0, TOGETHER) };
}

/** @param {ImageEntry} image @param {Row[]} rows */
async function cut(image, rows) {
  const rgba = await cropsOf(image, rows, SIDE);
  const pixels = new Uint8ClampedArray(rgba.buffer, rgba.byteOffset, rgba.byteLength);
  const bitmap = await createImageBitmap(new ImageData(pixels, SIDE, SIDE * rows.length));
  const strip = { bitmap, count: rows.length, isClosed: false };
  strips.add(strip);
  rows.forEach(({ cell }, at) => places.set(cell, { strip, at }));
  let kept = 0;
  for (const { count } of strips) kept += count;
  for (const old of strips) {
    if (kept <= KEPT || old === strip) break;
    kept -= old.count;
    old.bitmap.close();
    old.isClosed = true;
    strips.delete(old);
  }
}
