/**
 * Annotated boxes on the canvas. Thousands stay fluid: what does not change from frame to frame is drawn once into a
 * bitmap of its own, class by class, and only the selected box and the one at the pointer are redrawn.
 */
import { classStyle } from './colors.js';
import { boxArea } from './geometry.js';
import { maskPath } from './masks.js';
import { currentImage, store } from '../shared/page-state.js';

/** @typedef {import('./geometry.js').Box} Box */

const HALO = 'rgb(0 0 0 / 65%)';
const FONT = '600 11px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
/** Boxes narrower than this on the screen go without their label. */
const LABEL_WIDTH = 44;
/** Outlines smaller than this on the screen are not seen apart from their box. */
const MASK_WIDTH = 5;
const HANDLE = 7;

/**
 * What the tool is doing just now, drawn over everything else.
 * @type {{hovered: number|null, draft: {box: Box, label: string, index: number|null, mask?: import('../engine/protocol.js').Rle}|null, cross: {x: number, y: number}|null}}
 */
export const pending = { hovered: null, draft: null, cross: null };

/**
 * The boxes of one set of annotations as numbers, class by class.
 * @typedef {{corners: Float32Array, classes: {label: string, indices: Uint16Array}[]}} Table
 * @type {WeakMap<object, Table>}
 */
const tables = new WeakMap();

/** @param {import('../shared/page-state.js').Annotations} annotations @returns {Table} */
function tableOf(annotations) {
  const known = tables.get(annotations);
  if (known) return known;
  const corners = new Float32Array(annotations.objects.length * 4);
  /** @type {Map<string, number[]>} */
  const byLabel = new Map();
  annotations.objects.forEach(({ box, label }, index) => {
    for (let side = 0; side < 4; side += 1) corners[index * 4 + side] = box[side];
    const same = byLabel.get(label);
    if (same) same.push(index);
    else byLabel.set(label, [index]);
  });
  const classes = [...byLabel].map(([label, indices]) => ({ label, indices: Uint16Array.from(indices) }));
  const table = { corners, classes };
  tables.set(annotations, table);
  return table;
}

/**
 * The smallest annotated box under a point of the image; the smallest, so that none is out of reach.
 * @param {number} x @param {number} y @param {number} [slack] pixels of the image around each box @param {number|null} [without] a box that does not count
 * @returns {number|null}
 */
export function boxAt(x, y, slack = 0, without = null) {
  const annotations = currentImage()?.annotations;
  if (!annotations) return null;
  const { corners } = tableOf(annotations);
  let best = null;
  let bestArea = Infinity;
  for (let at = 0; at < corners.length; at += 4) {
    if (at / 4 === without || x < corners[at] - slack || y < corners[at + 1] - slack || x > corners[at + 2] + slack || y > corners[at + 3] + slack) continue;
    const area = (corners[at + 2] - corners[at]) * (corners[at + 3] - corners[at + 1]);
    if (area < bestArea) [best, bestArea] = [at / 4, area];
  }
  return best;
}

/** The part of the image that is on the screen. @param {import('./view.js').View} view @returns {Box} */
function windowOf(view) {
  const [left, top] = view.toImage(0, 0);
  const [right, bottom] = view.toImage(view.width, view.height);
  return [left, top, right, bottom];
}

/** The bitmap of everything that stands still, what it shows, and whether it is drawn and every mask is in it. */
const still = { canvas: /** @type {HTMLCanvasElement|null} */ (null), key: /** @type {unknown[]} */ ([]), drawn: false, complete: false };

/** @type {import('./viewer.js').Layer} */
export const annotationLayer = {
  draw(context, view) {
    const { mode, show, selectedBox } = store.state;
    const image = currentImage();
    const annotations = image?.annotations ?? null;
    const drawing = mode === 'annotate';
    if (annotations && (drawing || show.annotations)) {
      const active = drawing ? (pending.draft ? pending.draft.index : selectedBox) : null;
      drawStill(context, view, annotations, active, !drawing && Boolean(image?.result));
      for (const object of annotations.objects) {
        if (store.state.picked.has(object)) strongBox(context, view, object.box, classStyle(object.label), '#fff');
      }
      if (drawing) drawActive(context, view, annotations);
    }
    if (!drawing) return;
    if (pending.draft) drawDraft(context, view, pending.draft);
    if (pending.cross) drawCross(context, view, pending.cross);
  },
};

