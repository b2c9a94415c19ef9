/** Files that need the images beside their cells, or that other programs for images read: the same for results and annotations. */
import { notify, plural, el } from '../ui/dom.js';
import { connection } from './images.js';
import { getPixelSize, measureCells, packed, setPixelSize, tableOf } from './measured.js';
import { Cancelled } from '../engine/connection.js';

/**
 * @typedef {import('../shared/page-state.js').ImageEntry} ImageEntry
 * @typedef {import('../engine/protocol.js').MeasuredFormat} MeasuredFormat
 */

/** @type {[MeasuredFormat, string, string][]} */
export const MEASURED_FORMATS = [
  ['measurements', 'Measurements', 'one table, one row per cell, and a summary per image and class'],
  ['labels', 'Label images, TIFF', 'one per image; value k is the k-th cell of the table'],
  ['labels-png', 'Label images, PNG', 'the same, 16 bit'],
  ['rois', 'ImageJ ROIs', 'one zip per image, for the ROI Manager of ImageJ and Fiji'],
  ['geojson', 'QuPath GeoJSON', 'outlines with classes and measurements'],
];

/** @param {string} format @returns {format is MeasuredFormat} */
export function isMeasuredFormat(format) {
  return MEASURED_FORMATS.some(([name]) => name === format);
}

/**
 * Writes these formats of all images, one after another, into `outgoing`. What could not be measured is told at the end; the rest
 * is there.
 * @param {ImageEntry[]} entries
 * @param {Object} options
 * @param {import('./measured.js').Kind} options.kind
 * @param {MeasuredFormat[]} options.formats
 * @param {boolean} options.withTables what was measured is returned too
 * @param {Map<ImageEntry, import('./measured.js').Names>} options.names
 * @param {(image: ImageEntry) => Promise<string>} options.detectorOf the hash of the detector that found the cells
 * @param {import('./save-files.js').Outgoing} options.outgoing
 * @param {(text: string) => void} options.tell
 * @param {AbortSignal} options.signal
 * @returns {Promise<{tables: import('../engine/protocol.js').PackedTable[], report: () => void}>} `report` says what is missing,
 *   once the rest has left
 */
export async function addMeasured(entries, { kind, formats, withTables, names, detectorOf, outgoing, tell, signal }) {
  const needsTable = withTables || formats.includes('measurements');
  /** @type {string[]} */ const problems = [];
  /** @type {import('../engine/protocol.js').PackedTable[]} */ const tables = [];
  /** @type {import('../engine/protocol.js').MeasuredCells[]} */ const rows = [];
  /** @type {string[]} */ const notes = [];
  for (const [index, image] of entries.entries()) {
    if (signal.aborted) throw new Cancelled();
    tell(`Measuring ${index + 1} of ${entries.length}: ${image.name} …`);
    const own = names.get(image) ?? { name: image.name, stem: image.name };
    const answer = await measureCells(image, kind, { names: own, formats, needsTable, signal });
    await outgoing.add(answer.files);
    notes.push(...answer.notes);
    if (answer.problem) problems.push(`${image.name}: ${answer.problem}`);
    else if (needsTable) rows.push(tableOf(image, kind, own.name, await detectorOf(image)));
    tables.push(answer.table ? packed(answer.table) : { columns: [], values: new Uint8Array() });
  }
  if (formats.includes('measurements') && rows.length > 0) {
    tell('Writing the tables …');
    const { files } = await connection.request({ type: 'writeTables', images: rows }, { signal });
    await outgoing.add(files);
  }
  const report = () => {
    for (const note of notes) notify(note);
    if (problems.length === 0) return;
    const more = problems.length > 1 ? ` and ${plural(problems.length - 1, 'other')}` : '';
    notify(`Not measured: ${problems[0].replace(/[.\s]+$/, '')}${more}. The other files are complete.`, { kind: 'error' });
  };
  return { tables, report };
}

/**
 * What the dialog asks beside the formats. Both keep what was said.
 * @returns {{fields: Node[], withTables: () => boolean}}
 */
export function measuringFields() {
  const inTables = el('input', { type: 'checkbox', name: 'with-measurements' });
  const size = el('input', {
    type: 'number',
    name: 'pixel-size',
    min: '0',
    step: 'any',
    placeholder: 'from file',
    value: String(getPixelSize() ?? ''),
    onchange: () => setPixelSize(size.value === '' ? null : size.valueAsNumber),
  });
  const fields = [
    el('label', { class: 'check' }, inTables, el('span', {}, el('b', {}, 'Measurements'), ' of each cell in COCO and JSON lines too')),
    el('label', { class: 'check pixel-size' }, el('span', {}, el('b', {}, 'Pixel size'), ' in µm'), size),
  ];
  return { fields, withTables: () => inTables.checked };
}
