/** The results beside the canvas: score slider, counts per class, and the table of detections. */
import { classStyle } from '../canvas/colors.js';
import { byId, el } from '../ui/dom.js';
import { area } from '../shared/run-lengths.js';
import { visibleDetections } from '../canvas/detection-layer.js';
import { foregroundClasses } from '../engine/protocol.js';
import { LOWEST_SCORE } from '../shared/engine-limits.js';
import { classThresholds, currentImage, isLimited, shownDetections, store } from '../shared/page-state.js';
import { VirtualList } from '../ui/virtual-list.js';

/** @typedef {ReturnType<typeof shownDetections>[number]} Shown */

/** @type {{by: 'score'|'label'|'x'|'area', down: boolean}} */
const sorting = { by: 'score', down: true };
/** @type {WeakMap<object, number>} */
const areas = new WeakMap();

/** @param {import('../engine/protocol.js').Detection} detection */
function areaOf(detection) {
  const known = areas.get(detection);
  if (known !== undefined) return known;
  const [x1, y1, x2, y2] = detection.box;
  const pixels = detection.mask ? area(detection.mask) : Math.round((x2 - x1) * (y2 - y1));
  areas.set(detection, pixels);
  return pixels;
}

/** @type {Record<typeof sorting.by, (shown: Shown) => number|string>} */
const KEYS = {
  score: ({ detection }) => detection.score,
  label: ({ detection }) => detection.label,
  x: ({ detection }) => detection.box[0],
  area: ({ detection }) => areaOf(detection),
};

/** @param {Shown[]} list */
function sorted(list) {
  const value = KEYS[sorting.by];
  const sign = sorting.down ? -1 : 1;
  return list.sort((a, b) => {
    const [left, right] = [value(a), value(b)];
    return sign * (left < right ? -1 : left > right ? 1 : 0) || a.index - b.index;
  });
}

function createRow() {
  /** @param {string} className */
  const cell = (className) => el('span', { class: className, role: 'gridcell' });
  const swatch = el('span', { class: 'swatch', 'aria-hidden': 'true' });
  const label = el('span', { class: 'label', role: 'gridcell' }, swatch, el('span'));
  return el('div', { class: 'detection-row' }, label, cell('number'), cell('number'), cell('number'), cell('number'));
}

/** @param {HTMLElement} row @param {Shown} shown */
function fillRow(row, { detection, index }) {
  const [label, score, place, size, pixels] = /** @type {HTMLElement[]} */ ([...row.children]);
  const [swatch, name] = /** @type {HTMLElement[]} */ ([...label.children]);
  const [x1, y1, x2, y2] = detection.box;
  swatch.style.backgroundColor = classStyle(detection.label).color;
  name.textContent = detection.label;
  label.title = detection.label;
  score.textContent = detection.score.toFixed(2);
  place.textContent = `${Math.round(x1)},${Math.round(y1)}`;
  size.textContent = `${Math.round(x2 - x1)}×${Math.round(y2 - y1)}`;
  pixels.textContent = String(areaOf(detection));
  row.classList.toggle('hovered', store.state.hovered === index);
}

function drawClasses() {
  const { model, hiddenClasses } = store.state;
  /** @type {Map<string, number>} */
  const counts = new Map();
  const classes = model ? foregroundClasses(model.report.config) : [];
  if (classes.length <= 12) for (const name of classes) counts.set(name, 0);
  for (const { detection } of shownDetections(currentImage())) {
    counts.set(detection.label, (counts.get(detection.label) ?? 0) + 1);
  }
  const box = byId('classes');
  const names = [...counts.keys()];
  const known = [...box.children].map((row) => row.getAttribute('data-label'));
  if (names.join('\n') !== known.join('\n')) box.replaceChildren(...names.map(classRow));
  for (const row of box.children) {
    const label = row.getAttribute('data-label') ?? '';
    const [input, swatch, , number] = /** @type {[HTMLInputElement, ...HTMLElement[]]} */ (/** @type {unknown} */ ([...row.children]));
    number.textContent = (counts.get(label) ?? 0).toLocaleString('en');
    input.checked = !hiddenClasses.has(label);
    swatch.style.backgroundColor = classStyle(label).color;
  }
}

/** @param {string} label */
function classRow(label) {
  const input = el('input', {
    type: 'checkbox',
    onchange() {
      const { hiddenClasses } = store.state;
      if (input.checked) hiddenClasses.delete(label);
      else hiddenClasses.add(label);
      store.touch('hiddenClasses');
    },
  });
  const row = el(
    'label',
    { class: 'check' },
    input,
    el('span', { class: 'swatch', 'aria-hidden': 'true' }),
    el('span', { class: 'label', title: label }, label),
    el('span', { class: 'number' }),
  );
  row.dataset.label = label;
  return row;
}

