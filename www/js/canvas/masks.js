/** COCO's run lengths (column by column, background first) to closed outlines along the pixel edges. */

/** @param {import('../engine/protocol.js').Rle} rle @returns {{width: number, height: number, counts: ArrayLike<number>}} */
export function runs(rle) {
  const [height, width] = rle.size;
  return { width, height, counts: typeof rle.counts === 'string' ? fromCoco(rle.counts) : rle.counts };
}

/** The compressed string of pycocotools: six bits a character, each count from the third on as a difference. @param {string} text */
function fromCoco(text) {
  /** @type {number[]} */
  const counts = [];
  for (let at = 0; at < text.length;) {
    let value = 0;
    for (let shift = 0; ; shift += 5) {
      const bits = text.charCodeAt(at++) - 48;
      value |= (bits & 31) << shift;
      if (bits & 32) continue;
      if (bits & 16) value |= -1 << (shift + 5);
      break;
    }
    counts.push(counts.length > 2 ? value + counts[counts.length - 2] : value);
  }
  return counts;
}

/** Pixels of a mask. @param {import('../engine/protocol.js').Rle} rle */
export function area(rle) {
  const { counts } = runs(rle);
  let sum = 0;
  for (let i = 1; i < counts.length; i += 2) sum += counts[i];
  return sum;
}

/** Foreground of each column that has some, as [start, end, start, end, …]. @param {ReturnType<typeof runs>} mask */
function columns({ width, height, counts }) {
  /** @type {Map<number, number[]>} */
  const found = new Map();
  let at = 0;
  for (let i = 0; i < counts.length; i++) {
    let left = counts[i];
    while (i % 2 === 1 && left > 0) {
      const x = Math.floor(at / height);
      if (x >= width) return found;
      const y = at - x * height;
      const taken = Math.min(left, height - y);
      const column = found.get(x);
      if (!column) found.set(x, [y, y + taken]);
      else column.push(y, y + taken);
      at += taken;
      left -= taken;
    }
    at += left;
  }
  return found;
}

/**
 * @param {import('../engine/protocol.js').Rle} rle
 * @returns {number[][]} closed polygons, each x, y, x, y, …; holes run in the opposite direction
 */
export function outlines(rle) {
  const mask = runs(rle);
  const cells = columns(mask);
  const stride = mask.width + 1;
  /** Where the outline continues from a corner; two ways where pixels touch by a corner only. @type {Map<number, number[]>} */
  const next = new Map();
  /** @param {number} x1 @param {number} y1 @param {number} x2 @param {number} y2 */
  const edge = (x1, y1, x2, y2) => {
    const key = y1 * stride + x1;
    const ways = next.get(key);
    if (ways) ways.push(y2 * stride + x2);
    else next.set(key, [y2 * stride + x2]);
  };
  /** @type {number[]} */
  const none = [];
  for (const [x, column] of cells) {
    for (let i = 0; i < column.length; i += 2) {
      edge(x, column[i], x + 1, column[i]);
      edge(x + 1, column[i + 1], x, column[i + 1]);
    }
    sides(cells.get(x - 1) ?? none, column, x, edge);
    if (!cells.has(x + 1)) sides(column, none, x + 1, edge);
  }
  return chain(next, stride);
}

/**
 * Upright edges at `x`, where exactly one of the columns beside it is foreground.
 * @param {number[]} left @param {number[]} right @param {number} x @param {(x1: number, y1: number, x2: number, y2: number) => void} edge
 */
function sides(left, right, x, edge) {
  const stops = [...new Set([...left, ...right])].sort((a, b) => a - b);
  /** @param {number[]} column @param {number} y */
  const inside = (column, y) => {
    for (let i = 0; i < column.length; i += 2) if (y >= column[i] && y < column[i + 1]) return true;
    return false;
  };
  for (let i = 0; i + 1 < stops.length; i++) {
    const [from, to] = [stops[i], stops[i + 1]];
    const before = inside(left, from);
    if (before === inside(right, from)) continue;
    if (before) edge(x, from, x, to);
    else edge(x, to, x, from);
  }
}

/** @param {Map<number, number[]>} next @param {number} stride */
function chain(next, stride) {
  const polygons = [];
  for (const start of next.keys()) {
    while (next.get(start)?.length) {
      const polygon = [];
      let at = start;
      let [dx, dy] = [0, 0];
      do {
        const ways = next.get(at);
        const to = ways?.pop();
        if (to === undefined) break;
        const [x, y] = [at % stride, Math.floor(at / stride)];
        const [stepX, stepY] = [Math.sign((to % stride) - x), Math.sign(Math.floor(to / stride) - y)];
        // A corner that does not turn is not a corner.
        if (stepX !== dx || stepY !== dy) polygon.push(x, y);
        [dx, dy] = [stepX, stepY];
        at = to;
      } while (at !== start);
      if (polygon.length >= 6) polygons.push(polygon);
    }
  }
  return polygons;
}

/** @typedef {{mask?: import('../engine/protocol.js').Rle|null}} Masked */

/** @type {WeakMap<object, Path2D>} */
const paths = new WeakMap();

/** The outline made before, if there is one. @returns {Path2D|undefined} @param {Masked} detection */
export function knownPath(detection) {
  return paths.get(detection);
}

/** The outline of a detection's mask, in pixels of the image; made once. @returns {Path2D} @param {Masked} detection */
export function maskPath(detection) {
  const known = paths.get(detection);
  if (known) return known;
  const path = new Path2D();
  for (const polygon of detection.mask ? outlines(detection.mask) : []) {
    path.moveTo(polygon[0], polygon[1]);
    for (let i = 2; i < polygon.length; i += 2) path.lineTo(polygon[i], polygon[i + 1]);
    path.closePath();
  }
  paths.set(detection, path);
  return path;
}
