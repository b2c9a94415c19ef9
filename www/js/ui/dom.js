/**
 * ui/ is what every panel is made of: elements, dialogs, lists, the theme, files that leave.
 *
 * Elements without a framework. Text goes in as text nodes only, so that no label can become markup.
 */

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, any>} [attributes] `on…` become listeners, `class` and `aria-…` attributes, the rest properties
 * @param {...(Node|string|null|undefined)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'class' || name === 'role' || name.includes('-')) element.setAttribute(name, String(value));
    else /** @type {any} */ (element)[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/**
 * The element with that id, which index.html promises.
 * @template {keyof import('../../types/elements.d.ts').Elements} Id
 * @param {Id} id
 * @returns {import('../../types/elements.d.ts').Elements[Id]}
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`index.html has no #${id}`);
  return /** @type {import('../../types/elements.d.ts').Elements[Id]} */ (/** @type {unknown} */ (element));
}

/** Speaks to screen readers without moving the focus. @param {string} sentence */
export function announce(sentence) {
  byId('live').textContent = sentence;
}

/**
 * Shows a modal dialog; Escape, the cross and a click beside it close it, and the focus goes back to where it was.
 * @param {string} title
 * @param {(Node|string|null)[]} body
 * @param {{wide?: boolean}} [options]
 */
export function openDialog(title, body, { wide = false } = {}) {
  const close = el('button', { type: 'button', class: 'quiet', 'aria-label': 'Close', onclick: () => dialog.close() }, '✕');
  const dialog = el(
    'dialog',
    { 'aria-label': title, class: wide ? 'wide' : '' },
    el('header', {}, el('h2', {}, title), close),
    el('div', { class: 'body' }, ...body),
  );
  dialog.addEventListener('close', () => dialog.remove());
  dialog.addEventListener('click', (event) => {
    if (event.target === dialog) dialog.close();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/**
 * Asks a question. Closing the dialog is the empty answer.
 * @param {string} title @param {string} sentence
 * @param {[string, string][]} answers what is returned, and what its button says; the first is the suggested one
 * @returns {Promise<string>}
 */
export function ask(title, sentence, answers) {
  return new Promise((resolve) => {
    let answer = '';
    const buttons = answers.map(([value, text], index) =>
      el(
        'button',
        {
          type: 'button',
          class: index === 0 ? 'primary' : '',
          onclick: () => {
            answer = value;
            dialog.close();
          },
        },
        text,
      ),
    );
    const dialog = openDialog(title, [el('p', {}, sentence), el('div', { class: 'actions' }, ...buttons)]);
    dialog.addEventListener('close', () => resolve(answer));
    buttons[0].focus();
  });
}

/**
 * A notice in the corner of the canvas. Errors stay until they are closed.
 * @param {string} sentence
 * @param {{kind?: 'info'|'error', action?: {label: string, run: () => void}}} [options]
 */
export function notify(sentence, { kind = 'info', action } = {}) {
  const stack = byId(kind === 'error' ? 'alerts' : 'notices');
  for (const old of stack.children) if (old instanceof HTMLElement && old.dataset.sentence === sentence) old.remove();
  while (stack.children.length >= 3) stack.firstElementChild?.remove();
  const remove = () => notice.remove();
  const notice = el(
    'div',
    { class: `notice ${kind}` },
    el('p', {}, sentence),
    action
      ? el(
          'button',
          {
            type: 'button',
            onclick: () => {
              remove();
              action.run();
            },
          },
          action.label,
        )
      : null,
    el('button', { type: 'button', class: 'quiet', 'aria-label': 'Dismiss', onclick: remove }, '✕'),
  );
  notice.dataset.sentence = sentence;
  stack.append(notice);
  if (kind === 'info') setTimeout(remove, 8000);
}

/** The sentence of whatever was thrown. @param {unknown} error */
export function sentenceOf(error) {
  return error instanceof Error ? error.message : String(error);
}

/** @param {number} bytes */
export function formatBytes(bytes) {
  if (bytes < 1e3) return `${bytes} B`;
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(0)} kB`;
  if (bytes < 1e9) return `${(bytes / 1e6).toFixed(1)} MB`;
  return `${(bytes / 1e9).toFixed(1)} GB`;
}

/** @param {number} seconds */
export function formatDuration(seconds) {
  const whole = Math.max(1, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** @param {number} count @param {string} one @param {string} [many] */
export function plural(count, one, many = `${one}s`) {
  return `${count.toLocaleString('en')} ${count === 1 ? one : many}`;
}
