/** The tab *Review*: what the detector is least sure of, one cell after the other, each answered with one key. */
import { announce, byId, el, plural } from '../ui/dom.js';
import { VirtualList } from '../ui/virtual-list.js';
import { classStyle } from '../canvas/colors.js';
import { acceptRows, rejectRows } from '../measure/review.js';
import { openInImage } from '../measure/cells.js';
import { reviewQueue } from './queue.js';
import { store } from '../shared/page-state.js';

/** @typedef {import('./queue.js').Question} Question */

/** The question that the keys answer, by its key. @type {string|null} */
let active = null;
/** @type {Question[]} */
let open = [];
/** Numbers for the list, which wants them. @type {Map<string, number>} */
const numbers = new Map();

/** @param {{key: string}} question */
function numberOf({ key }) {
  const number = numbers.get(key) ?? numbers.size;
  numbers.set(key, number);
  return number;
}

function createRow() {
  const label = el('span', { class: 'label', role: 'gridcell' }, el('span', { class: 'swatch', 'aria-hidden': 'true' }), el('span'));
  return el(
    'div',
    { class: 'question' },
    label,
    el('span', { role: 'gridcell', class: 'number' }),
    el('span', { role: 'gridcell', class: 'faint' }),
    el('span', { role: 'gridcell', class: 'reason' }),
  );
}

/** @param {HTMLElement} row @param {Question} question */
function fillRow(row, { image, cell, reason }) {
  const [label, score, name, why] = /** @type {HTMLElement[]} */ ([...row.children]);
  const [swatch, text] = /** @type {HTMLElement[]} */ ([...label.children]);
  swatch.style.backgroundColor = classStyle(cell.label).color;
  text.textContent = cell.label;
  score.textContent = cell.score.toFixed(2);
  why.textContent = reason;
  name.textContent = image.name;
  name.title = image.name;
}

/** @param {Question} question */
function choose(question) {
  active = question.key;
  openInImage(question);
  announce(`${question.cell.label}, ${question.cell.score.toFixed(2)}, ${question.image.name}: ${question.reason}`);
  store.touch('picked');
}

/** @returns {Question|undefined} */
function current() {
  return open.find(({ key }) => key === active) ?? open[0];
}

/** Answers the question and goes on to the next. @param {'accept'|'reject'|'skip'} answer @param {string|null} [label] */
function answer(answer, label = null) {
  const question = current();
  if (!question) return;
  const at = open.indexOf(question);
  const next = open[at + 1] ?? open[at - 1];
  if (answer === 'accept') acceptRows([question], label);
  else if (answer === 'reject') rejectRows([question]);
  if (next) choose(next);
}

/** @param {KeyboardEvent} event */
function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const label = /^[1-9]$/.test(event.key) ? store.state.labels[Number(event.key) - 1]?.name : undefined;
  if (event.key === 'Enter' || event.key.toLowerCase() === 'y') answer('accept');
  else if (event.key === 'Delete' || event.key === 'Backspace') answer('reject');
  else if (label) answer('accept', label);
  else return;
  event.preventDefault();
  event.stopPropagation();
}

/** @param {HTMLElement} panel */
function build(panel) {
  const count = el('span', { class: 'faint', id: 'review-count', role: 'status' });
  const progress = el('progress', { id: 'review-progress', max: 1, value: 0, 'aria-label': 'Reviewed' });
  const button = (/** @type {'accept'|'reject'|'skip'} */ name, /** @type {string} */ text, /** @type {string} */ title) =>
    el('button', { type: 'button', id: `review-${name}`, title, onclick: () => answer(name) }, text);
  const buttons = [
    button('accept', 'Accept', 'Turn the cell into an annotation and go on (Enter)'),
    button('reject', 'Reject', 'Take the cell out of the results and go on (Del)'),
    button('skip', 'Skip', 'Go on without an answer (arrow key)'),
  ];
  const box = el('div', {
    class: 'list',
    id: 'review',
    role: 'grid',
    tabIndex: 0,
    'aria-label': 'Cells to review. Enter accepts, Delete rejects, 1 to 9 accept with that label',
  });
  const empty = el('p', { class: 'faint', id: 'review-empty' });
  const head = el('div', { class: 'head' }, el('h2', { id: 'review-title' }, 'To review'), count);
  panel.append(el('section', { class: 'fill', 'aria-labelledby': 'review-title' }, head, progress, el('div', { class: 'group' }, ...buttons), box, empty));
  // Before the list, which takes the arrow keys.
  box.addEventListener('keydown', key, { capture: true });
  const list = new VirtualList(box, { rowHeight: 44, role: 'row', create: createRow, fill: fillRow, key: numberOf, choose });
  return { box, list, count, progress, buttons, empty };
}

export function startReview() {
  const { box, list, count, progress, buttons, empty } = build(byId('review-panel'));
  store.subscribe(['tab', 'images', 'annotations', 'score', 'byClass', 'labels', 'readOnly', 'picked'], ({ tab, images, readOnly }) => {
    if (tab !== 'review') return;
    const queue = reviewQueue();
    open = queue.open;
    const all = open.length + queue.answered;
    const question = current();
    list.set(open, question && active === question.key ? numberOf(question) : null);
    box.setAttribute('aria-rowcount', String(open.length));
    box.hidden = open.length === 0;
    progress.hidden = all === 0;
    progress.value = all ? queue.answered / all : 0;
    count.textContent = all
      ? `${plural(open.length, 'cell')} in ${plural(queue.images, 'image')}; ${queue.answered.toLocaleString('en')} of ${all.toLocaleString('en')} reviewed`
      : '';
    for (const one of buttons) one.disabled = open.length === 0 || readOnly;
    empty.hidden = open.length > 0;
    if (all) empty.textContent = 'Nothing is left to review. Train again, and detect again to see what is in doubt then.';
    else
      empty.textContent = images.some(({ result }) => result)
        ? 'The detector is sure of every cell.'
        : 'Detect first; the cells that the detector is least sure of are listed here.';
  });
}
