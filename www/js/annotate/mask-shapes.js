/**
 * What a gesture does to the pixels of a mask: strokes, polygons, holes, and a contour that moves outwards or inwards. A
 * pixel is in a shape where its centre is.
 */
import { eachRun, extentOf, fillColumn, moveWindow, newWindow, usedBox, withMargin } from './mask-window.js';

/** @typedef {import('./mask-window.js').Box} Box */
/** @typedef {import('./mask-window.js').MaskWindow} MaskWindow */
/** @typedef {import('./mask-window.js').Size} Size */
/** @typedef {[number, number]} Place x, y in pixels of the image */

/** The whole pixels that a stroke between two places can reach. @param {Place} a @param {Place} b @param {number} radius @returns {Box} */
export function strokeBox(a, b, radius) {
  const least = (/** @type {0|1} */ side) => Math.floor(Math.min(a[side], b[side]) - radius);
  const most = (/** @type {0|1} */ side) => Math.ceil(Math.max(a[side], b[side]) + radius);
  return [least(0), least(1), most(0), most(1)];
}

/**
 * Sets what a disc passes over on its way from one place to another. The shape is convex, so each column of it is one run.
 * @param {MaskWindow} window @param {Place} a @param {Place} b @param {number} radius @param {0|1} value
 */
export function paintStroke(window, a, b, radius, value) {
  const [x1, , x2] = strokeBox(a, b, radius);
  const length = Math.hypot(b[0] - a[0], b[1] - a[1]);
  const [nx, ny] = length > 0 ? [((a[1] - b[1]) * radius) / length, ((b[0] - a[0]) * radius) / length] : [0, 0];
  for (let column = Math.max(x1, window.x); column < Math.min(x2, window.x + window.width); column += 1) {
    const x = column + 0.5;
    let [low, high] = [Infinity, -Infinity];
    const reach = (/** @type {number} */ y) => {
      low = Math.min(low, y);
      high = Math.max(high, y);
    };
    for (const [endX, endY] of [a, b]) {
      const half = Math.sqrt(radius * radius - (x - endX) ** 2);
      if (Number.isNaN(half)) continue;
      reach(endY - half);
      reach(endY + half);
    }
    for (const side of [1, -1]) {
      const [fromX, toX] = [a[0] + side * nx, b[0] + side * nx];
      if (fromX === toX || x < Math.min(fromX, toX) || x > Math.max(fromX, toX)) continue;
      reach(a[1] + side * ny + ((x - fromX) / (toX - fromX)) * (b[1] - a[1]));
    }
    fillColumn(window, column, Math.ceil(low - 0.5), Math.floor(high - 0.5) + 1, value);
  }
}

/** The whole pixels that a polygon covers, as far as the image goes; null where it has none. @param {Place[]} points @param {Size} size @returns {Box|null} */
export function polygonBox(points, size) {
  const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
  const x1 = Math.max(0, Math.floor(Math.min(...xs)));
  const y1 = Math.max(0, Math.floor(Math.min(...ys)));
  const x2 = Math.min(size.width, Math.ceil(Math.max(...xs)));
  const y2 = Math.min(size.height, Math.ceil(Math.max(...ys)));
  return x1 < x2 && y1 < y2 ? [x1, y1, x2, y2] : null;
}

/** Sets the inside of a polygon by the even-odd rule. @param {MaskWindow} window @param {Place[]} points @param {0|1} value */
export function fillPolygon(window, points, value) {
  for (let column = window.x; column < window.x + window.width; column += 1) {
    const x = column + 0.5;
    /** @type {number[]} */
    const crossings = [];
    points.forEach(([x1, y1], index) => {
      const [x2, y2] = points[(index + 1) % points.length];
      if (x1 <= x !== x2 <= x) crossings.push(y1 + ((x - x1) / (x2 - x1)) * (y2 - y1));
    });
    crossings.sort((a, b) => a - b);
    for (let at = 0; at + 1 < crossings.length; at += 2) {
      fillColumn(window, column, Math.ceil(crossings[at] - 0.5), Math.ceil(crossings[at + 1] - 0.5), value);
    }
  }
}

/** Sets what no path of background leads out of, along the four sides of pixels. Returns whether there was such a hole. @param {MaskWindow} window */
export function fillHoles({ width, height, pixels }) {
  const outside = new Uint8Array(pixels.length);
  /** @type {number[]} */
  const open = [];
  const visit = (/** @type {number} */ at) => {
    if (pixels[at] || outside[at]) return;
    outside[at] = 1;
    open.push(at);
  };
  for (let column = 0; column < width; column += 1) {
    visit(column * height);
    visit(column * height + height - 1);
  }
  for (let row = 0; row < height; row += 1) {
    visit(row);
    visit((width - 1) * height + row);
  }
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    const row = at % height;
    if (row > 0) visit(at - 1);
    if (row < height - 1) visit(at + 1);
    if (at >= height) visit(at - height);
    if (at + height < pixels.length) visit(at + height);
  }
  let filled = false;
  for (let at = 0; at < pixels.length; at += 1) {
    if (pixels[at] || outside[at]) continue;
    pixels[at] = 1;
    filled = true;
  }
  return filled;
}

/** The mask and all within that many pixels of it, as far as the image goes. @param {MaskWindow} window @param {number} pixels @param {Size} size @returns {MaskWindow} */
export function grow(window, pixels, size) {
  const grown = newWindow(withMargin(extentOf(window), pixels, size));
  const reach = Array.from({ length: 2 * pixels + 1 }, (_, at) => Math.floor(Math.sqrt(pixels ** 2 - (at - pixels) ** 2)));
  eachRun(window, (column, from, to) => {
    reach.forEach((up, at) => fillColumn(grown, column + at - pixels, from - up, to + up, 1));
  });
  return grown;
}

/** @param {MaskWindow} window @returns {MaskWindow} */
function inverted(window) {
  return { ...window, pixels: window.pixels.map((value) => 1 - value) };
}

/**
 * The mask without all within that many pixels of its background. Beyond the edge of the image nobody knows what is there, so
 * a cell that is cut by the edge keeps it.
 * @param {MaskWindow} window @param {number} pixels @param {Size} size @returns {MaskWindow}
 */
export function shrink(window, pixels, size) {
  const used = usedBox(window);
  if (!used) return window;
  const around = moveWindow(window, withMargin(used, pixels, size));
  return inverted(moveWindow(grow(inverted(around), pixels, size), extentOf(around)));
}
