/**
 * detect/ finds cells, lists what was found and lets it leave as files.
 *
 * Runs over images: one after the other; failures are listed, the rest continues, and only results are kept.
 */
import { announce, byId, formatDuration, notify, plural } from '../ui/dom.js';
import { detect, ensure, explain, isDeviceFailure } from '../engine/engine.js';
import { inputOf } from '../images/images.js';
import { detectorMark } from '../engine/detector-mark.js';
import { plain, DETECT_SCORE } from '../engine/protocol.js';
import { busy, currentImage, isLimited, shownDetections, store } from '../shared/page-state.js';
import { Cancelled, WorkerDied } from '../engine/connection.js';

/**
 * @typedef {Object} Job
 * @property {number} total
 * @property {number} done images finished, failed ones among them
 * @property {number} failed
 * @property {string} image the one at work
 * @property {import('../engine/protocol.js').Progress|null} progress of that image
 * @property {number} started milliseconds of performance.now()
 * @property {AbortController} abort
 * @property {boolean} cancelling
 */

/** How often an image is tried when the engine dies on it: twice on the GPU, once more on the CPU. */
const TRIES = 3;

/** Whether there is nothing found in the image that still holds. @param {import('../shared/page-state.js').ImageEntry} image */
export function isOpen({ result }) {
  return !result || result.stale;
}

/** @param {import('../shared/page-state.js').ImageEntry} image */
export function runnable(image) {
  return !image.problem;
}

export function detectCurrent() {
  const image = currentImage();
  if (image && runnable(image)) run([image]);
}

/** All images; those that have a current result only when nothing else is left to do. */
export function detectAll() {
  const all = store.state.images.filter(runnable);
  const open = all.filter(isOpen);
  run(open.length ? open : all);
}

export function cancel() {
  const { job } = store.state;
  if (!job) return;
  job.cancelling = true;
  job.abort.abort();
  store.touch('job');
}

/** @param {import('../shared/page-state.js').ImageEntry[]} images */
async function run(images) {
  if (busy() || store.state.readOnly || !store.state.model || images.length === 0) return;
  /** @type {Job} */
  const job = {
    total: images.length,
    done: 0,
    failed: 0,
    image: '',
    progress: null,
    started: performance.now(),
    abort: new AbortController(),
    cancelling: false,
  };
  for (const image of images) image.state = 'queued';
  store.set({ job });
  store.touch('images');
  announce(`Detecting in ${plural(images.length, 'image')}.`);
  for (const image of images) {
    if (job.abort.signal.aborted || store.state.engine === 'failed') break;
    try {
      await one(image, job);
    } catch (error) {
      if (error instanceof Cancelled) break;
      job.failed += 1;
      image.state = 'failed';
      image.failure = explain(error);
    }
    job.done += 1;
    store.touch('images', 'job');
  }
  for (const image of images) {
    if (image.state === 'queued' || image.state === 'running') image.state = image.result ? 'done' : 'new';
  }
  store.set({ job: null });
  store.touch('images');
  report(job, images);
}

/** @param {import('../shared/page-state.js').ImageEntry} image @param {Job} job */
async function one(image, job) {
  image.state = 'running';
  image.failure = '';
  Object.assign(job, { image: image.name, progress: null });
  store.touch('images', 'job');
  const { detections, seconds } = await detectWithRetry(image, job);
  if (detections.merge) detections.merge = plain(detections.merge);
  image.result = { detections, seconds, stale: false, detector: await detectorMark() };
  image.state = 'done';
  if (store.state.current === image.id) store.set({ selected: null, hovered: null });
}

/**
 * Asks the engine, and once more where it died: a lost device is not the image's fault.
 * @param {import('../shared/page-state.js').ImageEntry} image @param {Job} job
 */
