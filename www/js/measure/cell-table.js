/** The table of all cells: only the rows on the screen exist, and the columns that were chosen. */
import { el } from '../ui/dom.js';
import { VirtualList } from '../ui/virtual-list.js';
import { classStyle } from '../canvas/colors.js';
import { cells, openInImage, pick, pickedRows, sortBy } from './cells.js';
import { firstColumns } from './columns.js';
import { currentImage, store } from '../shared/page-state.js';

/** @typedef {import('./cells.js').Row} Row */
/** @typedef {import('./columns.js').Column} Column */

const ROW = 26;

/** @param {Column[]} columns */
function createRow(columns) {
  const swatch = () => el('span', { class: 'swatch', 'aria-hidden': 'true' });
  const spans = columns.map(({ id, isText }) =>
    el('span', { role: 'gridcell', class: isText ? 'label' : 'number' }, ...(id === 'class' ? [swatch(), el('span')] : [])),
  );
  return el('div', { class: 'cell-row' }, ...spans);
}

/** @param {HTMLElement} row @param {Row} item @param {Column[]} columns */
function fillRow(row, item, columns) {
  columns.forEach((column, at) => {
    const span = /** @type {HTMLElement} */ (row.children[at]);
    const text = column.shown(item);
    if (column.id === 'class') {
      const [swatch, name] = /** @type {HTMLElement[]} */ ([...span.children]);
      swatch.style.backgroundColor = classStyle(item.label).color;
      name.textContent = text;
    } else if (span.textContent !== text) span.textContent = text;
  });
  row.classList.toggle('picked', store.state.picked.has(item.cell));
}

export class CellTable {
  /** Ids of the columns that the user chose; null for those of the beginning. @type {Set<string>|null} */ #chosen = null;
  /** @type {Column[]} */ #columns = [];
  /** @type {VirtualList<Row>|null} */ #list = null;
  /** @type {HTMLElement|null} */ #grid = null;
  /** The row of the keyboard's cursor. @type {number|null} */ #active = null;
  /** Where a range begins that Shift extends. @type {number|null} */ #anchor = null;
  #modifiers = { shift: false, ctrl: false };
  element = el('div', { class: 'cell-table' });

  /** The columns that are shown. */
  get columns() {
    return this.#columns;
  }

  /** @param {Set<string>} ids */
  choose(ids) {
    this.#chosen = ids;
    this.draw();
  }

  draw() {
    const wanted = this.#chosen ? cells.columns.filter(({ id }) => this.#chosen?.has(id)) : firstColumns(cells.columns);
    const same = wanted.length === this.#columns.length && wanted.every((column, at) => column === this.#columns[at]);
    if (!same || !this.#list) this.#build(wanted);
    this.#list?.set(cells.shown, this.#active);
    this.#grid?.setAttribute('aria-rowcount', String(cells.shown.length + 1));
    for (const [at, header] of [...(this.#grid?.querySelectorAll('[role="columnheader"]') ?? [])].entries()) {
      const isActive = this.#columns[at].id === cells.sort.id;
      header.setAttribute('aria-sort', isActive ? (cells.sort.down ? 'descending' : 'ascending') : 'none');
    }
  }

  /** Makes the cell that is selected on the canvas the active row. */
  follow() {
    const { selected, selectedBox, tab } = store.state;
    if (tab !== 'measure') return;
    const image = currentImage();
    const number = cells.kind === 'detections' ? selected : selectedBox;
    const row = number === null ? null : cells.shown.find((one) => one.number === number && one.image === image);
    if (!row || row.key === this.#active) return;
    this.#active = row.key;
    this.draw();
  }

  /** @param {Column[]} columns */
  #build(columns) {
    this.#columns = columns;
    const header = el(
      'div',
      { class: 'cell-row header', role: 'row', 'aria-rowindex': '1' },
      ...columns.map(({ id, text }) => el('span', { role: 'columnheader' }, el('button', { type: 'button', title: text, onclick: () => sortBy(id) }, text))),
    );
    const grid = el('div', { class: 'list', id: 'cells', role: 'grid', 'aria-label': 'Cells', 'aria-multiselectable': 'true', tabIndex: 0 }, header);
    grid.style.setProperty(
      '--cell-columns',
      columns.map(({ isText, text }) => (isText ? '7rem' : `${Math.max(4.5, Math.min(text.length * 0.42, 9))}rem`)).join(' '),
    );
    this.#grid = grid;
    this.element.replaceChildren(grid);
    // Before the list hears of them.
    const hear = (/** @type {MouseEvent|KeyboardEvent} */ event) => {
      this.#modifiers = { shift: event.shiftKey, ctrl: event.ctrlKey || event.metaKey };
    };
    grid.addEventListener('click', hear, { capture: true });
    grid.addEventListener('keydown', hear, { capture: true });
    grid.addEventListener('keydown', (event) => this.#key(event));
    grid.addEventListener('dblclick', () => this.#open());
    this.#list = new VirtualList(grid, {
      rowHeight: ROW,
      role: 'row',
      // A list that was replaced may draw once more, with the columns that it had.
      create: () => createRow(columns),
      fill: (row, item) => fillRow(row, item, columns),
      key: ({ key }) => key,
      choose: (row) => this.#choose(row),
    });
  }

  /** @param {Row} row */
  #choose(row) {
    const { shift, ctrl } = this.#modifiers;
    this.#active = row.key;
    const { shown } = cells;
    if (shift && this.#anchor !== null) {
      const [from, to] = [this.#anchor, row.key].map((key) => shown.findIndex((one) => one.key === key)).sort((a, b) => a - b);
      pick(shown.slice(Math.max(from, 0), to + 1).map(({ cell }) => cell));
    } else if (ctrl) {
      this.#anchor = row.key;
      this.#toggle(row);
    } else {
      this.#anchor = row.key;
      pick([row.cell]);
      if (row.image === currentImage()) store.set(row.kind === 'detections' ? { selected: row.number } : { selectedBox: row.number });
    }
    this.draw();
  }

  /** @param {Row} row */
  #toggle({ cell }) {
    const picked = new Set(store.state.picked);
    if (!picked.delete(cell)) picked.add(cell);
    pick(picked);
  }

  #open() {
    const row = cells.shown.find(({ key }) => key === this.#active);
    if (row) openInImage(row);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.target !== this.#grid) return;
    const active = cells.shown.find(({ key }) => key === this.#active);
    const command = event.ctrlKey || event.metaKey;
    if (command && event.key === 'a') pick(cells.shown.map(({ cell }) => cell));
    else if (command && event.key === 'c') copyRows(this.#columns);
    else if (event.key === 'Enter' && !command) this.#open();
    else if (event.key === ' ' && active) this.#toggle(active);
    else if (event.key === 'Escape' && store.state.picked.size) pick([]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

/** A text so that no spreadsheet runs it. @param {string} text */
function guarded(text) {
  return /^[=+\-@]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text;
}

/** Copies the selected cells, or all that are shown, for a spreadsheet. @param {Column[]} columns @returns {Promise<number>} how many */
export async function copyRows(columns) {
  const rows = store.state.picked.size ? pickedRows() : cells.shown;
  const value = (/** @type {Column} */ column, /** @type {Row} */ row) => {
    if (column.isText) return guarded(column.shown(row).replace(/[\t\n]/g, ' '));
    const number = column.number(row);
    return Number.isNaN(number) ? '' : String(number);
  };
  const lines = [columns.map(({ text }) => guarded(text)), ...rows.map((row) => columns.map((column) => value(column, row)))];
  await navigator.clipboard.writeText(lines.map((line) => line.join('\t')).join('\n'));
  return rows.length;
}
