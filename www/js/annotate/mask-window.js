/**
 * A mask within a window on its image: one byte a pixel, column by column as run lengths are. Everything that edits a
 * mask works on the window around one cell, so a stroke on a large image costs no more than on a small one.
 */
import { runs } from '../shared/run-lengths.js';

/** @typedef {import('../canvas/geometry.js').Box} Box here of whole pixels, the last ones excluded */
/** @typedef {import('../canvas/geometry.js').Size} Size */
/** @typedef {import('../engine/protocol.js').Rle} Rle */

/**
 * @typedef {Object} MaskWindow
 * @property {number} x of its left column in the image
 * @property {number} y of its top row
 * @property {number} width
 * @property {number} height
 * @property {Uint8Array} pixels 0 or 1; (column - x) · height + (row - y)
 */

/** @param {Box} a @param {Box} b @returns {Box} */
export function unionOf(a, b) {
  return [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[2], b[2]), Math.max(a[3], b[3])];
}

/** What two boxes share; null where they only touch. @param {Box} a @param {Box} b @returns {Box|null} */
export function overlapOf(a, b) {
  /** @type {Box} */
  const both = [Math.max(a[0], b[0]), Math.max(a[1], b[1]), Math.min(a[2], b[2]), Math.min(a[3], b[3])];
  return both[0] < both[2] && both[1] < both[3] ? both : null;
}

/** The box with a margin, as far as the image goes. @param {Box} box @param {number} margin @param {Size} size @returns {Box} */
export function withMargin([x1, y1, x2, y2], margin, { width, height }) {
  return [Math.max(0, x1 - margin), Math.max(0, y1 - margin), Math.min(width, x2 + margin), Math.min(height, y2 + margin)];
}

/** Every pixel that a box of fractions touches. @param {ArrayLike<number>} box @returns {Box} */
export function wholePixels(box) {
  return [Math.floor(box[0]), Math.floor(box[1]), Math.ceil(box[2]), Math.ceil(box[3])];
}

/** @param {MaskWindow} window @returns {Box} */
export function extentOf({ x, y, width, height }) {
  return [x, y, x + width, y + height];
}

/** @param {Box} box @param {0|1} [value] @returns {MaskWindow} */
export function newWindow([x1, y1, x2, y2], value = 0) {
  const pixels = new Uint8Array((x2 - x1) * (y2 - y1));
  return { x: x1, y: y1, width: x2 - x1, height: y2 - y1, pixels: value ? pixels.fill(1) : pixels };
}

/** Calls with each run of a mask: its column, its first row and the row after its last. @param {Rle} rle @param {(column: number, from: number, to: number) => void} run */
function eachRunOf(rle, run) {
  const { height, counts } = runs(rle);
  let at = 0;
  for (let index = 0; index < counts.length; index += 1) {
    const end = at + counts[index];
    if (index % 2 === 1) {
      for (let from = at; from < end;) {
        const column = Math.floor(from / height);
        const to = Math.min(end, (column + 1) * height);
        run(column, from - column * height, to - column * height);
        from = to;
      }
    }
    at = end;
  }
}

/** Calls with each run of set pixels, in pixels of the image. @param {MaskWindow} window @param {(column: number, from: number, to: number) => void} run */
export function eachRun({ x, y, height, pixels }, run) {
  for (let at = 0; ;) {
    let from = pixels.indexOf(1, at);
    if (from < 0) return;
    const end = pixels.indexOf(0, from);
    at = end < 0 ? pixels.length : end;
    while (from < at) {
      const column = Math.floor(from / height);
      const to = Math.min(at, (column + 1) * height);
      run(x + column, y + from - column * height, y + to - column * height);
      from = to;
    }
  }
}

/** @param {(run: (column: number, from: number, to: number) => void) => void} each @returns {Box|null} null where there is no run */
function boxOfRuns(each) {
  let [x1, y1, x2, y2] = [Infinity, Infinity, -Infinity, -Infinity];
  each((column, from, to) => {
    x1 = Math.min(x1, column);
    y1 = Math.min(y1, from);
    x2 = Math.max(x2, column + 1);
    y2 = Math.max(y2, to);
  });
  return x1 < x2 ? [x1, y1, x2, y2] : null;
}

