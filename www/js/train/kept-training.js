/**
 * What is saved of a run with the project: its curves, bounded, so that a resumed run has its first part,
 * how it ended, and how well the detector agreed with annotations.
 *
 * @typedef {{step: number, epoch: number, total: number, losses: Record<string, number>}} StepPoint
 * @typedef {{step: number, epoch: number, map50: number, map5095: number, classAgnostic50: number, best: boolean}} ValidationPoint
 * @typedef {{name: string, steps: number, seconds: number, best: [number, number]|null}} Ending name of the detector's file
 *
 * @typedef {Object} Curves
 * @property {StepPoint[]} steps every n-th, the last among them
 * @property {ValidationPoint[]} validations
 * @property {Ending|null} ending null where the training run has not ended yet
 */
import { demand, isObject, label, list, number, text, whole } from '../shared/record-fields.js';
import * as limits from '../shared/limits.js';

/** Losses of one step; torchvision has five. */
const LOSSES = 8;

/** Every second, as often as needed; the last one stays. @template T @param {T[]} points @returns {T[]} */
export function thinned(points, most = limits.CURVE_POINTS) {
  let left = points;
  while (left.length > most) left = left.filter((_, index) => (left.length - 1 - index) % 2 === 0);
  return left;
}

/** @param {{steps: StepPoint[], validations: ValidationPoint[]}} training @param {Ending|null} [ending] @returns {Curves} */
export function curvesOf({ steps, validations }, ending = null) {
  const points = thinned(validations).map(({ step, epoch, map50, map5095, classAgnostic50, best }) => ({ step, epoch, map50, map5095, classAgnostic50, best }));
  return { steps: [...thinned(steps)], validations: points, ending };
}

/** An evaluation as it is kept: of very many images the worst. @param {import('../engine/protocol.js').Evaluation} evaluation @returns {import('../engine/protocol.js').Evaluation} */
export function bounded(evaluation) {
  /** @template T @param {T[]} all */
  const few = (all) => all.slice(0, limits.WORST_IMAGES);
  const { worst_images, cut_images, limited_images } = evaluation;
  return { ...evaluation, worst_images: few(worst_images), cut_images: few(cut_images), limited_images: few(limited_images) };
}

/** @template T @param {(value: unknown, what: string) => T} read @returns {(value: unknown, what: string) => T|null} */
const orNull = (read) => (value, what) => (value === null || value === undefined ? null : read(value, what));
/** @param {unknown} value @param {string} what */
const share = (value, what) => number(value, what, 0, 1);
/** @param {unknown} value @param {string} what */
const count = (value, what) => whole(value, what, 0, Number.MAX_SAFE_INTEGER);

/** @template T @param {unknown} value @param {string} what @param {number} most @param {(value: unknown, what: string) => T} read @returns {Record<string, T>} */
function table(value, what, most, read) {
  demand(isObject(value) && Object.keys(value).length <= most, `${what} is not a table`);
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [label(key, what), read(one, what)]));
}

/** @param {unknown} value @param {string} what @returns {StepPoint} */
function stepPoint(value, what) {
  demand(isObject(value), `${what} is not a step`);
  const { step, epoch, total, losses } = value;
  return { step: count(step, what), epoch: number(epoch, what, 0), total: number(total, what), losses: table(losses, what, LOSSES, number) };
}

/** @param {unknown} value @param {string} what @returns {ValidationPoint} */
function validationPoint(value, what) {
  demand(isObject(value), `${what} is not a validation`);
  const { step, epoch, map50, map5095, classAgnostic50 = value.classIgnoring50, best } = value;
  return {
    step: count(step, what),
    epoch: number(epoch, what, 0),
    map50: share(map50, what),
    map5095: share(map5095, what),
    classAgnostic50: share(classAgnostic50, what),
    best: best === true,
  };
}

