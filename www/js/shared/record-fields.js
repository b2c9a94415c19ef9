/** The checks that every record from a disk or from somebody else goes through, field by field. */
import * as limits from './limits.js';

/** Characters that are invisible or turn the direction of text, as the engine refuses them in labels. */
const FORBIDDEN = /[\p{Cc}\u200e\u200f\u061c\u2028-\u202e\u2066-\u2069\ufffe\uffff]/u;

/** A record that cannot be used; the message says what is wrong with it. */
export class BadRecord extends Error {}

export function demand(condition, sentence) {
  if (!condition) throw new BadRecord(sentence);
}

export function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function text(value, what, most = limits.NAME_CHARS) {
  demand(typeof value === 'string' && value.length <= most, `${what} is no text of at most ${most} characters`);
  return value;
}

export function number(value, what, low = -Infinity, high = Infinity) {
  demand(typeof value === 'number' && value >= low && value <= high && Number.isFinite(value), `${what} is no number that can be used`);
  return value;
}

export function whole(value, what, low, high) {
  demand(Number.isInteger(number(value, what, low, high)), `${what} is no whole number`);
  return value;
}

/** @template T @param {any} value @param {string} what @param {number} most @param {(one: any, what: string) => T} read @returns {T[]} */
export function list(value, what, most, read) {
  demand(Array.isArray(value), `${what} is no list`);
  demand(value.length <= most, `${what} has ${value.length} entries; at most ${most} are taken`);
  return value.map((one, index) => read(one, `${what}, ${index + 1}`));
}

/** @returns {string} */
export function label(value, what) {
  text(value, what, limits.LABEL_CHARS * 2);
  demand(value.trim() !== '' && [...value].length <= limits.LABEL_CHARS && !FORBIDDEN.test(value), `${what} is no label that can be used`);
  return value;
}
