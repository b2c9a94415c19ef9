/** The panel that measures all cells: what was measured, as plots and as a table, and how it leaves. */
import { byId, el, notify, openDialog, plural } from '../ui/dom.js';
import { explain } from '../engine/engine.js';
import { getPixelSize, setPixelSize } from '../images/measured.js';
import { CellTable, copyRows } from './cell-table.js';
import { cells, columnOf, imagesWith, onCells, pick, pickedRows, setKind, startCells } from './cells.js';
import { exportRows, saveReport } from './export-cells.js';
import { classFilter, rangeFilter } from './filters.js';
import { Histogram } from './histogram.js';
import { cancelMeasuring, measureAll, openImages, problemsOf, runningMeasurement } from './measure-run.js';
import { Scatter } from './scatter.js';
import { store } from '../shared/page-state.js';

/** The axes; empty for the first quantities there are. */
const axes = { x: '', y: '' };
const table = new CellTable();
const scatter = new Scatter();
const histogram = new Histogram();

/** What can be plotted. */
function quantities() {
  return cells.columns.filter(({ isText, id }) => !isText && id !== 'cell');
}

/** The axis that the user chose, where there is one like it; else the first of these words. @param {'x'|'y'} axis @param {string[]} wanted */
function axis(axis, wanted) {
  const all = quantities();
  const chosen = all.find(({ id }) => id === axes[axis]);
  const word = wanted.find((one) => all.some(({ id }) => id.includes(one)));
  return chosen ?? all.find(({ id }) => word && id.includes(word)) ?? columnOf('score');
}

/** Does something that may fail, and says so. @param {() => Promise<unknown>} work */
async function attempt(work) {
  try {
    await work();
  } catch (error) {
    notify(explain(error), { kind: 'error' });
  }
}

function chosenRows() {
  return store.state.picked.size ? pickedRows() : cells.shown;
}

function openColumns() {
  const shown = new Set(table.columns.map(({ id }) => id));
  const boxes = cells.columns.map(({ id, text }) => {
    const input = el('input', {
      type: 'checkbox',
      checked: shown.has(id),
      onchange: () => {
        if (input.checked) shown.add(id);
        else shown.delete(id);
        table.choose(shown);
      },
    });
    return el('label', { class: 'check' }, input, text);
  });
  openDialog('Columns', [el('div', { class: 'columns-list' }, ...boxes)], { wide: true });
}

function openReport() {
  const title = el('input', { type: 'text', value: 'Cells', required: true, maxLength: 120, 'aria-label': 'Title of the report' });
  const state = el(
    'p',
    { class: 'faint', role: 'status' },
    'One HTML file: counts per class and image, distributions, the cells with the highest scores, settings and hashes.',
  );
  const button = el('button', { type: 'submit', class: 'primary' }, 'Save report');
  /** @param {SubmitEvent} event */
  const submit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    await attempt(async () => {
      await saveReport(title.value.trim(), (text) => (state.textContent = text));
      dialog.close();
    });
    button.disabled = false;
  };
  const dialog = openDialog('Report', [el('form', { onsubmit: submit }, title, state, el('div', { class: 'actions' }, button))]);
}

function build() {
  const kind = el(
    'select',
    { id: 'cells-kind', 'aria-label': 'Which cells', onchange: () => setKind(kind.value === 'annotations' ? 'annotations' : 'detections') },
    el('option', { value: 'detections' }, 'Detections'),
    el('option', { value: 'annotations' }, 'Annotations'),
  );
  const start = el('button', { type: 'button', id: 'measure', class: 'primary', onclick: () => measureAll(cells.kind) });
  const cancel = el('button', { type: 'button', id: 'measure-cancel', onclick: cancelMeasuring }, 'Cancel');
  const progress = el('progress', { max: 1, value: 0, id: 'measure-progress', 'aria-label': 'Measuring' });
  const size = el('input', {
    type: 'number',
    id: 'pixel-size',
    min: '0',
    step: 'any',
    placeholder: 'from file',
    'aria-label': 'Pixel size in µm',
    onchange: () => {
      setPixelSize(size.value === '' ? null : size.valueAsNumber);
      store.touch('measured');
    },
  });
  const state = el('p', { class: 'faint', id: 'measure-state', role: 'status' });
  const problems = el('p', { class: 'note', id: 'measure-problems', hidden: true });
  const classes = classFilter();
  const ranges = rangeFilter();
  const axisList = (/** @type {'x'|'y'} */ name, /** @type {string} */ text) => {
    const list = el('select', { id: `plot-${name}`, 'aria-label': text, onchange: () => ((axes[name] = list.value), drawPlots()) });
    return list;
  };
  const [x, y] = [axisList('x', 'Horizontal axis'), axisList('y', 'Vertical axis')];
  const count = el('span', { class: 'faint', id: 'cells-count', role: 'status' });
  const button = (/** @type {string} */ id, /** @type {string} */ text, /** @type {string} */ title, /** @type {() => void} */ run) =>
    el('button', { type: 'button', id, title, onclick: run }, text);
  const copy = () =>
    attempt(async () => {
      const copied = await copyRows(table.columns);
      notify(`${plural(copied, 'row')} copied.`);
    });
  const buttons = [
    button('cells-all', 'Select all', 'Select all cells that are shown (Ctrl+A)', () => pick(cells.shown.map(({ cell }) => cell))),
    button('cells-none', 'Clear', 'Clear the selection (Esc)', () => pick([])),
    button('cells-copy', 'Copy', 'Copy the selected rows, or all, for a spreadsheet (Ctrl+C)', copy),
    button('cells-export', 'Export…', 'Save the selected cells, or all that are shown, as CSV', () => attempt(() => exportRows(chosenRows()))),
    button('cells-report', 'Report…', 'Save one HTML file on all images', openReport),
    button('cells-columns', 'Columns…', 'Choose the columns of the table', openColumns),
  ];
  byId('measure-panel').append(
    el(
      'section',
      { 'aria-labelledby': 'measure-title' },
      el('div', { class: 'head' }, el('h2', { id: 'measure-title' }, 'Measurements'), kind),
      el('div', { class: 'group' }, start, cancel, el('label', { class: 'group' }, 'Pixel size, µm', size)),
      progress,
      state,
      problems,
      classes.element,
      ranges.element,
    ),
    el(
      'section',
      { 'aria-label': 'Plots' },
      el('div', { class: 'plots' }, histogram.element, scatter.element),
      el('div', { class: 'group axes' }, el('label', { class: 'group' }, 'x', x), el('label', { class: 'group' }, 'y', y)),
    ),
    el(
      'section',
      { class: 'fill', 'aria-labelledby': 'cells-title' },
      el('div', { class: 'head' }, el('h2', { id: 'cells-title' }, 'Cells'), count),
      el('div', { class: 'group' }, ...buttons),
      table.element,
    ),
  );
  return { kind, start, cancel, progress, size, state, problems, classes, ranges, x, y, count, buttons };
}

