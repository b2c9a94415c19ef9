/** How many cells of each class have which value. A drag selects those in a range. */
import { announce } from '../ui/dom.js';
import { classStyle } from '../canvas/colors.js';
import { pick, valuesOf } from './cells.js';
import { short } from './columns.js';
import { CLICK_DISTANCE, INK, MARGIN, PICKED, Plot, domainOf } from './plot.js';
import { store } from '../shared/page-state.js';

/** @typedef {import('./cells.js').Row} Row */
/** @typedef {import('./columns.js').Column} Column */

const BINS = 40;

export class Histogram {
  #plot = new Plot('Histogram', () => this.#draw(), 'histogram');
  /** @type {Row[]} */ #rows = [];
  /** @type {Column|null} */ #column = null;
  #values = new Float64Array();
  #domain = { low: 0, high: 1 };
  /** The first and last bin under the pointer or the keyboard's cursor. @type {[number, number]|null} */ #range = null;
  /** @type {{pointer: number, from: number, adds: boolean}|null} */ #drag = null;

  constructor() {
    const { element } = this.#plot;
    element.addEventListener('pointerdown', (event) => {
      if (event.button !== 0) return;
      const [x] = this.#plot.place(event);
      this.#drag = { pointer: event.pointerId, from: x, adds: event.shiftKey || event.ctrlKey || event.metaKey };
      element.setPointerCapture(event.pointerId);
    });
    element.addEventListener('pointermove', (event) => {
      if (this.#drag?.pointer !== event.pointerId) return;
      const [x] = this.#plot.place(event);
      if (Math.abs(x - this.#drag.from) < CLICK_DISTANCE) return;
      this.#range = [this.#binAt(Math.min(x, this.#drag.from)), this.#binAt(Math.max(x, this.#drag.from))];
      this.#drawPointer();
    });
    element.addEventListener('pointerup', (event) => {
      if (this.#drag?.pointer !== event.pointerId) return;
      this.#range ??= [this.#binAt(this.#drag.from), this.#binAt(this.#drag.from)];
      this.#select(this.#drag.adds);
      this.#lose();
    });
    element.addEventListener('pointercancel', () => this.#lose());
    element.addEventListener('blur', () => this.#lose());
    element.addEventListener('keydown', (event) => this.#key(event));
  }

  get element() {
    return this.#plot.element;
  }

  /** @param {Row[]} rows @param {Column} column */
  set(rows, column) {
    [this.#rows, this.#column, this.#range] = [rows, column, null];
    const numbers = valuesOf(column);
    this.#values = Float64Array.from(rows, ({ at }) => numbers[at]);
    this.#domain = domainOf(this.#values);
    this.element.setAttribute(
      'aria-label',
      `Histogram of ${column.text}, ${rows.length} cells. Arrow keys move from bar to bar, with Shift over several; Space selects.`,
    );
    this.#plot.redraw();
  }

  redraw() {
    this.#plot.redraw();
  }

  /** @param {number} value */
  #binOf(value) {
    const { low, high } = this.#domain;
    return Math.min(Math.max(Math.floor(((value - low) / (high - low)) * BINS), 0), BINS - 1);
  }

  /** @param {number} x in CSS pixels */
  #binAt(x) {
    const { width } = this.#plot.scales(this.#domain, { low: 0, high: 1 });
    return Math.min(Math.max(Math.floor(((x - MARGIN.left) / width) * BINS), 0), BINS - 1);
  }

  #draw() {
    const context = this.#plot.context('cells');
    /** @type {Map<string, Uint32Array>} */ const counts = new Map();
    const marked = new Uint32Array(BINS);
    const { picked } = store.state;
    for (let i = 0; i < this.#rows.length; i += 1) {
      if (Number.isNaN(this.#values[i])) continue;
      const { label, cell } = this.#rows[i];
      const bin = this.#binOf(this.#values[i]);
      let bins = counts.get(label);
      if (!bins) counts.set(label, (bins = new Uint32Array(BINS)));
      bins[bin] += 1;
      if (picked.size && picked.has(cell)) marked[bin] += 1;
    }
    const most = Math.max(1, ...[...counts.values()].map((bins) => Math.max(...bins)), ...marked);
    const scales = this.#plot.axes(context, this.#domain, { low: 0, high: most * 1.05 }, this.#column?.text ?? '', 'cells');
    const side = scales.width / BINS;
    const bottom = scales.y(0);
    /** @param {Uint32Array} bins */
    const outline = (bins) => {
      context.beginPath();
      context.moveTo(MARGIN.left, bottom);
      bins.forEach((count, bin) => {
        context.lineTo(MARGIN.left + bin * side, scales.y(count));
        context.lineTo(MARGIN.left + (bin + 1) * side, scales.y(count));
      });
      context.lineTo(MARGIN.left + scales.width, bottom);
    };
    for (const [label, bins] of counts) {
      const { color, dash } = classStyle(label);
      outline(bins);
      context.fillStyle = color;
      context.globalAlpha = picked.size ? 0.1 : 0.25;
      context.fill();
      context.globalAlpha = 1;
      context.strokeStyle = color;
      context.lineWidth = 1.5;
      context.setLineDash(dash);
      context.stroke();
      context.setLineDash([]);
    }
    if (picked.size) {
      outline(marked);
      context.fillStyle = PICKED;
      context.globalAlpha = 0.7;
      context.fill();
      context.globalAlpha = 1;
    }
    this.#drawPointer();
  }

  #drawPointer() {
    const context = this.#plot.context('pointer');
    if (!this.#range) return;
    const { width, height } = this.#plot.scales(this.#domain, { low: 0, high: 1 });
    const [from, to] = this.#range;
    context.fillStyle = 'rgb(79 184 191 / 22%)';
    context.strokeStyle = INK;
    const box = /** @type {const} */ ([MARGIN.left + (from / BINS) * width, MARGIN.top, ((to - from + 1) / BINS) * width, height]);
    context.fillRect(...box);
    context.strokeRect(...box);
  }

  /** Selects the cells of the range. @param {boolean} adds to those that are selected */
  #select(adds) {
    if (!this.#range) return;
    const [from, to] = this.#range;
    const inside = this.#rows.filter((_, i) => {
      const bin = this.#binOf(this.#values[i]);
      return !Number.isNaN(this.#values[i]) && bin >= from && bin <= to;
    });
    pick([...(adds ? store.state.picked : []), ...inside.map(({ cell }) => cell)]);
    announce(`${inside.length} cells from ${this.#edge(from)} to ${this.#edge(to + 1)}.`);
  }

  /** @param {number} bin */
  #edge(bin) {
    const { low, high } = this.#domain;
    return short(low + ((high - low) * bin) / BINS);
  }

  #lose() {
    [this.#drag, this.#range] = [null, null];
    this.#drawPointer();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step !== undefined) {
      const [from, to] = this.#range ?? [-1, -1];
      const next = Math.min(Math.max(to + step, 0), BINS - 1);
      this.#range = event.shiftKey && from >= 0 ? [Math.min(from, next), Math.max(from, next)] : [next, next];
      announce(`${this.#edge(this.#range[0])} to ${this.#edge(this.#range[1] + 1)}`);
      this.#drawPointer();
    } else if (event.key === ' ' || event.key === 'Enter') this.#select(false);
    else if (event.key === 'Escape') pick([]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
