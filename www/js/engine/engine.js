/**
 * engine/ speaks with the workers: the bridge, the words of the protocol, the device and the detector in it.
 *
 * The engine: the worker that owns the device and the detector. It is brought up when it is needed, and again after a
 * crash: device, then the detector from its file. Images and results are the page's and stay.
 */
import { announce, notify, sentenceOf } from '../ui/dom.js';
import { askedDevice, probe } from './probe.js';
import { plain } from './protocol.js';
import { busy, store } from '../shared/page-state.js';
import { Cancelled, Connection, Refused, WorkerDied } from './connection.js';

/** Crashes in a row on a GPU after which the CPU takes over. */
const GPU_CHANCES = 2;

export const connection = new Connection('engine', died);

/** @type {import('./protocol.js').DeviceChoice} */
let choice = askedDevice();
let crashes = 0;
let crashedWith = '';
/** Resolves when device and detector are up; null when they have to be brought up. @type {Promise<void>|null} */
let up = null;
/** Detectors are put in one after the other, so that the one asked for last is the one that stays. */
let loading = Promise.resolve();
let loads = 0;

/** @param {string} sentence */
function died(sentence) {
  up = null;
  crashes += 1;
  crashedWith = sentence;
  console.error(`engine: ${sentence}`);
  store.set({ engine: 'restarting' });
  if (crashes > GPU_CHANCES + 1) {
    store.set({ engine: 'failed', deviceNote: `The engine keeps stopping: ${sentence}` });
    notify(`The engine cannot run: ${sentence}`, { kind: 'error', action: { label: 'Try again', run: retry } });
    return;
  }
  notify('The engine stopped and is restarting. Your images and results are still here.', { kind: 'error' });
  ensure().catch(() => {});
}

/** Brings the engine up where it is not. @returns {Promise<void>} */
export function ensure() {
  if (up) return up;
  const attempt = bringUp();
  up = attempt;
  attempt.catch(() => {
    if (up === attempt) up = null;
  });
  return attempt;
}

export function retry() {
  crashes = 0;
  return ensure().catch(() => {});
}

/** Leaves the device for another one, for instance the CPU. @param {import('./protocol.js').DeviceChoice} device */
export function useDevice(device) {
  choice = device;
  crashes = 0;
  up = null;
  connection.end('The device was changed.');
  return ensure().catch(() => {});
}

async function bringUp() {
  store.set({ engine: store.state.device ? 'restarting' : 'starting', modelLoading: store.state.model?.file.name ?? '' });
  try {
    await startDevice();
    await restoreModel();
    store.set({ engine: 'ready', modelLoading: '' });
    announce(`Engine ready. ${store.state.device?.why ?? ''}`);
  } catch (error) {
    store.set({ modelLoading: '' });
    if (error instanceof Refused) {
      store.set({ engine: 'failed', deviceNote: error.message });
      notify(error.message, { kind: 'error', action: { label: 'Use the CPU', run: () => useDevice('cpu') } });
    }
    throw error;
  }
}

async function startDevice() {
  let note = '';
  let device = choice;
  if (crashes >= GPU_CHANCES && device !== 'cpu' && store.state.device?.kind !== 'cpu') {
    device = 'cpu';
    note = `The engine stopped ${crashes} times on the GPU (${crashedWith}), so the CPU is used instead.`;
  }
  // Without a device report the last worker died while it was starting: a second try would end the same way.
  if (crashes > 0 && !store.state.device && device === 'auto') {
    device = 'cpu';
    note = `The GPU could not be started (${crashedWith}), so the CPU is used instead.`;
  }
  const found = await probe();
  const outcome = await connection.request({ type: 'start', device, probe: found });
  store.set({ device: outcome, deviceNote: note });
}

/** Puts the detector that was there before into a new worker. */
async function restoreModel() {
  const { model } = store.state;
  if (!model) return;
  try {
    await send(model.file);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    store.set({ model: null, modelProblem: { name: model.file.name, sentence: error.message } });
  }
}

/** How many detectors this page was ever asked for: a later caller sees whether another detector was asked for meanwhile. */
export function detectorsAsked() {
  return loads;
}

