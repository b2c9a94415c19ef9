/** How well the detector agrees with what people annotated: run over images, shown as tables and curves, and reported. */
import { draw, lossChart, precisionRecallChart, validationChart } from './curves.js';
import { el, notify, openDialog, plural } from '../ui/dom.js';
import { compute, ensure, explain, wantedDiameter } from '../engine/engine.js';
import { foregroundClasses } from '../engine/protocol.js';
import { save } from '../ui/save-file.js';
import { connection as images, inputOf, measure } from '../images/images.js';
import { detectorMark } from '../engine/detector-mark.js';
import { annotationsOf, trainable } from './plan.js';
import { select, store } from '../shared/page-state.js';
import { bounded } from './kept-training.js';
import { thresholdSection } from './thresholds.js';
import { Cancelled } from '../engine/connection.js';

/** @typedef {import('../engine/protocol.js').Evaluation} Evaluation */

/** Images listed as the worst. */
const WORST = 50;

/**
 * Runs the detector over annotated images and compares. Its detections are shown on the images as well.
 * @param {string[]} names @param {AbortSignal} [signal]
 */
export async function evaluateOn(names, signal) {
  const wanted = new Set(names);
  const chosen = trainable().filter((image) => wanted.has(image.name));
  await measure(chosen);
  const entries = chosen.filter((image) => image.size);
  if (entries.length === 0) return;
  await ensure();
  const inputs = [];
  for (const image of entries) {
    inputs.push({ image: await inputOf(image), annotations: annotationsOf(image) });
  }
  const transfer = inputs.flatMap(({ image }) => image.files.map((file) => file.bytes.buffer));
  const options = { measure: /** @type {const} */ ('boxes'), score: store.state.score, diameter: wantedDiameter() };
  const { evaluation, detections } = await compute(
    { type: 'evaluate', images: inputs, options },
    {
      signal,
      transfer,
      progress: ({ done, total }) => {
        const { training } = store.state;
        if (!training) return;
        training.stage = `evaluation ${done + 1} of ${total}`;
        store.touch('training');
      },
    },
  );
  const detector = await detectorMark();
  for (const found of detections) {
    const image = entries.find((entry) => entry.name === found.image);
    if (!image) continue;
    image.result = { detections: found, seconds: 0, stale: false, detector };
    image.state = 'done';
  }
  store.set({ evaluation: bounded(evaluation) });
  store.touch('images');
}

/** Evaluates on everything that is annotated. */
export async function evaluateAll() {
  try {
    await evaluateOn(trainable().map((image) => image.name));
    openEvaluation();
  } catch (error) {
    if (!(error instanceof Cancelled)) notify(explain(error), { kind: 'error' });
  }
}

/** @param {number|null|undefined} value */
const number = (value) => (value === null || value === undefined ? '—' : value.toFixed(3));
/** @param {string|number} value */
const cell = (value) => el('td', { class: 'number' }, String(value));
/** @param {...string} names */
const head = (...names) => el('thead', {}, el('tr', {}, ...names.map((name) => el('th', { scope: 'col' }, name))));

/** @param {Evaluation} evaluation */
function classTable(evaluation) {
  /** @param {string} name @param {number} boxes @param {{ap_50: number|null, ap_50_95: number|null}} average */
  const row = (name, boxes, { ap_50, ap_50_95 }) => el('tr', {}, el('th', { scope: 'row' }, name), cell(boxes), cell(number(ap_50)), cell(number(ap_50_95)));
  const classes = Object.entries(evaluation.per_class).map(([name, one]) => row(name, one.boxes, one));
  const mean = row('Mean over classes', evaluation.boxes, { ap_50: evaluation.map_50, ap_50_95: evaluation.map_50_95 });
  const any = row('Class-agnostic', evaluation.boxes, evaluation.class_agnostic);
  return el('table', { class: 'plain' }, head('Class', 'Cells', 'AP50', 'AP50:95'), el('tbody', {}, ...classes, mean, any));
}

/** @param {Evaluation['confusion']} confusion */
function confusionTable({ classes, counts }) {
  const rows = classes.map((name, index) => el('tr', {}, el('th', { scope: 'row' }, name), ...counts[index].map(cell)));
  return el('table', { class: 'plain' }, head('Annotated ↓ detected →', ...classes), el('tbody', {}, ...rows));
}