/** @param {unknown} value @param {string} what @returns {Ending} */
function ending(value, what) {
  demand(isObject(value), `${what} cannot be read`);
  const best = orNull((pair) => list(pair, what, 2, share))(value.best, what);
  demand(best === null || best.length === 2, `${what} does not have two average precisions`);
  return {
    name: text(value.name, what),
    steps: count(value.steps, what),
    seconds: number(value.seconds, what, 0),
    best: /** @type {[number, number]|null} */ (best),
  };
}

/** @param {unknown} value @returns {Curves} */
export function readCurves(value) {
  demand(isObject(value), 'the training curves cannot be read');
  return {
    steps: list(value.steps, 'the training steps', limits.CURVE_POINTS, stepPoint),
    validations: list(value.validations, 'the validation results', limits.CURVE_POINTS, validationPoint),
    ending: orNull(ending)(value.ending, 'the training outcome'),
  };
}

/** @param {Record<string, unknown>} value @param {string} what */
const average = ({ ap_50, ap_50_95 }, what) => ({ ap_50: orNull(share)(ap_50, what), ap_50_95: orNull(share)(ap_50_95, what) });

/** @param {unknown} value @param {string} what */
function classResult(value, what) {
  demand(isObject(value) && isObject(value.curve), `${what} is not the result of a class`);
  const { precision, score } = value.curve;
  /** @param {unknown} some */
  const points = (some) => list(some, what, limits.RECALL_POINTS, share);
  /** @param {unknown} one */
  const kept = (one) => {
    demand(isObject(one), `${what} cannot be read`);
    return { score: share(one.score, what), true_positives: count(one.true_positives, what), false_positives: count(one.false_positives, what) };
  };
  return {
    ...average(value, what),
    boxes: count(value.boxes, what),
    curve: { precision: points(precision), score: points(score) },
    kept: list(value.kept ?? [], what, limits.RECALL_POINTS, kept),
  };
}

/** @param {unknown} value @param {string} what */
function imageScore(value, what) {
  demand(isObject(value), `${what} is not an image`);
  const { image, right, confused, missed, extra, f1 } = value;
  return {
    image: text(image, what),
    right: count(right, what),
    confused: count(confused, what),
    missed: count(missed, what),
    extra: count(extra, what),
    f1: share(f1, what),
  };
}

/** @param {unknown} value @param {string} what */
function confusion(value, what) {
  demand(isObject(value), `${what} cannot be read`);
  const classes = list(value.classes, what, limits.CLASSES + 1, label);
  /** @param {unknown} one */
  const row = (one) => {
    const counts = list(one, what, classes.length, count);
    demand(counts.length === classes.length, `${what} is not square`);
    return counts;
  };
  const counts = list(value.counts, what, classes.length, row);
  demand(counts.length === classes.length, `${what} is not square`);
  return { classes, counts };
}

/** @param {unknown} value @returns {import('../engine/protocol.js').Evaluation} */
export function readEvaluation(value) {
  const what = 'the evaluation';
  demand(isObject(value), `${what} cannot be read`);
  // Projects of earlier versions have another name for it.
  const classAgnostic = value.class_agnostic ?? value.class_ignoring;
  demand(isObject(classAgnostic), `${what} cannot be read`);
  demand(value.measure === 'boxes' || value.measure === 'masks', `${what} has an unknown measure`);
  return {
    map_50: orNull(share)(value.map_50, what),
    map_50_95: orNull(share)(value.map_50_95, what),
    per_class: table(value.per_class, what, limits.CLASSES, classResult),
    class_agnostic: average(classAgnostic, what),
    images: count(value.images, what),
    boxes: count(value.boxes, what),
    measure: value.measure,
    confusion: confusion(value.confusion, `the confusion matrix of ${what}`),
    worst_images: list(value.worst_images, what, limits.WORST_IMAGES, imageScore),
    max_detections: orNull(count)(value.max_detections, what),
    cut_images: list(value.cut_images ?? [], what, limits.WORST_IMAGES, text),
    limited_images: list(value.limited_images ?? [], what, limits.WORST_IMAGES, text),
  };
}
