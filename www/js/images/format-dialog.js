/** The dialog before a download: of which images, in which formats. */
import { el, openDialog } from '../ui/dom.js';
import { Cancelled } from '../engine/connection.js';
import { explain } from '../engine/engine.js';

/**
 * An input with its words behind it.
 * @template {string} V @param {'radio'|'checkbox'} type @param {string} name @param {V} value @param {...(Node|string)} content
 */
function check(type, name, value, ...content) {
  const input = el('input', { type, name, value });
  return { value, input, label: el('label', { class: 'check' }, input, ...content) };
}

/** @typedef {import('../shared/page-state.js').ImageEntry} Entry */

/**
 * @typedef {Object} Scope images that can be chosen together
 * @property {string} value
 * @property {string} text
 * @property {Entry[]} images none: it cannot be chosen
 */

/**
 * @template {string} F
 * @param {Object} options
 * @param {string} options.title
 * @param {string} options.verb what the button says
 * @param {Scope[]} options.scopes
 * @param {string} options.first the scope that is chosen at first
 * @param {[F, string, string][]} options.formats value, name, what it is
 * @param {(images: Entry[]) => string} options.describe a sentence on what would be written
 * @param {(images: Entry[], formats: F[], tell: (text: string) => void, signal: AbortSignal) => Promise<void>} options.save closing the
 *   dialog aborts it, and nothing is saved then
 * @param {(format: F, images: Entry[]) => boolean} [options.fits] whether a format can be had of these images
 * @param {Node[]} [options.fields] what else is asked
 */
export function openFormatDialog({ title, verb, scopes, first, formats, describe, save, fits = () => true, fields = [] }) {
  const radios = scopes.map(({ value, text, images }) => {
    const radio = check('radio', 'which', value, text);
    radio.input.checked = value === first;
    radio.input.disabled = images.length === 0;
    return radio;
  });
  const boxes = formats.map(([value, name, about]) => check('checkbox', 'format', value, el('span', {}, el('b', {}, name), ` ${about}`)));
  const summary = el('p', { class: 'faint', role: 'status' });
  const button = el('button', { type: 'submit', class: 'primary' }, verb);
  const cancel = el('button', { type: 'button', hidden: true, onclick: () => abort.abort() }, 'Cancel');
  let abort = new AbortController();
  const images = () => scopes[radios.findIndex(({ input }) => input.checked)].images;
  const chosen = () => boxes.filter(({ input }) => input.checked).map(({ value }) => value);
  const refresh = () => {
    for (const { value, input } of boxes) {
      input.disabled = !fits(value, images());
      if (input.disabled) input.checked = false;
    }
    summary.textContent = describe(images());
    button.disabled = chosen().length === 0;
  };
  /** @param {SubmitEvent} event */
  const submit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    cancel.hidden = false;
    const running = (abort = new AbortController());
    try {
      await save(images(), chosen(), (text) => (summary.textContent = text), running.signal);
      dialog.close();
    } catch (error) {
      summary.textContent = error instanceof Cancelled ? 'Cancelled; nothing was saved.' : explain(error);
    }
    cancel.hidden = true;
    button.disabled = chosen().length === 0;
  };
  const form = el(
    'form',
    { onsubmit: submit, onchange: refresh },
    el('fieldset', {}, el('legend', {}, 'Images'), ...radios.map(({ label }) => label)),
    el('fieldset', {}, el('legend', {}, 'Formats'), ...boxes.map(({ label }) => label)),
    ...(fields.length ? [el('fieldset', {}, el('legend', {}, 'Measurements'), ...fields)] : []),
    summary,
    el('div', { class: 'actions' }, cancel, button),
  );
  const dialog = openDialog(title, [form]);
  dialog.addEventListener('close', () => abort.abort());
  refresh();
}
