/**
 * The strip under the bar: the one sensible next step, from the state alone, and the way to it. Detect all, Correct,
 * Train, Detect all again follow one another; who knows the way hides it, and the help brings it back.
 */
import { acceptAll } from '../annotate/annotate-tool.js';
import { isImported } from '../annotate/merge-annotations.js';
import { toggleVerified } from '../annotate/annotations.js';
import { openDetections } from '../canvas/open-detections.js';
import { cancel, detectAll, isOpen, runnable } from '../detect/detect.js';
import { announce, byId, plural } from '../ui/dom.js';
import { lastEnding } from '../train/evaluation.js';
import { openDownload } from '../detect/download-results.js';
import { openTab } from './modes.js';
import { trainable } from '../train/plan.js';
import { currentImage, select, store } from '../shared/page-state.js';
import { resumeTraining, interrupted, isTraining } from '../train/training.js';

/** Corrected images that are enough to train on; all of them where there are fewer. */
const ENOUGH = 3;

/** @typedef {import('../shared/page-state.js').ImageEntry} ImageEntry */
/**
 * @typedef {Object} Step
 * @property {'detect'|'correct'|'train'|'again'} at
 * @property {string} sentence
 * @property {string} [label] of its button; without one there is nothing to press but what the sentence names
 * @property {() => void} [run]
 */

/** Whether a person has been at its boxes; those of a file are not a correction yet. @param {ImageEntry} image */
function isCorrected({ annotations }) {
  if (!annotations) return false;
  return annotations.verified || (annotations.objects.length > 0 && !isImported(annotations));
}

/** @returns {Step|null} null where the empty page leads, or another tab edits */
export function nextStep() {
  const { images, guide, readOnly, job, model } = store.state;
  if (images.length === 0 || !guide || readOnly) return null;
  const usable = images.filter(runnable);
  const trained = lastEnding() !== null;
  if (job) {
    const at = trained ? 'again' : 'detect';
    return job.cancelling
      ? { at, sentence: 'Cancelling …' }
      : { at, sentence: 'Detecting cells. Finished images can already be viewed.', label: 'Cancel', run: cancel };
  }
  if (isTraining()) return duringTraining();
  if (usable.length === 0) return { at: 'detect', sentence: 'None of these images can be used yet; the list shows why.' };
  if (interrupted()?.step)
    return { at: 'train', sentence: 'A training run was interrupted. You can resume it from the last checkpoint.', label: 'Resume', run: resumeTraining };
  if (!model) return withoutDetector(usable);
  // An image on which the run failed would fail again; the list says why.
  const open = usable.filter((image) => isOpen(image) && image.state !== 'failed');
  if (open.length > 0) return toDetect(open, trained);
  if (trained)
    return {
      at: 'again',
      sentence: 'Your detector has processed every image. Download the results, or correct more images and train again.',
      label: 'Download…',
      run: openDownload,
    };
  return toCorrect(usable) ?? toTrain(usable);
}

/** @returns {Step} */
function duringTraining() {
  const sentence = 'The detector is training on your boxes. The loss should fall; you can keep annotating.';
  if (store.state.tab === 'train') return { at: 'train', sentence };
  return { at: 'train', sentence, label: 'Show the curves', run: () => openTab('train') };
}

/** @param {ImageEntry[]} usable @returns {Step} */
function withoutDetector(usable) {
  const { fetching, modelLoading, engine } = store.state;
  if (fetching || modelLoading) return { at: 'detect', sentence: 'The detector is loading. Detection can start after that.' };
  if (engine === 'failed') return { at: 'detect', sentence: 'The engine has stopped; the device badge above shows why.' };
  const learnable = trainable().length;
  if (learnable >= Math.min(ENOUGH, usable.length)) return toTrain(usable);
  const pick = () => byId('pick-model').click();
  return {
    at: 'detect',
    sentence: 'No detector yet. Load one, or draw boxes around cells on a few images and train one.',
    label: 'Load a detector…',
    run: pick,
  };
}

/** @param {ImageEntry[]} open @param {boolean} trained @returns {Step} */
function toDetect(open, trained) {
  const count = plural(open.length, 'image');
  if (trained) return { at: 'again', sentence: `The detector is trained on your boxes. Run it again on ${count}.`, label: 'Detect all again', run: detectAll };
  return { at: 'detect', sentence: `Find the cells in ${count}.`, label: 'Detect all', run: detectAll };
}

/** @param {ImageEntry[]} usable @returns {Step|null} null when enough are corrected */
function toCorrect(usable) {
  const left = usable.filter((image) => !isCorrected(image));
  const [done, wanted] = [usable.length - left.length, Math.min(ENOUGH, usable.length)];
  if (done >= wanted) return null;
  const count = `${done} of ${wanted} images`;
  const image = currentImage();
  const go = () => {
    if (!image || !left.includes(image)) select(left[0].id);
    openTab('annotate');
    byId('viewport').focus();
  };
  if (store.state.mode !== 'annotate' || !image)
    return { at: 'correct', sentence: `Review the detections, accept the correct ones and fix the rest: ${count}.`, label: 'Correct', run: go };
  if (!left.includes(image))
    return { at: 'correct', sentence: `Move, delete and draw boxes until this image is correct, then go to the next: ${count}.`, label: 'Next image', run: go };
  const offered = openDetections().length;
  if (offered > 0)
    return {
      at: 'correct',
      sentence: `Dashed boxes are detections not yet accepted. Accept them, then fix the wrong ones: ${count}.`,
      label: `Accept all ${offered}`,
      run: acceptAll,
    };
  return {
    at: 'correct',
    sentence: `Draw missing cells, fix wrong boxes, then mark the image as verified: ${count}.`,
    label: 'Mark as verified',
    run: () => toggleVerified(),
  };
}

/** @param {ImageEntry[]} usable @returns {Step} */
function toTrain(usable) {
  const count = plural(trainable().length, 'annotated image');
  if (store.state.tab === 'train') return { at: 'train', sentence: 'Press Train below the settings. The defaults fit your cells.' };
  const more = trainable().length < usable.length ? ' More corrected images improve the result.' : '';
  return { at: 'train', sentence: `Train a detector on ${count}.${more}`, label: 'Train…', run: () => openTab('train') };
}

/** @param {boolean} guide */
export function setGuide(guide) {
  store.set({ guide });
  if (!guide) announce('Hidden. Turn it on again in the help (?).');
}

export function startNextStep() {
  /** @type {Step|null} */
  let step = null;
  byId('next-do').addEventListener('click', () => step?.run?.());
  byId('next-hide').addEventListener('click', () => {
    setGuide(false);
    byId('viewport').focus();
  });
  const keys = /** @type {const} */ ([
    'images',
    'annotations',
    'current',
    'score',
    'guide',
    'readOnly',
    'job',
    'training',
    'trained',
    'curves',
    'trainingSettings',
    'model',
    'modelLoading',
    'fetching',
    'engine',
    'mode',
    'tab',
  ]);
  store.subscribe([...keys], () => {
    step = nextStep();
    byId('next').hidden = !step;
    if (!step) return;
    for (const item of byId('next-steps').children) {
      if (item.getAttribute('data-step') === step.at) item.setAttribute('aria-current', 'step');
      else item.removeAttribute('aria-current');
    }
    const [sentence, button] = [byId('next-sentence'), byId('next-do')];
    if (sentence.textContent !== step.sentence) sentence.textContent = step.sentence;
    button.hidden = !step.label;
    button.textContent = step.label ?? '';
    button.disabled = Boolean(store.state.model) && store.state.engine === 'failed';
  });
}
