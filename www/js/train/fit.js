/**
 * Whether a training run fits into this browser's memory, and smaller settings that do. The engine estimates each, as only it knows
 * what a layer keeps.
 */
import { choices, fromDetector } from './plan.js';
import { busy } from '../shared/page-state.js';
import { prepare } from './training.js';

/** @typedef {{name: string, patch: Partial<import('./plan.js').Choices>, bytes: number}} Smaller */

/** A wasm memory ends at 4 GiB, and images, detector and checkpoint are in it too. */
const MOST = 3 * 2 ** 30;
/** Share of the computer's memory that one tab may count on. */
const SHARE = 0.5;
/** Sides of crops that are offered, in pixels; below the smallest, cells of usual images are cut. */
const CROPS = [512, 384, 256];
/** Offers that are shown. */
const OFFERS = 3;

/** Bytes that a step may take. Browsers round the memory, in GiB, and some do not tell it. */
function room() {
  const memory = Number(Reflect.get(navigator, 'deviceMemory') ?? 0);
  return memory ? Math.min(MOST, SHARE * memory * 2 ** 30) : MOST;
}

/** @param {import('../engine/protocol.js').Preparation} preparation */
export function fits({ estimate }) {
  return estimate.memoryBytes <= room();
}

/** Changes that make it smaller, those that cost the result least first. @param {import('../engine/protocol.js').TrainConfig} settings */
function candidates({ batch_size: batch, augment }) {
  /** @type {[string, Partial<import('./plan.js').Choices>][]} */
  const all = [];
  const half = Math.ceil(batch / 2);
  /** @param {number} count */
  const images = (count) => (count === 1 ? 'batch size 1' : `batch size ${count}`);
  if (batch > 1) all.push([images(half), { batch: half }]);
  for (const crop of CROPS) if (!augment.crop || crop < augment.crop) all.push([`crops of ${crop} px`, { crop }]);
  const narrow = !fromDetector() && choices().width !== 'narrow';
  if (narrow) all.push(['64-channel heads', { width: 'narrow' }]);
  // Each of them may be too little: then all of them together.
  all.push([`${images(1)}, crops of 256 px${narrow ? ', 64-channel heads' : ''}`, { batch: 1, crop: 256, ...(narrow ? { width: 'narrow' } : {}) }]);
  return all;
}

/** @param {import('../engine/protocol.js').Preparation} preparation of the training run that does not fit @returns {Promise<Smaller[]>} */
export async function smaller({ settings }) {
  const found = [];
  for (const [name, patch] of candidates(settings)) {
    // Who begins all the same wants the engine for that.
    if (busy()) break;
    const answer = await prepare({ ...choices(), ...patch });
    if (fits(answer)) found.push({ name: `Use ${name}`, patch, bytes: answer.estimate.memoryBytes });
    if (found.length === OFFERS) break;
  }
  return found;
}
