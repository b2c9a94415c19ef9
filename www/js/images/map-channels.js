/** Which channels of an image stand for those that the detector was trained on. */
import { byId, el, openDialog } from '../ui/dom.js';
import { applyMerge } from './channels.js';
import { currentImage, store } from '../shared/page-state.js';

/** Says what the detector expects, and lets a channel of the image be chosen for each of the detector's. */
function openMapping() {
  const { opened, model } = store.state;
  const trained = model?.report.config.merge;
  if (!opened || !trained || !currentImage()) return;
  const ours = opened.layers.map(({ channel }) => channel);
  const proposal = opened.proposal ?? {};
  /** @type {Map<string, HTMLSelectElement>} */
  const selects = new Map();
  const rows = Object.keys(trained).map((theirs) => {
    const choices = ['', ...ours].map((channel) => {
      const option = el('option', { value: channel }, channel || 'none (black)');
      option.selected = channel === (proposal[theirs] ?? '');
      return option;
    });
    const select = el('select', { 'aria-label': `Channel for ${theirs}` }, ...choices);
    selects.set(theirs, select);
    return el('tr', {}, el('th', { scope: 'row' }, theirs), el('td', {}, select));
  });
  const everywhere = el('input', { type: 'checkbox', checked: true });
  const nothing = el('p', { class: 'error', role: 'alert', hidden: true }, 'Choose a channel for at least one of the detector’s.');
  /** @param {SubmitEvent} event */
  const submit = (event) => {
    event.preventDefault();
    /** @type {import('../engine/protocol.js').Merge} */
    const merge = {};
    for (const [theirs, { value }] of selects) {
      if (!value) continue;
      const [red, green, blue] = merge[value] ?? [0, 0, 0];
      const [r, g, b] = trained[theirs];
      merge[value] = [red + r, green + g, blue + b];
    }
    nothing.hidden = Object.keys(merge).length > 0;
    if (!nothing.hidden) return;
    applyMerge(merge, everywhere.checked);
    dialog.close();
  };
  const expected = Object.keys(trained).join(', ');
  const form = el(
    'form',
    { onsubmit: submit },
    el('p', {}, `The detector was trained on the channels ${expected}. Choose which channel of the image stands for each; they get its weights in the merge.`),
    el(
      'table',
      { class: 'plain weights' },
      el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, 'Detector'), el('th', { scope: 'col' }, 'Image'))),
      el('tbody', {}, ...rows),
    ),
    el('label', { class: 'check' }, everywhere, 'Apply to all images with these channels'),
    nothing,
    el('div', { class: 'actions' }, el('button', { type: 'submit', class: 'primary' }, 'Apply')),
  );
  const dialog = openDialog('Map channels', [form]);
}

export function startMapping() {
  byId('map-channels').addEventListener('click', openMapping);
  store.subscribe(['opened', 'model'], ({ opened }) => {
    byId('map-channels').hidden = !opened?.proposal;
  });
}
