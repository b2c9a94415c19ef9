/** Learning curves and precision–recall as plots: the image worker draws them as SVG, `<img>` shows them. */
import { connection } from '../images/images.js';
import { isDark } from '../ui/theme.js';

/** As wide as the panel, so that the letters keep their size. */
const WIDTH = 320;

/** The five losses as torchvision names them, for people. @type {Record<string, string>} */
const LOSSES = {
  loss_classifier: 'class',
  loss_box_reg: 'box',
  loss_mask: 'mask',
  loss_objectness: 'object',
  loss_rpn_box_reg: 'proposal',
};

/** @typedef {import('../engine/protocol.js').Chart} Chart */

/**
 * @param {string} xLabel @param {string} yLabel @param {Chart['series']} series
 * @param {{yMax?: number|null, width?: number, height?: number}} [options] @returns {Chart}
 */
const chart = (xLabel, yLabel, series, { yMax = null, width = WIDTH, height = 200 } = {}) => ({
  xLabel,
  yLabel,
  yMax,
  series,
  width,
  height,
  dark: false,
});

/** @param {{steps: import('./kept-training.js').StepPoint[]}} training */
export function lossChart({ steps }) {
  /** @param {(point: import('./kept-training.js').StepPoint) => number} value @returns {[number, number][]} */
  const points = (value) => steps.map((one) => [one.step, value(one)]);
  const named = Object.entries(LOSSES)
    .filter(([key]) => steps.some(({ losses }) => losses[key] > 0))
    .map(([key, name]) => ({ name, points: points(({ losses }) => losses[key]) }));
  return chart('step', 'loss', [{ name: 'all', points: points(({ total }) => total) }, ...named]);
}

/** @param {{validations: import('./kept-training.js').ValidationPoint[]}} training */
export function validationChart({ validations }) {
  /** @param {string} name @param {'map50'|'map5095'|'classAgnostic50'} key @returns {Chart['series'][number]} */
  const series = (name, key) => ({ name, points: validations.map((one) => [one.epoch, one[key]]) });
  const list = [series('AP50', 'map50'), series('AP50:95', 'map5095'), series('class-agnostic AP50', 'classAgnostic50')];
  return chart('epoch', 'average precision', list, { yMax: 1 });
}

/** @param {import('../engine/protocol.js').Evaluation} evaluation */
export function precisionRecallChart(evaluation) {
  /** @type {Chart['series']} */
  const series = Object.entries(evaluation.per_class)
    .filter(([, { curve }]) => curve.precision.length > 0)
    .map(([name, { curve }]) => ({ name, points: curve.precision.map((value, index) => [index / (curve.precision.length - 1), value]) }));
  return chart('recall', 'precision', series, { yMax: 1, width: 640, height: 280 });
}

/** Draws charts into `<img>` elements, as the page's colours need them. @param {[HTMLImageElement, Chart][]} pairs */
export async function draw(pairs) {
  const charts = pairs.map(([, one]) => ({ ...one, dark: isDark() }));
  const { svg } = await connection.request({ type: 'plot', charts });
  pairs.forEach(([image], index) => {
    const old = image.src;
    image.src = URL.createObjectURL(new Blob([svg[index]], { type: 'image/svg+xml' }));
    if (old.startsWith('blob:')) URL.revokeObjectURL(old);
  });
}
