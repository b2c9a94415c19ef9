/**
 * The training run: started, followed, paused and resumed. Its progress is kept in `store.state.training`; that
 * one was running is kept with the project, so that it can be resumed after the page was closed.
 */
import { announce, ask as askUser, notify, plural } from '../ui/dom.js';
import { compute, connection, ensure, explain, putModel } from '../engine/engine.js';
import { evaluateOn } from './evaluation.js';
import { inputOf, measure } from '../images/images.js';
import { choices, lessonOf, planOf, trainable } from './plan.js';
import { store } from '../shared/page-state.js';
import { curvesOf } from './kept-training.js';
import { Cancelled } from '../engine/connection.js';

/**
 * @template {import('../engine/protocol.js').TrainEvent['type']} T
 * @typedef {Extract<import('../engine/protocol.js').TrainEvent, {type: T}>} TrainEventOf
 */

/**
 * @typedef {Object} Training
 * @property {'reading'|'running'|'paused'|'stopping'|'cancelling'|'evaluating'|'done'} state
 * @property {number} request of the engine; 0 before it is known
 * @property {string} stage what is being done before the first step and between the steps
 * @property {TrainEventOf<'started'>|null} started how many images, steps and from which step
 * @property {TrainEventOf<'step'>|null} last the last step
 * @property {import('./kept-training.js').StepPoint[]} steps
 * @property {import('./kept-training.js').ValidationPoint[]} validations
 * @property {string[]} notes what was skipped, folded or could not be saved
 * @property {number|null} saved the step of the last checkpoint
 * @property {AbortController} abort
 *
 * @typedef {Object} Running what is needed to resume a run
 * @property {string} store name of its checkpoints
 * @property {string} name of the detector
 * @property {import('../engine/protocol.js').Plan} plan
 * @property {string[]} images
 * @property {number} step
 * @property {boolean} [finished] all steps are done, but its detector is nowhere but in its checkpoints
 */

/** Puts the loaded detector into the project's database, and tells whether it is there. @type {() => Promise<boolean>} */
let keepDetector = async () => false;

/** Steps that are kept for the curves; then every second goes. */
const KEPT_STEPS = 4000;

export function isTraining() {
  const { training } = store.state;
  return training !== null && training.state !== 'done';
}

/** @returns {Running|null} the run that was active when the page was closed or its engine stopped */
export function interrupted() {
  const { running } = store.state.trainingSettings;
  if (!running || isTraining() || (running.finished && store.state.trained)) return null;
  return running;
}

/** @param {Running|null} running */
function remember(running) {
  store.set({ trainingSettings: { ...store.state.trainingSettings, running } });
}

/**
 * What the engine says about a run on the current annotations.
 * @param {import('./plan.js').Choices} [chosen]
 * @returns {Promise<import('../engine/protocol.js').Preparation>}
 */
export async function prepare(chosen = choices()) {
  await ensure();
  const images = trainable();
  await measure(images);
  const annotated = images.filter((image) => image.size).map(lessonOf);
  return compute({ type: 'prepare', images: annotated, plan: planOf(chosen) });
}

/** An interrupted run is removed only when the user agrees. @param {Running} running */
async function mayReplace({ step, finished }) {
  const what = finished ? 'Its detector exists only in its checkpoints' : `It was saved at step ${step}`;
  const answer = await askUser('Replace the interrupted run?', `${what}. Starting another run deletes its checkpoints.`, [
    ['keep', 'Keep it'],
    ['replace', 'Start a new run'],
  ]);
  return answer === 'replace';
}

/** Starts a run. @param {import('../engine/protocol.js').Preparation} preparation the newest */
export async function begin(preparation) {
  const before = interrupted();
  if (before?.step && !(await mayReplace(before))) return undefined;
  const name = `${store.state.trainingSettings.name || 'trained'}.safetensors`;
  const images = trainable().map((image) => image.name);
  const plan = { ...planOf(), settings: preparation.settings, overrides: {} };
  return run({ store: store.state.projectId || 'project', name, plan, images, step: 0 }, false);
}

export function resumeTraining() {
  const running = interrupted();
  if (running) return run(running, true);
  return Promise.resolve();
}

/** Discards the interrupted run; the next run clears its checkpoints. */
export function discard() {
  remember(null);
  if (!store.state.curves?.ending) store.set({ curves: null });
}

/** The state of a run after each command. */
const STATE_OF = /** @type {const} */ ({ continue: 'running', pause: 'paused', stop: 'stopping' });

