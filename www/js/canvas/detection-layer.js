/**
 * Detections on the canvas: boxes, mask outlines, labels, and the tool that hovers over them and selects them. While
 * the user annotates they are suggestions: thin, dashed, and only those that are not annotated yet.
 */
import { openDetections } from './open-detections.js';
import { classStyle } from './colors.js';
import { maskPath } from './masks.js';
import { announce } from '../ui/dom.js';
import { insidePolygon } from './geometry.js';
import { currentImage, shownDetections, store } from '../shared/page-state.js';

const HALO = 'rgb(0 0 0 / 65%)';
const FONT = '600 11px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
/** Moves of the pointer from which a drag is a lasso and not a click. */
const LASSO_POINTS = 4;
/** Boxes narrower than this on the screen get their label only when they are pointed at. */
const LABEL_WIDTH = 44;

/** What is on the canvas: above the slider, and of a class that is switched on. */
export function visibleDetections() {
  const { hiddenClasses } = store.state;
  return shownDetections(currentImage()).filter(({ detection }) => !hiddenClasses.has(detection.label));
}

/** What is drawn: everything visible, or the suggestions while annotating. */
function drawnDetections() {
  const { hiddenClasses, mode, show } = store.state;
  if (mode === 'view') return visibleDetections();
  return show.detections ? openDetections().filter(({ detection }) => !hiddenClasses.has(detection.label)) : [];
}

/** The smallest detection under a point of the image; the smallest, so that none is out of reach. @param {number} x @param {number} y */
export function detectionAt(x, y) {
  let best = null;
  let bestArea = Infinity;
  for (const { detection, index } of drawnDetections()) {
    const [x1, y1, x2, y2] = detection.box;
    if (x < x1 || x > x2 || y < y1 || y > y2) continue;
    const area = (x2 - x1) * (y2 - y1);
    if (area < bestArea) [best, bestArea] = [index, area];
  }
  return best;
}

/** @type {import('./viewer.js').Layer} */
export const detectionLayer = {
  draw(context, view) {
    const { show, selected, hovered, mode, picked } = store.state;
    const faint = mode === 'annotate';
    const [left, top] = view.toImage(0, 0);
    const [right, bottom] = view.toImage(view.width, view.height);
    const inView = drawnDetections().filter(({ detection: { box } }) => {
      return box[2] >= left && box[0] <= right && box[3] >= top && box[1] <= bottom;
    });
    /** @param {{index: number}} one */
    const pointedAt = ({ index }) => index === selected || index === hovered;
    const marked = (/** @type {{index: number, detection: object}} */ one) => pointedAt(one) || picked.has(one.detection);
    const plainOnes = inView.filter((one) => !marked(one));
    const markedOnes = inView.filter(marked);

    for (const group of [plainOnes, markedOnes]) {
      for (const one of group) {
        const style = classStyle(one.detection.label);
        const strong = marked(one);
        const { detection } = one;
        const path = show.masks && detection.mask && (strong || !faint) ? maskPath(detection.mask) : null;
        if (path) drawMask(context, view, path, style, strong);
        if (faint && !strong) drawSuggestion(context, view, detection.box, style);
        else if (show.boxes || strong) drawBox(context, view, detection, style, strong, one.index === selected);
      }
      for (const one of group) {
        const wide = (one.detection.box[2] - one.detection.box[0]) * view.scale >= LABEL_WIDTH;
        if (pointedAt(one) || (show.labels && wide && !faint)) drawLabel(context, view, one.detection, pointedAt(one));
      }
    }
    if (lasso.points.length > 1) drawLasso(context, view);
  },
};

/** Corners in pixels of the image, while Shift is held and the pointer drags. */
const lasso = { points: /** @type {[number, number][]} */ ([]) };

/** @param {CanvasRenderingContext2D} context @param {import('./view.js').View} view */
function drawLasso(context, view) {
  context.beginPath();
  for (const [x, y] of lasso.points) context.lineTo(...view.toScreen(x, y));
  context.closePath();
  context.fillStyle = 'rgb(79 184 191 / 18%)';
  context.fill();
  context.strokeStyle = '#4fb8bf';
  context.lineWidth = 1.5;
  context.stroke();
}

/** Selects the detections whose middle lies in the lasso, and those that were selected before. */
function pickInLasso() {
  const inside = visibleDetections().filter(({ detection: { box } }) => insidePolygon(lasso.points, (box[0] + box[2]) / 2, (box[1] + box[3]) / 2));
  store.set({ picked: new Set([...store.state.picked, ...inside.map(({ detection }) => detection)]) });
  announce(`${inside.length} detections in the lasso.`);
}

/** @param {number} x @param {number} y */
function togglePicked(x, y) {
  const found = detectionAt(x, y);
  const detection = found === null ? null : currentImage()?.result?.detections.detections[found];
  if (!detection) return;
  const picked = new Set(store.state.picked);
  if (!picked.delete(detection)) picked.add(detection);
  store.set({ picked });
}

