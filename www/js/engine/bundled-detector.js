/**
 * The detectors that the page brings along, so that a newcomer has one: that of the Atlas, and a general one for all other
 * images. Each is fetched once and kept by the hash of its content, in the browser's cache and not with the project: a newer
 * page brings newer ones. A project that has a detector of its own keeps that.
 */
import { announce, notify, sentenceOf } from '../ui/dom.js';
import { detectorsAsked, loadModel } from './engine.js';
import { busy, store } from '../shared/page-state.js';

/** Where `models/` is served, and the cache of this browser. */
const FOLDER = './models/';
const CACHE = 'cytobox-models';
/** Milliseconds between two looks whether a run has ended. */
const PATIENCE = 500;

/** Channels of an image of the Atlas. */
const ATLAS = ['red', 'green', 'blue', 'yellow'];

/** @typedef {{name: string, file: string, sha256: string, bytes: number}} Manifest one entry of manifest.json */

/** Entries of manifest.json once it was read. @type {Promise<Manifest[]>|null} */
let manifests = null;

/** @returns {Promise<Manifest[]>} */
async function readManifests() {
  const response = await fetch(`${FOLDER}manifest.json`);
  if (!response.ok) throw new Error(`The server answered with status ${response.status}.`);
  return response.json();
}

/** Which one fits the images; the Atlas's for a page without images, as its samples are like the Atlas's. */
function proposed() {
  const usable = store.state.images.filter((image) => !image.problem);
  return usable.every(({ channels }) => ATLAS.every((channel) => channels.includes(channel))) ? 'atlas' : 'general';
}

/** @param {string} url @param {number} bytes @param {(done: number) => void} onProgress */
async function download(url, bytes, onProgress) {
  const response = await fetch(url);
  if (!response.ok || !response.body) throw new Error(`The server answered with status ${response.status}.`);
  const reader = response.body.getReader();
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (at + value.length > bytes) throw new Error('The file is longer than expected.');
    whole.set(value, at);
    at += value.length;
    onProgress(at);
  }
  return whole.subarray(0, at);
}

/** @param {Uint8Array<ArrayBuffer>} whole @param {Manifest} manifest */
async function isWhole(whole, { sha256, bytes }) {
  if (whole.length !== bytes) return false;
  // On an insecure address, as of a computer in the same room, browsers give no hash.
  if (!globalThis.crypto?.subtle) return true;
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', whole));
  return [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('') === sha256;
}

/** The browser's cache; none in a private window or an insecure context. */
async function openCache() {
  try {
    return await caches.open(CACHE);
  } catch {
    return null;
  }
}

/** What the cache has under the hash, if it is that. @param {Cache|null} cache @param {string} key @param {Manifest} manifest */
async function cached(cache, key, manifest) {
  try {
    const kept = await cache?.match(key);
    if (!kept) return null;
    const whole = new Uint8Array(await kept.arrayBuffer());
    if (await isWhole(whole, manifest)) return whole;
    await cache?.delete(key);
  } catch {
    // An entry that cannot be read is fetched again.
  }
  return null;
}

/** @param {Manifest} manifest @param {(done: number) => void} onProgress */
async function bytesOf(manifest, onProgress) {
  const cache = await openCache();
  const key = `${FOLDER}${manifest.sha256}`;
  const kept = await cached(cache, key, manifest);
  if (kept) return kept;
  const whole = await download(`${FOLDER}${manifest.file}`, manifest.bytes, onProgress);
  if (!(await isWhole(whole, manifest))) throw new Error('Its checksum does not match.');
  try {
    // Those of earlier versions only take room.
    const present = (await (manifests ??= readManifests())).map(({ sha256 }) => new URL(`${FOLDER}${sha256}`, location.href).href);
    for (const old of (await cache?.keys()) ?? []) if (!present.includes(old.url)) await cache?.delete(old);
    await cache?.put(key, new Response(whole));
  } catch {
    // A full disk costs the next start a download and nothing else.
  }
  return whole;
}

/** Loads one once the project is known and has no detector of its own, and another when the images turn out to be others. */
export function startFirstModel() {
  let begun = false;
  store.subscribe(['saving'], ({ saving }) => {
    if (begun || saving.phase === 'opening') return;
    begun = true;
    const { model, modelLoading } = store.state;
    if (!model && !modelLoading) loadFirstModel();
  });
  store.subscribe(['images', 'model', 'reading', 'job'], () => void followImages());
  for (const button of document.querySelectorAll('[data-bundled]'))
    button.addEventListener('click', () => load(/** @type {HTMLElement} */ (button).dataset.bundled ?? '', false));
}

/** Puts in the detector that fits the images, where nobody has chosen one or worked with the one that is there. */
async function followImages() {
  const { images, model, modelLoading, fetching, reading, readOnly } = store.state;
  if (images.length === 0 || !model?.brought || modelLoading || fetching || reading || readOnly || busy()) return;
  if (images.some((image) => image.result)) return;
  const name = proposed();
  try {
    const entry = (await (manifests ??= readManifests())).find((one) => one.name === name);
    if (!entry || entry.file === model.file.name || store.state.model !== model || store.state.fetching) return;
  } catch {
    return; // The detector that is there stays.
  }
  notify(
    name === 'general'
      ? 'These images are not channel sets of the Human Protein Atlas: the general bundled detector is loaded.'
      : 'These are channel sets of the Human Protein Atlas: the bundled detector for them is loaded.',
  );
  // A run with the other one would find little.
  store.set({ model: null });
  await load(name, true);
}

/** Loads the one that fits, unless the address says `?detector=none` or another detector is loaded first. */
export async function loadFirstModel() {
  if (new URLSearchParams(location.search).get('detector') === 'none') return;
  await load(proposed(), true);
}

/**
 * @param {string} name of the detector in the manifest
 * @param {boolean} brought nobody chose it: it is not the project's own, and gives way to one that fits the images
 */
async function load(name, brought) {
  const before = detectorsAsked();
  const overtaken = () => detectorsAsked() !== before;
  try {
    store.set({ fetching: { bytes: 0, share: 0 } });
    const manifest = (await (manifests ??= readManifests())).find((entry) => entry.name === name);
    if (!manifest) throw new Error(`There is none of the name ${name}.`);
    /** @param {number} done */
    const onProgress = (done) => store.set({ fetching: { bytes: manifest.bytes, share: done / manifest.bytes } });
    onProgress(0);
    const whole = await bytesOf(manifest, onProgress);
    onProgress(manifest.bytes);
    // A run from scratch may have started, and will bring its own detector.
    while (busy() && !overtaken()) await new Promise((resolve) => setTimeout(resolve, PATIENCE));
    if (overtaken()) return;
    await loadModel(new File([whole], manifest.file), { brought });
  } catch (error) {
    manifests = null;
    if (overtaken()) return;
    store.set({ modelProblem: { name: 'The bundled detector', sentence: sentenceOf(error) } });
    announce('The bundled detector could not be loaded.');
  } finally {
    store.set({ fetching: null });
  }
}