/** @param {keyof typeof STATE_OF} control */
export function controlTraining(control) {
  const { training } = store.state;
  if (!training || !training.request) return;
  training.state = STATE_OF[control];
  store.touch('training');
  connection.request({ type: 'controlTraining', request: training.request, control }).catch(() => {});
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
  const before = store.state.curves;
  // The part that was trained before the page was closed.
  const first = resume && before && !before.ending ? before : { steps: [], validations: [] };
  /** @type {Training} */
  const training = {
    state: 'reading',
    request: 0,
    stage: '',
    started: null,
    last: null,
    steps: [...first.steps],
    validations: [...first.validations],
    notes: [],
    saved: null,
    abort,
  };
  store.set({ training, trainingProblem: '' });
  const wake = await keepAwake();
  try {
    const outcome = await ask(running, resume, training);
    const file = new File([outcome.file], running.name);
    const { best, steps, seconds } = outcome;
    putModel(file, outcome.report);
    training.state = 'evaluating';
    const curves = curvesOf(training, { name: file.name, steps, seconds, best: best ?? null });
    store.set({ training, trained: { file, best, steps, seconds }, curves, evaluation: null });
    await letGo({ ...running, step: steps });
    announce(`Training finished after ${plural(outcome.steps, 'step')}.`);
    await evaluate(outcome.validationImages, abort.signal);
  } catch (error) {
    failed(error, training, running);
    if (error instanceof Cancelled) store.set({ curves: before });
  } finally {
    training.state = 'done';
    store.touch('training');
    wake?.release().catch(() => {});
  }
}

/**
 * The training run is over once its detector is in the database: until then its checkpoints are all that there is of it.
 * @param {Running} running
 */
async function letGo(running) {
  remember((await keepDetector()) ? null : { ...running, finished: true });
}

/** The detector is there whatever becomes of its evaluation. @param {string[]} names @param {AbortSignal} signal */
async function evaluate(names, signal) {
  try {
    await evaluateOn(names, signal);
  } catch (error) {
    if (!(error instanceof Cancelled)) notify(`The detector is trained, but evaluation failed: ${explain(error)}`, { kind: 'error' });
    ensure().catch(() => {});
  }
}

/** @param {Running} running @param {boolean} resume @param {Training} training */
async function ask(running, resume, training) {
  await ensure();
  const entries = running.images.map((name) => {
    const entry = store.state.images.find((image) => image.name === name);
    if (!entry) throw new Error(`${name} is no longer in the image list; drop it again or start a new run.`);
    return entry;
  });
  await measure(entries);
  const images = [];
  for (const image of entries) {
    if (training.abort.signal.aborted) throw new Cancelled();
    if (!image.size) throw new Error(image.problem?.sentence ?? `${image.name} cannot be read.`);
    images.push({ image: await inputOf(image), annotations: lessonOf(image) });
  }
  const transfer = images.flatMap(({ image }) => image.files.map((file) => file.bytes.buffer));
  const { store: name, plan } = running;
  remember(running);
  return compute(
    { type: 'train', name: running.name, plan, images, store: name, resume, knownSteps: running.step },
    {
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
    },
  );
}

/** @param {import('../engine/protocol.js').TrainEvent} event @param {Training} training @param {Running} running */
function heard(event, training, running) {
  if (event.type === 'started') {
    training.started = event;
    // What came after the checkpoint is trained again.
    training.steps = training.steps.filter(({ step }) => step <= event.fromStep);
    training.validations = training.validations.filter(({ step }) => step <= event.fromStep);
    if (training.state === 'reading') training.state = 'running';
  } else if (event.type === 'step') {
    training.stage = '';
    training.last = event;
    const { step, epoch, total, losses } = event;
    training.steps.push({ step, epoch, total, losses: { ...losses } });
    if (training.steps.length > KEPT_STEPS) training.steps = training.steps.filter((_, index) => index % 2 === 1);
  } else if (event.type === 'validation') {
    training.stage = '';
    training.validations.push(event);
  } else if (event.type === 'checkpoint') {
    training.saved = event.step;
    store.set({ curves: curvesOf(training) });
    remember({ ...running, step: event.step });
  } else if (event.type === 'folded') {
    training.notes.push(`Step ${event.step}: batch norm layers were folded into the convolutions.`);
  } else {
    training.notes.push(event.step ? `Step ${event.step}: ${event.sentence}` : event.sentence);
    if (event.type === 'unsaved') notify(`Training continues, but its checkpoint was not saved: ${event.sentence}`, { kind: 'error' });
    // Before the first step the notes are not visible yet, such as that there was no checkpoint to resume from.
    else if (!event.step) notify(event.sentence[0].toUpperCase() + event.sentence.slice(1));
  }
  store.touch('training');
}

/** @param {unknown} error @param {Training} training @param {Running} running */
function failed(error, training, running) {
  if (error instanceof Cancelled) {
    remember(null);
    notify(
      training.last ? `Training was cancelled after ${plural(training.last.step, 'step')}. The previous detector is still loaded.` : 'Training was cancelled.',
    );
    return;
  }
  // With a checkpoint the run can be resumed; without one the same would happen again.
  const lost = training.saved === null && running.step === 0;
  if (lost) remember(null);
  const sentence = explain(error);
  store.set({ trainingProblem: sentence });
  notify(`Training stopped: ${sentence}${lost ? '' : ' You can resume from the last checkpoint.'}`, {
    kind: 'error',
    action: lost ? undefined : { label: 'Resume', run: resumeTraining },
  });
}

/** A screen that goes off takes some computers with it. */
async function keepAwake() {
  try {
    return await navigator.wakeLock?.request('screen');
  } catch {
    return null;
  }
}

/** A closed tab ends the run, which can be resumed later. @param {() => Promise<boolean>} keep */
export function startTraining(keep) {
  keepDetector = keep;
  addEventListener('beforeunload', (event) => {
    if (isTraining()) event.preventDefault();
  });
}
