/**
 * The tool that draws: a drag makes a box, its handles resize it, a drag inside the selected one moves it, a click
 * selects. Everything the pointer does, the keyboard does too. Hand-drawn edges lie on whole pixels.
 */
import {
  accept,
  copyFrom,
  createBox,
  currentObjects,
  duplicate,
  nextLabel,
  refused,
  relabel,
  removeBox,
  setBox,
  toggleDifficult,
  toggleVerified,
} from './annotations.js';
import { followDraft, proposeSelected, proposeSoon, toggleOutline } from './propose-outline.js';
import { revealSelected, selectNext } from './box-order.js';
import { toolKey } from './choose-tool.js';
import { openDetections } from '../canvas/open-detections.js';
import { boxAt, pending } from '../canvas/annotation-layer.js';
import { announce } from '../ui/dom.js';
import { clipBox, shiftBox } from '../canvas/geometry.js';
import { listedImages } from '../images/list.js';
import { detectionAt } from '../canvas/detection-layer.js';
import { currentImage, store } from '../shared/page-state.js';

/** @typedef {import('../canvas/geometry.js').Box} Box */
/** @typedef {import('../canvas/viewer.js').Point} Point */

/** CSS pixels that a pointer has to move before it draws rather than clicks. */
const CLICK_DISTANCE = 4;
/** CSS pixels around an edge within which it can be taken, for a mouse and for a finger. */
const REACH = { mouse: 6, pen: 9, touch: 16 };
/** Side of a box that the keyboard makes, as a share of what is on the screen. */
const NEW_BOX = 0.12;

/** @typedef {{left: boolean, top: boolean, right: boolean, bottom: boolean}} Edges */

/**
 * @typedef {Object} Drag
 * @property {'draw'|'move'|'resize'} kind
 * @property {Point} start
 * @property {import('../shared/page-state.js').Annotations|null} annotations as they were; a drag ends where they change meanwhile
 * @property {number|null} index
 * @property {Box} box as it was
 * @property {Edges} edges
 * @property {boolean} moved
 */

/** The image that “copy from the previous” means: the one before in the list. */
export function previousImage() {
  const list = listedImages();
  const at = list.findIndex((image) => image.id === store.state.current);
  return at > 0 ? list[at - 1] : null;
}

export function copyFromPrevious() {
  const previous = previousImage();
  if (previous?.annotations) copyFrom(previous);
}

/** Makes annotations of all detections above the slider. */
export function acceptAll() {
  accept(openDetections().map(({ detection }) => detection));
}

/** Makes an annotation of the selected detection. */
export function acceptSelected() {
  const { selected } = store.state;
  const detection = selected === null ? null : currentImage()?.result?.detections.detections[selected];
  if (detection) accept([detection]);
}

/** The n-th label: for the selected box, and for the next one. @param {number} index */
export function chooseLabel(index) {
  const label = store.state.labels[index];
  if (!label) return;
  const { selectedBox, mode } = store.state;
  if (mode === 'annotate' && selectedBox !== null) relabel(selectedBox, label.name);
  else store.set({ label: label.name });
}

/** What the keys do with the boxes; `viewer.js` and `keys.js` ask here. @param {KeyboardEvent} event @returns {boolean} */
export function editKey(event) {
  const { selectedBox } = store.state;
  if (toolKey(event)) return true;
  if (event.altKey) return false;
  // A key that is held down too long deletes one box, not all.
  if (event.repeat && /^(Delete|Backspace|x|y|d|u)$/i.test(event.key)) return selectedBox !== null;
  if (event.ctrlKey || event.metaKey) {
    if (event.key.toLowerCase() !== 'd' || event.shiftKey) return false;
    if (selectedBox !== null) duplicate(selectedBox);
    return true;
  }
  if (/^[1-9]$/.test(event.key)) chooseLabel(Number(event.key) - 1);
  else if (event.key === 'y') acceptSelected();
  else if (event.key === 'Y') acceptAll();
  else if (selectedBox === null) return false;
  else if (event.key === 'Delete' || event.key === 'Backspace') removeBox(selectedBox);
  else if (event.key === 'x') toggleDifficult(selectedBox);
  else if (event.key === 'u') toggleOutline();
  else return false;
  return true;
}

export class AnnotateTool {
  cursor = 'crosshair';
  /** @type {Drag|null} */ #drag = null;
  /** W was pressed: the next drag draws, wherever it starts. */ #armed = false;
  /** Escape was pressed: the next Tab leaves the canvas. */ #leaving = false;
  #viewer;

