/**
 * train/ trains a detector: the plan, the form, the current run, its curves and its evaluation.
 *
 * The Train panel: what there is to learn from, the choices, the curves while it runs, and what came of it.
 */
import { draw, lossChart, validationChart } from './curves.js';
import { byId, el, formatBytes, formatDuration, notify, openDialog, plural } from '../ui/dom.js';
import { explain } from '../engine/engine.js';
import { evaluateAll, lastEnding, openEvaluation, shownCurves, startEvaluation } from './evaluation.js';
import { save } from '../ui/save-file.js';
import { fits, smaller } from './fit.js';
import { choose, trainable } from './plan.js';
import { select, store } from '../shared/page-state.js';
import { createForm } from './form.js';
import { begin, cancel, discard, resumeTraining, interrupted, isTraining, prepare, startTraining, controlTraining } from './training.js';

/** Milliseconds that a change may be followed by another one before the engine is asked again. */
const PATIENCE = 400;
/** Milliseconds between two drawings of the curves. */
const CURVES = 2000;

/** @type {import('../engine/protocol.js').Preparation|null} */
let preparation = null;
/** Trainings that fit, where the chosen one does not. @type {import('./fit.js').Smaller[]} */
let offers = [];
let waiting = 0;
let asking = false;
/** What the present answer is for. @type {unknown[]} */
let answered = [];

/** What the panel is made of; there once it is built. @type {ReturnType<typeof build>} */
let parts;

function build() {
  const { form, refresh } = createForm();
  /** @param {string} id @param {string} text @param {() => void} onclick @param {Record<string, unknown>} [attributes] */
  const button = (id, text, onclick, attributes = {}) => el('button', { type: 'button', id, onclick, ...attributes }, text);
  const p = {
    refresh,
    form,
    data: el('p', { id: 'train-data', role: 'status' }),
    findings: button('train-findings', '', openFindings, { class: 'link', hidden: true }),
    masks: el('p', { class: 'faint', hidden: true }),
    anchors: el('p', { class: 'faint' }),
    better: button('train-anchors', '', useAnchors, { class: 'link', hidden: true }),
    estimate: el('p', { id: 'train-estimate', class: 'faint' }),
    smaller: el('div', { id: 'train-smaller', class: 'group', role: 'group', 'aria-label': 'Smaller settings that fit in memory', hidden: true }),
    problem: el('p', { id: 'train-problem', class: 'error', role: 'alert', hidden: true }),
    start: button('train-start', 'Train', () => preparation && begin(preparation), { class: 'primary', disabled: true }),
    interrupted: el('div', { id: 'train-interrupted', class: 'note', hidden: true }),
    facts: el('p', { id: 'train-facts', class: 'strong' }),
    left: el('p', { id: 'train-left', class: 'faint' }),
    progress: el('progress', { id: 'train-progress', max: 1, value: 0, 'aria-label': 'Training' }),
    pause: button('train-pause', 'Pause', () => controlTraining(store.state.training?.state === 'paused' ? 'continue' : 'pause')),
    stop: button('train-stop', 'Finish now', () => controlTraining('stop'), { title: 'Stop and keep the best detector so far' }),
    cancel: button('train-cancel', 'Cancel', cancel, { title: 'Stop without a new detector' }),
    losses: el('img', { id: 'train-losses', class: 'curve', width: 320, height: 200 }),
    precision: el('img', { id: 'train-validation', class: 'curve', width: 320, height: 200, hidden: true }),
    notes: el('div', { class: 'faint', role: 'log' }),
    result: el('p', { id: 'train-result', class: 'strong', role: 'status' }),
    download: button('train-download', 'Download detector', download),
    evaluation: button('train-evaluation', 'Evaluation…', openEvaluation, { hidden: true, 'aria-haspopup': 'dialog' }),
    evaluate: button('train-evaluate', 'Evaluate on all annotated images', evaluateAll),
  };
  const setup = el(
    'section',
    { 'aria-label': 'Training settings' },
    p.interrupted,
    p.data,
    p.findings,
    p.form,
    p.masks,
    p.anchors,
    p.better,
    p.estimate,
    p.smaller,
    p.problem,
    el('div', { class: 'group' }, p.start),
  );
  const live = el('section', { 'aria-label': 'Training', hidden: true }, p.facts, p.progress, p.left, el('div', { class: 'group' }, p.pause, p.stop, p.cancel));
  const curves = el('section', { 'aria-label': 'Curves', hidden: true }, p.losses, p.precision, p.notes);
  const after = el('section', { 'aria-label': 'Result' }, p.result, el('div', { class: 'group' }, p.download, p.evaluation, p.evaluate));
  byId('train-panel').append(setup, live, curves, after);
  return { ...p, setup, live, curves, after };
}

