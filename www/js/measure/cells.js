/**
 * measure/ is a look at all cells of all images: measured, in a table, in plots, as pictures, in a report.
 *
 * The list of cells that table, plots and gallery share: which are shown, in which order, which are selected.
 */
import { cellNumbers, holderOf } from '../images/measured.js';
import { columnsOf } from './columns.js';
import { classThresholds, select, store } from '../shared/page-state.js';

/**
 * @typedef {import('../shared/page-state.js').ImageEntry} ImageEntry
 * @typedef {import('../images/measured.js').Kind} Kind
 * @typedef {import('./columns.js').Column} Column
 *
 * @typedef {Object} Row one cell
 * @property {number} key
 * @property {number} at its place among all cells
 * @property {ImageEntry} image
 * @property {Kind} kind
 * @property {number} number among the detections or annotated objects of its image
 * @property {import('../engine/protocol.js').Detection|import('../shared/page-state.js').AnnotatedObject} cell
 * @property {string} label
 * @property {number} score NaN for annotations
 *
 * @typedef {{id: string, low: number, high: number}} Range infinite where it is open
 */

const state = {
  /** @type {Kind} */ kind: 'detections',
  sort: { id: 'score', down: true },
  /** Classes that are left out. @type {Set<string>} */ without: new Set(),
  /** @type {Range[]} */ ranges: [],
  /** All cells that count. @type {Row[]} */ all: [],
  /** Those within the filters, in any order; another list only when others are. @type {Row[]} */ within: [],
  /** The same in order. @type {Row[]} */ shown: [],
  /** @type {Column[]} */ columns: columnsOf('detections'),
};

/** For reading; it changes through the functions below. @type {Readonly<typeof state>} */
export const cells = state;

/** The rows of each image by what holds them. @type {WeakMap<object, Row[]>} */
const rows = new WeakMap();
/** By the cell itself. @type {WeakMap<object, Row>} */
const rowOfCell = new WeakMap();
let keys = 0;
/** @type {Set<() => void>} */
const listeners = new Set();
let isOpen = () => false;

/** @param {ImageEntry} image @param {Kind} kind @returns {Row[]} */
function rowsOf(image, kind) {
  const holder = holderOf(image, kind);
  if (!holder) return [];
  const known = rows.get(holder);
  // Files that were dropped again make another entry of the same cells.
  if (known && (known.length === 0 || known[0].image === image)) return known;
  const all = kind === 'detections' ? (image.result?.detections.detections ?? []) : (image.annotations?.objects ?? []);
  const made = all.map((cell, number) => {
    const row = { key: (keys += 1), at: 0, image, kind, number, cell, label: cell.label, score: 'score' in cell ? cell.score : NaN };
    rowOfCell.set(cell, row);
    return row;
  });
  rows.set(holder, made);
  return made;
}

/** @param {object} cell @returns {Row|null} */
export function rowOf(cell) {
  return rowOfCell.get(cell) ?? null;
}

/** Images that have cells of this kind. @param {Kind} kind */
export function imagesWith(kind) {
  return store.state.images.filter((image) => holderOf(image, kind) !== null);
}

/** @param {string} id @returns {Column} */
export function columnOf(id) {
  return state.columns.find((column) => column.id === id) ?? state.columns[1];
}

function rebuild() {
  state.columns = columnsOf(state.kind);
  state.all = imagesWith(state.kind).flatMap((image) => {
    const own = rowsOf(image, state.kind);
    return cellNumbers(image, state.kind).map((number) => own[number]);
  });
  state.all.forEach((row, at) => (row.at = at));
  values.clear();
  refine();
}

/** Numbers of all cells, by column; worked out once. @type {Map<string, Float64Array>} */
const values = new Map();

/** What a column has for all cells, in the order of `all`. @param {Column} column @returns {Float64Array} */
export function valuesOf(column) {
  let known = values.get(column.id);
  if (!known) values.set(column.id, (known = Float64Array.from(state.all, column.number)));
  return known;
}

