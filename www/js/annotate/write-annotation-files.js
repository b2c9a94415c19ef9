/** Annotations as files: of this image or of all, in the formats that other programs read. */
import { plural } from '../ui/dom.js';
import { fileNames } from '../images/file-names.js';
import { openFormatDialog } from '../images/format-dialog.js';
import { connection, measure } from '../images/images.js';
import { saveAll } from '../images/save-files.js';
import { currentImage, store } from '../shared/page-state.js';

/** @typedef {import('../shared/page-state.js').ImageEntry} Entry */

/** @type {[import('../engine/protocol.js').AnnotationFormat, string, string][]} */
const FORMATS = [
  ['voc', 'Pascal VOC', 'one XML file per image, as in LabelImg'],
  ['coco', 'COCO', 'one JSON file with boxes and masks'],
  ['yolo', 'YOLO', 'one text file per image, plus the class names'],
  ['csv', 'CSV', 'one table: filepath, x1, y1, x2, y2, class'],
  ['masks', 'Masks', 'one label PNG per image; value k is the k-th object'],
];

/** @param {Entry[]} images @returns {Promise<import('../engine/protocol.js').ImageAnnotations[]>} */
async function outgoing(images) {
  await measure(images, () => {});
  const files = await fileNames(store.state.images);
  return images.map((image) => {
    if (!image.size) throw new Error(`${image.name} cannot be opened, so its size is unknown: ${image.problem?.sentence ?? ''}`);
    return { image: image.name, file: files.get(image) ?? '', ...image.size, ...(image.annotations ?? { verified: false, objects: [] }) };
  });
}

/** @param {Entry[]} entries @param {import('../engine/protocol.js').AnnotationFormat[]} formats */
async function download(entries, formats) {
  const images = await outgoing(entries);
  const classes = store.state.labels.map(({ name }) => name);
  const { files } = await connection.request({ type: 'writeAnnotations', images, classes, formats });
  await saveAll('annotations.zip', files);
}

export function openSaveAnnotations() {
  const current = currentImage();
  const annotated = store.state.images.filter((image) => image.annotations);
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
    save: download,
  });
}