/**
 * @param {import('../shared/page-state.js').Annotations} annotations @param {number|null} without @param {boolean} quiet under detections
 * @param {CanvasRenderingContext2D} context @param {import('./view.js').View} view
 */
function drawStill(context, view, annotations, without, quiet) {
  const { width, height } = context.canvas;
  const { labels, show } = store.state;
  const alpha = quiet ? 0.55 : 1;
  const key = [
    annotations,
    without,
    quiet,
    labels,
    width,
    height,
    view.scale,
    view.offsetX,
    view.offsetY,
    show.boxes,
    show.masks,
    show.labels,
    store.state.mode,
  ];
  if (key.some((value, at) => value !== still.key[at])) {
    // While the view moves, each frame is another one: a bitmap would be made for nothing.
    Object.assign(still, { key, drawn: false });
    context.save();
    context.globalAlpha = alpha;
    still.complete = drawAll(context, view, annotations, without, quiet);
    context.restore();
    return;
  }
  still.canvas ??= document.createElement('canvas');
  if (!still.drawn || !still.complete) {
    if (still.canvas.width !== width) still.canvas.width = width;
    if (still.canvas.height !== height) still.canvas.height = height;
    const own = /** @type {CanvasRenderingContext2D} */ (still.canvas.getContext('2d'));
    own.setTransform(1, 0, 0, 1, 0, 0);
    own.clearRect(0, 0, width, height);
    own.setTransform(context.getTransform());
    own.globalAlpha = alpha;
    still.complete = drawAll(own, view, annotations, without, quiet);
    still.drawn = true;
  }
  context.save();
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.drawImage(still.canvas, 0, 0);
  context.restore();
}

/**
 * @returns {boolean} whether every mask was traced already
 * @param {CanvasRenderingContext2D} context @param {import('./view.js').View} view @param {import('../shared/page-state.js').Annotations} annotations @param {number|null} without @param {boolean} quiet
 */
function drawAll(context, view, annotations, without, quiet) {
  const { show, mode } = store.state;
  const { corners, classes } = tableOf(annotations);
  const [left, top, right, bottom] = windowOf(view);
  let complete = true;
  for (const { box } of annotations.ignored ?? []) drawIgnored(context, view, box);
  for (const { label, indices } of classes) {
    const style = classStyle(label);
    const seen = [];
    for (const index of indices) {
      const at = index * 4;
      if (index !== without && corners[at + 2] >= left && corners[at] <= right && corners[at + 3] >= top && corners[at + 1] <= bottom) seen.push(index);
    }
    if (show.masks) {
      for (const index of seen) {
        const object = annotations.objects[index];
        if (!object.mask || (corners[index * 4 + 2] - corners[index * 4]) * view.scale < MASK_WIDTH) continue;
        const path = maskPath(object.mask);
        if (path) strokeMask(context, view, path, style);
        else complete = false;
      }
    }
    if (show.boxes || mode === 'annotate') {
      // Rectangle by rectangle: one path of 2,000 takes the browser's rasteriser 15 times as long.
      const alpha = context.globalAlpha;
      for (const { color, width, dash } of [
        { color: HALO, width: quiet ? 2 : 2.5, dash: [] },
        { color: style.color, width: quiet ? 1 : 1.5, dash: style.dash },
      ]) {
        context.strokeStyle = color;
        context.lineWidth = width;
        context.setLineDash(dash);
        for (const index of seen) {
          // Where there is a mask, the box is the lesser line.
          context.globalAlpha = show.masks && annotations.objects[index].mask ? alpha * 0.5 : alpha;
          strokeBox(context, view, corners, index * 4);
        }
      }
      context.setLineDash([]);
      context.globalAlpha = alpha;
    }
    if (show.labels && !quiet) {
      for (const index of seen) {
        const room = (corners[index * 4 + 2] - corners[index * 4]) * view.scale;
        if (room >= LABEL_WIDTH) plainLabel(context, view, annotations.objects[index], style, room);
      }
    }
  }
  return complete;
}

