/** Sample values in words. */

/**
 * A whole number, but of floating point four digits, whatever its magnitude.
 * @param {number} value @param {number} [bits] of a sample
 */
export function level(value, bits = 16) {
  return bits === 32 ? String(Number(value.toPrecision(4))) : String(Math.round(value));
}
