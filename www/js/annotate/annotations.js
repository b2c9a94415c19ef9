/**
 * annotate/ is what people draw and correct: boxes, labels, their history, and annotation files.
 *
 * Every change of annotations, and the only code that writes them. A change replaces what an image has by a new
 * object and is one step of the history, whichever image it is on.
 */
import { colorOfNewLabel } from '../canvas/colors.js';
import { announce, notify, plural } from '../ui/dom.js';
import { clipBox, sameBox, shiftBox, touchesEdge } from '../canvas/geometry.js';
import { isThere } from '../canvas/open-detections.js';
import { History } from './history.js';
import { cropMask, shiftMask } from './mask-window.js';
import { foregroundClasses } from '../engine/protocol.js';
import { OBJECTS } from '../shared/engine-limits.js';
import { currentImage, select, store } from '../shared/page-state.js';

/**
 * @typedef {import('../shared/page-state.js').ImageEntry} ImageEntry
 * @typedef {import('../shared/page-state.js').Annotations} Annotations
 * @typedef {import('../shared/page-state.js').AnnotatedObject} AnnotatedObject
 * @typedef {import('../canvas/geometry.js').Box} Box
 * @typedef {{name: string, color: string}[]} Labels
 * @typedef {{labels?: Labels, key?: string, selectedBox?: number|null, rejections?: [ImageEntry, number[]][]}} CommitOptions `key` joins
 *   steps; `rejections`: the detections of images that count as wrong from now on
 *
 * @typedef {Object} Step
 * @property {string} what for people: “Box moved”
 * @property {Map<number, {before: Annotations|null, after: Annotations|null}>} images by id
 * @property {{before: Labels, after: Labels}} labels
 * @property {Map<number, {of: object, before: number[], after: number[]}>} rejections by id; `of`: the detections that the numbers
 *   are of, as others may be there when the step is taken back
 */

/** Pixels by which a duplicate lies beside its original. */
const ASIDE = 10;
/** A detector of more classes than this, such as of everyday things, does not give the project its labels. */
const MANY = 12;
/** The label of the first box where the user has named none. */
export const FIRST_LABEL = 'cell';

/** @type {Annotations} */
const NOTHING = Object.freeze({ verified: false, objects: [] });

/** @type {History<Step>} */
const history = new History((first, second) => ({
  what: second.what,
  images: new Map([...second.images].map(([id, { before, after }]) => [id, { before: first.images.get(id)?.before ?? before, after }])),
  labels: { before: first.labels.before, after: second.labels.after },
  rejections: new Map([...second.rejections].map(([id, change]) => [id, { ...change, before: first.rejections.get(id)?.before ?? change.before }])),
}));

/** Whether edits are off, which is then said. */
export function refused() {
  if (!store.state.readOnly) return false;
  notify('This project is being edited in another tab. Close that tab or press Edit here.', { kind: 'error' });
  return true;
}

/**
 * Makes a change, as one step.
 * @param {string} what
 * @param {[ImageEntry, Annotations|null][]} edits
 * @param {CommitOptions} [options]
 * @returns {boolean} whether anything has changed
 */
export function commit(what, edits, { labels = firstLabels(), key = '', selectedBox, rejections = [] } = {}) {
  if (refused()) return false;
  const changed = edits.filter(([image, after]) => image.annotations !== after);
  const full = changed.find(([, after]) => (after?.objects.length ?? 0) > OBJECTS);
  if (full) {
    notify(`${full[0].name} would exceed the limit of ${plural(OBJECTS, 'box', 'boxes')} per image.`, { kind: 'error' });
    return false;
  }
  /** @type {Step} */
  const step = {
    what,
    images: new Map(changed.map(([image, after]) => [image.id, { before: image.annotations, after }])),
    labels: { before: store.state.labels, after: withNames(labels, changed) },
    rejections: new Map(
      rejections.flatMap(([{ id, result }, after]) => (result ? [[id, { of: result.detections, before: result.rejected ?? [], after }]] : [])),
    ),
  };
  if (changed.length === 0 && step.rejections.size === 0 && step.labels.before === step.labels.after) return false;
  history.push(step, key);
  write(step, 'after');
  if (selectedBox !== undefined) store.set({ selectedBox });
  return true;
}

/** The project's labels; those of the detector where the user has named none. */
function firstLabels() {
  const { labels, model } = store.state;
  const classes = labels.length || !model ? [] : foregroundClasses(model.report.config);
  if (classes.length === 0 || classes.length > MANY) return labels;
  return classes.reduce((all, name) => [...all, { name, color: colorOfNewLabel(name, all) }], /** @type {Labels} */ ([]));
}

