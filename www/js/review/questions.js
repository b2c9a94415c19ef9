/**
 * review/ asks a person what the detector is least sure of: which images and cells to correct next.
 *
 * The doubts about the detections of one image, told by what is there anyway: scores, labels, overlaps, outlines. Each is worth
 * from 0 to 1, and its reason is said in words. Uncertain examples teach a detector more than sure ones (Settles 2009, "Active
 * learning literature survey", section 3.1).
 */
import { area } from '../shared/run-lengths.js';
import { iou } from '../canvas/geometry.js';

/** @typedef {import('../engine/protocol.js').Detection} Detection */
/** @typedef {{number: number, worth: number, reason: string}} Doubt `number`: of the detection in its image */

/** Scores so far below the threshold are no question any more. */
const BELOW = 0.35;
/** Doubts worth less are not asked. */
const LEAST = 0.3;
/** Detections that overlap by more are two words about one cell, by less, perhaps two cells. */
const SAME = 0.6;
/** Overlaps from which neighbours are suspect. */
const CROWDED = 0.25;
/** A cell fills at least this share of its box: a thin one that lies across it fills a third. */
const THIN = 0.3;

/**
 * @param {Detection[]} detections best first
 * @param {(label: string) => number} thresholdOf from which score a detection of a class counts
 * @returns {Doubt[]} one a detection at most, in their order
 */
export function doubtsOf(detections, thresholdOf) {
  const overlaps = overlapping(detections);
  /** @type {Set<number>} */ const repeated = new Set();
  /** @type {Doubt[]} */ const doubts = [];
  detections.forEach(({ label, score, box, mask }, number) => {
    const threshold = thresholdOf(label);
    if (repeated.has(number) || score < threshold - BELOW) return;
    const reasons = [ofScore(score, threshold)];
    for (const { other, share } of overlaps[number]) {
      const second = detections[other];
      if (other < number || (share < SAME && second.score < thresholdOf(second.label))) continue;
      if (share >= SAME) {
        repeated.add(other);
        if (second.label !== label) reasons.push(ofLabels({ label, score }, second));
      } else if (score >= threshold) reasons.push({ worth: 0.5 + share / 2, reason: `overlaps another cell by ${Math.round(share * 100)} %` });
    }
    const filled = mask ? area(mask) / ((box[2] - box[0]) * (box[3] - box[1])) : 1;
    if (filled < THIN && score >= threshold) reasons.push({ worth: 1 - filled, reason: `the outline fills ${Math.round(filled * 100)} % of the box` });
    const [best] = reasons.sort((a, b) => b.worth - a.worth);
    if (best.worth >= LEAST) doubts.push({ number, ...best });
  });
  return doubts;
}

/** Nearest to the threshold is most in doubt. @param {number} score @param {number} threshold */
function ofScore(score, threshold) {
  const worth = score < threshold ? 1 - (threshold - score) / BELOW : 1 - (score - threshold) / Math.max(1 - threshold, 0.01);
  return { worth, reason: `score ${score.toFixed(2)}, threshold ${threshold.toFixed(2)}` };
}

/** @param {{label: string, score: number}} first @param {{label: string, score: number}} second */
function ofLabels(first, second) {
  return { worth: second.score / first.score, reason: `${first.label} ${first.score.toFixed(2)} or ${second.label} ${second.score.toFixed(2)}` };
}

/**
 * Which detections overlap each one, by IoU of boxes.
 * @param {Detection[]} detections @returns {{other: number, share: number}[][]}
 */
function overlapping(detections) {
  /** @type {{other: number, share: number}[][]} */
  const overlaps = detections.map(() => []);
  // From left to right, so that only boxes that begin before another ends are compared.
  const order = detections.map((_, number) => number).sort((a, b) => detections[a].box[0] - detections[b].box[0]);
  order.forEach((first, at) => {
    const { box } = detections[first];
    for (let next = at + 1; next < order.length && detections[order[next]].box[0] < box[2]; next += 1) {
      const second = order[next];
      const share = iou(box, detections[second].box);
      if (share < CROWDED) continue;
      overlaps[first].push({ other: second, share });
      overlaps[second].push({ other: first, share });
    }
  });
  return overlaps;
}
