/** Checks every record from a disk or another user, field by field. */
import * as limits from './limits.js';

/** A record that cannot be used; the message says what is wrong with it. */
export class BadRecord extends Error {}

/** @param {unknown} condition @param {string} sentence @returns {asserts condition} */
export function demand(condition, sentence) {
  if (!condition) throw new BadRecord(sentence);
}

/** @param {unknown} value @returns {value is Record<string, unknown>} */
export function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** @param {unknown} value @param {string} what @returns {string} */
export function text(value, what, most = limits.NAME_CHARS) {
  demand(typeof value === 'string' && value.length <= most, `${what} is not a string of at most ${most} characters`);
  return value;
}

/** @param {unknown} value @param {string} what @returns {number} */
export function number(value, what, low = -Infinity, high = Infinity) {
  demand(typeof value === 'number' && value >= low && value <= high && Number.isFinite(value), `${what} is not a valid number`);
  return value;
}

/** @param {unknown} value @param {string} what @param {number} low @param {number} high */
export function whole(value, what, low, high) {
  const one = number(value, what, low, high);
  demand(Number.isInteger(one), `${what} is not a whole number`);
  return one;
}

/** @template T @param {unknown} value @param {string} what @param {number} most @param {(one: unknown, what: string) => T} read @returns {T[]} */
export function list(value, what, most, read) {
  demand(Array.isArray(value), `${what} is not a list`);
  demand(value.length <= most, `${what} has ${value.length} entries; the limit is ${most}`);
  return value.map((one, index) => read(one, `${what}, ${index + 1}`));
}

/** Without spaces round it, as the engine keeps it. @param {unknown} value @param {string} what */
export function label(value, what) {
  const one = text(value, what, limits.LABEL_CHARS * 2).trim();
  demand(one !== '' && [...one].length <= limits.LABEL_CHARS && !limits.FORBIDDEN_IN_LABELS.test(one), `${what} is not a valid label`);
  return one;
}
