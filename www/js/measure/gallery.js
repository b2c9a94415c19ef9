/** Every cell of all images as a picture, in any order: to look at thousands, and to accept, relabel or reject them with one key. */
import { byId, el, plural } from '../ui/dom.js';
import { VirtualGrid } from '../ui/virtual-grid.js';
import { classStyle } from '../canvas/colors.js';
import { cells, columnOf, onCells, openInImage, pick, pickedRows, sortBy } from './cells.js';
import { SIDE, pictureOf, problemOf, startCrops, wantPictures } from './crops.js';
import { classFilter } from './filters.js';
import { acceptRows, acceptedLabel, rejectRows, rejectedCount, restoreRejected } from './review.js';
import { store } from '../shared/page-state.js';

/** @typedef {import('./cells.js').Row} Row */

/** CSS pixels of a tile. */
const WIDTH = 110;
const HEIGHT = 124;

/** The tile of the keyboard's cursor. @type {number|null} */
let active = null;
/** Where a range begins that Shift extends. @type {number|null} */
let anchor = null;

/** The buttons of the tile under the pointer: one set, as a set for each would be most of what a tile costs. */
const acts = el(
  'span',
  { class: 'tile-acts' },
  ...[
    ['✓', 'Accept (Y)', 'accept'],
    ['✕', 'Reject (Del)', 'reject'],
    ['↗', 'Open in its image (Enter)', 'open'],
  ].map(([text, name, act]) => el('button', { type: 'button', class: 'quiet', tabIndex: -1, title: name, 'aria-label': name, 'data-act': act }, text)),
);

function createTile() {
  const canvas = el('canvas', { width: SIDE, height: SIDE, 'aria-hidden': 'true' });
  const named = el('span', { class: 'tile-class' }, el('span', { class: 'swatch', 'aria-hidden': 'true' }), el('span'));
  return el('div', { class: 'tile' }, canvas, named, el('span', { class: 'tile-value' }));
}

/** What each tile shows. @type {WeakMap<HTMLElement, string>} */
const drawn = new WeakMap();

/** @param {HTMLElement} tile @param {Row} row */
function fillTile(tile, row) {
  const [canvas, named, value] = /** @type {[HTMLCanvasElement, HTMLElement, HTMLElement]} */ (/** @type {unknown} */ ([...tile.children]));
  const picture = pictureOf(row);
  const label = acceptedLabel(row);
  const column = columnOf(cells.sort.id);
  const problem = picture ? '' : problemOf(row);
  const number = column.isText ? columnOf('score').shown(row) : column.shown(row);
  const isPicked = store.state.picked.has(row.cell);
  // While the gallery scrolls, most tiles show what they did.
  const now = [row.key, Boolean(picture), label, classStyle(label ?? row.label).color, number, isPicked, problem].join('\n');
  if (drawn.get(tile) === now) return;
  drawn.set(tile, now);
  const shown = picture ? String(row.key) : '';
  if (canvas.dataset.shown !== shown || !picture) {
    // Small and many: drawn without the GPU.
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d', { willReadFrequently: true }));
    context.clearRect(0, 0, SIDE, SIDE);
    if (picture) context.drawImage(picture.bitmap, 0, picture.y, SIDE, SIDE, 0, 0, SIDE, SIDE);
    canvas.dataset.shown = shown;
  }
  const [swatch, name] = /** @type {HTMLElement[]} */ ([...named.children]);
  swatch.style.backgroundColor = classStyle(label ?? row.label).color;
  name.textContent = label ?? row.label;
  value.textContent = number;
  tile.classList.toggle('picked', isPicked);
  tile.classList.toggle('accepted', label !== null);
  tile.classList.toggle('gone', problem !== '');
  tile.setAttribute('aria-selected', String(isPicked));
  tile.setAttribute('aria-label', `${row.label}, ${columnOf('score').shown(row)}, ${row.image.name}${label === null ? '' : `, accepted as ${label}`}`);
  tile.title = `${row.image.name}, cell ${row.number + 1}${problem ? `: ${problem}` : ''}`;
}

/** The cells that a key is for: those selected where the active one is among them, else that one. @returns {Row[]} */
function targets() {
  const row = cells.shown.find(({ key }) => key === active);
  const { picked } = store.state;
  if (!row || (picked.size > 1 && picked.has(row.cell))) return pickedRows();
  return [row];
}

