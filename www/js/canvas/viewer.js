/**
 * canvas/ shows one image and what is drawn on it, and turns the pointer into pixels of the image.
 *
 * The canvas: the image below, everything drawn on it above, and the tool that answers the pointer. Annotation adds a
 * layer and a tool; nothing here knows about detections.
 */
import { Pinch } from './pinch.js';
import { View } from './view.js';

/**
 * @typedef {Object} Layer drawn over the image, in the order of adding
 * @property {(context: CanvasRenderingContext2D, view: View) => void} draw in CSS pixels of the view
 *
 * @typedef {{x: number, y: number, screenX: number, screenY: number, event: PointerEvent}} Point
 *   x and y in pixels of the image, screenX and screenY in CSS pixels of the view
 *
 * @typedef {Object} Tool what the pointer and the keys mean on the canvas
 * @property {string} cursor
 * @property {(point: Point) => boolean} [down] whether the tool takes the drag; else the image is panned
 * @property {(point: Point) => void} [drag]
 * @property {(point: Point) => void} [up]
 * @property {(point: Point) => void} [click] pressed and released in one place, where `down` took nothing
 * @property {(point: Point) => void} [hover]
 * @property {() => void} [leave]
 * @property {() => void} [cancel] the drag was lost
 * @property {(event: WheelEvent) => boolean} [wheel] whether the turn of the wheel is used up; else it zooms
 * @property {(event: KeyboardEvent) => boolean} [key] whether the key is used up; asked before the canvas's own keys
 * @property {() => void} [blur] the canvas has lost the focus
 * @property {() => void} [space] the space bar was pressed and released without a drag
 */

const CLICK_DISTANCE = 4;
/** The button of a pen's other end. */
const PEN_ERASER = 5;
const PAN_STEP = 48;
const ZOOM_STEP = 1.25;

/**
 * A canvas that has no other context always gives this one.
 * @param {HTMLCanvasElement} canvas @param {CanvasRenderingContext2DSettings} [settings]
 */
function contextOf(canvas, settings) {
  return /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d', settings));
}

export class Viewer {
  view = new View();
  /** @type {Layer[]} */ #layers = [];
  /** @type {Tool} */ #tool = { cursor: 'grab' };
  /** @type {{channel: string, bitmap: ImageBitmap}[]} */ #bitmaps = [];
  /** The visible channels added up, as large as the image. @type {HTMLCanvasElement|null} */ #composed = null;
  #region;
  #imageCanvas;
  #overlayCanvas;
  #dirtyImage = true;
  #scheduled = false;
  #space = false;
  /** Whether the image was dragged while the space bar was held. */ #spaceUsed = false;
  /** @type {{mode: 'pan'|'tool', pointer: number, start: Point, last: Point, moved: boolean}|null} */ #drag = null;
  #pinch;
  /** Told after every change of zoom and place. @type {() => void} */ onview = () => {};
  /** Told where the pointer is, in pixels of the image. @type {(point: Point|null) => void} */ onpointer = () => {};

