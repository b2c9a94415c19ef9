/** The knife: a line across a cell makes two of it. */
import { OutlineTool } from './outline-tool.js';
import { splitObject } from './outlines.js';
import { boxAt } from '../canvas/annotation-layer.js';
import { painting } from '../canvas/paint-layer.js';
import { currentImage, store } from '../shared/page-state.js';
import { announce, notify } from '../ui/dom.js';

/** @typedef {import('./mask-shapes.js').Place} Place */
/** @typedef {import('../canvas/viewer.js').Point} Point */

/** CSS pixels of the shortest line; a shorter drag is a click, which selects. */
const SHORTEST = 4;

export class SplitTool extends OutlineTool {
  /** @type {{from: Place, image: import('../shared/page-state.js').ImageEntry|null}|null} */ #line = null;

  get isBusy() {
    return this.#line !== null;
  }

  /** @param {Point} point */
  down({ x, y }) {
    if (!this.isReady) return Boolean(store.state.opened);
    this.forgetPlace();
    this.#line = { from: [x, y], image: currentImage() };
    return true;
  }

  /** @param {Point} point */
  drag({ x, y }) {
    this.#show([x, y]);
  }

  /** @param {Point} point */
  up({ x, y }) {
    const line = this.#line;
    if (!line) return;
    const [fromX, fromY] = line.from;
    if (Math.hypot(x - fromX, y - fromY) * this.viewer.view.scale >= SHORTEST) {
      this.#cut([x, y]);
      return;
    }
    this.cancel();
    store.set({ selectedBox: boxAt(x, y, 2 / this.viewer.view.scale) });
  }

  hover() {
    if (!this.isBusy) this.forgetPlace();
    this.viewer.setCursor(this.cursor);
    this.viewer.redraw();
  }

  /** @param {Place} place */
  moved(place) {
    this.#show(place);
  }

  /** @param {Place} place */
  entered(place) {
    if (this.#line) {
      this.#cut(place);
      return;
    }
    this.#line = { from: place, image: currentImage() };
    announce('The line begins here; Enter ends it.');
  }

  cancel() {
    this.#line = null;
    painting.line = null;
    super.cancel();
  }

  /** Cuts the selected cell; without one, the cell under the middle of the line. @param {Place} to */
  #cut(to) {
    const line = this.#line;
    this.cancel();
    if (!line || line.image !== currentImage()) return;
    const { from } = line;
    const index = store.state.selectedBox ?? boxAt((from[0] + to[0]) / 2, (from[1] + to[1]) / 2);
    if (index === null) notify('Draw the line across a cell.');
    else splitObject(index, from, to);
  }

  /** @param {Place} to */
  #show(to) {
    painting.line = this.#line ? { places: [this.#line.from, to], closes: false } : null;
    this.viewer.redraw();
  }
}