/**
 * A region that is neither object nor background: grey and dotted, as nothing that can be selected.
 * @param {CanvasRenderingContext2D} context @param {import('./view.js').View} view @param {Box} box
 */
function drawIgnored(context, view, box) {
  context.strokeStyle = 'rgb(200 200 200 / 80%)';
  context.lineWidth = 1;
  context.setLineDash([1, 3]);
  strokeBox(context, view, box, 0);
  context.setLineDash([]);
}

/** @param {CanvasRenderingContext2D} context @param {import('./view.js').View} view @param {ArrayLike<number>} corners @param {number} at */
function strokeBox(context, view, corners, at) {
  const x = corners[at] * view.scale + view.offsetX;
  const y = corners[at + 1] * view.scale + view.offsetY;
  context.strokeRect(x, y, (corners[at + 2] - corners[at]) * view.scale, (corners[at + 3] - corners[at + 1]) * view.scale);
}

/** @param {CanvasRenderingContext2D} context @param {import('./view.js').View} view @param {Path2D} path @param {import('./colors.js').Style} style */
function strokeMask(context, view, path, style) {
  context.save();
  context.translate(view.offsetX, view.offsetY);
  context.scale(view.scale, view.scale);
  context.lineJoin = 'round';
  context.strokeStyle = HALO;
  context.lineWidth = 3 / view.scale;
  context.stroke(path);
  context.strokeStyle = style.color;
  context.lineWidth = 1.5 / view.scale;
  context.stroke(path);
  context.restore();
}

/**
 * The box at the pointer and the selected one.
 * @param {CanvasRenderingContext2D} context @param {import('./view.js').View} view @param {import('../shared/page-state.js').Annotations} annotations
 */
function drawActive(context, view, { objects }) {
  const { selectedBox } = store.state;
  const { hovered, draft } = pending;
  if (hovered !== null && hovered !== selectedBox && objects[hovered] && !draft) {
    strongBox(context, view, objects[hovered].box, classStyle(objects[hovered].label), HALO);
  }
  const selected = selectedBox === null || draft ? null : objects[selectedBox];
  if (!selected) return;
  const style = classStyle(selected.label);
  const path = store.state.show.masks && selected.mask ? maskPath(selected.mask) : null;
  if (path) fillMask(context, view, path, style);
  strongBox(context, view, selected.box, style, '#fff');
  if (store.state.drawTool === 'box') drawHandles(context, view, selected.box);
  tag(context, view, selected.box, style, selected.difficult ? `${selected.label}, difficult` : selected.label);
}

/**
 * A box that is being drawn, moved or resized, with its size.
 * @param {CanvasRenderingContext2D} context @param {import('./view.js').View} view @param {{box: Box, label: string, mask?: import('../engine/protocol.js').Rle}} draft
 */
function drawDraft(context, view, { box, label, mask }) {
  const style = classStyle(label);
  const path = store.state.show.masks && mask ? maskPath(mask) : null;
  if (path) fillMask(context, view, path, style);
  strongBox(context, view, box, style, '#fff');
  tag(context, view, box, style, `${label}  ${Math.round(box[2] - box[0])} × ${Math.round(box[3] - box[1])}`);
}

/** @param {CanvasRenderingContext2D} context @param {import('./view.js').View} view @param {Box} box @param {import('./colors.js').Style} style @param {string} halo */
function strongBox(context, view, box, style, halo) {
  context.strokeStyle = halo;
  context.lineWidth = 4;
  strokeBox(context, view, box, 0);
  context.setLineDash(style.dash);
  context.strokeStyle = style.color;
  context.lineWidth = 2;
  strokeBox(context, view, box, 0);
  context.setLineDash([]);
}

/** @param {CanvasRenderingContext2D} context @param {import('./view.js').View} view @param {Path2D} path @param {import('./colors.js').Style} style */
function fillMask(context, view, path, style) {
  context.save();
  context.translate(view.offsetX, view.offsetY);
  context.scale(view.scale, view.scale);
  context.globalAlpha = 0.22;
  context.fillStyle = style.color;
  context.fill(path, 'evenodd');
  context.globalAlpha = 1;
  context.strokeStyle = style.color;
  context.lineWidth = 1.5 / view.scale;
  context.stroke(path);
  context.restore();
}