/** @param {Evaluation['worst_images']} list @param {() => void} close */
function worstTable(list, close) {
  /** @param {string} name */
  const show = (name) => () => {
    const image = store.state.images.find((one) => one.name === name);
    if (image) select(image.id);
    close();
  };
  const rows = list
    .slice(0, WORST)
    .map((one) =>
      el(
        'tr',
        {},
        el('td', {}, el('button', { type: 'button', class: 'link', onclick: show(one.image) }, one.image)),
        cell(one.right),
        cell(one.confused),
        cell(one.missed),
        cell(one.extra),
      ),
    );
  return el('table', { class: 'plain' }, head('Image', 'True positives', 'Misclassified', 'Missed', 'False positives'), el('tbody', {}, ...rows));
}

/** Said where the detector may have left out cells. @param {string[]} names */
function limitNote(names) {
  if (names.length === 0) return null;
  const some = `${names.slice(0, 5).join(', ')}${names.length > 5 ? ', …' : ''}`;
  return el(
    'p',
    { class: 'note' },
    `The detector reached its limit of detections in ${plural(names.length, 'image')} (${some}); some cells may count as missed for that reason.`,
  );
}

export function openEvaluation() {
  const { evaluation } = store.state;
  if (!evaluation) return;
  const curve = el('img', { alt: 'Precision–recall curves at IoU 0.5, one per class', width: 640, height: 280 });
  const report = el(
    'button',
    { type: 'button', onclick: () => downloadReport().catch((error) => notify(explain(error), { kind: 'error' })) },
    'Download report',
  );
  const dialog = openDialog(
    `Evaluation: ${plural(evaluation.boxes, 'annotated cell')} in ${plural(evaluation.images, 'image')}`,
    [
      classTable(evaluation),
      limitNote(evaluation.limited_images ?? []),
      curve,
      thresholdSection(evaluation),
      el('h3', {}, 'Confusion matrix'),
      confusionTable(evaluation.confusion),
      el('h3', {}, 'Images with the most errors'),
      worstTable(evaluation.worst_images, () => dialog.close()),
      el('div', { class: 'actions' }, report),
    ],
    { wide: true },
  );
  draw([[curve, precisionRecallChart(evaluation)]]).catch((error) => notify(explain(error), { kind: 'error' }));
}

/** The curves of the current training run, or of the last one, which may have been on another day. */
export function shownCurves() {
  const { training, curves } = store.state;
  return training?.steps.length ? training : curves;
}

/** How the training run ended that made the loaded detector; null for a detector from elsewhere. @returns {import('./kept-training.js').Ending|null} */
export function lastEnding() {
  const { curves, model } = store.state;
  return curves?.ending && !model?.brought && curves.ending.name === model?.file.name ? curves.ending : null;
}

/** One HTML file with settings, curves and evaluation. */
export async function downloadReport() {
  const { model, evaluation } = store.state;
  const ending = lastEnding();
  const curves = shownCurves();
  /** @type {[string, string][]} */
  const facts = [];
  if (model) facts.push(['Detector', model.file.name], ['Classes', foregroundClasses(model.report.config).join(', ')]);
  if (model?.report.config.trained) facts.push(['Training', model.report.config.trained]);
  if (ending) facts.push(['Steps', String(ending.steps)], ['Training time, s', ending.seconds.toFixed(0)]);
  /** @type {[string, import('../engine/protocol.js').Chart][]} */
  const charts = [];
  if (curves?.steps.length) charts.push(['Loss per step', lossChart(curves)]);
  if (curves?.validations.length) charts.push(['Average precision on the validation images', validationChart(curves)]);
  // On paper there is more room than in the panel.
  for (const [, chart] of charts) Object.assign(chart, { width: 640, height: 300 });
  const material = { title: `cytobox: ${model?.file.name ?? 'training'}`, facts, charts };
  const { files } = await images.request({ type: 'report', material, evaluation });
  for (const { name, bytes } of files) save(name, bytes);
}

/** @param {HTMLElement} button opens it */
export function startEvaluation(button) {
  store.subscribe(['evaluation'], ({ evaluation }) => {
    button.hidden = !evaluation;
  });
}