/** The bounding box of a mask; null where it is empty. @param {Rle} rle */
export function maskBox(rle) {
  return boxOfRuns((run) => eachRunOf(rle, run));
}

/** The bounding box of what is set; null where nothing is. @param {MaskWindow} window */
export function usedBox(window) {
  return boxOfRuns((run) => eachRun(window, run));
}

/** @param {MaskWindow} window */
export function countPixels(window) {
  let sum = 0;
  eachRun(window, (_, from, to) => (sum += to - from));
  return sum;
}

/** Sets the pixels of a column that lie in the window. @param {MaskWindow} window @param {number} column @param {number} from @param {number} to @param {number} value */
export function fillColumn({ x, y, width, height, pixels }, column, from, to, value) {
  if (column < x || column >= x + width) return;
  const [first, last] = [Math.max(from, y) - y, Math.min(to, y + height) - y];
  const start = (column - x) * height;
  if (first < last) pixels.fill(value, start + first, start + last);
}

/** The part of a mask that lies in a box of whole pixels; all of it where none is given. @param {Rle} rle @param {Box|null} [box] @returns {MaskWindow|null} null for an empty mask */
export function readWindow(rle, box = maskBox(rle)) {
  if (!box) return null;
  const window = newWindow(box);
  eachRunOf(rle, (column, from, to) => fillColumn(window, column, from, to, 1));
  return window;
}

/** The same pixels in another window; what lies outside it goes. @param {MaskWindow} window @param {Box} box @returns {MaskWindow} */
export function moveWindow(window, box) {
  const moved = newWindow(box);
  const both = overlapOf(extentOf(window), box);
  if (!both) return moved;
  for (let column = both[0]; column < both[2]; column += 1) {
    const start = (column - window.x) * window.height - window.y;
    moved.pixels.set(window.pixels.subarray(start + both[1], start + both[3]), (column - moved.x) * moved.height + both[1] - moved.y);
  }
  return moved;
}

/**
 * A window that holds the box too. It grows to all sides by half its length, so that a long stroke copies it a few times and not at every step.
 * @param {MaskWindow} window @param {Box} box within the image @param {Size} size of the image
 */
export function widened(window, box, size) {
  const old = extentOf(window);
  const both = unionOf(old, box);
  if (both.every((side, at) => side === old[at])) return window;
  const margin = Math.max(both[2] - both[0], both[3] - both[1]) >> 1;
  return moveWindow(window, withMargin(both, margin, size));
}

/** The run lengths of what is set and lies in the image. @param {MaskWindow} window @param {Size} size of the image @returns {Rle} */
export function toRuns(window, { width, height }) {
  /** @type {number[]} */
  const counts = [];
  let end = 0;
  eachRun(window, (column, from, to) => {
    const [first, last] = [Math.max(from, 0), Math.min(to, height)];
    if (column < 0 || column >= width || first >= last) return;
    const start = column * height + first;
    // A run that reaches the foot of a column goes on at the head of the next.
    if (counts.length > 0 && start === end) counts[counts.length - 1] += last - first;
    else counts.push(start - end, last - first);
    end = column * height + last;
  });
  if (end < width * height) counts.push(width * height - end);
  return { size: [height, width], counts };
}

/** @param {Rle} rle @returns {Size} */
function sizeOf({ size: [height, width] }) {
  return { width, height };
}

/** A mask at another place of its image; what leaves the image goes. @param {Rle} rle @param {number} dx @param {number} dy whole pixels @returns {Rle|null} null where nothing is left */
export function shiftMask(rle, dx, dy) {
  const window = readWindow(rle);
  if (!window) return null;
  const size = sizeOf(rle);
  const shifted = { ...window, x: window.x + dx, y: window.y + dy };
  return overlapOf(extentOf(shifted), [0, 0, size.width, size.height]) ? toRuns(shifted, size) : null;
}

/** The part of a mask that lies in a box; the same mask where that is all of it. @param {Rle} rle @param {ArrayLike<number>} box @returns {Rle|null} null where nothing is left */
export function cropMask(rle, box) {
  const used = maskBox(rle);
  const both = used && overlapOf(used, wholePixels(box));
  if (!used || !both) return null;
  if (both.every((side, at) => side === used[at])) return rle;
  const window = /** @type {MaskWindow} */ (readWindow(rle, both));
  return usedBox(window) ? toRuns(window, sizeOf(rle)) : null;
}