  /** @param {HTMLElement} region focusable, with two canvases: the image, and what is drawn over it */
  constructor(region) {
    this.#region = region;
    const canvases = region.querySelectorAll('canvas');
    this.#imageCanvas = canvases[0];
    this.#overlayCanvas = canvases[1];
    new ResizeObserver(() => this.#resize()).observe(region);
    matchMedia(`(resolution: ${devicePixelRatio}dppx)`).addEventListener('change', () => this.#resize());
    region.addEventListener('wheel', (event) => this.#wheel(event), { passive: false });
    region.addEventListener('pointerdown', (event) => this.#down(event));
    region.addEventListener('pointermove', (event) => this.#move(event));
    region.addEventListener('pointerup', (event) => this.#up(event));
    region.addEventListener('pointercancel', () => this.#lose());
    this.#pinch = new Pinch(
      region,
      () => this.#lose(),
      (change) => this.move(change),
    );
    region.addEventListener('pointerleave', () => {
      this.onpointer(null);
      if (!this.#drag) this.#tool.leave?.();
    });
    region.addEventListener('keydown', (event) => this.#key(event));
    region.addEventListener('keyup', (event) => {
      if (event.key !== ' ' || !this.#space) return;
      this.#setSpace(false);
      if (!this.#spaceUsed) this.#tool.space?.();
    });
    region.addEventListener('blur', () => {
      this.#setSpace(false);
      this.#tool.blur?.();
    });
    this.setTool(this.#tool);
  }

  /** @param {Layer} layer */
  addLayer(layer) {
    this.#layers.push(layer);
    this.redraw();
  }

  /** @param {Tool} tool */
  setTool(tool) {
    this.#lose();
    this.#tool = tool;
    this.#region.style.cursor = tool.cursor;
  }

  /** @param {string} cursor for what lies under the pointer just now */
  setCursor(cursor) {
    if (!this.#drag && !this.#space) this.#region.style.cursor = cursor;
  }

  /**
   * Shows an image: one tinted bitmap a channel, added up as light. No bitmaps clear the view.
   * @param {{width: number, height: number, layers: {channel: string, bitmap: ImageBitmap}[]}|null} image
   * @param {Set<string>} hidden channels that are left out
   */
  setImage(image, hidden) {
    this.#bitmaps = image ? image.layers.filter((layer) => !hidden.has(layer.channel)) : [];
    this.#composed = null;
    if (image) {
      const { imageWidth, imageHeight } = this.view;
      this.view.setImage(image.width, image.height);
      if (imageWidth !== image.width || imageHeight !== image.height) this.onview();
      this.#compose(image.width, image.height);
    }
    this.#dirtyImage = true;
    this.redraw();
  }

  /** Draws the layers again. */
  redraw() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => this.#draw());
  }

  /** Changes the view and draws it. @param {(view: View) => void} change */
  move(change) {
    change(this.view);
    this.#dirtyImage = true;
    this.redraw();
    this.onview();
  }

  /** @param {number} factor */
  zoom(factor) {
    this.move((view) => view.zoomTo(view.scale * factor));
  }

  /** @param {number} width @param {number} height */
  #compose(width, height) {
    const canvas = document.createElement('canvas');
    canvas.width = width;
    canvas.height = height;
    const context = contextOf(canvas, { alpha: false });
    context.globalCompositeOperation = 'lighter';
    for (const { bitmap } of this.#bitmaps) context.drawImage(bitmap, 0, 0);
    this.#composed = canvas;
  }

  #draw() {
    this.#scheduled = false;
    const ratio = devicePixelRatio;
    const { view } = this;
    if (this.#dirtyImage) {
      const context = contextOf(this.#imageCanvas);
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.clearRect(0, 0, this.#imageCanvas.width, this.#imageCanvas.height);
      if (this.#composed) {
        const scale = view.scale * ratio;
        // Up close a pixel is a measurement and is shown as one.
        context.imageSmoothingEnabled = scale < 2;
        context.imageSmoothingQuality = 'high';
        context.setTransform(scale, 0, 0, scale, view.offsetX * ratio, view.offsetY * ratio);
        context.drawImage(this.#composed, 0, 0);
      }
    }
    const context = contextOf(this.#overlayCanvas);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.#overlayCanvas.width, this.#overlayCanvas.height);
    if (this.#composed) {
      for (const layer of this.#layers) {
        context.save();
        context.setTransform(ratio, 0, 0, ratio, 0, 0);
        layer.draw(context, view);
        context.restore();
      }
    }
    this.#dirtyImage = false;
  }

  #resize() {
    const { clientWidth: width, clientHeight: height } = this.#region;
    for (const canvas of [this.#imageCanvas, this.#overlayCanvas]) {
      canvas.width = Math.round(width * devicePixelRatio);
      canvas.height = Math.round(height * devicePixelRatio);
    }
    this.move((view) => view.resize(width, height));
  }

  /** @param {PointerEvent} event @returns {Point} */
  #point(event) {
    const box = this.#region.getBoundingClientRect();
    const screenX = event.clientX - box.left;
    const screenY = event.clientY - box.top;
    const [x, y] = this.view.toImage(screenX, screenY);
    return { x, y, screenX, screenY, event };
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    event.preventDefault();
    if (this.#tool.wheel?.(event)) return;
    const pixels = event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1);
    const speed = event.ctrlKey ? 0.01 : 0.002;
    const box = this.#region.getBoundingClientRect();
    const factor = Math.exp(-pixels * speed);
    this.move((view) => view.zoomTo(view.scale * factor, event.clientX - box.left, event.clientY - box.top));
  }

  /** @param {PointerEvent} event */
  #down(event) {
    if ((event.button > 1 && event.button !== PEN_ERASER) || this.#drag || this.#pinch.active) return;
    this.#region.focus({ preventScroll: true });
    const point = this.#point(event);
    const pan = event.button === 1 || this.#space || !this.#tool.down?.(point);
    this.#spaceUsed = true;
    this.#drag = { mode: pan ? 'pan' : 'tool', pointer: event.pointerId, start: point, last: point, moved: false };
    this.#region.setPointerCapture(event.pointerId);
    event.preventDefault();
  }

  /** @param {PointerEvent} event */
  #move(event) {
    const point = this.#point(event);
    this.onpointer(point);
    const drag = this.#drag;
    if (!drag) {
      if (!this.#pinch.active) this.#tool.hover?.(point);
      return;
    }
    if (drag.pointer !== event.pointerId) return;
    const { start, last } = drag;
    drag.moved ||= Math.hypot(point.screenX - start.screenX, point.screenY - start.screenY) >= CLICK_DISTANCE;
    if (drag.mode === 'tool') {
      this.#tool.drag?.(point);
    } else if (drag.moved) {
      this.#region.style.cursor = 'grabbing';
      this.move((view) => view.pan(point.screenX - last.screenX, point.screenY - last.screenY));
    }
    drag.last = point;
  }

  /** @param {PointerEvent} event */
  #up(event) {
    const drag = this.#drag;
    if (!drag || drag.pointer !== event.pointerId) return;
    this.#drag = null;
    const point = this.#point(event);
    if (drag.mode === 'tool') this.#tool.up?.(point);
    else if (!drag.moved) this.#tool.click?.(point);
    this.#region.style.cursor = this.#space ? 'grab' : this.#tool.cursor;
  }

  #lose() {
    if (this.#drag?.mode === 'tool') this.#tool.cancel?.();
    this.#drag = null;
  }

  /** @param {boolean} down */
  #setSpace(down) {
    if (this.#space === down) return;
    this.#space = down;
    if (down) this.#spaceUsed = false;
    this.#region.style.cursor = down ? 'grab' : this.#tool.cursor;
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.target !== this.#region) return;
    if (this.#tool.key?.(event)) {
      event.preventDefault();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = event.shiftKey ? PAN_STEP * 4 : PAN_STEP;
    const pan = { ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] }[event.key];
    if (pan) this.move((view) => view.pan(pan[0], pan[1]));
    else if (event.key === '+' || event.key === '=') this.zoom(ZOOM_STEP);
    else if (event.key === '-') this.zoom(1 / ZOOM_STEP);
    else if (event.key === '0') this.move((view) => view.fit());
    else if (event.key === '1') this.move((view) => view.zoomTo(1));
    else if (event.key === ' ') this.#setSpace(true);
    else return;
    event.preventDefault();
  }
}
