/** The annotation panel: the boxes of the image and the actions on them. */
import { acceptAll, acceptSelected, copyFromPrevious, previousImage } from './annotate-tool.js';
import { currentObjects, duplicate, historyNames, redo, relabel, removeBox, toggleDifficult, toggleVerified, undo } from './annotations.js';
import { openDetections } from '../canvas/open-detections.js';
import { openClassChart } from './class-chart.js';
import { classStyle } from '../canvas/colors.js';
import { pending } from '../canvas/annotation-layer.js';
import { byId, el, plural } from '../ui/dom.js';
import { startLabels } from './labels.js';
import { startProposals } from './propose-outline.js';
import { startToolBar } from './tool-bar.js';
import { openSaveAnnotations } from './write-annotation-files.js';
import { currentImage, store } from '../shared/page-state.js';
import { VirtualList } from '../ui/virtual-list.js';

function createRow() {
  /** @param {string} className */
  const cell = (className) => el('span', { class: className, role: 'gridcell' });
  const swatch = el('span', { class: 'swatch', 'aria-hidden': 'true' });
  const label = el('span', { class: 'label', role: 'gridcell' }, swatch, el('span'));
  return el('div', { class: 'box-row' }, label, cell('number'), cell('number'), cell('number'), cell('number'));
}

/** @param {HTMLElement} row @param {{object: import('../shared/page-state.js').AnnotatedObject, index: number}} one */
function fillRow(row, { object, index }) {
  const [label, place, size, difficult, outline] = /** @type {HTMLElement[]} */ ([...row.children]);
  const [swatch, name] = /** @type {HTMLElement[]} */ ([...label.children]);
  const [x1, y1, x2, y2] = object.box;
  swatch.style.backgroundColor = classStyle(object.label).color;
  name.textContent = object.label;
  label.title = object.label;
  place.textContent = `${Math.round(x1)},${Math.round(y1)}`;
  size.textContent = `${Math.round(x2 - x1)}×${Math.round(y2 - y1)}`;
  difficult.textContent = object.difficult ? 'yes' : '';
  outline.textContent = object.proposed ? 'proposed' : object.mask ? 'mask' : 'box only';
  row.classList.toggle('hovered', pending.hovered === index);
}

/** @param {import('../canvas/viewer.js').Viewer} viewer */
function startBoxes(viewer) {
  const grid = byId('boxes');
  const list = new VirtualList(grid, {
    rowHeight: 24,
    role: 'row',
    create: createRow,
    fill: fillRow,
    key: (one) => one.index,
    choose(one) {
      store.set({ selectedBox: one.index });
      viewer.move((view) => view.reveal(one.object.box));
    },
    hover(one) {
      const hovered = one?.index ?? null;
      if (hovered === pending.hovered) return;
      pending.hovered = hovered;
      viewer.redraw();
    },
  });
  store.subscribe(['annotations', 'images', 'current', 'selectedBox', 'labels', 'tab'], ({ tab, selectedBox }) => {
    if (tab !== 'annotate') return;
    const image = currentImage();
    const objects = currentObjects();
    list.set(
      objects.map((object, index) => ({ object, index })),
      selectedBox,
    );
    grid.setAttribute('aria-rowcount', String(objects.length + 1));
    byId('box-count').textContent = objects.length ? plural(objects.length, 'box', 'boxes') : '';
    const empty = byId('boxes-empty');
    empty.hidden = objects.length > 0;
    empty.textContent = image ? 'Drag on the image to draw a box; click a box to select it. Space marks the image as verified.' : 'Add images first.';
  });
}

function startBoxTools() {
  const select = byId('box-label');
  const difficult = byId('box-difficult');
  const index = () => store.state.selectedBox ?? -1;
  select.addEventListener('change', () => relabel(index(), select.value));
  difficult.addEventListener('change', () => toggleDifficult(index()));
  byId('box-duplicate').addEventListener('click', () => duplicate(index()));
  byId('box-delete').addEventListener('click', () => removeBox(index()));
  store.subscribe(['annotations', 'images', 'current', 'selectedBox', 'labels', 'readOnly'], ({ labels, readOnly }) => {
    const object = currentObjects()[index()];
    const names = labels.map(({ name }) => name);
    if ([...select.options].map(({ value }) => value).join('\n') !== names.join('\n')) {
      select.replaceChildren(...names.map((name) => el('option', { value: name }, name)));
    }
    byId('box-tools').hidden = !object;
    if (!object) return;
    select.value = object.label;
    difficult.checked = object.difficult;
    for (const control of [select, difficult, byId('box-duplicate'), byId('box-delete')]) control.disabled = readOnly;
  });
}

function startButtons() {
  const actions = /** @type {const} */ ([
    ['undo', undo],
    ['redo', redo],
    ['verified', () => toggleVerified()],
    ['accept-all', acceptAll],
    ['accept-selected', acceptSelected],
    ['accept-one', acceptSelected],
    ['copy-previous', copyFromPrevious],
    ['save-annotations', openSaveAnnotations],
    ['class-chart', openClassChart],
  ]);
  for (const [id, run] of actions) byId(id).addEventListener('click', run);

  store.subscribe(['annotations', 'images', 'current', 'score', 'selected', 'filter', 'imageLabels', 'readOnly'], (state) => {
    const { images, selected, score, imageLabels, readOnly } = state;
    const image = currentImage();
    const names = historyNames();
    for (const side of /** @type {const} */ (['undo', 'redo'])) {
      byId(side).disabled = !names[side] || readOnly;
      const keys = side === 'undo' ? 'Ctrl+Z' : 'Ctrl+Shift+Z';
      byId(side).title = names[side] ? `${names[side]} (${keys})` : keys;
    }
    byId('verified').setAttribute('aria-pressed', String(Boolean(image?.annotations?.verified)));
    byId('verified').disabled = !image || Boolean(image.problem) || readOnly;

    const open = openDetections().length;
    const all = byId('accept-all');
    all.textContent = open ? `Accept all ${open} above ${score.toFixed(2)}` : 'Accept all';
    all.disabled = open === 0 || readOnly;
    const suggestion = openDetections().find(({ index }) => index === selected)?.detection;
    byId('accept-selected').disabled = byId('accept-one').disabled = !suggestion || readOnly;
    byId('suggestion-tools').hidden = !suggestion;
    byId('suggestion').textContent = suggestion ? `Detected: ${suggestion.label}, ${suggestion.score.toFixed(2)}` : '';

    const previous = previousImage();
    const count = previous?.annotations?.objects.length ?? 0;
    byId('copy-previous').disabled = count === 0 || !image?.size || readOnly;
    byId('copy-previous').title = count ? `Add the ${plural(count, 'box', 'boxes')} of ${previous?.name}` : 'The previous image has no boxes';

    const annotated = images.some((one) => one.annotations);
    byId('save-annotations').disabled = !annotated;
    byId('class-chart').disabled = !annotated && imageLabels.size === 0;
  });
}

/** @param {import('../canvas/viewer.js').Viewer} viewer */
export function startAnnotatePanel(viewer) {
  startLabels();
  startBoxes(viewer);
  startBoxTools();
  startButtons();
  startToolBar();
  startProposals();
}
