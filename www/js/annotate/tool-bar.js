/** The buttons of the tools that draw, and the size of the brush. */
import { currentObjects } from './annotations.js';
import { BRUSH_SIZES, TOOLS, chooseTool, hasBrush, setBrushSize } from './choose-tool.js';
import { fillSelected, growSelected } from './outlines.js';
import { byId, el } from '../ui/dom.js';
import { store } from '../shared/page-state.js';

/** @typedef {import('./choose-tool.js').DrawTool} DrawTool */

/** The slider goes by ratios, so that small brushes are as easy to set as large ones: 0 to 100 is the smallest to the largest. */
const RANGE = Math.log(BRUSH_SIZES[1] / BRUSH_SIZES[0]);

/** @param {DrawTool} tool */
function toolButton(tool) {
  const { name, key, help } = TOOLS[tool];
  const title = `${name} (${key.toUpperCase()}): ${help}`;
  return el('button', { type: 'button', id: `tool-${tool}`, title, 'aria-pressed': 'false', onclick: () => chooseTool(tool) }, name);
}

export function startToolBar() {
  const tools = /** @type {DrawTool[]} */ (Object.keys(TOOLS));
  const buttons = new Map(tools.map((tool) => [tool, toolButton(tool)]));
  byId('draw-tools').append(...buttons.values());
  const [slider, number] = [byId('brush-size'), byId('brush-pixels')];
  [number.min, number.max] = BRUSH_SIZES.map(String);
  slider.addEventListener('input', () => setBrushSize(BRUSH_SIZES[0] * Math.exp((RANGE * Number(slider.value)) / 100)));
  number.addEventListener('change', () => {
    setBrushSize(Number(number.value) || store.state.brushSize);
    number.value = String(store.state.brushSize);
  });
  byId('fill-holes').addEventListener('click', fillSelected);
  byId('grow').addEventListener('click', () => growSelected(1));
  byId('shrink').addEventListener('click', () => growSelected(-1));

  store.subscribe(['drawTool', 'brushSize'], ({ drawTool, brushSize }) => {
    for (const [tool, button] of buttons) button.setAttribute('aria-pressed', String(tool === drawTool));
    byId('brush-row').hidden = !hasBrush();
    slider.value = String((100 * Math.log(brushSize / BRUSH_SIZES[0])) / RANGE);
    slider.setAttribute('aria-valuetext', `${brushSize} pixels`);
    if (document.activeElement !== number) number.value = String(brushSize);
  });
  store.subscribe(['annotations', 'images', 'current', 'selectedBox', 'readOnly'], ({ selectedBox, readOnly }) => {
    const hasOutline = selectedBox !== null && Boolean(currentObjects()[selectedBox]?.mask);
    for (const id of /** @type {const} */ (['fill-holes', 'grow', 'shrink'])) byId(id).disabled = !hasOutline || readOnly;
  });
}