  /** @param {import('../canvas/viewer.js').Viewer} viewer */
  constructor(viewer) {
    this.#viewer = viewer;
  }

  /** The next drag draws a box, wherever it starts. */
  arm() {
    this.#armed = true;
    this.#viewer.setCursor('crosshair');
    announce('Drag to draw a box, or press Enter to add one at the centre of the view.');
  }

  /** @param {Point} point */
  down(point) {
    const { opened, current } = store.state;
    if (!opened || opened.id !== current || refused()) return Boolean(opened);
    const grip = this.#armed ? null : this.#grip(point);
    const { selectedBox } = store.state;
    const object = selectedBox === null ? null : currentObjects()[selectedBox];
    const kind = !grip || !object ? 'draw' : grip === 'inside' ? 'move' : 'resize';
    this.#drag = {
      kind,
      start: point,
      annotations: currentImage()?.annotations ?? null,
      index: kind === 'draw' ? null : selectedBox,
      box: object && kind !== 'draw' ? object.box : [point.x, point.y, point.x, point.y],
      edges: typeof grip === 'object' && grip ? grip : { left: false, top: false, right: true, bottom: true },
      moved: false,
    };
    return true;
  }

  /** @param {Point} point */
  drag(point) {
    const drag = this.#drag;
    if (!drag) return;
    drag.moved ||= Math.hypot(point.screenX - drag.start.screenX, point.screenY - drag.start.screenY) >= CLICK_DISTANCE;
    if (!drag.moved) return;
    const object = drag.index === null ? null : currentObjects()[drag.index];
    const label = object?.label ?? nextLabel();
    pending.cross = null;
    // The outline of the place before stays until that of the new one is there.
    pending.draft = { box: this.#boxOf(drag, point), label, index: drag.index, mask: pending.draft?.mask };
    if (drag.kind !== 'move' && (!object?.mask || object.proposed)) followDraft(pending.draft.box, label, () => this.#viewer.redraw());
    this.#viewer.redraw();
  }

  /** @param {Point} point */
  up(point) {
    const drag = this.#drag;
    this.#drag = null;
    pending.draft = null;
    this.#viewer.redraw();
    if (!drag) return;
    if (!drag.moved) {
      this.#click(point);
      return;
    }
    // Undo or another file may have changed the boxes under the drag.
    if ((currentImage()?.annotations ?? null) !== drag.annotations) return;
    const box = this.#boxOf(drag, point);
    this.#armed = false;
    const done = drag.index === null ? createBox(box) : setBox(drag.index, box, drag.kind === 'move' ? 'Box moved' : 'Box resized');
    if (done) proposeSelected();
  }

  cancel() {
    this.#drag = null;
    pending.draft = null;
    this.#viewer.redraw();
  }

  leave() {
    if (pending.hovered === null && !pending.cross) return;
    pending.hovered = null;
    pending.cross = null;
    this.#viewer.redraw();
  }

  /** @param {Point} point */
  hover(point) {
    const hovered = this.#armed ? null : boxAt(point.x, point.y, 2 / this.#viewer.view.scale);
    const cross = this.#armed ? { x: point.x, y: point.y } : null;
    this.#viewer.setCursor(this.#armed ? 'crosshair' : cursorOf(this.#grip(point)));
    if (hovered === pending.hovered && !cross && !pending.cross) return;
    pending.hovered = hovered;
    pending.cross = cross;
    this.#viewer.redraw();
  }

  blur() {
    this.#leaving = false;
  }

  space() {
    toggleVerified();
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const leaving = this.#leaving;
    this.#leaving = false;
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (arrow && !event.ctrlKey && !event.metaKey) return this.#push(arrow, event.shiftKey ? 10 : 1, event.altKey);
    if (editKey(event)) return true;
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    if (event.key === 'Tab') return !leaving && selectNext(this.#viewer, event.shiftKey ? -1 : 1);
    if (event.key === 'Enter' || event.key === 'n') this.#createInView();
    else if (event.key === 'Escape') this.#escape();
    else return false;
    return true;
  }

  /** Takes back one thing after the other: the drag, the armed tool, the selection; then Tab leaves the canvas. */
  #escape() {
    if (this.#drag) this.cancel();
    else if (this.#armed) {
      this.#armed = false;
      pending.cross = null;
      this.#viewer.redraw();
    } else {
      store.set({ selectedBox: null, selected: null });
      this.#leaving = true;
    }
  }

  /** @param {Point} point */
  #click({ x, y }) {
    this.#armed = false;
    const index = boxAt(x, y, 2 / this.#viewer.view.scale);
    store.set({ selectedBox: index, selected: index === null ? detectionAt(x, y) : null });
  }

  /** Moves the selected box, or its right and lower edge. @param {number[]} arrow @param {number} step @param {boolean} resize */
  #push([x, y], step, resize) {
    const { selectedBox } = store.state;
    const size = currentImage()?.size;
    const object = selectedBox === null ? null : currentObjects()[selectedBox];
    if (!object || !size || selectedBox === null) return false;
    const { box } = object;
    const [dx, dy] = [x * step, y * step];
    const done = resize
      ? setBox(selectedBox, [box[0], box[1], Math.max(box[0] + 1, box[2] + dx), Math.max(box[1] + 1, box[3] + dy)], 'Box resized', 'resize')
      : setBox(selectedBox, shiftBox(box, dx, dy, size), 'Box moved', 'move');
    if (done) proposeSoon();
    revealSelected(this.#viewer);
    return true;
  }

  #createInView() {
    const { view } = this.#viewer;
    const size = currentImage()?.size;
    if (!store.state.opened || !size) return;
    const [left, top] = view.toImage(0, 0);
    const [right, bottom] = view.toImage(view.width, view.height);
    const [x1, y1, x2, y2] = clipBox([left, top, right, bottom], size);
    const side = Math.max(2, Math.round(NEW_BOX * Math.min(x2 - x1, y2 - y1)));
    const [x, y] = [Math.round((x1 + x2 - side) / 2), Math.round((y1 + y2 - side) / 2)];
    this.#armed = false;
    if (createBox([x, y, x + side, y + side])) proposeSelected();
  }

  /** What of the selected box is under the pointer. @param {Point} point @returns {Edges|'inside'|null} */
  #grip({ screenX, screenY, event }) {
    const { selectedBox } = store.state;
    const object = selectedBox === null ? null : currentObjects()[selectedBox];
    if (!object) return null;
    const { view } = this.#viewer;
    const reach = REACH[/** @type {'mouse'} */ (event.pointerType)] ?? REACH.mouse;
    const [x1, y1] = view.toScreen(object.box[0], object.box[1]);
    const [x2, y2] = view.toScreen(object.box[2], object.box[3]);
    if (screenX < x1 - reach || screenX > x2 + reach || screenY < y1 - reach || screenY > y2 + reach) return null;
    // In a small box a part of the middle stays for moving it.
    const [inX, inY] = [Math.min(reach, (x2 - x1) / 4), Math.min(reach, (y2 - y1) / 4)];
    const edges = { left: screenX < x1 + inX, right: screenX > x2 - inX, top: screenY < y1 + inY, bottom: screenY > y2 - inY };
    return edges.left || edges.right || edges.top || edges.bottom ? edges : 'inside';
  }

  /** @param {Drag} drag @param {{x: number, y: number}} point @returns {Box} */
  #boxOf({ kind, box, start, edges }, { x, y }) {
    const size = /** @type {{width: number, height: number}} */ (currentImage()?.size ?? store.state.opened);
    if (kind === 'draw') return clipBox([Math.round(start.x), Math.round(start.y), Math.round(x), Math.round(y)], size);
    const [dx, dy] = [x - start.x, y - start.y];
    if (kind === 'move') return shiftBox(box, Math.round(dx), Math.round(dy), size);
    return clipBox(
      [
        edges.left ? Math.round(box[0] + dx) : box[0],
        edges.top ? Math.round(box[1] + dy) : box[1],
        edges.right ? Math.round(box[2] + dx) : box[2],
        edges.bottom ? Math.round(box[3] + dy) : box[3],
      ],
      size,
    );
  }
}

/** @param {Edges|'inside'|null} grip */
function cursorOf(grip) {
  if (grip === null) return 'crosshair';
  if (grip === 'inside') return 'move';
  const { left, top, right, bottom } = grip;
  if ((left && top) || (right && bottom)) return 'nwse-resize';
  if ((right && top) || (left && bottom)) return 'nesw-resize';
  return left || right ? 'ew-resize' : 'ns-resize';
}