/**
 * Puts a detector in. One that does not fit leaves the old one in place.
 * @param {File} file
 * @param {{brought?: boolean}} [options] `brought`: the bundled detector, not the project's own
 * @returns {Promise<void>}
 */
export function loadModel(file, { brought = false } = {}) {
  const sentence = busy();
  if (sentence) {
    store.set({ modelProblem: { name: file.name, sentence } });
    return Promise.resolve();
  }
  loads += 1;
  store.set({ modelLoading: file.name, modelProblem: null });
  loading = loading.then(() => putIn(file, brought));
  return loading;
}

/** @param {File} file @param {boolean} brought */
async function putIn(file, brought) {
  try {
    await ensure();
    store.set({ modelLoading: file.name });
    const report = await send(file);
    store.set({ model: { file, report, brought } });
    announce(`Detector ${file.name} loaded.`);
  } catch (error) {
    store.set({ modelProblem: { name: file.name, sentence: explain(error) } });
    announce(`Detector ${file.name} was not loaded: ${explain(error)}`);
  } finally {
    store.set({ modelLoading: '' });
  }
}

/**
 * Takes over a detector that the engine has already, since it trained it.
 * @param {File} file @param {import('./protocol.js').ModelReport} report
 */
export function putModel(file, report) {
  loads += 1;
  store.set({ model: { file, report: told(report), brought: false }, modelProblem: null });
}

/** @template {import('./protocol.js').ModelReport} R @param {R} report */
function told(report) {
  report.config.merge = plain(report.config.merge) ?? null;
  return report;
}

/** The bytes are read from the file each time, so that they are held nowhere but in the engine. @param {File} file */
async function send(file) {
  let buffer;
  try {
    buffer = await file.arrayBuffer();
  } catch {
    throw new Refused('io', `${file.name} can no longer be read; it was changed or moved. Drop it again.`);
  }
  const bytes = new Uint8Array(buffer);
  return told(await connection.request({ type: 'loadModel', name: file.name, bytes }, { transfer: [buffer] }));
}

/** The cells' diameter that the user gave, for a detector that can use it. */
export function wantedDiameter() {
  const { model, cellDiameter } = store.state;
  return model?.report.config.cell_diameter ? (cellDiameter ?? undefined) : undefined;
}

/**
 * @param {import('./protocol.js').ImageInput} image its bytes are given away
 * @param {number} score
 * @param {{signal?: AbortSignal, progress?: (progress: import('./protocol.js').Progress) => void}} options
 */
export async function detect(image, score, options) {
  const transfer = image.files.map((file) => file.bytes.buffer);
  return compute({ type: 'detect', image, score, diameter: wantedDiameter() }, { ...options, transfer });
}

/**
 * Asks for something that the device computes.
 * @template {import('./protocol.js').Command} C
 * @param {C} command
 * @param {import('./connection.js').RequestOptions} [options]
 * @returns {Promise<import('./protocol.js').Answer<C>>}
 */
export async function compute(command, options) {
  try {
    const outcome = await connection.request(command, options);
    // The small request before a training run proves nothing about a device that fails in large ones.
    if (command.type !== 'prepare') crashes = 0;
    return outcome;
  } catch (error) {
    // A device that gave a wrong answer is not asked again: the worker goes, with everything it computed.
    if (isDeviceFailure(error)) {
      connection.end(error.message);
      died(error.message);
    }
    if (error instanceof Cancelled) ensureAfterCancel();
    throw error;
  }
}

/** @param {unknown} error @returns {error is Refused} whether the device gave a wrong answer, or none */
export function isDeviceFailure(error) {
  return error instanceof Refused && error.code === 'device-failed';
}

/** A cancel may have cost the worker; the next one is brought up before it is asked for. */
function ensureAfterCancel() {
  connection.alive || (up = null);
  ensure().catch(() => {});
}

/** The sentence of an error, for people. @param {unknown} error */
export function explain(error) {
  if (error instanceof WorkerDied) return `The engine stopped: ${error.message}`;
  return sentenceOf(error);
}
