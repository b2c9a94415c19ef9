/** Two quantities of every cell against one another. A drag draws a lasso, which selects the cells within. */
import { announce } from '../ui/dom.js';
import { classStyle } from '../canvas/colors.js';
import { insidePolygon } from '../canvas/geometry.js';
import { openInImage, pick, valuesOf } from './cells.js';
import { CLICK_DISTANCE, INK, PICKED, Plot, domainOf } from './plot.js';
import { store } from '../shared/page-state.js';

/** @typedef {import('./cells.js').Row} Row */
/** @typedef {import('./columns.js').Column} Column */

/** CSS pixels: side of a point, and how near a click has to be. */
const POINT = 3;
const REACH = 9;
/** Beyond as many points, each is fainter. */
const MANY = 2000;

export class Scatter {
  #plot = new Plot('Scatter plot', () => this.#draw(), 'scatter');
  /** @type {Row[]} */ #rows = [];
  /** @type {Column|null} */ #x = null;
  /** @type {Column|null} */ #y = null;
  /** Values, and places in CSS pixels once drawn; NaN where a value is undefined. */
  #values = { x: new Float64Array(), y: new Float64Array() };
  #places = { x: new Float32Array(), y: new Float32Array() };
  /** Points from left to right, for the keyboard. @type {number[]|null} */ #order = null;
  /** The point under the keyboard's cursor, by its place in that order. */ #cursor = -1;
  /** @type {{pointer: number, points: [number, number][], adds: boolean}|null} */ #lasso = null;