/** The tile after those that leave, so that the next key is for the next cell. @param {Row[]} leaving */
function goOn(leaving) {
  const gone = new Set(leaving);
  const at = cells.shown.findIndex(({ key }) => key === active);
  const next = cells.shown.slice(at + 1).find((row) => !gone.has(row)) ?? cells.shown.slice(0, Math.max(at, 0)).findLast((row) => !gone.has(row));
  active = next?.key ?? null;
  pick(next ? [next.cell] : []);
}

/** @param {string} act @param {Row[]} rows */
function run(act, rows) {
  if (rows.length === 0) return;
  if (act === 'open') openInImage(rows[0]);
  else if (act === 'accept') {
    acceptRows(rows, null);
    goOn(rows);
  } else if (act === 'reject') {
    goOn(rows);
    rejectRows(rows);
  }
}

/** @param {number} at in the list of labels */
function relabel(at) {
  const label = store.state.labels[at]?.name ?? labelsThere()[at];
  if (label) acceptRows(targets(), label);
}

/** The project's labels, or the classes that were found where it has none. */
function labelsThere() {
  const { labels } = store.state;
  return labels.length ? labels.map(({ name }) => name) : [...new Set(cells.all.map(({ label }) => label))].sort();
}

/** @param {Row} row @param {MouseEvent|KeyboardEvent} event */
function choose(row, event) {
  const { shown } = cells;
  const { picked } = store.state;
  active = row.key;
  if (event.shiftKey && anchor !== null) {
    const [from, to] = [anchor, row.key].map((key) => shown.findIndex((one) => one.key === key)).sort((a, b) => a - b);
    pick(shown.slice(Math.max(from, 0), to + 1).map(({ cell }) => cell));
  } else if (event.ctrlKey || event.metaKey) {
    const next = new Set(picked);
    if (!next.delete(row.cell)) next.add(row.cell);
    pick(next);
    anchor = row.key;
  } else {
    pick([row.cell]);
    anchor = row.key;
  }
}