/** Filters. */
function refine() {
  const ranges = state.ranges.map(({ id, low, high }) => ({ numbers: valuesOf(columnOf(id)), low, high }));
  const isWithin = (/** @type {Row} */ row) =>
    !state.without.has(row.label) && ranges.every(({ numbers, low, high }) => numbers[row.at] >= low && numbers[row.at] <= high);
  state.within = state.all.filter(isWithin);
  order();
}

/** Sorts. */
function order() {
  state.shown = sorted(state.within, columnOf(state.sort.id), state.sort.down);
  for (const run of listeners) run();
}

/** What is undefined comes last, whichever way. @param {Row[]} list @param {Column} column @param {boolean} down */
function sorted(list, column, down) {
  const sign = down ? -1 : 1;
  if (column.isText) {
    const texts = list.map((row) => column.shown(row));
    const places = list.map((_, at) => at);
    places.sort((a, b) => sign * (texts[a] < texts[b] ? -1 : texts[a] > texts[b] ? 1 : 0) || list[b].score - list[a].score || a - b);
    return places.map((at) => list[at]);
  }
  const numbers = valuesOf(column);
  const keyed = list.map((row) => ({ row, value: Number.isNaN(numbers[row.at]) ? Infinity : sign * numbers[row.at] }));
  // Where both are undefined their difference is, too; the order is then as it was.
  keyed.sort((a, b) => a.value - b.value || 0);
  return keyed.map(({ row }) => row);
}

/** Runs after every change of what is shown. @param {() => void} run */
export function onCells(run) {
  listeners.add(run);
}

/** @param {Kind} kind */
export function setKind(kind) {
  Object.assign(state, { kind, without: new Set(), ranges: [], sort: kind === 'detections' ? { id: 'score', down: true } : { id: 'image', down: false } });
  store.set({ picked: new Set() });
  rebuild();
}

/** @param {string} id @param {boolean} [down] the other way where it is the order already */
export function sortBy(id, down) {
  const turned = id === state.sort.id ? !state.sort.down : !columnOf(id).isText;
  state.sort = { id, down: down ?? turned };
  order();
}

/** @param {Set<string>} without */
export function leaveOutClasses(without) {
  state.without = without;
  refine();
}

/** @param {Range[]} ranges */
export function setRanges(ranges) {
  state.ranges = ranges;
  refine();
}

/** @param {Iterable<object>} picked */
export function pick(picked) {
  store.set({ picked: new Set(picked) });
}

/** The selected cells that are shown, in their order. */
export function pickedRows() {
  const { picked } = store.state;
  return picked.size === 0 ? [] : state.shown.filter(({ cell }) => picked.has(cell));
}

/** Shows a cell in its image. @param {Pick<Row, 'image'|'kind'|'number'>} row */
export function openInImage({ image, kind, number }) {
  select(image.id);
  if (kind === 'detections') store.set({ selected: number });
  else store.set({ selectedBox: number });
}

/** @param {() => boolean} isLookedAt nothing is sorted while nobody looks */
export function startCells(isLookedAt) {
  isOpen = isLookedAt;
  let stale = true;
  let tab = '';
  store.subscribe(['images', 'annotations', 'score', 'measured', 'labels', 'tab'], () => {
    if (!isOpen()) {
      stale ||= isChanged();
      tab = store.state.tab;
      return;
    }
    // Whoever opens another tab looks at the same cells.
    if (isChanged() || stale) rebuild();
    else if (tab !== store.state.tab) for (const run of listeners) run();
    tab = store.state.tab;
    stale = false;
  });
}

/** What the list was made of. @type {unknown[]} */
let made = [];

/** Whether anything has changed of what the list is made of: images are touched for many other reasons. */
function isChanged() {
  const { images, score, labels } = store.state;
  const now = [
    state.kind,
    score,
    classThresholds(),
    labels,
    measurements,
    ...images,
    ...images.map((image) => holderOf(image, state.kind)),
    ...images.map(({ result }) => result?.rejected),
  ];
  const same = now.length === made.length && now.every((one, at) => one === made[at]);
  made = now;
  return !same;
}

/** Counts what was measured. */
let measurements = 0;
store.watch((changed) => {
  if (changed.includes('measured')) measurements += 1;
});
