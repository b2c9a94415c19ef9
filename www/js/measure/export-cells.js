/** The cells that are shown or selected as a table, and all images as a report. */
import { notify, plural } from '../ui/dom.js';
import { save } from '../ui/save-file.js';
import { detectorHash } from '../engine/detector-mark.js';
import { foregroundClasses } from '../engine/protocol.js';
import { connection } from '../images/images.js';
import { outgoingNames } from '../images/file-names.js';
import { measuredOf, tableOf } from '../images/measured.js';
import { Outgoing } from '../images/save-files.js';
import { cells, imagesWith } from './cells.js';
import { cropsOf } from './crops.js';
import { classThresholds, store } from '../shared/page-state.js';

/** @typedef {import('./cells.js').Row} Row */
/** @typedef {import('../shared/page-state.js').ImageEntry} ImageEntry */

/** Pictures of a class in a report, and their side in pixels: as many as the engine shows. */
const PICTURES = 12;
const SIDE = 96;

/** @param {ImageEntry} image */
function hashOf(image) {
  return cells.kind === 'detections' ? detectorHash(image.result?.detector ?? '') : Promise.resolve('');
}

/** Saves these cells as measurements.csv and its summary. @param {Row[]} rows */
export async function exportRows(rows) {
  const names = await outgoingNames(store.state.images);
  /** @type {Map<ImageEntry, number[]>} */ const byImage = new Map();
  for (const { image, number } of rows) {
    const own = byImage.get(image);
    if (own) own.push(number);
    else byImage.set(image, [number]);
  }
  const images = [];
  for (const [image, numbers] of byImage) images.push(tableOf(image, cells.kind, names.get(image)?.name ?? image.name, await hashOf(image), numbers));
  const { files } = await connection.request({ type: 'writeTables', images });
  const outgoing = new Outgoing();
  await outgoing.add(files);
  outgoing.save('cytobox-measurements.zip');
}

/** The cells of each class with the highest scores, or the first of those without. @returns {Row[]} */
function best() {
  /** @type {Map<string, Row[]>} */ const byClass = new Map();
  for (const row of cells.all) {
    const own = byClass.get(row.label);
    if (own) own.push(row);
    else byClass.set(row.label, [row]);
  }
  return [...byClass.values()].flatMap((rows) => rows.sort((a, b) => (b.score || 0) - (a.score || 0)).slice(0, PICTURES));
}

/** @returns {Promise<[string, string][]>} */
async function facts() {
  const { model, score, bitDepth } = store.state;
  /** @type {[string, string][]} */ const list = [];
  if (cells.kind === 'detections') {
    const hashes = new Set(await Promise.all(imagesWith('detections').map(hashOf)));
    if (model) list.push(['Detector', model.file.name], ['Classes', foregroundClasses(model.report.config).join(', ')]);
    list.push(['Detector (SHA-256)', [...hashes].join(', ')], ['Score threshold', score.toFixed(2)]);
    const own = Object.entries(classThresholds() ?? {});
    if (own.length) list.push(['Score threshold per class', own.map(([label, least]) => `${label} ${least.toFixed(2)}`).join(', ')]);
    const rejected = imagesWith('detections').reduce((sum, { result }) => sum + (result?.rejected?.length ?? 0), 0);
    if (rejected) list.push(['Rejected by hand', String(rejected)]);
  } else list.push(['Cells', 'annotated by hand']);
  if (bitDepth) list.push(['Bit depth of 16-bit images', String(bitDepth)]);
  list.push(['Images', String(imagesWith(cells.kind).length)], ['Made with', `cytobox ${connection.version}`]);
  return list;
}

/** Saves one HTML file on all images. @param {string} title @param {(text: string) => void} tell */
export async function saveReport(title, tell) {
  const names = await outgoingNames(store.state.images);
  const [images, problems, pictures] = [[], /** @type {string[]} */ ([]), /** @type {import('../engine/protocol.js').Picture[]} */ ([])];
  const all = imagesWith(cells.kind);
  const tables = /** @type {import('../engine/protocol.js').MeasuredCells[]} */ (images);
  for (const image of all) tables.push(tableOf(image, cells.kind, names.get(image)?.name ?? image.name, await hashOf(image)));
  const unmeasured = all.filter((image) => !measuredOf(image, cells.kind));
  if (unmeasured.length)
    problems.push(
      `${plural(unmeasured.length, 'image')} not measured: ${unmeasured
        .slice(0, 10)
        .map(({ name }) => name)
        .join(', ')}${unmeasured.length > 10 ? ', …' : ''}`,
    );
  /** @type {Map<ImageEntry, Row[]>} */ const byImage = new Map();
  for (const row of best()) byImage.set(row.image, [...(byImage.get(row.image) ?? []), row]);
  let done = 0;
  for (const [image, rows] of byImage) {
    tell(`Pictures ${(done += 1)} of ${byImage.size} images …`);
    try {
      const rgba = await cropsOf(image, rows, SIDE);
      rows.forEach(({ label, score }, at) => {
        pictures.push({ image: image.name, label, score, side: SIDE, rgba: rgba.slice(at * SIDE * SIDE * 4, (at + 1) * SIDE * SIDE * 4) });
      });
    } catch (error) {
      problems.push(`${image.name}: no pictures: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  tell('Writing the report …');
  const command = /** @type {const} */ ({ type: 'reportFolder', facts: { title, facts: await facts(), problems }, images: tables, pictures });
  const { files } = await connection.request(command);
  for (const { name, bytes } of files) save(name, bytes);
  if (problems.length) notify(`The report says what is missing: ${problems[0]}`, { kind: 'error' });
}
