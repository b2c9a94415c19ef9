/** Which detections of the current image are not annotated yet: by box and label, a little overlap short of the whole. */
import { iou } from './geometry.js';
import { classThresholds, currentImage, shownDetections, store } from '../shared/page-state.js';

/** @typedef {import('../shared/page-state.js').AnnotatedObject} AnnotatedObject */

/** Boxes of the same label that overlap more than this are one and the same. */
const SAME = 0.9;
/** A detection that overlaps a box of its label as much is of a cell that is annotated already, if a little otherwise. */
const SAME_CELL = 0.5;

/**
 * Whether a box is among objects already, with its label.
 * @param {AnnotatedObject[]} objects @param {{box: ArrayLike<number>, label: string}} one @param {number} [overlap]
 */
export function isThere(objects, { box, label }, overlap = SAME) {
  return objects.some((other) => other.label === label && iou(other.box, box) > overlap);
}

/** @type {{annotations: object|null, result: object|null, score: number, thresholds: object|null, open: ReturnType<typeof shownDetections>}} */
let known = { annotations: null, result: null, score: 0, thresholds: null, open: [] };

/** Detections of the current image above the slider that are not annotated yet. */
export function openDetections() {
  const image = currentImage();
  const { score } = store.state;
  const [annotations, result] = [image?.annotations ?? null, image?.result ?? null];
  const thresholds = classThresholds();
  if (known.annotations !== annotations || known.result !== result || known.score !== score || known.thresholds !== thresholds) {
    const objects = annotations?.objects ?? [];
    known = { annotations, result, score, thresholds, open: shownDetections(image).filter(({ detection }) => !isThere(objects, detection, SAME_CELL)) };
  }
  return known.open;
}
