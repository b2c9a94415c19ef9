/**
 * Outlines for boxes: the loaded detector's mask head draws what is in a box as soon as it is drawn, moved or resized. Such an
 * outline is marked as proposed until a person changes it; going on accepts it, and one key takes it away.
 */
import { announce, byId, notify, plural } from '../ui/dom.js';
import { compute, ensure, explain, wantedDiameter } from '../engine/engine.js';
import { Cancelled } from '../engine/connection.js';
import { inputOf } from '../images/images.js';
import { pending } from '../canvas/annotation-layer.js';
import { medianDiameter, sameBox } from '../canvas/geometry.js';
import { commit, currentObjects, refused } from './annotations.js';
import { busy, currentImage, store } from '../shared/page-state.js';

/** @typedef {import('../shared/page-state.js').ImageEntry} ImageEntry */
/** @typedef {import('../shared/page-state.js').AnnotatedObject} AnnotatedObject */
/** @typedef {import('../canvas/geometry.js').Box} Box */
/** @typedef {import('../engine/protocol.js').Rle} Rle */

/** Boxes of one request, so that a cancellation waits for few. */
const TOGETHER = 64;

/** Milliseconds without another key until an outline is proposed. */
const PAUSE = 400;

/** @type {ReturnType<typeof setTimeout>|undefined} */
let soon;

/** @typedef {{image: ImageEntry, box: Box, label: string, done: (mask: Rle|null) => void}} Question */

/** The one that waits while another is asked; a newer one takes its place, as a hand is faster than a network. @type {Question|null} */
let waiting = null;
let asking = false;
/** The last answer: a drag ends where its outline was asked for a moment before. @type {{key: string, model: object|null, box: Box, label: string, mask: Rle|null}|null} */
let answered = null;
/** The detector for which proposals failed: it is said once. @type {object|null} */
let failed = null;

/** Why no outlines are proposed; empty where they are. */
export function whyNot() {
  const { model, engine, readOnly } = store.state;
  if (readOnly) return 'This project is being edited in another tab';
  if (!model) return 'Load a detector first';
  if (!model.report.config.architecture.startsWith('mask')) return 'The detector has no mask head';
  return engine === 'failed' ? 'The engine cannot run' : busy();
}

/**
 * The outlines of boxes on an image, one each; null where the detector sees nothing.
 * @param {ImageEntry} image @param {{box: Box, label: string}[]} objects @param {AbortSignal} [signal] @returns {Promise<(Rle|null)[]>}
 */
async function outlinesOf(image, objects, signal) {
  await ensure();
  const drawn = image.annotations?.objects.map(({ box }) => box) ?? [];
  const command = /** @type {const} */ ({
    type: 'outlineBoxes',
    key: keyOf(image),
    boxes: objects.map(({ box }) => box),
    labels: objects.map(({ label }) => label),
    diameter: wantedDiameter() ?? medianDiameter([...drawn, ...objects.map(({ box }) => box)]),
  });
  const known = await compute(command, { signal });
  if (known.masks) return known.masks;
  const input = await inputOf(image);
  const transfer = input.files.map((file) => file.bytes.buffer);
  const { masks } = await compute({ ...command, image: input }, { signal, transfer });
  return masks ?? objects.map(() => null);
}

/** All that an image is read by. @param {ImageEntry} image */
function keyOf({ id, merge, fill, pages, z, t }) {
  const { bitDepth, projection } = store.state;
  return JSON.stringify([id, merge, fill, pages, z, t, projection, bitDepth]);
}

/** @param {Question} question @returns {Promise<Rle|null>} */
async function outlineOf({ image, box, label }) {
  if (whyNot()) return null;
  const { model } = store.state;
  const key = keyOf(image);
  if (answered && answered.key === key && answered.model === model && answered.label === label && sameBox(answered.box, box)) return answered.mask;
  const [mask] = await outlinesOf(image, [{ box, label }]);
  answered = { key, model, box, label, mask };
  return mask;
}

/** @param {Question} question */
function ask(question) {
  waiting?.done(null);
  waiting = question;
  if (!asking) answerAll();
}

async function answerAll() {
  asking = true;
  while (waiting) {
    const question = waiting;
    const { done } = question;
    waiting = null;
    try {
      done(await outlineOf(question));
    } catch (error) {
      done(null);
      tell(error);
    }
  }
  asking = false;
}

/** @param {unknown} error */
function tell(error) {
  const { model } = store.state;
  if (error instanceof Cancelled || failed === model) return;
  failed = model;
  notify(`No outline could be proposed: ${explain(error)}`, { kind: 'error' });
}

/** The outline of a box that is being drawn, moved or resized, for the canvas. @param {Box} box @param {string} label @param {() => void} redraw */
export function followDraft(box, label, redraw) {
  const image = currentImage();
  const { draft } = pending;
  if (!image || !draft || !store.state.proposing || whyNot()) return;
  ask({
    image,
    box,
    label,
    done(mask) {
      // What was asked for a moment ago still shows roughly where the outline will be.
      if (!mask || !pending.draft) return;
      pending.draft.mask = mask;
      redraw();
    },
  });
}

/** Proposes the outline of the selected box, if a person has not drawn one. */
export function proposeSelected() {
  const object = selectedObject();
  if (object && store.state.proposing && !whyNot() && (!object.mask || object.proposed)) propose(object);
}

