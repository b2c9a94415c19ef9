/** Two masks out of one, along a line, and one out of two. */
import { countPixels, eachRun, extentOf, fillColumn, moveWindow, newWindow, unionOf } from './mask-window.js';

/** @typedef {import('./mask-window.js').MaskWindow} MaskWindow */
/** @typedef {import('./mask-shapes.js').Place} Place */

/** All pixels of both. @param {MaskWindow} a @param {MaskWindow} b @returns {MaskWindow} */
export function union(a, b) {
  const both = moveWindow(a, unionOf(extentOf(a), extentOf(b)));
  eachRun(b, (column, from, to) => fillColumn(both, column, from, to, 1));
  return both;
}

/** A pixel and its neighbours to come: every pair of the eight directions once. */
const STEPS = [
  [0, 1],
  [1, -1],
  [1, 0],
  [1, 1],
];

/**
 * Cuts a mask along a line from `a` to `b`. The line is a wall between pixels that ends where it was drawn, so it parts a
 * neck and leaves the rest of a bent cell whole; pieces that it does not touch go with the side on which they lie.
 * @param {MaskWindow} window @param {Place} a @param {Place} b
 * @returns {[MaskWindow, MaskWindow]|null} the larger one first; null where the line does not divide the mask
 */
export function split(window, a, b) {
  const { width, height, pixels } = window;
  const [dx, dy] = [b[0] - a[0], b[1] - a[1]];
  const length = dx * dx + dy * dy;
  if (length === 0) return null;
  const sideOf = (/** @type {number} */ at) => dx * (window.y + (at % height) + 0.5 - a[1]) - dy * (window.x + Math.floor(at / height) + 0.5 - a[0]);
  /** Whether the way from one pixel to a neighbour crosses the line between its ends. @param {number} from @param {number} to */
  const crosses = (from, to) => {
    const [here, there] = [sideOf(from), sideOf(to)];
    if (here >= 0 === there >= 0) return false;
    const share = here / (here - there);
    const x = window.x + 0.5 + Math.floor(from / height) + share * (Math.floor(to / height) - Math.floor(from / height));
    const y = window.y + 0.5 + (from % height) + share * ((to % height) - (from % height));
    const along = (x - a[0]) * dx + (y - a[1]) * dy;
    return along >= 0 && along <= length;
  };

  const parts = new Int32Array(pixels.length);
  /** Of each piece: what touches the line from either side, and what lies on either side of it. @type {{walls: [number, number], pixels: [number, number]}[]} */
  const pieces = [];
  for (let seed = pixels.indexOf(1); seed >= 0; seed = pixels.indexOf(1, seed + 1)) {
    if (parts[seed]) continue;
    /** @type {typeof pieces[0]} */
    const piece = { walls: [0, 0], pixels: [0, 0] };
    pieces.push(piece);
    parts[seed] = pieces.length;
    const open = [seed];
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      const side = sideOf(at) >= 0 ? 1 : 0;
      piece.pixels[side] += 1;
      const [column, row] = [Math.floor(at / height), at % height];
      for (const [stepX, stepY] of STEPS) {
        for (const way of [1, -1]) {
          const [x, y] = [column + way * stepX, row + way * stepY];
          const next = x * height + y;
          if (x < 0 || x >= width || y < 0 || y >= height || !pixels[next]) continue;
          if (crosses(at, next)) piece.walls[side] += 1;
          else if (!parts[next]) {
            parts[next] = pieces.length;
            open.push(next);
          }
        }
      }
    }
  }
  const second = pieces.map(({ walls, pixels: lies }) => (walls[0] + walls[1] > 0 ? walls[1] > walls[0] : lies[1] > lies[0]));
  // A piece that has the line on both sides reaches around its end.
  const around = pieces.some(({ walls }) => walls[0] > 0 && walls[1] > 0);
  if (around || second.every((value) => value === second[0])) return null;
  const [one, other] = [newWindow(extentOf(window)), newWindow(extentOf(window))];
  parts.forEach((part, at) => {
    if (part > 0) (second[part - 1] ? other : one).pixels[at] = 1;
  });
  return countPixels(one) >= countPixels(other) ? [one, other] : [other, one];
}
