/** Where results come from: each knows its detector by the content of the file, and is stale once another one is loaded. */
import { store } from '../shared/page-state.js';

/** Bytes at both ends of a detector file that tell it from others: its description, and layers that every training run moves. */
const PART = 256 << 10;

/** @type {WeakMap<File, Promise<string>>} */
const known = new WeakMap();

/** @param {File} file */
async function fingerprint(file) {
  const parts = await Promise.all([file.slice(0, PART), file.slice(-PART)].map((part) => part.arrayBuffer()));
  // FNV-1a, which an insecure context has as well.
  let hash = 0x811c9dc5;
  for (const part of parts) for (const byte of new Uint8Array(part)) hash = Math.imul(hash ^ byte, 0x01000193);
  return `${file.size}-${(hash >>> 0).toString(16)}`;
}

/** What the results of the loaded detector are marked with; empty where its file cannot be read any more. @returns {Promise<string>} */
export async function detectorMark() {
  const file = store.state.model?.file;
  if (!file) return '';
  if (!known.has(file))
    known.set(
      file,
      fingerprint(file).catch(() => ''),
    );
  return known.get(file) ?? '';
}

/** @type {WeakMap<File, Promise<string>>} */
const hashes = new WeakMap();

/** @param {File} file */
async function sha256(file) {
  const sum = new Uint8Array(await crypto.subtle.digest('SHA-256', await file.arrayBuffer()));
  return Array.from(sum, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/**
 * The SHA-256 of the detector's file for what leaves the page; its mark where another detector is loaded now, or where the address
 * is not secure and the browser therefore has no hashes.
 * @param {string} mark of the results
 */
export async function detectorHash(mark) {
  const file = store.state.model?.file;
  if (!file || !globalThis.crypto?.subtle || mark !== (await detectorMark())) return mark;
  if (!hashes.has(file))
    hashes.set(
      file,
      sha256(file).catch(() => mark),
    );
  return hashes.get(file) ?? mark;
}

async function compare() {
  const mark = await detectorMark();
  if (!mark || mark !== (await detectorMark())) return;
  let found = false;
  for (const { result } of store.state.images) {
    if (!result?.detector || result.detector === mark || result.stale) continue;
    result.stale = true;
    found = true;
  }
  if (found) store.touch('images');
}

export function startOrigin() {
  // A project that is opened may bring results and no detector.
  store.subscribe(['model', 'projectId'], compare);
}
