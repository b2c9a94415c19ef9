/** Annotations as files: of this image or of all, in the formats that other programs read. */
import { el, openDialog, plural } from './dom.js';
import { explain } from './engine.js';
import { save } from './export.js';
import { connection, measure } from './images.js';
import { currentImage, store } from './store.js';

/** @type {[import('./protocol.js').AnnotationFormat, string, string][]} */
const FORMATS = [
  ['voc', 'Pascal VOC', 'one XML an image, as LabelImg writes it'],
  ['coco', 'COCO', 'one JSON with boxes and masks'],
  ['yolo', 'YOLO', 'one text file an image, and the class names'],
  ['csv', 'CSV', 'one table: filepath, x1, y1, x2, y2, class'],
  ['masks', 'Masks', 'one label PNG an image; value k is the k-th object'],
];
/** Formats that put all images into one file; the others make a zip. */
const ONE_FILE = new Set(['coco', 'csv']);

/** The name that other programs find the image by; a set of channels goes by its merged picture. */
function fileOf(image) {
  return image.files.length === 1 && image.files[0].file.channel == null ? image.files[0].blob.name : `${image.name}.png`;
}

async function outgoing(images) {
  await measure(images, () => {});
  const lost = images.find((image) => !image.size);
  if (lost) throw new Error(`${lost.name} cannot be opened, so its size is not known: ${lost.problem?.sentence ?? ''}`);
  return images.map((image) => ({ image: image.name, file: fileOf(image), ...image.size, ...image.annotations }));
}

async function download(entries, formats) {
  const images = await outgoing(entries);
  const alone = formats.length === 1 && (ONE_FILE.has(formats[0]) || (formats[0] !== 'yolo' && images.length === 1));
  const classes = store.state.labels.map(({ name }) => name);
  const { files } = await connection.request({ type: 'writeAnnotations', images, classes, formats, zip: !alone });
  for (const { name, bytes } of files) save(name, bytes);
}

export function openSaveAnnotations() {
  const current = currentImage();
  const annotated = store.state.images.filter((image) => image.annotations);
  const here = Boolean(current?.annotations);
  const radio = (value, text, checked) => {
    const input = el('input', { type: 'radio', name: 'which', value, checked });
    return { input, label: el('label', { class: 'check' }, input, text) };
  };
  const all = radio('all', `All annotated images: ${annotated.length.toLocaleString('en')}`, true);
  const one = radio('one', `This image${current ? `: ${current.name}` : ''}`, false);
  one.input.disabled = !here;
  const boxes = FORMATS.map(([format, name, about]) => {
    const input = el('input', { type: 'checkbox', name: 'format', value: format });
    return { format, input, label: el('label', { class: 'check' }, input, el('span', {}, el('b', {}, name), ` ${about}`)) };
  });
  const summary = el('p', { class: 'faint', role: 'status' });
  const button = el('button', { type: 'submit', class: 'primary' }, 'Save');
  const entries = () => (one.input.checked && current ? [current] : annotated);
  const refresh = () => {
    const objects = entries().flatMap((image) => image.annotations?.objects ?? []);
    const masks = objects.filter(({ mask }) => mask).length;
    summary.textContent = `${plural(objects.length, 'box', 'boxes')}, ${plural(masks, 'mask')}, in ${plural(entries().length, 'image')}.`;
    button.disabled = !boxes.some(({ input }) => input.checked);
  };
  const submit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      await download(entries(), boxes.filter(({ input }) => input.checked).map(({ format }) => format));
      dialog.close();
    } catch (error) {
      summary.textContent = explain(error);
      button.disabled = false;
    }
  };
  const form = el(
    'form',
    { onsubmit: submit, onchange: refresh },
    el('fieldset', {}, el('legend', {}, 'Images'), all.label, one.label),
    el('fieldset', {}, el('legend', {}, 'Formats'), ...boxes.map(({ label }) => label)),
    summary,
    el('div', { class: 'actions' }, button),
  );
  const dialog = openDialog('Save annotations', [form]);
  refresh();
}