/** @param {HTMLElement} panel */
function build(panel) {
  const order = el('select', { id: 'gallery-sort', 'aria-label': 'Sort by', onchange: () => sortBy(order.value, cells.sort.down) });
  const direction = el('button', { type: 'button', id: 'gallery-direction', onclick: () => sortBy(cells.sort.id, !cells.sort.down) });
  const relabelTo = el('select', {
    id: 'gallery-relabel',
    'aria-label': 'Relabel the selected cells',
    onchange: () => {
      if (relabelTo.value) acceptRows(targets(), relabelTo.value);
      relabelTo.value = '';
      box.focus();
    },
  });
  const act = (/** @type {string} */ name, /** @type {string} */ text, /** @type {string} */ title) =>
    el('button', { type: 'button', id: `gallery-${name}`, title, onclick: () => run(name, targets()) }, text);
  const restore = el('button', { type: 'button', class: 'link', id: 'gallery-restore', onclick: restoreRejected });
  const count = el('span', { class: 'faint', id: 'gallery-count', role: 'status' });
  const filter = classFilter();
  const empty = el('p', { class: 'faint', id: 'gallery-empty' });
  const box = el('div', {
    class: 'list gallery',
    id: 'gallery',
    role: 'listbox',
    'aria-multiselectable': 'true',
    'aria-label': 'Cells. Y accepts, Delete rejects, 1 to 9 relabel, Enter opens',
    tabIndex: 0,
  });
  panel.append(
    el(
      'section',
      { class: 'fill', 'aria-labelledby': 'gallery-title' },
      el('div', { class: 'head' }, el('h2', { id: 'gallery-title' }, 'Gallery'), count),
      el('div', { class: 'group' }, el('label', { class: 'group' }, 'Sort by', order), direction, filter.element),
      el(
        'div',
        { class: 'group' },
        act('accept', 'Accept', 'Turn the selected cells into annotations (Y)'),
        act('reject', 'Reject', 'Take the selected cells out of the results (Del)'),
        relabelTo,
        act('open', 'Open', 'Show the cell in its image (Enter)'),
        restore,
      ),
      box,
      empty,
    ),
  );
  const grid = new VirtualGrid(box, {
    width: WIDTH,
    height: HEIGHT,
    create: createTile,
    fill: fillTile,
    key: ({ key }) => key,
    choose,
    visible: wantPictures,
  });
  box.addEventListener(
    'click',
    (event) => {
      const button = event.target instanceof Element ? event.target.closest('[data-act]') : null;
      const row = button && grid.itemOf(button);
      if (!row) return;
      event.stopImmediatePropagation();
      active = row.key;
      run(button.getAttribute('data-act') ?? '', [row]);
      box.focus({ preventScroll: true });
    },
    { capture: true },
  );
  box.addEventListener('pointerover', (event) => {
    const tile = event.target instanceof Element ? event.target.closest('.tile') : null;
    if (tile && acts.parentElement !== tile) tile.append(acts);
  });
  box.addEventListener('dblclick', (event) => {
    const row = grid.itemOf(event.target);
    if (row) openInImage(row);
  });
  box.addEventListener('keydown', (event) => {
    if (event.target !== box || event.altKey) return;
    const command = event.ctrlKey || event.metaKey;
    if (command && event.key === 'a') pick(cells.shown.map(({ cell }) => cell));
    else if (command) return;
    else if (/^[1-9]$/.test(event.key)) relabel(Number(event.key) - 1);
    else if (event.key.toLowerCase() === 'y') run('accept', targets());
    else if (event.key === 'Delete' || event.key === 'Backspace') run('reject', targets());
    else if (event.key === 'Enter') run('open', targets());
    else if (event.key === 'Escape' && store.state.picked.size) pick([]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  return { grid, order, direction, relabelTo, restore, count, filter, empty, box };
}

/** @param {HTMLSelectElement} list @param {[string, string][]} options */
function fillOptions(list, options) {
  const known = [...list.options].map(({ value, text }) => `${value} ${text}`).join('\n');
  if (known === options.map(([value, text]) => `${value} ${text}`).join('\n')) return;
  list.replaceChildren(...options.map(([value, text]) => el('option', { value }, text)));
}

export function startGallery() {
  const { grid, order, direction, relabelTo, restore, count, filter, empty, box } = build(byId('gallery-panel'));
  startCrops(() => grid.redraw());
  const draw = () => {
    if (store.state.tab !== 'gallery') return;
    fillOptions(
      order,
      cells.columns.map(({ id, text }) => [id, text]),
    );
    order.value = cells.sort.id;
    direction.textContent = cells.sort.down ? '↓' : '↑';
    direction.setAttribute('aria-label', cells.sort.down ? 'Largest first' : 'Smallest first');
    fillOptions(relabelTo, [
      ['', 'Relabel…'],
      ...labelsThere().map((name, at) => /** @type {[string, string]} */ ([name, at < 9 ? `${at + 1} ${name}` : name])),
    ]);
    filter.draw();
    const { picked } = store.state;
    const selected = pickedRows().length;
    count.textContent = `${cells.shown.length.toLocaleString('en')} of ${plural(cells.all.length, 'cell')}${selected ? `, ${selected.toLocaleString('en')} selected` : ''}`;
    const rejected = rejectedCount();
    restore.hidden = rejected === 0;
    restore.textContent = `Restore ${rejected.toLocaleString('en')} rejected`;
    for (const name of /** @type {const} */ (['accept', 'reject', 'open'])) {
      const button = /** @type {HTMLButtonElement} */ (document.getElementById(`gallery-${name}`));
      button.disabled = selected === 0 || (name === 'accept' && cells.kind === 'annotations');
    }
    relabelTo.disabled = selected === 0;
    box.hidden = cells.shown.length === 0;
    empty.hidden = cells.shown.length > 0;
    empty.textContent = cells.all.length ? 'No cell passes the filters.' : 'No cells yet. Detect first; every cell of all images is then shown here.';
    if (picked.size === 1 && !pickedRows().some(({ key }) => key === active)) active = pickedRows()[0]?.key ?? active;
    grid.set(cells.shown, active);
  };
  onCells(draw);
  store.subscribe(['picked', 'tab', 'annotations', 'labels'], draw);
}
