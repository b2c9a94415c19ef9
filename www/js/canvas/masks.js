/** Outlines of masks on the canvas. The image worker traces them; what is not traced yet is not drawn yet. */
import { store } from '../shared/page-state.js';

/** @typedef {import('../engine/protocol.js').Rle} Rle */

/** Masks of one request: an image that is opened meanwhile waits for no more. */
const TOGETHER = 256;

/** @type {WeakMap<Rle, Path2D>} */
const paths = new WeakMap();
/** What has been asked for and not traced. @type {Set<Rle>} */
const wanted = new Set();
let tracing = false;
/** Polygons of each mask, closed, each x, y, x, y, … @type {(masks: Rle[]) => Promise<number[][][]>} */
let outlinesOf = async (masks) => masks.map(() => []);

/** @param {typeof outlinesOf} trace */
export function startMasks(trace) {
  outlinesOf = trace;
}

/** The outline of a mask in pixels of the image; null until it is traced, which rings `outlines`. @param {Rle} mask */
export function maskPath(mask) {
  const known = paths.get(mask);
  if (known) return known;
  wanted.add(mask);
  // After the frame has asked for all that it shows.
  if (!tracing) queueMicrotask(traceAll);
  tracing = true;
  return null;
}

async function traceAll() {
  while (wanted.size > 0) {
    const masks = [...wanted].slice(0, TOGETHER);
    await trace(masks);
    for (const mask of masks) wanted.delete(mask);
    store.touch('outlines');
  }
  tracing = false;
}

/** One that cannot be traced is not drawn, and costs no other its outline. @param {Rle[]} masks @returns {Promise<void>} */
async function trace(masks) {
  try {
    const outlines = await outlinesOf(masks);
    masks.forEach((mask, index) => paths.set(mask, pathOf(outlines[index])));
  } catch {
    if (masks.length === 1) paths.set(masks[0], new Path2D());
    else for (const mask of masks) await trace([mask]);
  }
}

/** @param {number[][]} polygons */
function pathOf(polygons) {
  const path = new Path2D();
  for (const polygon of polygons) {
    path.moveTo(polygon[0], polygon[1]);
    for (let i = 2; i < polygon.length; i += 2) path.lineTo(polygon[i], polygon[i + 1]);
    path.closePath();
  }
  return path;
}