/** After the last of several keys, so that these stay one step. */
export function proposeSoon() {
  clearTimeout(soon);
  soon = setTimeout(proposeSelected, PAUSE);
}

/** @returns {AnnotatedObject|null} */
function selectedObject() {
  const { selectedBox } = store.state;
  return selectedBox === null ? null : (currentObjects()[selectedBox] ?? null);
}

/** @param {AnnotatedObject} object of the current image */
function propose(object) {
  const image = currentImage();
  if (!image) return;
  const { box, label } = object;
  ask({
    image,
    box,
    label,
    done(mask) {
      // The box may have gone, or changed, by now.
      if (mask && put(image, new Map([[object, mask]]), 'Outline proposed')) announce('Outline proposed; U removes it.');
    },
  });
}

/** Gives objects their outlines, as one step. @param {ImageEntry} image @param {Map<AnnotatedObject, Rle>} masks @param {string} what */
function put(image, masks, what) {
  const edit = withMasks(image, masks);
  return edit !== null && commit(what, [[image, edit]]);
}

/** @param {ImageEntry} image @param {Map<AnnotatedObject, Rle>} masks */
function withMasks({ annotations }, masks) {
  if (!annotations?.objects.some((object) => masks.has(object))) return null;
  const objects = annotations.objects.map((object) => {
    const mask = masks.get(object);
    return mask ? { ...object, mask, proposed: true } : object;
  });
  return { ...annotations, objects };
}

/** Takes the outline of the selected box away, or proposes one where there is none. */
export function toggleOutline() {
  const image = currentImage();
  const object = selectedObject();
  if (!image?.annotations || !object || refused()) return;
  if (!object.mask) {
    const why = whyNot();
    if (why) notify(`No outline can be proposed: ${why[0].toLowerCase()}${why.slice(1)}.`);
    else propose(object);
    return;
  }
  const { mask, proposed, ...bare } = object;
  const objects = image.annotations.objects.map((one) => (one === object ? bare : one));
  commit('Outline removed', [[image, { ...image.annotations, objects }]]);
  announce('Outline removed.');
}

/** Boxes of all images that have no outline. */
function open() {
  return store.state.images.filter(({ annotations, problem }) => !problem && annotations?.objects.some(({ mask }) => !mask));
}

/** The run over all images; null where there is none. @type {AbortController|null} */
let run = null;

/** Outlines every box of all images that has no outline, as one step. */
async function proposeAll() {
  const images = open();
  run = new AbortController();
  const { signal } = run;
  /** @type {[ImageEntry, Map<AnnotatedObject, Rle>][]} */ const found = [];
  const button = byId('outline-all');
  try {
    for (const [at, image] of images.entries()) {
      button.textContent = `Cancel (${at + 1} of ${images.length.toLocaleString('en')})`;
      const bare = (image.annotations?.objects ?? []).filter(({ mask }) => !mask);
      /** @type {Map<AnnotatedObject, Rle>} */ const masks = new Map();
      for (let from = 0; from < bare.length; from += TOGETHER) {
        const some = bare.slice(from, from + TOGETHER);
        const outlines = await outlinesOf(image, some, signal);
        some.forEach((object, index) => outlines[index] && masks.set(object, outlines[index]));
      }
      found.push([image, masks]);
    }
  } catch (error) {
    if (!(error instanceof Cancelled)) notify(`The boxes could not all be outlined: ${explain(error)}`, { kind: 'error' });
  }
  run = null;
  const edits = found.flatMap(([image, masks]) => {
    const edit = withMasks(image, masks);
    return edit ? [/** @type {[ImageEntry, typeof edit]} */ ([image, edit])] : [];
  });
  const count = found.reduce((sum, [, masks]) => sum + masks.size, 0);
  const what = `${plural(count, 'box', 'boxes')} outlined`;
  if (edits.length) commit(what, edits);
  announce(`${what}.`);
  store.touch('annotations');
}

export function startProposals() {
  const choice = byId('proposing');
  choice.addEventListener('change', () => store.set({ proposing: choice.checked }));
  byId('outline-all').addEventListener('click', () => (run ? run.abort() : proposeAll()));
  byId('box-outline').addEventListener('click', toggleOutline);
  store.subscribe(
    ['annotations', 'images', 'current', 'selectedBox', 'model', 'engine', 'job', 'training', 'readOnly', 'proposing'],
    ({ proposing, readOnly }) => {
      const why = whyNot();
      choice.checked = proposing;
      choice.disabled = readOnly;
      choice.title = why ? `${why}.` : '';
      const object = selectedObject();
      byId('box-outline').textContent = object?.mask ? 'Remove outline' : 'Outline';
      byId('box-outline').disabled = readOnly || (!object?.mask && Boolean(why));
      if (run) return;
      const images = open();
      const count = images.reduce((sum, { annotations }) => sum + (annotations?.objects.filter(({ mask }) => !mask).length ?? 0), 0);
      byId('outline-all').textContent = count ? `Outline ${plural(count, 'box', 'boxes')}` : 'Outline boxes';
      byId('outline-all').disabled = count === 0 || Boolean(why);
      byId('outline-all').title = why ? `${why}.` : 'Outline every box without an outline, in all images';
    },
  );
}
