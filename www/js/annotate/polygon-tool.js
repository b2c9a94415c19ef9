/** The polygon: corners by clicks, by a drag along the contour or by the keyboard; closing it fills it. */
import { OutlineTool } from './outline-tool.js';
import { drawPolygon } from './outlines.js';
import { painting } from '../canvas/paint-layer.js';
import { currentImage, store } from '../shared/page-state.js';
import { announce, notify, plural } from '../ui/dom.js';

/** @typedef {import('./mask-shapes.js').Place} Place */
/** @typedef {import('../canvas/viewer.js').Point} Point */

/** CSS pixels around the first corner within which a click closes the polygon, for a mouse and for a finger. */
const REACH = { mouse: 8, pen: 10, touch: 20 };
/** CSS pixels between two corners of a drag. */
const SPACING = 3;

export class PolygonTool extends OutlineTool {
  /** @type {Place[]} */ #corners = [];
  /** Whether the drag has set corners of its own. */ #dragged = false;
  /** The image that the corners are on. @type {import('../shared/page-state.js').ImageEntry|null} */ #image = null;

  get isBusy() {
    return this.#corners.length > 0;
  }

  /** @param {Point} point */
  down(point) {
    if (!this.isReady) return Boolean(store.state.opened);
    this.forgetPlace();
    this.#dragged = false;
    if (this.#closesAt(point)) this.#close(point.event.shiftKey);
    else this.#add([point.x, point.y]);
    return true;
  }

  /** @param {Point} point */
  drag({ x, y }) {
    const last = this.#corners.at(-1);
    if (!last) return;
    if (Math.hypot(x - last[0], y - last[1]) * this.viewer.view.scale >= SPACING) {
      this.#dragged = true;
      this.#add([x, y]);
    }
  }

  /** @param {Point} point */
  up(point) {
    // A drag around the cell ends where it began.
    if (this.#dragged && this.#closesAt(point)) this.#close(point.event.shiftKey);
    this.#dragged = false;
    this.#show([point.x, point.y]);
  }

  /** @param {Point} point */
  hover(point) {
    this.forgetPlace();
    this.viewer.setCursor(this.#closesAt(point) ? 'pointer' : 'crosshair');
    this.#show([point.x, point.y]);
  }

  leave() {
    this.#show(null);
    super.leave();
  }

  /** @param {KeyboardEvent} event */
  ownKey(event) {
    if (!this.isBusy || (event.key !== 'Backspace' && event.key !== 'Delete')) return false;
    this.#corners.pop();
    announce(`Corner removed; ${plural(this.#corners.length, 'corner')}.`);
    this.#show(null);
    return true;
  }

  /** @param {Place} place */
  moved(place) {
    this.#show(place);
  }

  /** @param {Place} place @param {KeyboardEvent} event */
  entered([x, y], event) {
    const ends = [this.#corners.at(0), this.#corners.at(-1)];
    if (ends.some((corner) => corner && corner[0] === x && corner[1] === y)) {
      this.#close(event.shiftKey);
      return;
    }
    this.#add([x, y]);
    announce(`${plural(this.#corners.length, 'corner')}; Enter again closes the polygon.`);
  }

  cancel() {
    this.#corners = [];
    this.#dragged = false;
    painting.line = null;
    super.cancel();
  }

  /** @param {Place} corner */
  #add(corner) {
    if (this.#image !== currentImage()) this.#corners = [];
    this.#image = currentImage();
    this.#corners.push(corner);
    this.#show(null);
  }

  /** @param {Point} point */
  #closesAt({ screenX, screenY, event }) {
    if (this.#corners.length < 3) return false;
    const [x, y] = this.viewer.view.toScreen(...this.#corners[0]);
    return Math.hypot(screenX - x, screenY - y) <= (REACH[/** @type {'mouse'} */ (event.pointerType)] ?? REACH.mouse);
  }

  /** @param {boolean} cuts */
  #close(cuts) {
    const corners = this.#corners;
    const image = this.#image;
    this.cancel();
    if (image !== currentImage()) return;
    const { selectedBox } = store.state;
    if (cuts && selectedBox === null) notify('Select a cell to cut the polygon out of.');
    else if (corners.length < 3 || !drawPolygon(selectedBox, corners, cuts ? 0 : 1)) notify('A polygon needs at least three corners around some pixels.');
  }

  /** The corners, and a side from the last one to where the pointer or the keyboard is. @param {Place|null} end */
  #show(end) {
    painting.line = this.isBusy ? { places: end ? [...this.#corners, end] : this.#corners, closes: true } : null;
    this.viewer.redraw();
  }
}
