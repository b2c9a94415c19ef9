/**
 * What was measured of cells: asked of the image worker one image at a time, and kept by the cells themselves, which are replaced
 * and never changed in place.
 */
import { connection, inputOf } from './images.js';
import { sentenceOf } from '../ui/dom.js';
import { Cancelled } from '../engine/connection.js';
import { shownDetections, store } from '../shared/page-state.js';

/**
 * @typedef {import('../shared/page-state.js').ImageEntry} ImageEntry
 * @typedef {import('../engine/protocol.js').ImageDetections} ImageDetections
 * @typedef {import('../engine/protocol.js').MeasuredFormat} MeasuredFormat
 * @typedef {import('../engine/protocol.js').NamedBytes} NamedBytes
 * @typedef {'detections'|'annotations'} Kind
 *
 * @typedef {Object} Measured what was measured of the cells of one image
 * @property {import('../engine/protocol.js').PackedTable['columns']} columns
 * @property {Float64Array} values row by row; NaN where undefined
 * @property {Map<string, number>} places of the columns by header
 * @property {number[]} cells numbers of the cells that were measured, in the order of the rows
 * @property {Map<number, number>} rows by the number of the cell
 * @property {number|null} pixelSize that was asked for
 * @property {string} plane of a stack that was measured
 *
 * @typedef {{name: string, stem: string}} Names the file that tables name, and what its own files are called
 */

/** By the detections or the annotations that were measured. @type {WeakMap<object, Measured>} */
const tables = new WeakMap();

/** The side of a pixel in µm that the user gave for all images; null for what each file states. @type {number|null} */
let pixelSize = null;

/** @param {number|null} size */
export function setPixelSize(size) {
  pixelSize = size !== null && Number.isFinite(size) && size > 0 ? size : null;
}

export function getPixelSize() {
  return pixelSize;
}

/** `area [px²]`, `blue mean [grey level]`: as in the tables that leave. @param {{name: string, unit?: string|null, channel?: string|null}} column */
export function headerOf({ name, unit, channel }) {
  return `${channel ? `${channel} ` : ''}${name}${unit ? ` [${unit}]` : ''}`;
}

/** What holds the cells of an image, by which their measurements are kept. @param {ImageEntry} image @param {Kind} kind @returns {object|null} */
export function holderOf(image, kind) {
  return kind === 'detections' ? (image.result?.detections ?? null) : image.annotations;
}

/** The numbers of the cells that count: detections that the score threshold lets through, or all annotations. @param {ImageEntry} image @param {Kind} kind */
export function cellNumbers(image, kind) {
  if (kind === 'detections') return shownDetections(image).map(({ index }) => index);
  return (image.annotations?.objects ?? []).map((_, index) => index);
}

/** @param {ImageEntry} image @param {Kind} kind @returns {Measured|null} */
export function measuredOf(image, kind) {
  const holder = holderOf(image, kind);
  return (holder && tables.get(holder)) ?? null;
}

/** Whether all of an image's cells that count, and no others, were measured with the present pixel size. @param {ImageEntry} image @param {Kind} kind */
export function isMeasured(image, kind) {
  const known = measuredOf(image, kind);
  const numbers = cellNumbers(image, kind);
  return (
    known !== null &&
    known.pixelSize === pixelSize &&
    known.plane === planeOf(image) &&
    known.cells.length === numbers.length &&
    numbers.every((one, at) => one === known.cells[at])
  );
}

/** Cells of an image as the engine measures them; annotations have no score. @param {ImageEntry} image @param {Kind} kind @param {string} file @returns {ImageDetections} */
function outgoing(image, kind, file) {
  if (kind === 'detections' && image.result) {
    const { limit_reached: _, ...found } = image.result.detections;
    return { ...found, image: image.name, file, detections: shownDetections(image).map(({ detection }) => detection) };
  }
  const detections = (image.annotations?.objects ?? []).map(({ box, label, mask }) => ({ box, label, score: NaN, ...(mask ? { mask } : {}) }));
  return { image: image.name, file, width: image.size?.width ?? 0, height: image.size?.height ?? 0, detections };
}

/** @param {import('../engine/protocol.js').PackedTable} table @param {number[]} cells @param {string} plane @returns {Measured} */
function kept({ columns, values }, cells, plane) {
  const numbers = new Float64Array(values.buffer, values.byteOffset, values.byteLength / 8);
  const places = new Map(columns.map((column, at) => [headerOf(column), at]));
  return { columns, values: numbers, places, cells, rows: new Map(cells.map((cell, row) => [cell, row])), pixelSize, plane };
}