/** @param {CanvasRenderingContext2D} context @param {import('./view.js').View} view @param {Path2D} path @param {import('./colors.js').Style} style @param {boolean} strong */
function drawMask(context, view, path, style, strong) {
  context.save();
  context.translate(view.offsetX, view.offsetY);
  context.scale(view.scale, view.scale);
  if (strong) {
    context.globalAlpha = 0.22;
    context.fillStyle = style.color;
    context.fill(path, 'evenodd');
    context.globalAlpha = 1;
  }
  context.lineJoin = 'round';
  context.strokeStyle = HALO;
  context.lineWidth = 3 / view.scale;
  context.stroke(path);
  context.strokeStyle = style.color;
  context.lineWidth = (strong ? 2 : 1.25) / view.scale;
  context.stroke(path);
  context.restore();
}

/** @param {CanvasRenderingContext2D} context @param {import('./view.js').View} view @param {import('../engine/protocol.js').Detection} detection @param {import('./colors.js').Style} style @param {boolean} strong @param {boolean} selected */
function drawBox(context, view, { box }, style, strong, selected) {
  const [x1, y1] = view.toScreen(box[0], box[1]);
  const [x2, y2] = view.toScreen(box[2], box[3]);
  const rect = () => context.strokeRect(x1, y1, x2 - x1, y2 - y1);
  // Where there are masks, the box is the lesser line.
  context.globalAlpha = strong || !store.state.show.masks ? 1 : 0.6;
  context.strokeStyle = selected ? '#fff' : HALO;
  context.lineWidth = strong ? 4 : 2.5;
  rect();
  context.setLineDash(style.dash);
  context.strokeStyle = style.color;
  context.lineWidth = strong ? 2 : 1;
  rect();
  context.setLineDash([]);
  context.globalAlpha = 1;
}

/** @param {CanvasRenderingContext2D} context @param {import('./view.js').View} view @param {import('./geometry.js').Box} box @param {import('./colors.js').Style} style */
function drawSuggestion(context, view, box, style) {
  const [x1, y1] = view.toScreen(box[0], box[1]);
  context.setLineDash([3, 4]);
  context.strokeStyle = style.color;
  context.lineWidth = 1;
  context.strokeRect(x1, y1, (box[2] - box[0]) * view.scale, (box[3] - box[1]) * view.scale);
  context.setLineDash([]);
}

/**
 * Plain labels are text only, to leave the cells visible; a marked one has a ground.
 * @param {CanvasRenderingContext2D} context @param {import('./view.js').View} view @param {import('../engine/protocol.js').Detection} detection @param {boolean} strong
 */
function drawLabel(context, view, { box, label, score }, strong) {
  const style = classStyle(label);
  const text = `${label} ${score.toFixed(2)}`;
  context.font = FONT;
  context.textBaseline = 'alphabetic';
  const room = (box[2] - box[0]) * view.scale;
  const short = strong || context.measureText(text).width + 6 <= room ? text : score.toFixed(2);
  const width = context.measureText(short).width + 8;
  const [left, top] = view.toScreen(box[0], box[1]);
  const x = Math.max(0, Math.min(left - 0.5, view.width - width));
  const y = Math.max(0, strong ? top - 16 : top + 2);
  if (strong) {
    context.fillStyle = style.color;
    context.fillRect(x, y, width, 16);
    context.fillStyle = style.ink;
  } else {
    context.strokeStyle = 'rgb(0 0 0 / 80%)';
    context.lineWidth = 3;
    context.lineJoin = 'round';
    context.strokeText(short, x + 4, y + 12);
    context.fillStyle = style.color;
  }
  context.fillText(short, x + 4, y + 12);
}

/** Moves the selection along the visible detections. @param {number} step */
export function step(step) {
  const list = visibleDetections();
  if (list.length === 0) return;
  const now = list.findIndex(({ index }) => index === store.state.selected);
  const next = now < 0 ? (step > 0 ? 0 : list.length - 1) : (now + step + list.length) % list.length;
  store.set({ selected: list[next].index });
}

/** @param {import('./viewer.js').Viewer} viewer @returns {import('./viewer.js').Tool} */
export function selectTool(viewer) {
  return {
    cursor: 'grab',
    hover({ x, y }) {
      const found = detectionAt(x, y);
      viewer.setCursor(found === null ? 'grab' : 'pointer');
      if (found !== store.state.hovered) store.set({ hovered: found });
    },
    leave() {
      if (store.state.hovered !== null) store.set({ hovered: null });
    },
    // With Shift a drag draws a lasso, and a click adds one cell to the selection or takes it out.
    down({ x, y, event }) {
      if (event.shiftKey) lasso.points = [[x, y]];
      return event.shiftKey;
    },
    drag({ x, y }) {
      lasso.points.push([x, y]);
      viewer.redraw();
    },
    up({ x, y }) {
      if (lasso.points.length > LASSO_POINTS) pickInLasso();
      else togglePicked(x, y);
      lasso.points = [];
      viewer.redraw();
    },
    cancel() {
      lasso.points = [];
      viewer.redraw();
    },
    click({ x, y }) {
      const selected = detectionAt(x, y);
      const detection = selected === null ? null : currentImage()?.result?.detections.detections[selected];
      store.set({ selected, picked: new Set(detection ? [detection] : []) });
    },
    key(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return false;
      if (event.key === 'n' || event.key === 'p') step(event.key === 'n' ? 1 : -1);
      else if (event.key === 'Escape' && (store.state.selected !== null || store.state.picked.size)) store.set({ selected: null, picked: new Set() });
      else return false;
      return true;
    },
  };
}
