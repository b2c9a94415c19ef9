/**
 * The detector that the page brings along, so that a newcomer has one. It is fetched once and kept by the hash of its
 * content; a project that has a detector of its own keeps that.
 */
import { announce, byId, formatBytes } from './dom.js';
import { loadModel } from './engine.js';
import { store } from './store.js';

/** Where `models/` is served, and the cache of this browser. */
const FOLDER = './models/';
const CACHE = 'cytobox-models';

/** @typedef {{file: string, sha256: string, bytes: number}} Manifest */

/** @param {(done: number) => void} tell */
async function download(url, bytes, tell) {
  const response = await fetch(url);
  if (!response.ok || !response.body) throw new Error(`the server answers ${response.status}`);
  const reader = response.body.getReader();
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (at + value.length > bytes) throw new Error('it is longer than it should be');
    whole.set(value, at);
    at += value.length;
    tell(at);
  }
  return whole.subarray(0, at);
}

async function hashOf(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The browser's cache; none in a private window or an insecure context. */
async function openCache() {
  try {
    return await caches.open(CACHE);
  } catch {
    return null;
  }
}

/** @param {Manifest} manifest */
async function bytesOf({ file, sha256, bytes }, tell) {
  const cache = await openCache();
  const key = `${FOLDER}${sha256}`;
  const kept = await cache?.match(key);
  if (kept) return new Uint8Array(await kept.arrayBuffer());
  const whole = await download(`${FOLDER}${file}`, bytes, tell);
  if ((await hashOf(whole)) !== sha256) throw new Error('it is not the file that it should be');
  try {
    // Those of earlier versions only take room.
    for (const old of (await cache?.keys()) ?? []) await cache?.delete(old);
    await cache?.put(key, new Response(whole));
  } catch {
    // A full disk costs the next start a download and nothing else.
  }
  return whole;
}

/** Loads it once the project is known and has no detector of its own, unless the address says `?detector=none`. */
export function startFirstModel() {
  if (new URLSearchParams(location.search).get('detector') === 'none') return;
  let begun = false;
  store.subscribe(['saving'], ({ saving }) => {
    if (begun || saving.phase === 'opening') return;
    begun = true;
    load();
  });
}

async function load() {
  const { model, modelLoading } = store.state;
  if (model || modelLoading) return;
  const bar = byId('model-progress');
  try {
    const response = await fetch(`${FOLDER}manifest.json`);
    if (!response.ok) return;
    const manifest = /** @type {Manifest} */ (await response.json());
    store.set({ modelLoading: `the detector that comes with cytobox (${formatBytes(manifest.bytes)})` });
    bar.hidden = false;
    const bytes = await bytesOf(manifest, (done) => {
      bar.value = done / manifest.bytes;
    });
    // Somebody was quicker and dropped one.
    if (store.state.model) return;
    await loadModel(new File([bytes], manifest.file));
  } catch (error) {
    store.set({ modelProblem: { name: 'The detector that comes with cytobox', sentence: error.message } });
    announce('The detector that comes with cytobox could not be loaded.');
  } finally {
    bar.hidden = true;
    store.set({ modelLoading: '' });
  }
}
