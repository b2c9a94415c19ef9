/** Makes one cell of two: of the selected one and the one that is clicked, or of one and its nearest neighbour. */
import { currentObjects } from './annotations.js';
import { neighbourOf } from './neighbours.js';
import { OutlineTool } from './outline-tool.js';
import { mergeObjects } from './outlines.js';
import { boxAt, pending } from '../canvas/annotation-layer.js';
import { store } from '../shared/page-state.js';
import { announce, notify } from '../ui/dom.js';

/** @typedef {import('./mask-shapes.js').Place} Place */
/** @typedef {import('../canvas/viewer.js').Point} Point */

export class MergeTool extends OutlineTool {
  /** @param {Point} point */
  down({ x, y }) {
    if (!this.isReady) return Boolean(store.state.opened);
    this.forgetPlace();
    this.#take(this.#boxAt(x, y));
    return true;
  }

  /** @param {Point} point */
  hover({ x, y }) {
    this.forgetPlace();
    const other = this.#boxAt(x, y);
    this.viewer.setCursor(other === null ? this.cursor : 'pointer');
    this.#highlight(other);
  }

  leave() {
    this.#highlight(null);
    super.leave();
  }

  /** @param {Place} place */
  moved([x, y]) {
    const other = this.#boxAt(x, y);
    if (other !== pending.hovered && other !== null) announce(currentObjects()[other].label);
    this.#highlight(other);
  }

  /** With the keyboard on no other cell, the nearest neighbour. @param {Place} place */
  entered([x, y]) {
    const { selectedBox } = store.state;
    const other = this.#boxAt(x, y) ?? (selectedBox === null ? null : neighbourOf(selectedBox));
    if (other === null) notify(selectedBox === null ? 'Select a cell to merge.' : 'There is no neighbour to merge with.');
    else this.#take(other);
    this.forgetPlace();
  }

  /** The smallest box there that is not the selected one, which may lie over it. @param {number} x @param {number} y */
  #boxAt(x, y) {
    const { selectedBox } = store.state;
    const slack = 2 / this.viewer.view.scale;
    return boxAt(x, y, slack, selectedBox);
  }

  /** @param {number|null} other */
  #take(other) {
    this.#highlight(null);
    const { selectedBox } = store.state;
    if (selectedBox !== null && other !== null) {
      mergeObjects(selectedBox, other);
      return;
    }
    store.set({ selectedBox: other });
    if (other !== null) announce(`${currentObjects()[other].label}: choose the cell to merge it with.`);
  }

  /** @param {number|null} index */
  #highlight(index) {
    pending.hovered = index;
    this.viewer.redraw();
  }
}