/** @param {number} value */
function setScore(value) {
  if (!Number.isFinite(value)) return;
  // Who moves the slider means it for all classes.
  store.set({ score: Math.min(Math.max(Math.round(value * 100) / 100, LOWEST_SCORE), 1), byClass: false });
}

/** The detector's own thresholds, where it has some. */
function startThresholds() {
  const box = byId('by-class');
  box.addEventListener('change', () => {
    store.set({ byClass: box.checked });
    store.touch('score');
  });
  let last = classThresholds();
  store.subscribe(['model', 'byClass'], ({ model, byClass }) => {
    const own = Object.entries(model?.report.config.class_score_thresh ?? {});
    byId('by-class-row').hidden = own.length === 0;
    box.checked = byClass;
    byId('by-class-text').textContent = `Per class: ${own.map(([label, score]) => `${label} ${score.toFixed(2)}`).join(', ')}`;
    // Counts of cells depend on the class thresholds, which belong to the detector.
    if (last !== classThresholds()) store.touch('score');
    last = classThresholds();
  });
}

function startScore() {
  const slider = byId('score');
  const number = byId('score-number');
  slider.min = number.min = String(LOWEST_SCORE);
  slider.addEventListener('input', () => setScore(slider.valueAsNumber));
  number.addEventListener('change', () => setScore(number.valueAsNumber));
  store.subscribe(['score'], ({ score }) => {
    slider.value = String(score);
    slider.setAttribute('aria-valuetext', score.toFixed(2));
    number.value = score.toFixed(2);
  });
}

/** @param {() => void} draw */
function startSorting(draw) {
  const buttons = /** @type {HTMLElement[]} */ ([...byId('detections').querySelectorAll('[data-sort]')]);
  for (const button of buttons) {
    button.addEventListener('click', () => {
      const by = button.dataset.sort;
      if (sorting.by === by) sorting.down = !sorting.down;
      else Object.assign(sorting, { by, down: by === 'score' || by === 'area' });
      draw();
    });
  }
  return () => {
    for (const button of buttons) {
      const active = button.dataset.sort === sorting.by;
      const order = active ? (sorting.down ? 'descending' : 'ascending') : 'none';
      button.parentElement?.setAttribute('aria-sort', order);
    }
  };
}

/** @param {import('../canvas/viewer.js').Viewer} viewer */
export function startResults(viewer) {
  const grid = byId('detections');
  const list = new VirtualList(grid, {
    rowHeight: 26,
    role: 'row',
    create: createRow,
    fill: fillRow,
    key: (one) => one.index,
    choose: (one) => store.set({ selected: one.index }),
    hover: (one) => {
      const hovered = one?.index ?? null;
      if (hovered !== store.state.hovered) store.set({ hovered });
    },
  });
  const draw = () => {
    const shown = sorted(visibleDetections());
    list.set(shown, store.state.selected);
    grid.setAttribute('aria-rowcount', String(shown.length + 1));
    markSorting();
    const image = currentImage();
    const all = image?.result?.detections.detections.length ?? 0;
    const empty = byId('detections-empty');
    empty.hidden = shown.length > 0;
    empty.textContent = !image?.result
      ? 'No detections in this image yet.'
      : all > 0
        ? 'No detection passes the score threshold and class filter above.'
        : 'No cells found.';
    const counted = shownDetections(image).length;
    byId('shown').textContent = image?.result ? `${counted} of ${all} shown` : '';
    const stale = byId('stale');
    stale.hidden = !image?.result?.stale;
    const limited = byId('limited');
    limited.hidden = !isLimited(image);
    limited.textContent = `The detector reached its limit of ${image?.result?.detections.limit_reached} detections per image, so cells may be missing. Split the image into smaller ones to find them all.`;
  };
  const markSorting = startSorting(() => draw());
  startScore();
  startThresholds();
  store.subscribe(['images', 'current', 'score', 'hiddenClasses', 'selected', 'hovered', 'model'], draw);
  store.subscribe(['images', 'current', 'score', 'hiddenClasses', 'model'], drawClasses);
  store.subscribe(['images', 'current', 'score', 'hiddenClasses', 'selected', 'hovered', 'picked', 'show', 'model'], () => viewer.redraw());
  store.subscribe(['selected'], ({ selected }) => {
    const detection = selected === null ? null : currentImage()?.result?.detections.detections[selected];
    if (detection) viewer.move((view) => view.reveal(detection.box));
  });
}
