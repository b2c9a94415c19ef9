/** The brush and the eraser: a drag paints into the selected outline or takes out of it; without a selection it begins a cell. */
import { currentObjects, nextLabel } from './annotations.js';
import { stepBrushSize } from './choose-tool.js';
import { extentOf, maskBox, readWindow, unionOf } from './mask-window.js';
import { OutlineTool } from './outline-tool.js';
import { pixelsOf, setOutline } from './outlines.js';
import { Stroke } from './stroke.js';
import { boxAt, pending } from '../canvas/annotation-layer.js';
import { classStyle } from '../canvas/colors.js';
import { clipBox, sameBox } from '../canvas/geometry.js';
import { MaskPicture } from '../canvas/mask-picture.js';
import { maskPath } from '../canvas/masks.js';
import { painting } from '../canvas/paint-layer.js';
import { area } from '../shared/run-lengths.js';
import { currentImage, store } from '../shared/page-state.js';
import { announce, notify } from '../ui/dom.js';

/** @typedef {import('./mask-shapes.js').Place} Place */
/** @typedef {import('./mask-window.js').MaskWindow} MaskWindow */
/** @typedef {import('../shared/page-state.js').AnnotatedObject} AnnotatedObject */
/** @typedef {import('../canvas/geometry.js').Box} Box */
/** @typedef {import('../canvas/viewer.js').Point} Point */

/** The bit of a pen's other end in `PointerEvent.buttons`. */
const PEN_ERASER = 32;

/**
 * @typedef {Object} Painting
 * @property {Stroke} stroke
 * @property {MaskPicture} picture
 * @property {string} color
 * @property {import('../shared/page-state.js').ImageEntry|null} image
 * @property {AnnotatedObject|null} object as it was; null for a new one
 * @property {number|null} index of the object
 * @property {string} label
 * @property {Box|null} box around all that was painted
 * @property {boolean} erases
 * @property {number} before pixels of the outline
 */

export class BrushTool extends OutlineTool {
  /** @type {Painting|null} */ #painting = null;
  /** Enter has lowered the brush. */ #lowered = false;
  /**
   * What the last stroke left, so that the next one on the same cell need not read it again.
   * @type {{mask: object, window: MaskWindow, picture: MaskPicture, color: string}|null}
   */
  #last = null;

  get isBusy() {
    return this.#painting !== null;
  }