function download() {
  const file = store.state.trained?.file ?? (lastEnding() && store.state.model?.file);
  if (file) save(file.name, file);
}

function useAnchors() {
  const suggestion = preparation?.anchors.suggestion;
  if (suggestion) choose({ anchors: suggestion[0] });
}

/** Everything that looks wrong; a click shows the image. */
function openFindings() {
  if (!preparation) return;
  const rows = preparation.findings.map(({ image, sentence }) => {
    const entry = image === null ? null : store.state.images.find((one) => one.name === image);
    const show = () => {
      select(/** @type {import('../shared/page-state.js').ImageEntry} */ (entry).id);
      dialog.close();
    };
    return el('li', {}, entry ? el('button', { type: 'button', class: 'link', onclick: show }, sentence) : sentence);
  });
  const dialog = openDialog('Check before training', [el('ul', {}, ...rows)], { wide: true });
}

/** Asks the engine again once nothing has changed for a moment. */
function askSoon() {
  clearTimeout(waiting);
  waiting = setTimeout(ask, PATIENCE);
}

/** All that the engine's answer depends on; annotations are replaced when they change. */
function question() {
  const { model, device, trainingSettings } = store.state;
  return [trainingSettings.choices, model, device, ...trainable().map(({ annotations }) => annotations)];
}

async function ask() {
  const { engine, job } = store.state;
  const wanted = question();
  const known = wanted.length === answered.length && wanted.every((part, index) => part === answered[index]);
  if (byId('train-panel').hidden || engine !== 'ready' || job || isTraining() || asking || known) return;
  answered = wanted;
  preparation = null;
  offers = [];
  if (trainable().length > 0) {
    asking = true;
    drawSetup();
    try {
      preparation = await prepare();
      store.set({ trainingProblem: '' });
      drawSetup();
      if (!fits(preparation)) offers = await smaller(preparation);
    } catch (error) {
      store.set({ trainingProblem: explain(error) });
    }
    asking = false;
  }
  drawSetup();
  // What changed while the engine was thinking.
  askSoon();
}

function drawSetup() {
  const p = parts;
  const images = trainable();
  const running = isTraining();
  p.setup.hidden = running;
  p.refresh(preparation?.settings ?? null);
  p.start.disabled = !preparation || images.length === 0 || store.state.engine !== 'ready' || store.state.job !== null || store.state.readOnly;
  if (images.length === 0) {
    p.data.textContent = 'Draw boxes around cells on a few images first. An image without cells counts once it is marked as verified.';
  } else {
    const cells = images.reduce((sum, { annotations }) => sum + (annotations?.objects.length ?? 0), 0);
    const classes = (preparation?.classes ?? []).map(({ label, cells: count }) => `${label} ${count}`).join(', ');
    const held = preparation?.validationImages.length ?? 0;
    const kept = held ? ` ${plural(held, 'image')} will be held out for validation.` : '';
    p.data.textContent = `${plural(cells, 'cell')} on ${plural(images.length, 'image')}${classes ? `: ${classes}` : ''}.${kept}`;
  }
  const findings = preparation?.findings.length ?? 0;
  p.findings.hidden = findings === 0;
  p.findings.textContent = `${plural(findings, 'annotation issue')} to check`;
  p.masks.hidden = !preparation?.withoutMask;
  p.masks.textContent = aboutMasks(preparation);
  drawAnchors();
  drawEstimate();
  const { trainingProblem } = store.state;
  p.problem.hidden = !trainingProblem;
  p.problem.textContent = trainingProblem;
  drawInterrupted();
}

