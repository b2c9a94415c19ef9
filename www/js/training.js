/**
 * The training that runs: begun, watched, steered and gone on with. What it tells is kept in `store.state.training`; that
 * one was running is kept with the project, so that it can be gone on with after the page was closed.
 */
import { announce, notify, plural } from './dom.js';
import { connection, ensure, explain, putModel } from './engine.js';
import { evaluateOn } from './evaluation.js';
import { inputOf, measure } from './images.js';
import { annotationsOf, barePlan, settingsOn, trainable } from './plan.js';
import { store } from './store.js';
import { Cancelled } from './worker.js';

/**
 * @typedef {Object} Training
 * @property {'reading'|'running'|'paused'|'stopping'|'cancelling'|'evaluating'|'done'} state
 * @property {number} request of the engine; 0 before it is known
 * @property {string} stage what is being done before the first step and between the steps
 * @property {any} started how many images, steps and from which step
 * @property {any|null} last the last step
 * @property {{step: number, epoch: number, total: number, losses: Record<string, number>}[]} steps
 * @property {any[]} validations
 * @property {string[]} notes what was skipped, folded or could not be saved
 * @property {number|null} saved the step of the last checkpoint
 * @property {AbortController} abort
 *
 * @typedef {Object} Running what is needed to go on with a training
 * @property {string} store name of its checkpoints
 * @property {string} name of the detector
 * @property {any} plan
 * @property {string[]} images
 * @property {number} step
 */

/** Steps that are kept for the curves; then every second goes. */
const KEPT_STEPS = 4000;

export function isTraining() {
  const { training } = store.state;
  return training !== null && training.state !== 'done';
}

/** @returns {Running|null} a training that was running when the page was closed or its engine stopped */
export function interrupted() {
  return isTraining() ? null : (store.state.trainingSettings.running ?? null);
}

/** @param {Running|null} running */
function remember(running) {
  store.set({ trainingSettings: { ...store.state.trainingSettings, running } });
}

/** The engine's presets by the plan that they are for and the sizes of the images. @type {Map<string, any>} */
const presets = new Map();

/** What the engine says about a training on what is annotated now. */
export async function prepare() {
  await ensure();
  const images = trainable();
  await measure(images);
  const annotated = images.filter((image) => image.size).map(annotationsOf);
  const plan = barePlan();
  const ask = (plan) => connection.request({ type: 'prepare', images: annotated, plan });
  const sizes = new Set(annotated.map(({ width, height }) => `${width}×${height}`));
  const key = JSON.stringify([plan, [...sizes], store.state.model?.file.name]);
  if (!presets.has(key)) presets.set(key, (await ask(plan)).settings);
  return ask({ ...plan, settings: settingsOn(presets.get(key)) });
}

/** Begins a training. @param {import('./protocol.js').Preparation} preparation the newest */
export function begin(preparation) {
  const name = `${store.state.trainingSettings.name || 'trained'}.safetensors`;
  const images = trainable().map((image) => image.name);
  const plan = { ...barePlan(), settings: preparation.settings };
  return run({ store: store.state.projectId || 'project', name, plan, images, step: 0 }, false);
}

export function goOn() {
  const running = interrupted();
  if (running) return run(running, true);
  return Promise.resolve();
}

/** Lets go of a training that was interrupted; its checkpoints are cleared by the next one. */
export function discard() {
  remember(null);
}

/** @param {'goOn'|'pause'|'stop'} wish */
export function steer(wish) {
  const { training } = store.state;
  if (!training || !training.request) return;
  training.state = { goOn: 'running', pause: 'paused', stop: 'stopping' }[wish];
  store.touch('training');
  connection.request({ type: 'steer', request: training.request, wish }).catch(() => {});
}

export function cancel() {
  const { training } = store.state;
  if (!training || training.state === 'done') return;
  training.state = 'cancelling';
  store.touch('training');
  training.abort.abort();
}