/** @param {HTMLSelectElement} list @param {string} value */
function fillAxis(list, value) {
  const all = quantities();
  if (list.options.length !== all.length || [...list.options].some((option, at) => option.value !== all[at].id)) {
    list.replaceChildren(...all.map(({ id, text }) => el('option', { value: id }, text)));
  }
  list.value = value;
}

/** @type {ReturnType<typeof build>} */
let parts;

/** What the plots show: rows, axes. @type {unknown[]} */
let plotted = [];

function drawPlots() {
  const [x, y] = [axis('x', ['area [µm²]', 'area [px²]']), axis('y', ['mean', 'eccentricity'])];
  fillAxis(parts.x, x.id);
  fillAxis(parts.y, y.id);
  const now = [cells.within, x, y];
  if (now.every((one, at) => one === plotted[at])) return;
  plotted = now;
  histogram.set(cells.within, x);
  scatter.set(cells.within, x, y);
}

function drawState() {
  const { start, cancel, progress, size, state, problems, kind, buttons } = parts;
  const run = runningMeasurement();
  const open = openImages(cells.kind);
  const all = imagesWith(cells.kind).length;
  kind.value = cells.kind;
  start.textContent = open.length ? `Measure ${plural(open.length, 'image')}` : 'Measure';
  start.disabled = run !== null || open.length === 0;
  cancel.hidden = progress.hidden = run === null;
  if (run) progress.value = run.total ? run.done / run.total : 0;
  if (document.activeElement !== size) size.value = String(getPixelSize() ?? '');
  size.disabled = run !== null;
  state.textContent = run
    ? `Measuring ${run.done + 1} of ${run.total}: ${run.image}`
    : all === 0
      ? cells.kind === 'detections'
        ? 'Detect cells first; then their shape and their brightness in every channel are measured here.'
        : 'Nothing is annotated yet.'
      : open.length === 0
        ? `${plural(all, 'image')} measured, in the depth of the files.`
        : `${plural(open.length, 'image')} not measured as the cells are now${cells.kind === 'detections' ? '; the background ring depends on the score threshold' : ''}.`;
  const why = problemsOf(cells.kind);
  problems.hidden = why.length === 0;
  problems.textContent = why.length ? `Not measured: ${why.slice(0, 3).join(' ')}${why.length > 3 ? ` and ${why.length - 3} more.` : ''}` : '';
  for (const button of buttons) button.disabled = cells.all.length === 0;
}

function drawCount() {
  const selected = pickedRows().length;
  parts.count.textContent = `${cells.shown.length.toLocaleString('en')} of ${cells.all.length.toLocaleString('en')} shown${selected ? `, ${selected.toLocaleString('en')} selected` : ''}`;
}

export function startMeasure() {
  parts = build();
  const isOpen = () => store.state.tab === 'measure';
  onCells(() => {
    if (!isOpen()) return;
    parts.classes.draw();
    parts.ranges.draw();
    drawState();
    drawPlots();
    drawCount();
    table.draw();
  });
  startCells(() => isOpen() || store.state.tab === 'gallery');
  store.subscribe(['measured', 'images', 'score'], () => isOpen() && drawState());
  store.subscribe(['picked', 'labels'], () => {
    if (!isOpen()) return;
    drawCount();
    table.draw();
    scatter.redraw();
    histogram.redraw();
  });
  store.subscribe(['selected', 'selectedBox', 'current'], () => table.follow());
}
