/** Which cells are shown: by class, and by ranges of what is known of them. */
import { el } from '../ui/dom.js';
import { classStyle } from '../canvas/colors.js';
import { cells, leaveOutClasses, setRanges } from './cells.js';

/** A button for each class, which is shown or left out. @returns {{element: HTMLElement, draw: () => void}} */
export function classFilter() {
  const element = el('div', { class: 'group class-filter', role: 'group', 'aria-label': 'Classes' });
  const draw = () => {
    /** @type {Map<string, number>} */ const counts = new Map();
    for (const { label } of cells.all) counts.set(label, (counts.get(label) ?? 0) + 1);
    const names = [...new Set([...counts.keys(), ...cells.without])].sort();
    const known = [...element.children].map((button) => button.getAttribute('data-label'));
    if (names.join('\n') !== known.join('\n')) element.replaceChildren(...names.map(classButton));
    for (const button of element.children) {
      const label = button.getAttribute('data-label') ?? '';
      const [swatch, text] = /** @type {HTMLElement[]} */ ([...button.children]);
      swatch.style.backgroundColor = classStyle(label).color;
      text.textContent = `${label} ${(counts.get(label) ?? 0).toLocaleString('en')}`;
      button.setAttribute('aria-pressed', String(!cells.without.has(label)));
    }
  };
  return { element, draw };
}

/** @param {string} label */
function classButton(label) {
  const toggle = () => {
    const without = new Set(cells.without);
    if (!without.delete(label)) without.add(label);
    leaveOutClasses(without);
  };
  const button = el('button', { type: 'button', onclick: toggle }, el('span', { class: 'swatch', 'aria-hidden': 'true' }), el('span'));
  button.dataset.label = label;
  return button;
}

/** Rows of “column from … to …”. @returns {{element: HTMLElement, draw: () => void}} */
export function rangeFilter() {
  const list = el('div', { class: 'ranges' });
  const add = el('button', { type: 'button', class: 'link', id: 'add-range', onclick: () => addRow() }, 'Filter by a range…');
  const element = el('div', { class: 'range-filter' }, list, add);
  const apply = () => {
    const ranges = [...list.children].map((row) => {
      const [column] = row.getElementsByTagName('select');
      const [low, high] = row.getElementsByTagName('input');
      return { id: column.value, low: low.value === '' ? -Infinity : low.valueAsNumber, high: high.value === '' ? Infinity : high.valueAsNumber };
    });
    setRanges(ranges.filter(({ low, high }) => low > -Infinity || high < Infinity));
  };
  const addRow = () => {
    const column = el('select', { 'aria-label': 'Quantity', onchange: apply }, ...options());
    const input = (/** @type {string} */ name) => el('input', { type: 'number', step: 'any', placeholder: name, 'aria-label': name, onchange: apply });
    const remove = el('button', { type: 'button', class: 'quiet', 'aria-label': 'Remove this filter', onclick: () => (row.remove(), apply()) }, '✕');
    const row = el('div', { class: 'range' }, column, input('from'), input('to'), remove);
    list.append(row);
    column.focus();
  };
  const options = () => cells.columns.filter(({ isText }) => !isText).map(({ id, text }) => el('option', { value: id }, text));
  /** Another list of cells begins without filters; new columns can be chosen. */
  const draw = () => {
    if (cells.ranges.length === 0 && cells.kind !== element.dataset.kind) list.replaceChildren();
    element.dataset.kind = cells.kind;
    for (const column of list.getElementsByTagName('select')) {
      const { value } = column;
      if (column.options.length === options().length) continue;
      column.replaceChildren(...options());
      column.value = value;
    }
  };
  return { element, draw };
}
