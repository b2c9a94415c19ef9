/** What scatter plot and histogram share: a dark canvas like that of the image, axes, and the pointer in it. */
import { el } from '../ui/dom.js';

/** CSS pixels around the plotted area. */
export const MARGIN = { left: 46, right: 10, top: 8, bottom: 32 };
export const INK = '#b9c0c3';
const GRID = '#2a2e30';
const FONT = '11px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
/** Colour of what is selected. */
export const PICKED = '#ffffff';
/** CSS pixels that a pointer has to move before it selects an area rather than a point. */
export const CLICK_DISTANCE = 4;

/** @typedef {{low: number, high: number}} Domain */
/** @typedef {{width: number, height: number, x: (value: number) => number, y: (value: number) => number}} Scales in CSS pixels */

/** The ends of what is finite, never alike. @param {ArrayLike<number>} values @returns {Domain} */
export function domainOf(values) {
  let [low, high] = [Infinity, -Infinity];
  for (let i = 0; i < values.length; i += 1) {
    if (values[i] < low) low = values[i];
    if (values[i] > high && values[i] !== Infinity) high = values[i];
  }
  if (!(low <= high)) return { low: 0, high: 1 };
  const room = (high - low || Math.abs(high) || 1) * 0.02;
  return { low: low - room, high: high + room };
}

/** Round numbers within a domain. @param {Domain} domain @param {number} count about as many */
export function ticksOf({ low, high }, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough) ?? rough;
  const first = Math.ceil(low / step);
  const ticks = [];
  // Of whole steps, so that no sum of small errors is shown.
  for (let at = first; at * step <= high; at += 1) ticks.push(Number((at * step).toPrecision(12)));
  return ticks;
}

/** @param {number} value */
function tickText(value) {
  const size = Math.abs(value);
  if (size >= 1e5 || (size > 0 && size < 1e-3)) return value.toExponential(0).replace('e+', 'e');
  return value.toLocaleString('en', { maximumFractionDigits: 4 });
}

export class Plot {
  /** Two canvases: what changes with the cells, and above it what changes with the pointer. */
  #canvas = el('canvas', { 'aria-hidden': 'true' });
  #overlay = el('canvas', { 'aria-hidden': 'true' });
  width = 0;
  height = 0;
  element;
  #draw;
  #scheduled = false;

  /** @param {string} label for people who do not see it @param {() => void} draw @param {string} id */
  constructor(label, draw, id) {
    this.#draw = draw;
    this.element = el(
      'div',
      { class: 'plot', id, role: 'application', 'aria-label': label, 'aria-roledescription': 'plot', tabIndex: 0 },
      this.#canvas,
      this.#overlay,
    );
    new ResizeObserver(() => {
      const { clientWidth, clientHeight } = this.element;
      [this.width, this.height] = [clientWidth, clientHeight];
      for (const canvas of [this.#canvas, this.#overlay]) {
        canvas.width = Math.round(clientWidth * devicePixelRatio);
        canvas.height = Math.round(clientHeight * devicePixelRatio);
      }
      this.redraw();
    }).observe(this.element);
  }

  redraw() {
    if (this.#scheduled || this.width === 0) return;
    this.#scheduled = true;
    // Each plot in a turn of its own, so that no frame waits for all of them.
    requestAnimationFrame(() =>
      setTimeout(() => {
        this.#scheduled = false;
        this.#draw();
      }),
    );
  }

  /** An empty canvas in CSS pixels. @param {'cells'|'pointer'} which */
  context(which) {
    const canvas = which === 'cells' ? this.#canvas : this.#overlay;
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    return context;
  }

  /** @param {Domain} x @param {Domain} y @returns {Scales} */
  scales(x, y) {
    const width = Math.max(1, this.width - MARGIN.left - MARGIN.right);
    const height = Math.max(1, this.height - MARGIN.top - MARGIN.bottom);
    return {
      width,
      height,
      x: (value) => MARGIN.left + ((value - x.low) / (x.high - x.low)) * width,
      y: (value) => MARGIN.top + height - ((value - y.low) / (y.high - y.low)) * height,
    };
  }

  /** @param {CanvasRenderingContext2D} context @param {Domain} x @param {Domain} y @param {string} xText @param {string} yText */
  axes(context, x, y, xText, yText) {
    const scales = this.scales(x, y);
    const [bottom, right] = [MARGIN.top + scales.height, MARGIN.left + scales.width];
    context.font = FONT;
    context.lineWidth = 1;
    context.strokeStyle = GRID;
    context.fillStyle = INK;
    context.textBaseline = 'top';
    context.textAlign = 'center';
    context.beginPath();
    for (const tick of ticksOf(x, Math.max(2, scales.width / 70))) {
      const at = Math.round(scales.x(tick)) + 0.5;
      context.moveTo(at, MARGIN.top);
      context.lineTo(at, bottom);
      context.fillText(tickText(tick), at, bottom + 3);
    }
    context.textAlign = 'right';
    context.textBaseline = 'middle';
    for (const tick of ticksOf(y, Math.max(2, scales.height / 40))) {
      const at = Math.round(scales.y(tick)) + 0.5;
      context.moveTo(MARGIN.left, at);
      context.lineTo(right, at);
      context.fillText(tickText(tick), MARGIN.left - 4, at);
    }
    context.stroke();
    context.textAlign = 'center';
    context.textBaseline = 'bottom';
    context.fillText(xText, MARGIN.left + scales.width / 2, this.height - 1, scales.width);
    context.save();
    context.translate(2, MARGIN.top + scales.height / 2);
    context.rotate(-Math.PI / 2);
    context.textBaseline = 'top';
    context.fillText(yText, 0, 0, scales.height);
    context.restore();
    return scales;
  }

  /** Where a pointer is in the plot, in CSS pixels. @param {PointerEvent} event @returns {[number, number]} */
  place(event) {
    const box = this.element.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }
}
