/** Changes of the outlines of annotated objects, each one step of the history. The box of an object follows its outline. */
import { currentObjects, edit, nextLabel } from './annotations.js';
import { touchesEdge } from '../canvas/geometry.js';
import { split, union } from './mask-parts.js';
import { fillHoles, fillPolygon, grow, polygonBox, shrink } from './mask-shapes.js';
import { maskBox, newWindow, readWindow, toRuns, unionOf, usedBox, wholePixels, widened, withMargin } from './mask-window.js';
import { area } from '../shared/run-lengths.js';
import { currentImage, store } from '../shared/page-state.js';
import { announce, notify, plural } from '../ui/dom.js';

/** @typedef {import('./mask-window.js').Box} Box */
/** @typedef {import('./mask-window.js').MaskWindow} MaskWindow */
/** @typedef {import('./mask-window.js').Size} Size */
/** @typedef {import('./mask-shapes.js').Place} Place */
/** @typedef {import('../shared/page-state.js').AnnotatedObject} AnnotatedObject */

/** The pixels of an object; of one that has only a box, those of the box. @param {AnnotatedObject} object @param {Size} size @returns {MaskWindow} */
export function pixelsOf({ box, mask }, size) {
  return (mask && readWindow(mask)) || newWindow(withMargin(wholePixels(box), 0, size), 1);
}

/**
 * An object with another outline, drawn by hand from now on; null where nothing is set.
 * @param {Omit<AnnotatedObject, 'box'>} object @param {MaskWindow} window @param {Size} size @returns {AnnotatedObject|null}
 */
function outlined({ proposed, ...object }, window, size) {
  const mask = toRuns(window, size);
  const box = maskBox(mask);
  return box && { ...object, box, truncated: touchesEdge(box, size), mask };
}

/** @param {AnnotatedObject} object @returns {string} its label, area and size, as a screen reader says it */
function described({ label, box, mask }) {
  const pixels = mask ? `${plural(area(mask), 'pixel')}, ` : '';
  return `${label}, ${pixels}${Math.round(box[2] - box[0])} by ${Math.round(box[3] - box[1])}`;
}

/**
 * Gives an object another outline, or makes a new one of the current label; nothing left of the outline deletes the object.
 * @param {string} what @param {number|null} index null for a new object @param {MaskWindow} window
 * @param {{key?: string, before?: number}} [options] `key` joins steps; `before`: pixels of the outline before a gesture that only
 *   adds or only takes: with as many it has changed nothing, and is no step
 */
export function setOutline(what, index, window, { key, before } = {}) {
  const image = currentImage();
  if (!image?.size) return false;
  const objects = [...currentObjects()];
  const at = index ?? objects.length;
  const changed = outlined(index === null ? { label: nextLabel(), difficult: false, truncated: false } : objects[at], window, image.size);
  if (!changed) {
    if (index === null) return false;
    const done = edit('Outline erased', image, objects.toSpliced(at, 1), { selectedBox: null });
    if (done) announce('Nothing is left of the outline; its box was deleted.');
    return done;
  }
  if (changed.mask && area(changed.mask) === before) return false;
  objects[at] = changed;
  const done = edit(what, image, objects, { selectedBox: at, key: key && `${key} ${image.id} ${at}` });
  if (done) announce(`${what}: ${described(changed)}`);
  return done;
}

/** The selected object with its outline; where there is none that is said. @param {string} purpose */
function selectedOutline(purpose) {
  const { selectedBox } = store.state;
  const image = currentImage();
  const object = selectedBox === null ? null : currentObjects()[selectedBox];
  if (selectedBox === null || !object || !image?.size) {
    notify(`Select a cell ${purpose}.`);
    return null;
  }
  const window = object.mask ? readWindow(object.mask) : null;
  if (!window) notify('This box has no outline. Paint one with the brush (P) or a polygon (T).');
  return window && { index: selectedBox, window, size: image.size };
}

export function fillSelected() {
  const selected = selectedOutline('to fill its holes');
  if (!selected) return false;
  if (fillHoles(selected.window)) return setOutline('Holes filled', selected.index, selected.window);
  announce('The outline has no holes.');
  return false;
}

/** Moves the contour of the selected outline outwards, or inwards. @param {number} pixels */
export function growSelected(pixels) {
  const selected = selectedOutline(pixels > 0 ? 'to grow its outline' : 'to shrink its outline');
  if (!selected) return false;
  const { index, window, size } = selected;
  const changed = pixels > 0 ? grow(window, pixels, size) : shrink(window, -pixels, size);
  if (!usedBox(changed)) {
    notify('The outline is too small to shrink.');
    return false;
  }
  return setOutline(pixels > 0 ? 'Outline grown' : 'Outline shrunk', index, changed, { key: 'grow' });
}

/**
 * Adds the inside of a polygon to an object, or takes it out; without an object it is a new one.
 * @param {number|null} index @param {Place[]} points @param {0|1} value
 */
export function drawPolygon(index, points, value) {
  const size = currentImage()?.size;
  const box = size && polygonBox(points, size);
  if (!size || !box || (index === null && !value)) return false;
  const object = index === null ? null : currentObjects()[index];
  const before = object && (object.mask || !value) ? pixelsOf(object, size) : newWindow(box);
  const window = value ? widened(before, box, size) : before;
  fillPolygon(window, points, value);
  return setOutline(value ? 'Polygon drawn' : 'Polygon cut out', index, window);
}

/**
 * Divides an object along a line. The larger part stays where it is in the list; boxes without an outline become two boxes.
 * @param {number} index @param {Place} a @param {Place} b
 */
export function splitObject(index, a, b) {
  const image = currentImage();
  const object = currentObjects()[index];
  if (!image?.size || !object) return false;
  const { size } = image;
  const parts = split(pixelsOf(object, size), a, b);
  if (!parts) {
    notify('The line must cross the cell from edge to edge.');
    return false;
  }
  const [larger, smaller] = parts.map((part) => {
    const { mask, ...rest } = /** @type {AnnotatedObject} */ (outlined(object, part, size));
    return object.mask ? { ...rest, mask } : rest;
  });
  const objects = [...currentObjects()];
  objects[index] = larger;
  objects.push(smaller);
  const done = edit('Cell split', image, objects, { selectedBox: index });
  if (done) announce(`Split in two: ${described(larger)}; ${described(smaller)}`);
  return done;
}

/** Makes one object of two, with the label of the first. @param {number} index @param {number} other */
export function mergeObjects(index, other) {
  const image = currentImage();
  const [object, second] = [currentObjects()[index], currentObjects()[other]];
  if (!image?.size || !object || !second || index === other) return false;
  const { size } = image;
  const { mask, proposed, ...rest } = object;
  const box = unionOf(object.box, second.box);
  /** @type {AnnotatedObject} */
  const plain = { ...rest, box, truncated: touchesEdge(box, size) };
  const both = mask && second.mask ? union(pixelsOf(object, size), pixelsOf(second, size)) : null;
  const merged = (both && outlined(object, both, size)) ?? plain;
  const objects = currentObjects().map((one, at) => (at === index ? merged : one));
  const done = edit('Cells merged', image, objects.toSpliced(other, 1), { selectedBox: index - Number(other < index) });
  if (done && !merged.mask && (mask || second.mask)) notify('The merged box has no outline because one of the two had none.');
  else if (done) announce(`Merged: ${described(merged)}`);
  return done;
}