async function detectWithRetry(image, job) {
  for (let tries = 1; ; tries += 1) {
    try {
      await ensure();
      const input = await inputOf(image);
      return await detect(input, DETECT_SCORE, {
        signal: job.abort.signal,
        progress(progress) {
          job.progress = progress;
          store.touch('job');
        },
      });
    } catch (error) {
      const died = error instanceof WorkerDied || isDeviceFailure(error);
      if (!died || tries === TRIES || job.abort.signal.aborted) throw error;
    }
  }
}

/** @param {Job} job @param {import('../shared/page-state.js').ImageEntry[]} images */
function report(job, images) {
  const seconds = (performance.now() - job.started) / 1000;
  if (job.cancelling) {
    notify(`Cancelled after ${job.done} of ${plural(job.total, 'image')}.`);
  } else if (job.failed) {
    const action = { label: 'Show', run: () => store.set({ filter: 'problem' }) };
    notify(`${job.failed} of ${plural(job.total, 'image')} failed.`, { kind: 'error', action });
  } else if (job.total > 1) {
    notify(`${plural(job.total, 'image')} done in ${formatDuration(seconds)}.`);
  }
  const cells = images.reduce((sum, image) => sum + (image.result ? shownDetections(image).length : 0), 0);
  const limited = images.filter(isLimited).length;
  if (limited) notify(`The detector reached its detection limit in ${plural(limited, 'image')}; cells may be missing there.`);
  announce(`${job.cancelling ? 'Cancelled' : 'Finished'}: ${plural(cells, 'cell')} with a score ≥ ${store.state.score.toFixed(2)}.`);
}

/** Share of the whole run that is done, 0–1. @param {Job} job */
function share({ done, total, progress }) {
  const part = progress && progress.total ? Math.min(progress.done / progress.total, 1) : 0;
  return (done + part) / total;
}

/** @param {import('../shared/page-state.js').State} state */
function drawJob({ job }) {
  byId('job').hidden = !job;
  document.title = job ? `(${job.done}/${job.total}) cytobox` : 'cytobox';
  if (!job) return;
  const done = share(job);
  const elapsed = (performance.now() - job.started) / 1000;
  const left = done > 0.02 && elapsed > 1 ? `${formatDuration((elapsed / done) * (1 - done))} left` : '';
  const which = job.total > 1 ? `${job.done + 1} of ${job.total}: ` : '';
  byId('job-text').textContent = `Detecting ${which}${job.image}`;
  byId('job-stage').textContent = job.cancelling ? 'cancelling …' : (job.progress?.stage ?? '');
  byId('job-left').textContent = job.cancelling ? '' : left;
  byId('job-progress').value = done;
  byId('job-failed').textContent = job.failed ? `${job.failed} failed` : '';
  byId('job-cancel').disabled = job.cancelling;
}

export function startDetect() {
  byId('detect').addEventListener('click', detectCurrent);
  byId('detect-all').addEventListener('click', detectAll);
  byId('job-cancel').addEventListener('click', cancel);
  store.subscribe(['job'], drawJob);
  store.subscribe(['images', 'current', 'model', 'modelLoading', 'fetching', 'job', 'training', 'engine', 'readOnly'], (state) => {
    const { images, model, modelLoading, fetching, engine, readOnly } = state;
    const able = !readOnly && model !== null && !busy() && engine !== 'failed';
    const image = currentImage();
    const count = images.filter(runnable).length;
    byId('detect').disabled = !able || !image || !runnable(image);
    byId('detect-all').disabled = !able || count === 0;
    byId('detect-all').textContent = count > 1 ? `Detect all ${count.toLocaleString('en')}` : 'Detect all';
    const none = modelLoading || fetching ? 'The detector is still loading' : 'Load a detector first';
    const why = !model ? none : !image ? 'Add images first' : '';
    byId('detect').title = why || 'Detect cells in this image (Ctrl+Enter)';
    byId('detect-all').title = why || 'Detect cells in all images (Ctrl+Shift+Enter)';
  });
}
