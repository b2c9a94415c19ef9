/** Going along the boxes of an image with a key, from its top to its foot. */
import { currentObjects } from './annotations.js';
import { readingOrder } from '../canvas/annotation-layer.js';
import { store } from '../shared/page-state.js';
import { announce } from '../ui/dom.js';

/** Brings the selected box into view. @param {import('../canvas/viewer.js').Viewer} viewer */
export function revealSelected(viewer) {
  const { selectedBox } = store.state;
  const object = selectedBox === null ? null : currentObjects()[selectedBox];
  if (object) viewer.move((view) => view.reveal(object.box));
}

/**
 * Selects the next box, or the previous one.
 * @param {import('../canvas/viewer.js').Viewer} viewer @param {number} step
 * @returns {boolean} false at either end, so that the focus moves to the element after the canvas
 */
export function selectNext(viewer, step) {
  const order = readingOrder();
  const { selectedBox } = store.state;
  const now = selectedBox === null ? -1 : order.indexOf(selectedBox);
  const next = now < 0 ? (step > 0 ? 0 : order.length - 1) : now + step;
  if (next < 0 || next >= order.length) return false;
  store.set({ selectedBox: order[next] });
  const { label, box } = currentObjects()[order[next]];
  announce(
    `${label}, ${Math.round(box[2] - box[0])} by ${Math.round(box[3] - box[1])} at ${Math.round(box[0])}, ${Math.round(box[1])}; ${next + 1} of ${order.length}`,
  );
  revealSelected(viewer);
  return true;
}