/** The labels with those that the new objects bring along. @param {Labels} labels @param {[ImageEntry, Annotations|null][]} changed */
function withNames(labels, changed) {
  const known = new Set(labels.map(({ name }) => name));
  const all = [...labels];
  for (const [, after] of changed) {
    for (const { label } of after?.objects ?? []) {
      if (known.has(label)) continue;
      known.add(label);
      all.push({ name: label, color: colorOfNewLabel(label, all) });
    }
  }
  return all.length === labels.length ? labels : all;
}

/** @param {Step} step @param {'before'|'after'} side */
function write(step, side) {
  for (const image of store.state.images) {
    const change = step.images.get(image.id);
    if (change) image.annotations = change[side];
    const rejection = step.rejections.get(image.id);
    if (rejection && image.result?.detections === rejection.of) {
      const { rejected, ...rest } = image.result;
      image.result = rejection[side].length ? { ...rest, rejected: rejection[side] } : rest;
    }
  }
  if (store.state.labels !== step.labels[side]) store.set({ labels: step.labels[side] });
  store.touch('images', 'annotations');
}

/** @param {Step} step @param {'before'|'after'} side */
function travel(step, side) {
  write(step, side);
  const { current, images } = store.state;
  const isOn = (/** @type {number} */ id) => step.images.has(id) || step.rejections.has(id);
  if (step.images.size + step.rejections.size > 0 && !isOn(current ?? -1)) {
    const first = images.find(({ id }) => isOn(id));
    if (first) select(first.id);
  }
  const change = step.images.get(store.state.current ?? -1);
  if (change) store.set({ selectedBox: firstNew(change, side) });
}

/**
 * The first box that is there now and was not so before; none where boxes only went away.
 * @param {{before: Annotations|null, after: Annotations|null}} change @param {'before'|'after'} side @returns {number|null}
 */
function firstNew({ before, after }, side) {
  const [now, then] = side === 'before' ? [before, after] : [after, before];
  const old = new Set(then?.objects);
  const index = (now?.objects ?? []).findIndex((object) => !old.has(object));
  return index < 0 ? null : index;
}

export function undo() {
  if (refused()) return;
  const step = history.undo();
  if (!step) return;
  travel(step, 'before');
  announce(`Undone: ${step.what}`);
}

export function redo() {
  if (refused()) return;
  const step = history.redo();
  if (!step) return;
  travel(step, 'after');
  announce(`Redone: ${step.what}`);
}

/** What undo and redo would do, for their buttons. */
export function historyNames() {
  return { undo: history.last?.what ?? '', redo: history.next?.what ?? '' };
}

/** Another project is there now: its steps are not this one's. */
export function forgetHistory() {
  history.clear();
  store.touch('annotations');
}

/** @returns {AnnotatedObject[]} of the current image */
export function currentObjects() {
  return currentImage()?.annotations?.objects ?? [];
}

/**
 * Replaces the objects of an image.
 * @param {string} what @param {ImageEntry} image @param {AnnotatedObject[]} objects @param {CommitOptions} [options]
 */
export function edit(what, image, objects, options) {
  return commit(what, [[image, { ...(image.annotations ?? NOTHING), objects }]], options);
}

/**
 * Replaces one object of the current image.
 * @param {string} what @param {number} index @param {(object: AnnotatedObject) => AnnotatedObject} change @param {CommitOptions} [options]
 */
function editObject(what, index, change, options) {
  const image = currentImage();
  const all = image?.annotations?.objects ?? [];
  const object = all[index];
  if (!image || !object) return false;
  const objects = [...all];
  objects[index] = change(object);
  return edit(what, image, objects, { selectedBox: index, ...options });
}

/** The label for the next box; the first of all is given by the detector, or is simply a cell. */
export function nextLabel() {
  const labels = firstLabels();
  return labels.find(({ name }) => name === store.state.label)?.name ?? labels[0]?.name ?? FIRST_LABEL;
}

/** Adds a box to the current image and selects it. @param {ArrayLike<number>} corners */
export function createBox(corners) {
  const image = currentImage();
  if (!image?.size) return false;
  const box = clipBox(corners, image.size);
  const label = nextLabel();
  const objects = currentObjects();
  const object = { box, label, difficult: false, truncated: touchesEdge(box, image.size) };
  return edit('Box drawn', image, [...objects, object], { selectedBox: objects.length });
}

/**
 * Gives a box other corners. One that is moved takes its mask along; one that is resized keeps what of it lies within.
 * @param {number} index @param {ArrayLike<number>} corners @param {string} what @param {string} [key]
 */
