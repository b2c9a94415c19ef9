/** The cells to review, in the order of what a correction teaches most: image by image, the most doubtful first. */
import { acceptedLabel } from '../measure/review.js';
import { doubtsOf } from './questions.js';
import { rejectedOf, store, thresholdOf } from '../shared/page-state.js';

/** @typedef {import('../shared/page-state.js').ImageEntry} ImageEntry */

/**
 * @typedef {Object} Question
 * @property {string} key
 * @property {ImageEntry} image
 * @property {'detections'} kind
 * @property {number} number of the detection in its image
 * @property {import('../engine/protocol.js').Detection} cell
 * @property {number} worth
 * @property {string} reason
 */

/** Doubts by what they are about; a moved slider is about something else. @type {WeakMap<object, {at: string, doubts: import('./questions.js').Doubt[]}>} */
const known = new WeakMap();

/** @param {ImageEntry} image */
function doubtsAbout({ result }) {
  if (!result || result.stale) return [];
  const { detections } = result.detections;
  const labels = [...new Set(detections.map(({ label }) => label))];
  const at = labels.map((label) => `${label} ${thresholdOf(label)}`).join('\n');
  const before = known.get(detections);
  if (before?.at === at) return before.doubts;
  const doubts = doubtsOf(detections, thresholdOf);
  known.set(detections, { at, doubts });
  return doubts;
}

/** All questions that are open, and how many have been answered: by accepting a cell, with whatever label, or by rejecting it. */
export function reviewQueue() {
  let answered = 0;
  /** @type {{worth: number, questions: Question[]}[]} */ const images = [];
  for (const image of store.state.images) {
    const doubts = doubtsAbout(image);
    if (doubts.length === 0) continue;
    const rejected = rejectedOf(image);
    const cells = image.result?.detections.detections ?? [];
    /** @type {Question[]} */ const questions = [];
    for (const { number, worth, reason } of doubts) {
      const cell = cells[number];
      const question = { key: `${image.id} ${number}`, image, kind: /** @type {const} */ ('detections'), number, cell, worth, reason };
      if (image.annotations?.verified || rejected.has(number) || acceptedLabel(question) !== null) answered += 1;
      else questions.push(question);
    }
    questions.sort((a, b) => b.worth - a.worth);
    images.push({ worth: questions.reduce((sum, one) => sum + one.worth, 0), questions });
  }
  images.sort((a, b) => b.worth - a.worth);
  return { open: images.flatMap(({ questions }) => questions), answered, images: images.filter(({ questions }) => questions.length).length };
}