/**
 * Handles at the corners, and in the middle of sides that have room for them.
 * @param {CanvasRenderingContext2D} context @param {import('./view.js').View} view @param {Box} box
 */
function drawHandles(context, view, box) {
  const [x1, y1] = view.toScreen(box[0], box[1]);
  const [x2, y2] = view.toScreen(box[2], box[3]);
  const [middleX, middleY] = [(x1 + x2) / 2, (y1 + y2) / 2];
  const places = [
    [x1, y1],
    [x2, y1],
    [x1, y2],
    [x2, y2],
  ];
  if (x2 - x1 > HANDLE * 4) places.push([middleX, y1], [middleX, y2]);
  if (y2 - y1 > HANDLE * 4) places.push([x1, middleY], [x2, middleY]);
  context.fillStyle = '#fff';
  context.strokeStyle = 'rgb(0 0 0 / 80%)';
  context.lineWidth = 1;
  for (const [x, y] of places) {
    const [left, top] = [Math.round(x - HANDLE / 2) + 0.5, Math.round(y - HANDLE / 2) + 0.5];
    context.fillRect(left, top, HANDLE - 1, HANDLE - 1);
    context.strokeRect(left, top, HANDLE - 1, HANDLE - 1);
  }
}

/** @type {Map<string, number>} */
const widths = new Map();

/** @param {CanvasRenderingContext2D} context @param {string} text */
function widthOf(context, text) {
  const known = widths.get(text);
  if (known !== undefined) return known;
  if (widths.size > 5000) widths.clear();
  context.font = FONT;
  const { width } = context.measureText(text);
  widths.set(text, width);
  return width;
}

/**
 * Text alone, where the box has room for it, so that the cell stays to be seen.
 * @param {CanvasRenderingContext2D} context @param {import('./view.js').View} view @param {import('../shared/page-state.js').AnnotatedObject} object @param {import('./colors.js').Style} style @param {number} room
 */
function plainLabel(context, view, { box, label }, style, room) {
  if (widthOf(context, label) + 6 > room) return;
  const [left, top] = view.toScreen(box[0], box[1]);
  context.font = FONT;
  context.strokeStyle = 'rgb(0 0 0 / 80%)';
  context.lineWidth = 3;
  context.lineJoin = 'round';
  context.strokeText(label, left + 4, top + 13);
  context.fillStyle = style.color;
  context.fillText(label, left + 4, top + 13);
}

/**
 * A label with a ground, above the box.
 * @param {CanvasRenderingContext2D} context @param {import('./view.js').View} view @param {Box} box @param {import('./colors.js').Style} style @param {string} text
 */
function tag(context, view, box, style, text) {
  const [left, top] = view.toScreen(box[0], box[1]);
  const width = widthOf(context, text) + 8;
  const x = Math.max(0, Math.min(left - 1, view.width - width));
  const y = Math.max(0, top - 22);
  context.font = FONT;
  context.fillStyle = style.color;
  context.fillRect(x, y, width, 16);
  context.fillStyle = style.ink;
  context.fillText(text, x + 4, y + 12);
}

/**
 * Hairlines through the pointer, to start a box at the very edge of a cell.
 * @param {CanvasRenderingContext2D} context @param {import('./view.js').View} view @param {{x: number, y: number}} cross
 */
function drawCross(context, view, { x, y }) {
  const [screenX, screenY] = view.toScreen(x, y);
  context.strokeStyle = 'rgb(255 255 255 / 55%)';
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(Math.round(screenX) + 0.5, 0);
  context.lineTo(Math.round(screenX) + 0.5, view.height);
  context.moveTo(0, Math.round(screenY) + 0.5);
  context.lineTo(view.width, Math.round(screenY) + 0.5);
  context.stroke();
}

/** Indices of all boxes from the top of the image to its foot, for going along them with a key. */
export function readingOrder() {
  const objects = currentImage()?.annotations?.objects ?? [];
  return objects
    .map((_, index) => index)
    .sort((a, b) => objects[a].box[1] - objects[b].box[1] || objects[a].box[0] - objects[b].box[0] || boxArea(objects[a].box) - boxArea(objects[b].box));
}
