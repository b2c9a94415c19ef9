/** Which tool draws while annotating, and how large its brush is: the choice, and the keys for it. */
import { fillSelected, growSelected } from './outlines.js';
import { store } from '../shared/page-state.js';
import { announce } from '../ui/dom.js';

/** @typedef {'box'|'brush'|'eraser'|'polygon'|'split'|'merge'} DrawTool */

/** Diameters of the brush in pixels of the image: from one pixel to more than the largest cells. */
export const BRUSH_SIZES = [1, 512];
/** A step of the size upwards is this share of it, and at least a pixel; a step downwards takes it back. */
const STEP = 0.15;

/** The tools with their keys and what they do, in the order of the buttons. @type {Record<DrawTool, {key: string, name: string, help: string}>} */
export const TOOLS = {
  box: { key: 'v', name: 'Box', help: 'drag to draw a box.' },
  brush: { key: 'p', name: 'Brush', help: 'drag to paint; or move with the arrow keys, Enter lowers and lifts the brush.' },
  eraser: { key: 'r', name: 'Eraser', help: 'drag to erase; or move with the arrow keys, Enter lowers and lifts the eraser.' },
  polygon: { key: 't', name: 'Polygon', help: 'click the corners, the first one again to close; or arrow keys and Enter, Enter twice to close.' },
  split: { key: 'k', name: 'Split', help: 'drag a line across a cell; or arrow keys, with Enter at both ends.' },
  merge: { key: 'j', name: 'Merge', help: 'click the cell to merge with the selected one; Enter takes its nearest neighbour.' },
};

/** @param {DrawTool} drawTool */
export function chooseTool(drawTool) {
  if (store.state.drawTool !== drawTool) store.set({ drawTool });
  announce(`${TOOLS[drawTool].name}: ${TOOLS[drawTool].help}`);
}

export function hasBrush() {
  return store.state.drawTool === 'brush' || store.state.drawTool === 'eraser';
}

/** @param {number} size pixels of the image */
export function setBrushSize(size) {
  const brushSize = Math.min(Math.max(Math.round(size), BRUSH_SIZES[0]), BRUSH_SIZES[1]);
  if (brushSize === store.state.brushSize) return;
  store.set({ brushSize });
  announce(`Brush size ${brushSize}`);
}

/** @param {1|-1} way */
export function stepBrushSize(way) {
  const { brushSize } = store.state;
  const share = way > 0 ? STEP : STEP / (1 + STEP);
  setBrushSize(brushSize + way * Math.max(1, Math.round(brushSize * share)));
}

/** @type {Record<string, () => void>} */
const ACTIONS = { f: fillSelected, '>': () => growSelected(1), '<': () => growSelected(-1) };

/** The keys that choose a tool, and those that act on the selected outline at once. @param {KeyboardEvent} event @returns {boolean} whether it was one */
export function toolKey(event) {
  // Many keyboards have the brackets on their third level, which counts as Alt, or as Control and Alt together.
  if (event.metaKey || (event.ctrlKey && !event.altKey)) return false;
  if ((event.key === '[' || event.key === ']') && hasBrush()) {
    stepBrushSize(event.key === ']' ? 1 : -1);
    return true;
  }
  if (event.ctrlKey || event.altKey) return false;
  const tool = /** @type {DrawTool|undefined} */ (Object.keys(TOOLS).find((one) => TOOLS[/** @type {DrawTool} */ (one)].key === event.key));
  if (tool) chooseTool(tool);
  else if (Object.hasOwn(ACTIONS, event.key)) ACTIONS[event.key]();
  else return false;
  return true;
}
