/** One stroke of the brush or the eraser while it is drawn: the pixels around the cell, and where they change. */
import { newWindow, overlapOf, widened } from './mask-window.js';
import { paintStroke, strokeBox } from './mask-shapes.js';

/** @typedef {import('./mask-window.js').Box} Box */
/** @typedef {import('./mask-window.js').MaskWindow} MaskWindow */
/** @typedef {import('./mask-shapes.js').Place} Place */

/** Pixels of the longest piece of a stroke that is painted, and shown, at once: a long one touches little of its bounding box. */
const PIECE = 64;

export class Stroke {
  /** @type {MaskWindow|null} */ window;
  #size;
  #radius;
  #value;
  /** @type {Place|null} */ #last = null;

  /**
   * @param {MaskWindow|null} window what is there already
   * @param {import('./mask-window.js').Size} size of the image
   * @param {number} diameter @param {0|1} value
   */
  constructor(window, size, diameter, value) {
    this.window = window;
    this.#size = size;
    this.#radius = diameter / 2;
    this.#value = value;
  }

  /** Draws on to a place. @param {Place} place @param {(changed: Box) => void} [changed] told of each piece */
  to(place, changed) {
    const [x, y] = place;
    // A brush of one pixel takes the pixel that it is on.
    /** @type {Place} */
    const end = this.#radius < 1 ? [Math.floor(x) + 0.5, Math.floor(y) + 0.5] : [x, y];
    const start = this.#last ?? end;
    this.#last = end;
    const pieces = Math.max(1, Math.ceil(Math.hypot(end[0] - start[0], end[1] - start[1]) / Math.max(PIECE, this.#radius)));
    for (let piece = 0; piece < pieces; piece += 1) {
      this.#paint(between(start, end, piece / pieces), between(start, end, (piece + 1) / pieces), changed);
    }
  }

  /** @param {Place} from @param {Place} to @param {(changed: Box) => void} [changed] */
  #paint(from, to, changed) {
    const { width, height } = this.#size;
    const box = overlapOf(strokeBox(from, to, this.#radius), [0, 0, width, height]);
    if (!box) return;
    if (this.#value) this.window = widened(this.window ?? newWindow(box), box, this.#size);
    if (!this.window) return;
    paintStroke(this.window, from, to, this.#radius, this.#value);
    changed?.(box);
  }
}

/** @param {Place} a @param {Place} b @param {number} share @returns {Place} */
function between(a, b, share) {
  return [a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share];
}
