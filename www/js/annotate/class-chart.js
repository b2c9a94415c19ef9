/** How many images and cells each class has, as a table with bars; also for labels of whole images. */
import { classStyle } from '../canvas/colors.js';
import { el, openDialog, plural } from '../ui/dom.js';
import { countAll } from './labels.js';
import { store } from '../shared/page-state.js';

/** @typedef {{name: string, images: number, cells: number|null}} Row */

/** Boxes that people drew, by class; labels without a box stand there too. @returns {Row[]} */
function boxed() {
  const { boxes, images } = countAll();
  const names = new Set([...store.state.labels.map(({ name }) => name), ...boxes.keys()]);
  return [...names].map((name) => ({ name, images: images.get(name) ?? 0, cells: boxes.get(name) ?? 0 }));
}

/** @returns {Row[]} */
function imageLevel() {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const labels of store.state.imageLabels.values()) for (const name of new Set(labels)) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].map(([name, images]) => ({ name, images, cells: null }));
}

/** @param {Row[]} rows @param {string} caption @param {number} all what the shares are of; an image may have several labels */
function chart(rows, caption, all) {
  const withCells = rows.some(({ cells }) => cells !== null);
  /** @param {Row} row */
  const value = (row) => row.cells ?? row.images;
  const most = Math.max(1, ...rows.map(value));
  /** @param {number} count */
  const number = (count) => el('td', { class: 'number' }, count.toLocaleString('en'));
  const body = [...rows]
    .sort((a, b) => value(b) - value(a))
    .map((row) => {
      const bar = el('div', { class: 'bar-length' });
      bar.style.width = `${(100 * value(row)) / most}%`;
      if (withCells) bar.style.backgroundColor = classStyle(row.name).color;
      const share = `${((100 * value(row)) / Math.max(1, all)).toFixed(1)} %`;
      return el(
        'tr',
        {},
        el('th', { scope: 'row' }, row.name),
        number(row.images),
        withCells ? number(row.cells ?? 0) : null,
        el('td', { class: 'number faint' }, share),
        el('td', { class: 'bar-cell', 'aria-hidden': 'true' }, bar),
      );
    });
  const head = ['Class', 'Images', ...(withCells ? ['Cells', 'Share of cells'] : ['Share of images'])].map((name) =>
    el('th', { scope: 'col', class: name === 'Class' ? '' : 'number' }, name),
  );
  return el('table', { class: 'plain chart' }, el('caption', {}, caption), el('thead', {}, el('tr', {}, ...head, el('td', {}))), el('tbody', {}, ...body));
}

export function openClassChart() {
  const { images, imageLabels } = store.state;
  const annotated = images.filter((image) => image.annotations);
  const cells = annotated.reduce((sum, { annotations }) => sum + (annotations?.objects.length ?? 0), 0);
  const verified = annotated.filter(({ annotations }) => annotations?.verified).length;
  const empty = annotated.filter(({ annotations }) => annotations?.objects.length === 0).length;
  const caption = `${plural(cells, 'cell')} in ${plural(annotated.length, 'annotated image')} of ${images.length.toLocaleString('en')}; ${verified} verified, ${empty} without cells.`;
  const whole = imageLevel();
  openDialog(
    'Classes',
    [
      annotated.length ? chart(boxed(), caption, cells) : null,
      whole.length ? chart(whole, `Image labels: ${plural(imageLabels.size, 'image')}, ${plural(whole.length, 'class', 'classes')}.`, imageLabels.size) : null,
    ],
    { wide: true },
  );
}