export function setBox(index, corners, what, key) {
  const size = currentImage()?.size;
  const object = currentObjects()[index];
  if (!size || !object) return false;
  const box = clipBox(corners, size);
  if (sameBox(box, object.box)) return false;
  const { mask, proposed, ...rest } = object;
  const kept = mask ? maskIn(box, object.box, mask) : null;
  if (mask && !kept) announce('The outline was removed because nothing of it lies in the box.');
  const outline = kept ? { mask: kept, ...(proposed ? { proposed } : {}) } : {};
  return editObject(what, index, () => ({ ...rest, box, truncated: touchesEdge(box, size), ...outline }), {
    key: key && `${key} ${currentImage()?.id} ${index}`,
  });
}

/**
 * The mask of a box that was moved or resized; null where nothing of it is left.
 * @param {Box} box @param {Box} before @param {import('../engine/protocol.js').Rle} mask
 */
function maskIn(box, before, mask) {
  const [dx, dy] = [box[0] - before[0], box[1] - before[1]];
  // Corners are 32-bit floats: the sides of a moved box may differ by a rounding.
  const isMoved = Math.abs(box[2] - before[2] - dx) < 0.01 && Math.abs(box[3] - before[3] - dy) < 0.01;
  return isMoved ? shiftMask(mask, Math.round(dx), Math.round(dy)) : cropMask(mask, box);
}

/** @param {number} index @param {string} label */
export function relabel(index, label) {
  store.set({ label });
  if (currentObjects()[index]?.label === label) return false;
  return editObject(`Label set to ${label}`, index, (object) => ({ ...object, label }));
}

/** @param {number} index */
export function toggleDifficult(index) {
  const now = !currentObjects()[index]?.difficult;
  return editObject(now ? 'Marked as difficult' : 'Marked as not difficult', index, (object) => ({ ...object, difficult: now }));
}

/** A copy of a box beside it; the mask stays with the original. @param {number} index */
export function duplicate(index) {
  const image = currentImage();
  const object = currentObjects()[index];
  if (!image?.size || !object) return false;
  const { width, height } = image.size;
  const dx = object.box[2] + ASIDE <= width ? ASIDE : -ASIDE;
  const dy = object.box[3] + ASIDE <= height ? ASIDE : -ASIDE;
  const box = shiftBox(object.box, dx, dy, image.size);
  const { mask, ...rest } = object;
  const objects = currentObjects();
  return edit('Box duplicated', image, [...objects, { ...rest, box, truncated: touchesEdge(box, image.size) }], { selectedBox: objects.length });
}

/** @param {number} index */
export function removeBox(index) {
  const image = currentImage();
  const objects = currentObjects();
  if (!image || !objects[index]) return false;
  const left = objects.filter((_, at) => at !== index);
  return edit('Box deleted', image, left, { selectedBox: left.length ? Math.min(index, left.length - 1) : null });
}

/** @param {ImageEntry|null} [image] */
export function toggleVerified(image = currentImage()) {
  if (!image || image.problem) return false;
  const verified = !image.annotations?.verified;
  const { incomplete, ...rest } = image.annotations ?? NOTHING;
  // Whoever has looked at the whole image has also seen to what a file left out.
  const after = { ...rest, verified, ...(incomplete && !verified ? { incomplete } : {}) };
  const done = commit(verified ? 'Marked as verified' : 'Marked as not verified', [[image, after]]);
  if (done) announce(`${image.name} is ${verified ? '' : 'not '}verified.`);
  return done;
}

/** Adds the boxes of another image to the current one; masks stay, they belong to the pixels of their image. @param {ImageEntry} source */
export function copyFrom(source) {
  const image = currentImage();
  const from = source.annotations?.objects ?? [];
  if (!image?.size || from.length === 0) return 0;
  const { width, height } = image.size;
  const objects = currentObjects();
  const copied = from
    .filter(({ box }) => box[0] < width && box[1] < height)
    .map(({ mask, ...rest }) => ({ ...rest, box: clipBox(rest.box, { width, height }) }))
    .filter((object) => !isThere(objects, object));
  if (copied.length) edit(`Copied from ${source.name}`, image, [...objects, ...copied]);
  announce(`${plural(copied.length, 'box', 'boxes')} copied from ${source.name}.`);
  return copied.length;
}

/** Makes annotations of detections of the current image, masks and all. @param {import('../engine/protocol.js').Detection[]} detections */
export function accept(detections) {
  const image = currentImage();
  const from = image?.result?.detections;
  const size = image?.size ?? from;
  if (!image || !size) return 0;
  const objects = [...currentObjects()];
  for (const { box: found, label, mask } of detections) {
    const box = clipBox(found, size);
    if (isThere(objects, { box, label })) continue;
    objects.push({ box, label, difficult: false, truncated: touchesEdge(box, size), ...(mask ? { mask } : {}) });
  }
  const count = objects.length - currentObjects().length;
  if (count > 0) edit(`${plural(count, 'detection')} accepted`, image, objects, { selectedBox: count === 1 ? objects.length - 1 : null });
  announce(`${plural(count, 'detection')} accepted.`);
  return count;
}
