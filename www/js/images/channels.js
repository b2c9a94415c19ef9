/** What of an image is on the screen: its channels, the display range, the weights of the merge, and what is drawn. */
import { byId, el, openDialog } from '../ui/dom.js';
import { fitsAll, forget } from './images.js';
import { LARGEST_WEIGHT } from '../shared/engine-limits.js';
import { level } from '../shared/levels.js';
import { currentImage, store } from '../shared/page-state.js';

const PARTS = ['red', 'green', 'blue'];

/** What can be drawn on the image, each with its button. */
const SHOWN = /** @type {const} */ (['boxes', 'masks', 'labels', 'detections', 'annotations']);

/** The colour in which a channel is shown: its weights, at full brightness. @param {number[]} weights */
function tint(weights) {
  const most = Math.max(...weights, 1e-6);
  return `rgb(${weights.map((weight) => Math.round((255 * Math.max(0, weight)) / most)).join(' ')})`;
}

/** @param {string} channel */
function toggleChannel(channel) {
  const { hiddenChannels } = store.state;
  if (!hiddenChannels.delete(channel)) hiddenChannels.add(channel);
  store.touch('hiddenChannels');
}

/** Switches the n-th channel of the current image. @param {number} index */
export function toggleNthChannel(index) {
  const layer = store.state.opened?.layers[index];
  if (layer) toggleChannel(layer.channel);
}

/** @param {typeof SHOWN[number]} part */
export function toggleShown(part) {
  store.state.show[part] = !store.state.show[part];
  store.touch('show');
}

/** @param {import('../shared/page-state.js').State} state */
function drawToggles({ opened, hiddenChannels }) {
  const box = byId('channels');
  const wanted = opened ? opened.layers.map(({ channel }) => channel) : [];
  const buttons = () => [...box.children].filter((child) => child instanceof HTMLElement);
  const known = buttons().map((button) => button.dataset.channel);
  if (wanted.join() !== known.join()) {
    box.replaceChildren(
      ...wanted.map((channel, index) => {
        const swatch = el('span', { class: 'swatch' });
        const button = el('button', { type: 'button', onclick: () => toggleChannel(channel) }, swatch, channel);
        button.dataset.channel = channel;
        button.title = `Show or hide the ${channel} channel (Shift+${index + 1})`;
        return button;
      }),
    );
  }
  for (const button of buttons()) {
    const { channel = '' } = button.dataset;
    button.setAttribute('aria-pressed', String(!hiddenChannels.has(channel)));
    const swatch = button.firstElementChild;
    if (swatch instanceof HTMLElement) swatch.style.backgroundColor = tint(opened?.merge[channel] ?? [1, 1, 1]);
  }
  byId('weights').disabled = !opened;
}

/** @returns {[number, number]} black and white of the current image, 0–1 of full brightness */
function currentRange() {
  const { opened, ranges } = store.state;
  return (opened && ranges.get(opened.id)) || [0, 1];
}

/** @param {[number, number]} range */
function setRange([black, white]) {
  const { opened, ranges } = store.state;
  if (!opened) return;
  const low = Math.min(Math.max(black, 0), 0.98);
  const high = Math.min(Math.max(white, low + 0.02), 1);
  if (low === 0 && high === 1) ranges.delete(opened.id);
  else ranges.set(opened.id, [low, high]);
  store.touch('ranges');
}

/** A linear filter of the compositor: no pixel goes through JavaScript. */
function drawRange() {
  const { opened } = store.state;
  const [black, white] = currentRange();
  const [least, most] = opened ? [opened.black, opened.whiteLevel] : [0, 255];
  const inputs = { black: byId('black'), white: byId('white') };
  inputs.black.value = String(Math.round(black * 100));
  inputs.white.value = String(Math.round(white * 100));
  byId('black-value').textContent = level(least + black * (most - least), opened?.bits);
  byId('white-value').textContent = level(least + white * (most - least), opened?.bits);
  for (const input of Object.values(inputs)) {
    input.disabled = !opened;
    input.setAttribute('aria-valuetext', `${input.value} %`);
  }
  byId('auto-range').disabled = byId('reset-range').disabled = !opened;
  const plain = black === 0 && white === 1;
  byId('image-canvas').style.filter = plain ? '' : 'url(#display-range)';
  if (plain) return;
  const slope = 1 / (white - black);
  for (const part of byId('display-range').firstElementChild?.children ?? []) {
    part.setAttribute('slope', String(slope));
    part.setAttribute('intercept', String(-black * slope));
  }
}

