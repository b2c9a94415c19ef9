/** Which cell lies next to another one: the first guess when two are to be merged. */
import { currentObjects } from './annotations.js';
import { boxArea } from '../canvas/geometry.js';
import { grow } from './mask-shapes.js';
import { countPixels, cropMask, overlapOf, readWindow, wholePixels, withMargin } from './mask-window.js';
import { union } from './mask-parts.js';
import { currentImage } from '../shared/page-state.js';

/** @typedef {import('../canvas/geometry.js').Size} Size */
/** @typedef {import('../shared/page-state.js').AnnotatedObject} AnnotatedObject */

/** Pixels between two cells that are still neighbours, as a share of the side of the first. */
const REACH = 0.5;

/** Pixels between two boxes; negative where they overlap. @param {ArrayLike<number>} a @param {ArrayLike<number>} b */
function gap(a, b) {
  return Math.max(Math.max(a[0], b[0]) - Math.min(a[2], b[2]), Math.max(a[1], b[1]) - Math.min(a[3], b[3]));
}

/** Pixels in which the outlines of two objects touch, or their boxes where one has none. @param {AnnotatedObject} a @param {AnnotatedObject} b @param {Size} size */
function contact(a, b, size) {
  const zone = overlapOf(withMargin(wholePixels(a.box), 1, size), withMargin(wholePixels(b.box), 1, size));
  if (!zone) return 0;
  if (!a.mask || !b.mask) return boxArea(zone);
  const [one, other] = [cropMask(a.mask, zone), cropMask(b.mask, zone)].map((mask) => mask && readWindow(mask));
  if (!one || !other) return 0;
  const near = grow(one, 1, size);
  return countPixels(near) + countPixels(other) - countPixels(union(near, other));
}

/** The object that touches another one most, or else the nearest within half its side; null where it stands alone. @param {number} index @returns {number|null} */
export function neighbourOf(index) {
  const size = currentImage()?.size;
  const objects = currentObjects();
  const object = objects[index];
  if (!size || !object) return null;
  const reach = REACH * Math.sqrt(boxArea(object.box));
  const near = objects
    .map((other, at) => ({ other, at, gap: gap(object.box, other.box) }))
    .filter((one) => one.at !== index && one.gap <= reach)
    .map((one) => ({ ...one, touching: contact(object, one.other, size) }))
    .sort((a, b) => b.touching - a.touching || a.gap - b.gap);
  return near[0]?.at ?? null;
}