  /** @param {Point} point */
  down(point) {
    const { event } = point;
    if (!this.isReady) return Boolean(store.state.opened);
    if (event.ctrlKey || event.metaKey) {
      store.set({ selectedBox: boxAt(point.x, point.y, 2 / this.viewer.view.scale) });
      return true;
    }
    if (this.#lowered) this.#finish();
    this.forgetPlace();
    this.#begin([point.x, point.y], event.shiftKey || (event.buttons & PEN_ERASER) !== 0);
    this.#show(point);
    return true;
  }

  /** @param {Point} point */
  drag(point) {
    if (this.#painting && !this.#lowered) for (const place of this.#placesOf(point)) this.#paint(place);
    this.#show(point);
  }

  /** @param {Point} point */
  up(point) {
    if (this.#lowered || !this.#painting) return;
    this.#paint([point.x, point.y]);
    this.#finish();
  }

  /** @param {Point} point */
  hover(point) {
    if (!this.#lowered) this.forgetPlace();
    this.viewer.setCursor(this.cursor);
    this.#show(point);
  }

  /** @param {WheelEvent} event @returns {boolean} whether it was for the size of the brush */
  wheel(event) {
    // With Shift, browsers turn the wheel sideways.
    const turn = event.deltaY || event.deltaX;
    if (!(event.shiftKey || event.altKey) || event.ctrlKey || turn === 0) return false;
    stepBrushSize(turn < 0 ? 1 : -1);
    return true;
  }

  /** @param {KeyboardEvent} event */
  ownKey(event) {
    if (this.#lowered && (event.key === 'Delete' || event.key === 'Backspace')) {
      this.cancel();
      return true;
    }
    return false;
  }

  /** @param {Place} place */
  moved(place) {
    painting.disc = place;
    if (this.#lowered) this.#paint(place);
  }

  /** @param {Place} place @param {KeyboardEvent} event */
  entered(place, event) {
    painting.disc = place;
    if (this.#lowered) {
      this.#finish();
    } else if (this.#begin(place, event.shiftKey)) {
      this.#lowered = true;
      announce('Lowered; the arrow keys draw, Enter lifts, Escape cancels.');
    }
  }

  cancel() {
    this.#painting = null;
    this.#lowered = false;
    painting.picture = null;
    pending.draft = null;
    super.cancel();
  }

  /** @param {Place} place @param {boolean} other the eraser while the brush is chosen, and vice versa @returns {boolean} */
  #begin(place, other) {
    const image = currentImage();
    if (!image?.size) return false;
    const erases = (store.state.drawTool === 'eraser') !== other;
    const index = store.state.selectedBox ?? (erases ? boxAt(...place) : null);
    const object = index === null ? null : currentObjects()[index];
    if (erases && !object) {
      notify('Select a cell to erase from.');
      return false;
    }
    const label = object?.label ?? nextLabel();
    const { color } = classStyle(label);
    const { window, picture } = this.#canvasOf(object, image.size, erases, color);
    const before = object?.mask ? area(object.mask) : (window?.pixels.length ?? 0);
    const used = object?.mask ? maskBox(object.mask) : window && extentOf(window);
    Object.assign(painting, { picture, painted: null });
    this.#painting = {
      stroke: new Stroke(window, image.size, store.state.brushSize, erases ? 0 : 1),
      before,
      picture,
      color,
      image,
      object,
      index,
      label,
      box: used,
      erases,
    };
    this.#paint(place);
    return true;
  }

  /**
   * What is there already, to be painted on, and its picture: of the last stroke where that left this very mask.
   * @param {AnnotatedObject|null} object @param {import('../canvas/geometry.js').Size} size @param {boolean} erases @param {string} color
   * @returns {{window: MaskWindow|null, picture: MaskPicture}}
   */
  #canvasOf(object, size, erases, color) {
    const last = this.#last;
    this.#last = null;
    if (last && object?.mask === last.mask && color === last.color) return last;
    const window = object && erases ? pixelsOf(object, size) : object?.mask ? readWindow(object.mask) : null;
    const picture = new MaskPicture(color);
    if (window) picture.start(window, object?.mask ? maskPath(object.mask) : null);
    return { window, picture };
  }

  /** @param {Place} place */
  #paint(place) {
    const current = this.#painting;
    const size = current?.image?.size;
    if (!current || !size) return;
    current.stroke.to(place, (changed) => {
      if (current.stroke.window) current.picture.update(current.stroke.window, changed);
      if (!current.erases) current.box = current.box ? unionOf(current.box, changed) : changed;
    });
    if (current.box) pending.draft = { box: clipBox(current.box, size), label: current.label, index: current.index };
    this.viewer.redraw();
  }

  #finish() {
    const current = this.#painting;
    this.cancel();
    if (!current?.stroke.window) return;
    if (currentImage() !== current.image) return;
    const index = current.object ? this.#indexOf(current.object, current.index) : null;
    // Undo, or another file, may have taken the cell from under the stroke.
    if (index === -1) return;
    if (!setOutline(current.erases ? 'Erased' : 'Painted', index, current.stroke.window, { before: current.before })) return;
    const { selectedBox } = store.state;
    const mask = selectedBox === null ? null : currentObjects()[selectedBox]?.mask;
    const { picture, color, stroke } = current;
    painting.painted = mask ? { mask, picture } : null;
    this.#last = mask && stroke.window ? { mask, window: stroke.window, picture, color } : null;
  }

  /** Where an object is now; a proposal that came meanwhile gives way to the stroke. @param {AnnotatedObject} object @param {number|null} index where it was */
  #indexOf(object, index) {
    const objects = currentObjects();
    const now = objects[index ?? -1];
    return now?.proposed && sameBox(now.box, object.box) ? objects.indexOf(now) : objects.indexOf(object);
  }

  /** Every place that the pointer was at since the last event. @param {Point} point @returns {Place[]} */
  #placesOf({ x, y, event }) {
    const events = event.getCoalescedEvents?.() ?? [];
    const { scale } = this.viewer.view;
    /** @type {Place[]} */
    const places = events.map(({ clientX, clientY }) => [x + (clientX - event.clientX) / scale, y + (clientY - event.clientY) / scale]);
    return places.length > 0 ? places : [[x, y]];
  }

  /** @param {Point} point */
  #show({ x, y }) {
    painting.disc = [x, y];
    this.viewer.redraw();
  }
}
