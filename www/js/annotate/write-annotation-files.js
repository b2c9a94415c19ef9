/** Annotations as files: of this image or of all, in the formats that other programs read. */
import { plural } from '../ui/dom.js';
import { MEASURED_FORMATS, addMeasured, isMeasuredFormat, measuringFields } from '../images/download-measured.js';
import { outgoingNames } from '../images/file-names.js';
import { openFormatDialog } from '../images/format-dialog.js';
import { connection, measure } from '../images/images.js';
import { Outgoing } from '../images/save-files.js';
import { currentImage, store } from '../shared/page-state.js';

/** @typedef {import('../shared/page-state.js').ImageEntry} Entry */

/** @type {[import('../engine/protocol.js').AnnotationFormat|import('../engine/protocol.js').MeasuredFormat, string, string][]} */
const FORMATS = [
  ['voc', 'Pascal VOC', 'one XML file per image, as in LabelImg'],
  ['coco', 'COCO', 'one JSON file with boxes and masks'],
  ['yolo', 'YOLO', 'one text file per image, plus the class names'],
  ['csv', 'CSV', 'one table: filepath, x1, y1, x2, y2, class'],
  ['jsonl', 'JSON lines', 'one line per image, with everything known of it'],
  ['masks', 'Masks', 'one label PNG per image; value k is the k-th object'],
  ...MEASURED_FORMATS,
];

/**
 * @param {Entry[]} images @param {Map<Entry, {name: string}>} names
 * @returns {import('../engine/protocol.js').ImageAnnotations[]}
 */
function outgoing(images, names) {
  return images.map((image) => {
    if (!image.size) throw new Error(`${image.name} cannot be opened, so its size is unknown: ${image.problem?.sentence ?? ''}`);
    return { image: image.name, file: names.get(image)?.name ?? '', ...image.size, ...(image.annotations ?? { verified: false, objects: [] }) };
  });
}

/**
 * @param {Entry[]} entries
 * @param {(import('../engine/protocol.js').AnnotationFormat|import('../engine/protocol.js').MeasuredFormat)[]} formats
 * @param {{withTables: boolean, tell: (text: string) => void, signal: AbortSignal}} options
 */
async function download(entries, formats, { withTables, tell, signal }) {
  await measure(entries, () => {});
  const names = await outgoingNames(store.state.images);
  const images = outgoing(entries, names);
  const files = new Outgoing();
  const measured = formats.filter(isMeasuredFormat);
  const written = /** @type {import('../engine/protocol.js').AnnotationFormat[]} */ (formats.filter((format) => !isMeasuredFormat(format)));
  const inTables = withTables && (written.includes('coco') || written.includes('jsonl'));
  /** @type {import('../engine/protocol.js').PackedTable[]} */ let tables = [];
  let report = () => {};
  if (measured.length || inTables) {
    const detectorOf = async () => '';
    const options = { kind: /** @type {const} */ ('annotations'), formats: measured, withTables: inTables, names, detectorOf, outgoing: files, tell, signal };
    ({ tables, report } = await addMeasured(entries, options));
  }
  if (written.length) {
    const classes = store.state.labels.map(({ name }) => name);
    const command = /** @type {const} */ ({ type: 'writeAnnotations', images, classes, formats: written, tables: inTables ? tables : [] });
    await files.add((await connection.request(command, { signal })).files);
  }
  try {
    files.save('annotations.zip');
  } finally {
    report();
  }
}

export function openSaveAnnotations() {
  const current = currentImage();
  const annotated = store.state.images.filter((image) => image.annotations);
  const { fields, withTables } = measuringFields();
  openFormatDialog({
    title: 'Save annotations',
    verb: 'Save',
    scopes: [
      { value: 'all', text: `All annotated images: ${annotated.length.toLocaleString('en')}`, images: annotated },
      { value: 'one', text: `This image${current ? `: ${current.name}` : ''}`, images: current?.annotations ? [current] : [] },
    ],
    first: 'all',
    formats: FORMATS,
    describe(entries) {
      const objects = entries.flatMap((image) => image.annotations?.objects ?? []);
      const masks = objects.filter(({ mask }) => mask).length;
      return `${plural(objects.length, 'box', 'boxes')}, ${plural(masks, 'mask')}, in ${plural(entries.length, 'image')}.`;
    },
    fields,
    save: (entries, formats, tell, signal) => download(entries, formats, { withTables: withTables(), tell, signal }),
  });
}
