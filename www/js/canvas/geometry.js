/**
 * Boxes as numbers: [x1, y1, x2, y2] in pixels of the merged image, kept as 32-bit floats like everywhere in the engine. Only what
 * a drag or a slider needs within the frame, for which no worker can be asked.
 */

/** @typedef {[number, number, number, number]} Box */
/** @typedef {{width: number, height: number}} Size */

/**
 * The box within the image, its corners in order, at least a pixel wide and high.
 * @param {ArrayLike<number>} box @param {Size} size @returns {Box}
 */
export function clipBox(box, { width, height }) {
  const [x1, x2] = clipSide(box[0], box[2], width);
  const [y1, y2] = clipSide(box[1], box[3], height);
  return [x1, y1, x2, y2];
}

/** @param {number} a @param {number} b @param {number} end @returns {[number, number]} */
function clipSide(a, b, end) {
  let from = Math.fround(Math.min(Math.max(Math.min(a, b), 0), end));
  let to = Math.fround(Math.min(Math.max(Math.max(a, b), 0), end));
  if (to - from < 1) {
    from = Math.max(0, Math.min(Math.floor(from), end - 1));
    to = from + 1;
  }
  return [from, to];
}

/** The middle of √(width · height), in pixels. @param {ArrayLike<number>[]} boxes */
export function medianDiameter(boxes) {
  const sides = boxes.map((box) => Math.sqrt((box[2] - box[0]) * (box[3] - box[1]))).sort((a, b) => a - b);
  return Math.round(sides[sides.length >> 1] * 10) / 10;
}

/**
 * The box moved as it is, as far as the image allows.
 * @param {Box} box @param {number} dx @param {number} dy @param {Size} size @returns {Box}
 */
export function shiftBox([x1, y1, x2, y2], dx, dy, { width, height }) {
  const x = Math.min(Math.max(dx, -x1), width - x2);
  const y = Math.min(Math.max(dy, -y1), height - y2);
  return clipBox([x1 + x, y1 + y, x2 + x, y2 + y], { width, height });
}

/** @param {Box} box */
export function boxArea([x1, y1, x2, y2]) {
  return (x2 - x1) * (y2 - y1);
}

/** Intersection over union. @param {ArrayLike<number>} a @param {ArrayLike<number>} b */
export function iou(a, b) {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  if (width <= 0 || height <= 0) return 0;
  const both = width * height;
  return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both);
}

/** Whether the box ends at the edge of the image, as a cut cell's does. @param {Box} box @param {Size} size */
export function touchesEdge([x1, y1, x2, y2], { width, height }) {
  return x1 <= 0 || y1 <= 0 || x2 >= width || y2 >= height;
}

/** @param {ArrayLike<number>} a @param {ArrayLike<number>} b */
export function sameBox(a, b) {
  return a[0] === b[0] && a[1] === b[1] && a[2] === b[2] && a[3] === b[3];
}

/** Whether a point lies in a polygon, by the even-odd rule. @param {[number, number][]} polygon @param {number} x @param {number} y */
export function insidePolygon(polygon, x, y) {
  let inside = false;
  for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i, i += 1) {
    const [[x1, y1], [x2, y2]] = [polygon[i], polygon[j]];
    if (y1 > y !== y2 > y && x < ((x2 - x1) * (y - y1)) / (y2 - y1) + x1) inside = !inside;
  }
  return inside;
}
