/** Every image file of the project, by path, with the first bytes that tell its kind; and the numbers of the images. */
import { HEAD_BYTES } from '../shared/engine-limits.js';

/** @typedef {{file: File, head: Uint8Array<ArrayBuffer>}} KnownFile */

/** @type {Map<string, KnownFile>} */
export const known = new Map();

let nextId = 1;

/** A number that no image of this page had before. */
export function newId() {
  return nextId++;
}

/** Numbers up to this one are taken. @param {number} id */
export function takeId(id) {
  nextId = Math.max(nextId, id + 1);
}

/** @param {Blob} file */
export async function headOf(file) {
  return new Uint8Array(await file.slice(0, HEAD_BYTES).arrayBuffer());
}