/** Which plane of a stack an image is now. @param {ImageEntry} image */
function planeOf({ z, t }) {
  return [store.state.projection, z, t].join();
}

/** The table as it crosses to the worker, of these rows or of all. @param {Measured} measured @param {number[]} [rows] @returns {import('../engine/protocol.js').PackedTable} */
export function packed({ columns, values }, rows) {
  const width = columns.length;
  const chosen = rows ? new Float64Array(rows.length * width) : values.slice();
  rows?.forEach((row, at) => chosen.set(values.subarray(row * width, (row + 1) * width), at * width));
  return { columns, values: new Uint8Array(chosen.buffer) };
}

/**
 * Measures the cells of one image and writes its own files in these formats. What needs the image is left out where it cannot be
 * read, and `problem` says why.
 * @param {ImageEntry} image @param {Kind} kind
 * @param {{names: Names, formats?: MeasuredFormat[], needsTable?: boolean, signal?: AbortSignal}} options
 * @returns {Promise<{table: Measured|null, files: NamedBytes[], notes: string[], problem: string}>}
 */
export async function measureCells(image, kind, { names, formats = [], needsTable = true, signal }) {
  const cells = outgoing(image, kind, names.name);
  const holder = holderOf(image, kind);
  const numbers = cellNumbers(image, kind);
  const plane = planeOf(image);
  const files = formats.filter((format) => format !== 'measurements');
  const known = isMeasured(image, kind) ? measuredOf(image, kind) : null;
  const needsImage = files.includes('geojson') || (needsTable && !known);
  let problem = '';
  /** @type {import('../engine/protocol.js').ImageInput|null} */ let input = null;
  if (needsImage) {
    try {
      if (image.problem) throw new Error(image.problem.sentence);
      input = await inputOf(image);
    } catch (error) {
      problem = sentenceOf(error);
    }
  }
  const size = pixelSize;
  /** @param {typeof input} one */
  const ask = (one) => {
    const transfer = one ? one.files.map((file) => file.bytes.buffer) : [];
    const command = /** @type {const} */ ({ type: 'measureCells', cells, image: one, name: names.stem, formats: files, pixelSize: size });
    return connection.request(command, { transfer, signal });
  };
  if (!input && files.length === 0) return { table: known, files: [], notes: [], problem };
  let answer;
  try {
    answer = await ask(input);
  } catch (error) {
    if (error instanceof Cancelled || !input) throw error;
    problem = sentenceOf(error);
    input = null;
    answer = await ask(null);
  }
  let table = known;
  if (input && holder) {
    table = kept(answer.table, numbers, plane);
    tables.set(holder, table);
    store.touch('measured');
  }
  return { table, files: answer.files, notes: answer.notes, problem };
}

/**
 * What tables need of an image: its cells, or some of them, with what was measured.
 * @param {ImageEntry} image @param {Kind} kind @param {string} file @param {string} detector @param {number[]} [only] numbers of cells
 * @returns {import('../engine/protocol.js').MeasuredCells}
 */
export function tableOf(image, kind, file, detector, only) {
  const numbers = cellNumbers(image, kind);
  const order = new Map(numbers.map((number, at) => [number, at]));
  const chosen = only ?? numbers;
  const measured = measuredOf(image, kind);
  const isWhole = measured !== null && chosen.every((number) => measured.rows.has(number));
  const objects = kind === 'detections' ? (image.result?.detections.detections ?? []) : (image.annotations?.objects ?? []);
  return {
    image: image.name,
    file,
    detector,
    numbers: chosen.map((number) => (order.get(number) ?? number) + 1),
    labels: chosen.map((number) => objects[number].label),
    scores: chosen.map((number) => ('score' in objects[number] ? objects[number].score : NaN)),
    table: isWhole
      ? packed(
          measured,
          chosen.map((number) => measured.rows.get(number) ?? 0),
        )
      : emptyTable(chosen.length),
  };
}

/** Rows without a measurement: one column of which nothing is known. @param {number} rows @returns {import('../engine/protocol.js').PackedTable} */
function emptyTable(rows) {
  return { columns: [{ name: 'region' }], values: new Uint8Array(new Float64Array(rows).fill(NaN).buffer) };
}