  constructor() {
    const { element } = this.#plot;
    element.addEventListener('pointerdown', (event) => this.#down(event));
    element.addEventListener('pointermove', (event) => this.#move(event));
    element.addEventListener('pointerup', (event) => this.#up(event));
    element.addEventListener('pointercancel', () => this.#lose());
    element.addEventListener('dblclick', (event) => {
      const at = this.#nearest(...this.#plot.place(/** @type {PointerEvent} */ (event)));
      if (at !== null) openInImage(this.#rows[at]);
    });
    element.addEventListener('keydown', (event) => this.#key(event));
    element.addEventListener('blur', () => {
      this.#cursor = -1;
      this.#drawPointer();
    });
  }

  get element() {
    return this.#plot.element;
  }

  /** @param {Row[]} rows @param {Column} x @param {Column} y */
  set(rows, x, y) {
    const [horizontal, vertical] = [valuesOf(x), valuesOf(y)];
    [this.#rows, this.#x, this.#y, this.#order, this.#cursor] = [rows, x, y, null, -1];
    this.#values = { x: Float64Array.from(rows, ({ at }) => horizontal[at]), y: Float64Array.from(rows, ({ at }) => vertical[at]) };
    this.element.setAttribute(
      'aria-label',
      `Scatter plot of ${y.text} over ${x.text}, ${rows.length} cells. Arrow keys move from cell to cell, Space selects, Enter opens.`,
    );
    this.#plot.redraw();
  }

  redraw() {
    this.#plot.redraw();
  }

  #draw() {
    const context = this.#plot.context('cells');
    const { x, y } = this.#values;
    const [xDomain, yDomain] = [domainOf(x), domainOf(y)];
    const scales = this.#plot.axes(context, xDomain, yDomain, this.#x?.text ?? '', this.#y?.text ?? '');
    const count = this.#rows.length;
    this.#places = { x: Float32Array.from(x, scales.x), y: Float32Array.from(y, scales.y) };
    const { picked } = store.state;
    /** @type {Map<string, number[]>} */ const groups = new Map();
    /** @type {number[]} */ const marked = [];
    for (let i = 0; i < count; i += 1) {
      if (Number.isNaN(x[i]) || Number.isNaN(y[i])) continue;
      const { label, cell } = this.#rows[i];
      const group = groups.get(label);
      if (group) group.push(i);
      else groups.set(label, [i]);
      if (picked.size && picked.has(cell)) marked.push(i);
    }
    const places = this.#places;
    context.globalAlpha = picked.size ? 0.45 : count > MANY ? 0.6 : 0.9;
    for (const [label, points] of groups) {
      context.fillStyle = classStyle(label).color;
      for (const i of points) context.fillRect(places.x[i] - POINT / 2, places.y[i] - POINT / 2, POINT, POINT);
    }
    context.globalAlpha = 1;
    const [outer, inner] = [POINT + 2, POINT];
    context.fillStyle = PICKED;
    for (const i of marked) context.fillRect(places.x[i] - outer / 2, places.y[i] - outer / 2, outer, outer);
    for (const i of marked) {
      context.fillStyle = classStyle(this.#rows[i].label).color;
      context.fillRect(places.x[i] - inner / 2, places.y[i] - inner / 2, inner, inner);
    }
    this.#drawPointer();
  }

  /** The lasso, and the cell under the keyboard's cursor. */
  #drawPointer() {
    const context = this.#plot.context('pointer');
    if (this.#lasso) {
      context.beginPath();
      for (const [x, y] of this.#lasso.points) context.lineTo(x, y);
      context.closePath();
      context.fillStyle = 'rgb(79 184 191 / 18%)';
      context.fill();
      context.strokeStyle = '#4fb8bf';
      context.lineWidth = 1.5;
      context.stroke();
    }
    const at = this.#order?.[this.#cursor];
    if (at !== undefined) {
      context.strokeStyle = INK;
      context.lineWidth = 2;
      context.strokeRect(this.#places.x[at] - 6, this.#places.y[at] - 6, 12, 12);
    }
  }

  /** @param {number} x @param {number} y @returns {number|null} */
  #nearest(x, y) {
    let [best, distance] = [/** @type {number|null} */ (null), REACH];
    for (let i = 0; i < this.#rows.length; i += 1) {
      const away = Math.hypot(this.#places.x[i] - x, this.#places.y[i] - y);
      if (away < distance) [best, distance] = [i, away];
    }
    return best;
  }

  /** @param {PointerEvent} event */
  #down(event) {
    if (event.button !== 0) return;
    this.#lasso = { pointer: event.pointerId, points: [this.#plot.place(event)], adds: event.shiftKey || event.ctrlKey || event.metaKey };
    this.element.setPointerCapture(event.pointerId);
  }

  /** @param {PointerEvent} event */
  #move(event) {
    const lasso = this.#lasso;
    if (!lasso || lasso.pointer !== event.pointerId) return;
    const [x, y] = this.#plot.place(event);
    const [lastX, lastY] = lasso.points[lasso.points.length - 1];
    if (Math.hypot(x - lastX, y - lastY) < CLICK_DISTANCE) return;
    lasso.points.push([x, y]);
    this.#drawPointer();
  }

  /** @param {PointerEvent} event */
  #up(event) {
    const lasso = this.#lasso;
    if (!lasso || lasso.pointer !== event.pointerId) return;
    this.#lose();
    const { points, adds } = lasso;
    const before = adds ? store.state.picked : [];
    if (points.length < 3) {
      const at = this.#nearest(...this.#plot.place(event));
      const hit = at === null ? [] : [this.#rows[at].cell];
      pick([...before, ...hit]);
      return;
    }
    const inside = this.#rows.filter((_, i) => insidePolygon(points, this.#places.x[i], this.#places.y[i]));
    pick([...before, ...inside.map(({ cell }) => cell)]);
    announce(`${inside.length} cells in the lasso.`);
  }

  #lose() {
    this.#lasso = null;
    this.#drawPointer();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowUp: 10, ArrowDown: -10, Home: -Infinity, End: Infinity }[event.key];
    if (step !== undefined) this.#step(step);
    else if (event.key === 'Escape' && store.state.picked.size) pick([]);
    else if (this.#order?.[this.#cursor] !== undefined && event.key === ' ') this.#toggle();
    else if (this.#order?.[this.#cursor] !== undefined && event.key === 'Enter') openInImage(this.#rows[this.#order[this.#cursor]]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** @param {number} step */
  #step(step) {
    const { x, y } = this.#values;
    this.#order ??= Array.from(x.keys())
      .filter((i) => !Number.isNaN(x[i]) && !Number.isNaN(y[i]))
      .sort((a, b) => x[a] - x[b]);
    if (this.#order.length === 0) return;
    this.#cursor = Math.min(Math.max(this.#cursor + step, 0), this.#order.length - 1);
    const row = this.#rows[this.#order[this.#cursor]];
    const picked = store.state.picked.has(row.cell) ? ', selected' : '';
    announce(`${row.label}, ${this.#x?.text} ${this.#x?.shown(row)}, ${this.#y?.text} ${this.#y?.shown(row)}${picked}`);
    this.#drawPointer();
  }

  #toggle() {
    const { cell } = this.#rows[/** @type {number[]} */ (this.#order)[this.#cursor]];
    const picked = new Set(store.state.picked);
    if (!picked.delete(cell)) picked.add(cell);
    pick(picked);
  }
}
