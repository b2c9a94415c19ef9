/** Downloads: results of one image or of all, and merged images. Everything is made in the page's own worker. */
import { byId, notify, plural } from '../ui/dom.js';
import { save } from '../ui/save-file.js';
import { detectorHash } from '../engine/detector-mark.js';
import { MEASURED_FORMATS, addMeasured, isMeasuredFormat, measuringFields } from '../images/download-measured.js';
import { outgoingNames } from '../images/file-names.js';
import { openFormatDialog } from '../images/format-dialog.js';
import { foregroundClasses } from '../engine/protocol.js';
import { connection, inputOf } from '../images/images.js';
import { Outgoing } from '../images/save-files.js';
import { leftInFile } from '../shared/left-in-file.js';
import { classThresholds, currentImage, isLimited, shownDetections, store } from '../shared/page-state.js';
import { Zip } from '../shared/zip.js';

/** @typedef {import('../engine/protocol.js').Format|import('../engine/protocol.js').MeasuredFormat|'png'} DownloadFormat */

/** @type {[DownloadFormat, string, string][]} */
const FORMATS = [
  ['voc', 'Pascal VOC', 'one XML file per image, as in LabelImg'],
  ['coco', 'COCO', 'one JSON file with boxes and masks'],
  ['yolo', 'YOLO', 'one text file per image, plus the class names'],
  ['csv', 'CSV', 'one table, one row per cell'],
  ['jsonl', 'JSON lines', 'one line per image, as from the command line'],
  ...MEASURED_FORMATS,
  ['png', 'Merged PNG', 'the image as the detector sees it'],
];

/** @typedef {import('../shared/page-state.js').ImageEntry & {result: NonNullable<import('../shared/page-state.js').ImageEntry['result']>}} Finished */

/** @param {import('../shared/page-state.js').ImageEntry} image @returns {image is Finished} */
function isFinished(image) {
  return image.result !== null;
}

/**
 * Results as they leave: only what the slider lets through and nobody rejected, under the names that the images have now.
 * @param {Finished} image @param {Map<import('../shared/page-state.js').ImageEntry, {name: string}>} names
 */
function outgoing(image, names) {
  const { limit_reached: limit, ...detections } = image.result.detections;
  const kept = shownDetections(image).map(({ detection }) => detection);
  const reached = isLimited(image) ? { limit_reached: limit } : {};
  return { ...detections, image: image.name, file: names.get(image)?.name ?? detections.file, detections: kept, ...reached };
}

/**
 * Class names for the formats that count them: the detector's as they are, COCO's ten gaps among them, then others that results have.
 * @param {import('../engine/protocol.js').ImageDetections[]} images
 */
function classNames(images) {
  const { model } = store.state;
  const names = model ? foregroundClasses(model.report.config) : [];
  const known = new Set(names);
  const others = new Set(images.flatMap((image) => image.detections.map(({ label }) => label)));
  return [...names, ...[...others].filter((label) => !known.has(label))];
}

/**
 * @param {import('../shared/page-state.js').ImageEntry[]} entries
 * @param {DownloadFormat[]} formats
 * @param {{withTables: boolean, tell: (text: string) => void, signal: AbortSignal}} options
 */
async function downloadResults(entries, formats, { withTables, tell, signal }) {
  const names = await outgoingNames(store.state.images);
  const done = entries.filter(isFinished);
  const files = new Outgoing();
  const written = /** @type {import('../engine/protocol.js').Format[]} */ (formats.filter((format) => !isMeasuredFormat(format) && format !== 'png'));
  const measured = formats.filter(isMeasuredFormat);
  const inTables = withTables && (written.includes('coco') || written.includes('jsonl'));
  /** @type {import('../engine/protocol.js').PackedTable[]} */ let tables = [];
  let report = () => {};
  if (measured.length || inTables) {
    const detectorOf = (/** @type {import('../shared/page-state.js').ImageEntry} */ image) => detectorHash(image.result?.detector ?? '');
    const options = { kind: /** @type {const} */ ('detections'), formats: measured, withTables: inTables, names, detectorOf, outgoing: files, tell, signal };
    ({ tables, report } = await addMeasured(done, options));
  }
  if (written.length) {
    const images = done.map((image) => outgoing(image, names));
    const command = /** @type {const} */ ({ type: 'export', images, classes: classNames(images), formats: written, tables: inTables ? tables : [] });
    await files.add((await connection.request(command, { signal })).files);
  }
  try {
    files.save('cytobox-results.zip');
    leftInFile(entries.map((image) => image.result));
  } finally {
    report();
  }
}

/** @param {import('../shared/page-state.js').ImageEntry[]} entries @param {(text: string) => void} onProgress */
async function downloadPictures(entries, onProgress) {
  const usable = entries.filter((image) => !image.problem || image.result);
  const zip = usable.length > 1 ? new Zip() : null;
  let failed = 0;
  for (const [index, image] of usable.entries()) {
    onProgress(`Merging ${index + 1} of ${usable.length} …`);
    try {
      const input = await inputOf(image);
      // What was detected in stays that, whatever has been chosen or loaded since.
      input.merge = image.result?.detections.merge ?? input.merge;
      const transfer = input.files.map((file) => file.bytes.buffer);
      const { files } = await connection.request({ type: 'merge', image: input }, { transfer });
      for (const { name, bytes } of files) {
        if (zip) zip.add(name, bytes);
        else save(name, bytes);
      }
    } catch (error) {
      if (!zip) throw error;
      failed += 1;
    }
  }
  if (zip) save('merged.zip', zip.finish());
  if (failed) notify(`${plural(failed, 'image')} could not be merged.`, { kind: 'error' });
}

export function openDownload() {
  const current = currentImage();
  const { images, score } = store.state;
  const withResults = images.filter((image) => image.result);
  const { fields, withTables } = measuringFields();
  openFormatDialog({
    title: 'Download',
    verb: 'Download',
    scopes: [
      { value: 'one', text: `This image${current ? `: ${current.name}` : ''}`, images: current ? [current] : [] },
      { value: 'all', text: `All ${plural(images.length, 'image')}, ${withResults.length} with results`, images },
    ],
    first: current ? 'one' : 'all',
    formats: FORMATS,
    fits: (format, entries) => format === 'png' || entries.some((image) => image.result),
    describe(entries) {
      const done = entries.filter(isFinished);
      if (!done.length) return 'No detections here yet; only the merged image can be downloaded.';
      const old = done.filter((image) => image.result.stale).length;
      const cells = done.reduce((sum, image) => sum + shownDetections(image).length, 0);
      const limited = done.filter(isLimited).length;
      const least = classThresholds() ? 'above the threshold of its class' : `with a score ≥ ${score.toFixed(2)}`;
      return `${plural(cells, 'cell')} ${least} in ${plural(done.length, 'image')}. Classes hidden on the canvas are included.${old ? ` ${plural(old, 'image')} of these used another detector or other weights.` : ''}${limited ? ` The detection limit was reached in ${plural(limited, 'image')}; cells may be missing there.` : ''}`;
    },
    fields,
    async save(entries, formats, onProgress, signal) {
      if (formats.some((format) => format !== 'png')) await downloadResults(entries, formats, { withTables: withTables(), tell: onProgress, signal });
      if (formats.includes('png')) await downloadPictures(entries, onProgress);
    },
  });
}

export function startExport() {
  const button = byId('download');
  button.addEventListener('click', openDownload);
  store.subscribe(['images'], ({ images }) => {
    button.disabled = images.length === 0;
  });
}