/**
 * Gives weights to one image, or to all with the same channels. @param {import('../engine/protocol.js').Merge|null} merge
 * @param {boolean} everywhere
 */
export function applyMerge(merge, everywhere) {
  const current = currentImage();
  if (!current) return;
  const like = current.channels.join();
  for (const image of everywhere ? store.state.images.filter((one) => one.channels.join() === like) : [current]) {
    if (JSON.stringify(image.merge) === JSON.stringify(merge)) continue;
    image.merge = merge;
    if (image.result) image.result.stale = true;
    forget(image);
  }
  store.touch('images');
}

function openWeights() {
  const { opened, model } = store.state;
  const image = currentImage();
  if (!opened || !image) return;
  const channels = [...new Set([...image.channels, ...Object.keys(opened.merge)])];
  /** @type {Map<string, HTMLInputElement[]>} */
  const inputs = new Map();
  const rows = channels.map((channel) => {
    const weights = opened.merge[channel] ?? [0, 0, 0];
    const cells = PARTS.map((part, index) =>
      el('input', {
        type: 'number',
        min: '0',
        max: String(LARGEST_WEIGHT),
        step: 'any',
        required: true,
        value: String(round(weights[index])),
        'aria-label': `${channel} to ${part}`,
      }),
    );
    inputs.set(channel, cells);
    return el('tr', {}, el('th', { scope: 'row' }, channel), ...cells.map((cell) => el('td', {}, cell)));
  });
  /** @param {import('../engine/protocol.js').Merge} merge */
  const fill = (merge) => {
    for (const [channel, cells] of inputs) cells.forEach((cell, index) => (cell.value = String(round(merge[channel]?.[index] ?? 0))));
  };
  const trained = model?.report.config.merge;
  const everywhere = el('input', { type: 'checkbox', checked: true });
  /** @param {import('../engine/protocol.js').Merge|null} merge */
  const apply = (merge) => {
    applyMerge(merge, everywhere.checked);
    dialog.close();
  };
  /** @param {SubmitEvent} event */
  const submit = (event) => {
    event.preventDefault();
    /** @type {import('../engine/protocol.js').Merge} */
    const merge = {};
    for (const [channel, [red, green, blue]] of inputs) merge[channel] = [Number(red.value), Number(green.value), Number(blue.value)];
    apply(merge);
  };
  const head = el('tr', {}, el('th', { scope: 'col' }, 'Channel'), ...PARTS.map((part) => el('th', { scope: 'col' }, `to ${part}`)));
  const form = el(
    'form',
    { onsubmit: submit },
    el(
      'p',
      {},
      'The detector sees the merged image. Each channel is added to red, green and blue with these weights; values above full brightness are clipped. The weights are stored with the results.',
    ),
    el('table', { class: 'plain weights' }, el('thead', {}, head), el('tbody', {}, ...rows)),
    el('label', { class: 'check' }, everywhere, 'Apply to all images with these channels'),
    el(
      'div',
      { class: 'actions' },
      fitsAll(trained, channels) ? el('button', { type: 'button', onclick: () => fill(trained) }, 'As in training') : null,
      el('button', { type: 'button', onclick: () => apply(null) }, 'Default'),
      el('button', { type: 'submit', class: 'primary' }, 'Apply'),
    ),
  );
  const dialog = openDialog('Merge weights', [form]);
}

/** @param {number} value */
function round(value) {
  return Math.round(value * 1000) / 1000;
}

/** @param {import('../canvas/viewer.js').Viewer} viewer */
export function startChannels(viewer) {
  store.subscribe(['opened', 'hiddenChannels'], drawToggles);
  store.subscribe(['opened', 'hiddenChannels'], ({ opened, hiddenChannels }) => viewer.setImage(opened, hiddenChannels));
  store.subscribe(['opened', 'ranges'], drawRange);
  const [black, white] = [byId('black'), byId('white')];
  black.addEventListener('input', () => setRange([Number(black.value) / 100, currentRange()[1]]));
  white.addEventListener('input', () => setRange([currentRange()[0], Number(white.value) / 100]));
  byId('auto-range').addEventListener('click', () => setRange([0, store.state.opened?.white ?? 1]));
  byId('reset-range').addEventListener('click', () => setRange([0, 1]));
  byId('weights').addEventListener('click', openWeights);
  for (const part of SHOWN) {
    byId(`show-${part}`).addEventListener('click', () => toggleShown(part));
  }
  store.subscribe(['show'], ({ show }) => {
    for (const part of SHOWN) byId(`show-${part}`).setAttribute('aria-pressed', String(show[part]));
  });
}
