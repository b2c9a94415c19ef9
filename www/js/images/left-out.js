/** What of the dropped files was not used, or is odd: file by file, with the object and the reason. */
import { el, openDialog, plural } from '../ui/dom.js';
import { store } from '../shared/page-state.js';

/** Rows of each table; more would only hang the browser. */
const ROWS = 1000;

/** @param {string[]} heads @param {string[][]} rows */
function table(heads, rows) {
  const head = el('tr', {}, ...heads.map((name) => el('th', { scope: 'col' }, name)));
  const body = rows.slice(0, ROWS).map((cells) => el('tr', {}, ...cells.map((text) => el('td', {}, text))));
  return el('table', { class: 'plain' }, el('thead', {}, head), el('tbody', {}, ...body));
}

/** @param {number} count */
const more = (count) => (count > ROWS ? el('p', { class: 'faint' }, `and ${(count - ROWS).toLocaleString('en')} more`) : null);

export function openLeftOut() {
  const { ignored, remarks } = store.state;
  openDialog(
    leftOutSummary(),
    [
      ignored.length && remarks.length ? el('h3', {}, 'Files left out') : null,
      ignored.length
        ? table(
            ['File', 'Reason'],
            ignored.map(({ file, reason }) => [file, reason]),
          )
        : null,
      more(ignored.length),
      remarks.length && ignored.length ? el('h3', {}, 'Annotations') : null,
      remarks.length
        ? table(
            ['File', 'Object', 'Issue'],
            remarks.map(({ file, object, reason }) => [file, object, reason]),
          )
        : null,
      more(remarks.length),
    ],
    { wide: true },
  );
}

/** One line for the list's foot; empty where there is nothing to say. */
export function leftOutSummary() {
  const { ignored, remarks } = store.state;
  const parts = [];
  if (ignored.length) parts.push(`${plural(ignored.length, 'file')} left out`);
  if (remarks.length) parts.push(plural(remarks.length, 'warning about annotations', 'warnings about annotations'));
  return parts.join(', ');
}