/** What the mask head learns where outlines are missing. @param {import('../engine/protocol.js').Preparation|null} of */
function aboutMasks(of) {
  const bare = of?.withoutMask ?? 0;
  const cells = (of?.classes ?? []).reduce((sum, { cells: count }) => sum + count, 0);
  if (bare === cells) return 'No cell has an outline: boxes are used as masks.';
  return `${plural(bare, 'cell')} without an outline: not used to train masks.`;
}

/** @param {number} share */
const percent = (share) => `${Math.round(100 * share)} %`;

function drawAnchors() {
  const p = parts;
  p.anchors.hidden = p.better.hidden = true;
  if (!preparation || preparation.anchors.boxes === 0) return;
  const { fit, sides, suggestion } = preparation.anchors;
  p.anchors.hidden = false;
  p.anchors.textContent = `Cells are ${Math.round(sides[0])}–${Math.round(sides[2])} px; ${percent(fit.at70)} of the boxes have an anchor at IoU 0.7, ${percent(fit.at50)} at 0.5.`;
  p.better.hidden = !suggestion;
  if (suggestion) p.better.textContent = `Use better-fitting anchors: ${percent(suggestion[1].at70)} and ${percent(suggestion[1].at50)}`;
}

function drawEstimate() {
  const p = parts;
  p.estimate.hidden = !preparation && !asking;
  p.estimate.className = 'faint';
  p.smaller.hidden = true;
  if (!preparation) {
    p.estimate.textContent = 'Checking the annotations and the speed of this device …';
    return;
  }
  const { secondsPerStep, stepsPerEpoch, memoryBytes, parameters, seconds } = preparation.estimate;
  const epoch = formatDuration(secondsPerStep * stepsPerEpoch);
  const much = fits(preparation) ? '' : ' This exceeds the memory available to the page: use a smaller crop, a smaller batch or a smaller network.';
  p.estimate.textContent = `About ${secondsPerStep.toFixed(1)} s per step, ${epoch} per epoch, ${formatDuration(seconds)} in total; ${formatBytes(memoryBytes)} of memory, ${(parameters / 1e6).toFixed(1)} million parameters.${much}`;
  p.estimate.className = much ? 'error' : 'faint';
  drawOffers();
}

function drawOffers() {
  const buttons = offers.map(({ name, patch, bytes }) => el('button', { type: 'button', onclick: () => choose(patch) }, `${name}: ${formatBytes(bytes)}`));
  parts.smaller.hidden = offers.length === 0;
  if (parts.smaller.textContent !== buttons.map(({ textContent }) => textContent).join('')) parts.smaller.replaceChildren(...buttons);
}

function drawInterrupted() {
  const running = interrupted();
  const p = parts;
  p.interrupted.hidden = !running;
  if (!running) return;
  const where = running.step ? `after step ${running.step}` : 'before its first checkpoint';
  const what = running.finished
    ? 'The detector of the last run could not be saved here; its checkpoint still has it.'
    : `A training run was interrupted ${where}.`;
  p.interrupted.replaceChildren(
    el('p', {}, what),
    el(
      'div',
      { class: 'group' },
      el(
        'button',
        { type: 'button', id: 'train-resume', class: 'primary', onclick: resumeTraining, disabled: store.state.engine !== 'ready' },
        running.step ? 'Resume' : 'Restart',
      ),
      el('button', { type: 'button', id: 'train-discard', onclick: discard }, 'Discard'),
    ),
  );
}

const STATES = {
  reading: 'Reading images',
  running: 'Training',
  paused: 'Paused',
  stopping: 'Finishing',
  cancelling: 'Cancelling',
  evaluating: 'Evaluating',
  done: '',
};

