/**
 * What the tools for outlines have in common: the keyboard has a place on the image as the pointer has one, so that each
 * gesture is there for both.
 */
import { editKey } from './annotate-tool.js';
import { currentObjects, refused, toggleVerified } from './annotations.js';
import { selectNext } from './box-order.js';
import { chooseTool } from './choose-tool.js';
import { painting } from '../canvas/paint-layer.js';
import { currentImage, store } from '../shared/page-state.js';
import { announce } from '../ui/dom.js';

/** @typedef {import('./mask-shapes.js').Place} Place */

const ARROWS = /** @type {Record<string, [number, number]>} */ ({ ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] });
/** Pixels of the image that an arrow key goes with Shift. */
const FAR = 10;

export class OutlineTool {
  cursor = 'crosshair';
  /** Where the keyboard is, once it was used. @type {Place|null} */ #place = null;
  /** Escape was pressed: the next Tab leaves the canvas. */ #leaving = false;

  /** @param {import('../canvas/viewer.js').Viewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
  }

  /** A key that only this tool has. @param {KeyboardEvent} _event @returns {boolean} */
  ownKey(_event) {
    return false;
  }

  /** The keyboard has moved. @param {Place} _place */
  moved(_place) {}

  /** Enter was pressed. @param {Place} _place @param {KeyboardEvent} _event */
  entered(_place, _event) {}

  /** The gesture ends without a change. */
  cancel() {
    this.viewer.redraw();
  }

  /** Whether a gesture is under way, which Escape ends. */
  get isBusy() {
    return false;
  }

  /** Whether the image can be drawn on; that it cannot is said. */
  get isReady() {
    const { opened, current } = store.state;
    return Boolean(opened && opened.id === current && currentImage()?.size && !refused());
  }

  /** The place of the keyboard; at first the middle of the selected box, or of the view. @returns {Place} */
  get place() {
    if (this.#place) return this.#place;
    const { selectedBox } = store.state;
    const box = selectedBox === null ? null : currentObjects()[selectedBox]?.box;
    const { view } = this.viewer;
    const [x, y] = box ? [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2] : view.toImage(view.width / 2, view.height / 2);
    return [Math.floor(x) + 0.5, Math.floor(y) + 0.5];
  }

  /** The pointer is used again, or another box is selected. */
  forgetPlace() {
    this.#place = null;
    painting.cross = null;
  }

  blur() {
    this.#leaving = false;
  }

  space() {
    toggleVerified();
  }

  leave() {
    painting.disc = null;
    this.viewer.redraw();
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const leaving = this.#leaving;
    this.#leaving = false;
    const arrow = ARROWS[event.key];
    if (arrow && !event.ctrlKey && !event.metaKey && !event.altKey) return this.#go(arrow, event.shiftKey ? FAR : 1);
    if (this.ownKey(event) || editKey(event)) return true;
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    if (event.key === 'Tab') {
      if (leaving) return false;
      this.forgetPlace();
      return selectNext(this.viewer, event.shiftKey ? -1 : 1);
    }
    if (event.key === 'Enter') this.#enter(event);
    else if (event.key === 'n') this.#startNew();
    else if (event.key === 'Escape') this.#escape();
    else return false;
    return true;
  }

  /** @param {[number, number]} arrow @param {number} step */
  #go([dx, dy], step) {
    const size = currentImage()?.size;
    if (!size) return false;
    const [x, y] = this.place;
    this.#place = [Math.min(Math.max(x + dx * step, 0.5), size.width - 0.5), Math.min(Math.max(y + dy * step, 0.5), size.height - 0.5)];
    const [placeX, placeY] = this.#place;
    painting.cross = this.#place;
    this.viewer.move((view) => view.reveal([placeX, placeY, placeX, placeY]));
    this.moved(this.#place);
    this.viewer.redraw();
    return true;
  }

  /** @param {KeyboardEvent} event */
  #enter(event) {
    if (event.repeat || !this.isReady) return;
    const { place } = this;
    this.#place = place;
    painting.cross = place;
    this.entered(place, event);
    this.viewer.redraw();
  }

  /** The next gesture begins a new cell. */
  #startNew() {
    this.cancel();
    store.set({ selectedBox: null });
    announce('The next outline is a new cell.');
  }

  /** Takes back one thing after the other: the gesture, the selection, the tool; then Tab leaves the canvas. */
  #escape() {
    if (this.isBusy) {
      this.cancel();
    } else if (store.state.selectedBox !== null) {
      this.forgetPlace();
      store.set({ selectedBox: null });
    } else {
      chooseTool('box');
    }
    this.#leaving = true;
    this.viewer.redraw();
  }
}
