/** What can be known of a cell: columns of the table, axes of the plots, orders of the gallery. */
import { headerOf, measuredOf } from '../images/measured.js';
import { store } from '../shared/page-state.js';

/**
 * @typedef {import('./cells.js').Row} Row
 *
 * @typedef {Object} Column
 * @property {string} id
 * @property {string} text for people
 * @property {boolean} isText its values are compared as text
 * @property {(row: Row) => number} number NaN where undefined; of a text its order
 * @property {(row: Row) => string} shown
 */

/** Quantities that a table shows at first, beside the mean of each channel. */
const FIRST = ['area', 'major axis', 'eccentricity', 'solidity'];
const DIGITS = 4;

/** A number of four digits that mean something: 0.01234, 12.34, 123,400. @param {number} value */
export function short(value) {
  if (!Number.isFinite(value)) return '';
  if (Number.isInteger(value)) return String(value);
  const digits = DIGITS - 1 - Math.floor(Math.log10(Math.abs(value) || 1));
  return value.toFixed(Math.min(Math.max(digits, 0), 6));
}

/** @type {Column[]} */
const OWN = [
  { id: 'class', text: 'Class', isText: true, number: () => NaN, shown: ({ label }) => label },
  { id: 'score', text: 'Score', isText: false, number: ({ score }) => score, shown: ({ score }) => (Number.isNaN(score) ? '' : score.toFixed(2)) },
  { id: 'image', text: 'Image', isText: true, number: () => NaN, shown: ({ image }) => image.name },
  { id: 'cell', text: 'Cell', isText: false, number: ({ number }) => number + 1, shown: ({ number }) => String(number + 1) },
];

/** What stands for the numbers of a column that has no others. @type {Record<string, [string, string]>} */
const WORDS = { region: ['box', 'mask'], 'touches border': ['no', 'yes'] };

/** @type {Map<string, Column>} */
const known = new Map(OWN.map((column) => [column.id, column]));

/** @param {string} id @param {string} name @returns {Column} */
function measured(id, name) {
  const column = known.get(id);
  if (column) return column;
  /** @param {Row} row */
  const number = (row) => {
    const table = measuredOf(row.image, row.kind);
    const at = table?.places.get(id);
    const place = table?.rows.get(row.number);
    return table && at !== undefined && place !== undefined ? table.values[place * table.columns.length + at] : NaN;
  };
  const words = WORDS[name];
  /** @param {Row} row */
  const shown = (row) => (words ? (words[number(row)] ?? '') : short(number(row)));
  const one = { id, text: id, isText: false, number, shown };
  known.set(id, one);
  return one;
}

/**
 * The columns that the measured images have, their own first.
 * @param {import('../images/measured.js').Kind} kind @returns {Column[]}
 */
export function columnsOf(kind) {
  const columns = [...OWN];
  const there = new Set();
  for (const image of store.state.images) {
    const table = measuredOf(image, kind);
    for (const column of table?.columns ?? []) {
      const id = headerOf(column);
      if (there.has(id)) continue;
      there.add(id);
      columns.push(measured(id, column.name));
    }
  }
  return columns;
}

/** Which of them a table shows before anybody has chosen. @param {Column[]} columns */
export function firstColumns(columns) {
  const isFirst = (/** @type {Column} */ { id }) => {
    const name = id.replace(/ \[[^\]]*\]$/, '');
    return OWN.some((own) => own.id === id) || FIRST.includes(name) || (name.endsWith(' mean') && !name.endsWith('ring mean'));
  };
  const first = columns.filter(isFirst);
  // In µm where that is known.
  return first.filter(({ id }) => !first.some((other) => other.id !== id && other.id === id.replace('[px²]', '[µm²]').replace('[px]', '[µm]')));
}