/** @param {import('../shared/page-state.js').State} state */
function drawLive({ training }) {
  const p = parts;
  const running = isTraining();
  p.live.hidden = !running;
  p.curves.hidden = !shownCurves()?.steps.length && !training?.notes.length;
  if (!training) {
    p.notes.replaceChildren();
    return;
  }
  const { last, stage, state, saved } = training;
  const epoch = last ? `, step ${last.step}, epoch ${last.epoch.toFixed(1)}: loss ${last.total.toFixed(3)}` : '';
  p.facts.textContent = `${STATES[state]}${epoch}`;
  p.progress.value = last?.progress ?? 0;
  const speed = last ? `${last.imagesPerSecond.toFixed(2)} images/s, ${formatDuration(last.secondsLeft)} left` : '';
  const kept = saved === null ? '' : `saved at step ${saved}`;
  p.left.textContent = [stage || speed, kept].filter(Boolean).join(' · ');
  p.pause.textContent = state === 'paused' ? 'Resume' : 'Pause';
  p.pause.disabled = !['running', 'paused'].includes(state);
  p.stop.disabled = !['running', 'paused'].includes(state);
  p.cancel.disabled = state === 'cancelling';
  p.notes.replaceChildren(...training.notes.slice(-5).map((note) => el('p', {}, note)));
  if (running) document.title = `${Math.round(100 * (last?.progress ?? 0))} % cytobox`;
}

let drawn = 0;
let pending = 0;

/** The curves, at most every few seconds. */
function drawCurves() {
  if (pending || byId('train-panel').hidden) return;
  pending = setTimeout(
    async () => {
      pending = 0;
      const curves = shownCurves();
      const last = curves?.steps.at(-1);
      if (!curves || !last) return;
      drawn = performance.now();
      /** @type {[HTMLImageElement, import('../engine/protocol.js').Chart][]} */
      const pairs = [[parts.losses, lossChart(curves)]];
      parts.losses.alt = `Losses up to step ${last.step.toLocaleString('en')}; the last is ${last.total.toFixed(3)}`;
      const best = curves.validations.at(-1);
      parts.precision.hidden = !best;
      if (best) {
        pairs.push([parts.precision, validationChart(curves)]);
        parts.precision.alt = `Average precision on the validation images; AP50 is now ${best.map50.toFixed(3)}`;
      }
      await draw(pairs).catch((error) => notify(explain(error), { kind: 'error' }));
    },
    Math.max(0, drawn + CURVES - performance.now()),
  );
}

/** @param {import('../shared/page-state.js').State} state */
function drawAfter({ trained, evaluation, training }) {
  const p = parts;
  const running = isTraining();
  const ending = trained ?? lastEnding();
  p.after.hidden = running || (!ending && trainable().length === 0);
  p.download.hidden = !ending;
  p.evaluate.disabled = running || !store.state.model || store.state.job !== null;
  if (!ending) {
    p.result.textContent = '';
    return;
  }
  const score = evaluation?.map_50 ?? ending.best?.[0];
  const how = score === undefined || score === null ? '' : ` AP50 is ${score.toFixed(3)} on the validation images.`;
  const use = lastEnding() ? ' The new detector is in use.' : '';
  p.result.textContent = `Trained for ${formatDuration(ending.seconds)}, ${plural(ending.steps, 'step')}.${how}${use}`;
  if (training?.state === 'done') document.title = 'cytobox';
}

/** @param {() => Promise<boolean>} keepDetector puts the loaded detector into the project's database */
export function startTrain(keepDetector) {
  parts = build();
  startTraining(keepDetector);
  startEvaluation(parts.evaluation);
  store.subscribe(['images', 'annotations', 'model', 'engine', 'job', 'trainingSettings', 'tab', 'training', 'readOnly'], () => {
    drawSetup();
    if (!isTraining()) askSoon();
  });
  store.subscribe(['training', 'curves', 'tab'], (state) => {
    drawLive(state);
    drawCurves();
  });
  store.subscribe(['trained', 'evaluation', 'training', 'curves', 'images', 'model', 'job'], drawAfter);
}