/** @param {Running} running @param {boolean} resume */
async function run(running, resume) {
  const abort = new AbortController();
  /** @type {Training} */
  const training = {
    state: 'reading', request: 0, stage: '', started: null, last: null, steps: [], validations: [], notes: [], saved: null, abort,
  };
  store.set({ training, trainingProblem: '' });
  const wake = await keepAwake();
  try {
    const outcome = await ask(running, resume, training);
    remember(null);
    const file = new File([outcome.file], running.name);
    putModel(file, outcome.report);
    training.state = 'evaluating';
    store.set({ training, trained: { file, best: outcome.best, steps: outcome.steps, seconds: outcome.seconds } });
    announce(`Training finished after ${plural(outcome.steps, 'step')}.`);
    await evaluate(outcome.validationImages, abort.signal);
  } catch (error) {
    failed(error, training, running);
  } finally {
    training.state = 'done';
    store.touch('training');
    wake?.release().catch(() => {});
  }
}

/** The detector is there whatever becomes of its evaluation. @param {string[]} names @param {AbortSignal} signal */
async function evaluate(names, signal) {
  try {
    await evaluateOn(names, signal);
  } catch (error) {
    if (!(error instanceof Cancelled)) notify(`The detector is trained, but could not be measured: ${explain(error)}`, { kind: 'error' });
    ensure().catch(() => {});
  }
}

/** @param {Training} training */
async function ask(running, resume, training) {
  await ensure();
  const entries = running.images.map((name) => store.state.images.find((image) => image.name === name));
  const missing = running.images.filter((_, index) => !entries[index]);
  if (missing.length) throw new Error(`${missing[0]} is no longer among the images; drop it again, or begin a new training.`);
  await measure(entries);
  const images = [];
  for (const image of entries) {
    if (training.abort.signal.aborted) throw new Cancelled();
    if (!image.size) throw new Error(image.problem?.sentence ?? `${image.name} cannot be read.`);
    images.push({ image: await inputOf(image), annotations: annotationsOf(image) });
  }
  const transfer = images.flatMap(({ image }) => image.files.map((file) => file.bytes.buffer));
  const { store: name, plan } = running;
  const command = { type: 'train', name: running.name, plan, images, store: name, resume };
  remember(running);
  return connection.request(command, {
    transfer,
    signal: training.abort.signal,
    begun: (id) => {
      training.request = id;
    },
    progress: ({ stage, done, total }) => {
      training.stage = `${stage} ${done + 1} of ${total}`;
      store.touch('training');
    },
    training: (event) => heard(event, training, running),
  });
}

/** @param {any} event @param {Training} training @param {Running} running */
function heard(event, training, running) {
  if (event.type === 'started') {
    training.started = event;
    if (training.state === 'reading') training.state = 'running';
  } else if (event.type === 'step') {
    training.stage = '';
    training.last = event;
    const { step, epoch, total, losses } = event;
    training.steps.push({ step, epoch, total, losses });
    if (training.steps.length > KEPT_STEPS) training.steps = training.steps.filter((_, index) => index % 2 === 1);
  } else if (event.type === 'validation') {
    training.stage = '';
    training.validations.push(event);
  } else if (event.type === 'checkpoint') {
    training.saved = event.step;
    remember({ ...running, step: event.step });
  } else if (event.type === 'folded') {
    training.notes.push(`Step ${event.step}: the batch norms were folded into the convolutions.`);
  } else {
    training.notes.push(`Step ${event.step}: ${event.sentence}`);
    if (event.type === 'unsaved') notify(`The training goes on, but was not saved: ${event.sentence}`, { kind: 'error' });
  }
  store.touch('training');
}

function failed(error, training, running) {
  if (error instanceof Cancelled) {
    remember(null);
    notify(training.last ? `The training was cancelled after ${plural(training.last.step, 'step')}. The detector is the one from before.` : 'The training was cancelled.');
    ensure().catch(() => {});
    return;
  }
  // With a checkpoint there is something to go on from; without one the same would happen again.
  if (training.saved === null && running.step === 0) remember(null);
  const sentence = explain(error);
  store.set({ trainingProblem: sentence });
  notify(`The training ended: ${sentence}`, { kind: 'error' });
}

/** A screen that goes off takes some computers with it. */
async function keepAwake() {
  try {
    return await navigator.wakeLock?.request('screen');
  } catch {
    return null;
  }
}

/** A closed tab ends the training, though it can be gone on with. */
export function startTraining() {
  addEventListener('beforeunload', (event) => {
    if (isTraining()) event.preventDefault();
  });
}
