/** The tool of the canvas while annotating: the chosen one of those that draw. */
import { AnnotateTool } from './annotate-tool.js';
import { BrushTool } from './brush-tool.js';
import { chooseTool } from './choose-tool.js';
import { MergeTool } from './merge-tool.js';
import { PolygonTool } from './polygon-tool.js';
import { SplitTool } from './split-tool.js';
import { pending } from '../canvas/annotation-layer.js';
import { clearPainting } from '../canvas/paint-layer.js';
import { store } from '../shared/page-state.js';

/** @typedef {import('./choose-tool.js').DrawTool} DrawTool */
/** @typedef {import('../canvas/viewer.js').Point} Point */
/** @typedef {import('../canvas/viewer.js').Tool} Tool */

export class AnnotateTools {
  #box;
  /** @type {Record<DrawTool, Tool>} */ #tools;
  /** @type {Tool} */ #tool;

  /** @param {import('../canvas/viewer.js').Viewer} viewer */
  constructor(viewer) {
    const brush = new BrushTool(viewer);
    this.#box = new AnnotateTool(viewer);
    this.#tools = {
      box: this.#box,
      brush,
      eraser: brush,
      polygon: new PolygonTool(viewer),
      split: new SplitTool(viewer),
      merge: new MergeTool(viewer),
    };
    this.#tool = this.#tools[store.state.drawTool];
    // At once: what a gesture has begun must not end with another tool or on another image.
    store.watch((keys) => {
      if (!keys.some((key) => key === 'drawTool' || key === 'mode' || key === 'current')) return;
      this.#tool.cancel?.();
      clearPainting();
      Object.assign(pending, { hovered: null, draft: null, cross: null });
      this.#tool = this.#tools[store.state.drawTool];
      viewer.redraw();
    });
  }

  /** The next drag draws a box, wherever it starts. */
  arm() {
    chooseTool('box');
    this.#box.arm();
  }

  get cursor() {
    return this.#tool.cursor;
  }

  /** @param {Point} point */
  down(point) {
    return this.#tool.down?.(point) ?? false;
  }

  /** @param {Point} point */
  drag(point) {
    this.#tool.drag?.(point);
  }

  /** @param {Point} point */
  up(point) {
    this.#tool.up?.(point);
  }

  /** @param {Point} point */
  hover(point) {
    this.#tool.hover?.(point);
  }

  leave() {
    this.#tool.leave?.();
  }

  cancel() {
    this.#tool.cancel?.();
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    return this.#tool.wheel?.(event) ?? false;
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    return this.#tool.key?.(event) ?? false;
  }

  blur() {
    this.#tool.blur?.();
  }

  space() {
    this.#tool.space?.();
  }
}
