/** What the tools for outlines show above the boxes: the brush, the mask that is being painted, a polygon or a line. */
import { maskPath } from './masks.js';
import { currentImage, store } from '../shared/page-state.js';

/** @typedef {[number, number]} Place x, y in pixels of the image */
/** @typedef {import('./mask-picture.js').MaskPicture} MaskPicture */

/**
 * What is shown just now; the tools write it.
 * @type {{
 *   disc: {place: Place, radius: number}|null, cross: Place|null, line: {places: Place[], closes: boolean}|null,
 *   picture: MaskPicture|null, painted: {mask: object, picture: MaskPicture}|null,
 * }} `painted`: the finished mask, whose picture stays until its outline is traced
 */
export const painting = { disc: null, cross: null, line: null, picture: null, painted: null };

export function clearPainting() {
  Object.assign(painting, { disc: null, cross: null, line: null, picture: null, painted: null });
}

/** CSS pixels from the middle of a cross to its ends, and from a corner of a polygon to its sides. */
const CROSS = 9;
const CORNER = 3;

/** @type {import('./viewer.js').Layer} */
export const paintLayer = {
  draw(context, view) {
    const { mode, show } = store.state;
    if (mode !== 'annotate') return;
    if (painting.picture) painting.picture.draw(context, view);
    else if (painting.painted && show.masks) drawPainted(context, view, painting.painted);
    if (painting.line) drawLine(context, view, painting.line);
    if (painting.disc) {
      const [x, y] = view.toScreen(...painting.disc.place);
      bothStroke(context, () => context.arc(x, y, Math.max(1, painting.disc ? painting.disc.radius * view.scale : 0), 0, 2 * Math.PI));
    }
    if (painting.cross) drawCross(context, view.toScreen(...painting.cross));
  },
};

/** @param {CanvasRenderingContext2D} context @param {import('./view.js').View} view @param {{mask: object, picture: MaskPicture}} painted */
function drawPainted(context, view, { mask, picture }) {
  const { selectedBox } = store.state;
  const object = selectedBox === null ? null : currentImage()?.annotations?.objects[selectedBox];
  if (!object?.mask || object.mask !== mask || maskPath(object.mask)) painting.painted = null;
  else picture.draw(context, view);
}

/** A light line on a dark one, which is seen on every image. @param {CanvasRenderingContext2D} context @param {() => void} path */
function bothStroke(context, path) {
  for (const [color, width] of /** @type {const} */ ([
    ['rgb(0 0 0 / 70%)', 3],
    ['#fff', 1],
  ])) {
    context.strokeStyle = color;
    context.lineWidth = width;
    context.beginPath();
    path();
    context.stroke();
  }
}

/** @param {CanvasRenderingContext2D} context @param {import('./view.js').View} view @param {{places: Place[], closes: boolean}} line */
function drawLine(context, view, { places, closes }) {
  const corners = places.map(([x, y]) => view.toScreen(x, y));
  if (corners.length === 0) return;
  bothStroke(context, () => {
    corners.forEach(([x, y], index) => (index === 0 ? context.moveTo(x, y) : context.lineTo(x, y)));
  });
  if (!closes) return;
  const [x, y] = corners[0];
  context.fillStyle = '#fff';
  context.fillRect(x - CORNER, y - CORNER, 2 * CORNER, 2 * CORNER);
  bothStroke(context, () => context.rect(x - CORNER, y - CORNER, 2 * CORNER, 2 * CORNER));
}

/** The place of the keyboard. @param {CanvasRenderingContext2D} context @param {[number, number]} place */
function drawCross(context, [x, y]) {
  bothStroke(context, () => {
    context.moveTo(x - CROSS, y);
    context.lineTo(x + CROSS, y);
    context.moveTo(x, y - CROSS);
    context.lineTo(x, y + CROSS);
  });
}
