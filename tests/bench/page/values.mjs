// Numbers that every contender makes for itself from a seed, and how answers are compared.

/** Values in -1..1 times `scale`, the same as `src/bench.rs` draws for this seed. */
export function noise(length, seed, scale = 1) {
  const factor = Math.fround(scale);
  let state = (Math.imul(seed, 747796405) + 2891336453) >>> 0;
  const values = new Float32Array(length);
  for (let i = 0; i < length; i += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    values[i] = Math.fround((state >>> 8) / (1 << 23) - 1) * factor;
  }
  return values;
}

/** The scale that keeps the size of activations through convolutions with ReLU. */
export const weightScale = (fanIn) => Math.sqrt(Math.fround(6 / fanIn));

/** An array of a shape with its axes in a new order. */
export function permute(values, shape, order) {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1));
  const [n, s] = [order.map((axis) => shape[axis]), order.map((axis) => strides[axis])];
  const out = new Float32Array(values.length);
  let to = 0;
  for (let a = 0; a < n[0]; a += 1)
    for (let b = 0; b < n[1]; b += 1)
      for (let c = 0; c < n[2]; c += 1) {
        const from = a * s[0] + b * s[1] + c * s[2];
        for (let d = 0; d < n[3]; d += 1) out[to++] = values[from + d * s[3]];
      }
  return out;
}

export const toNchw = (values, [n, h, w, c]) => permute(values, [n, h, w, c], [0, 3, 1, 2]);
export const toNhwc = (values, [n, h, w, c]) => permute(values, [n, c, h, w], [0, 2, 3, 1]);
/** Weights `[kh, kw, cin, cout]` to torch's `[cout, cin, kh, kw]`, and back. */
export const toOihw = (values, shape) => permute(values, shape, [3, 2, 0, 1]);
export const toHwio = (values, [kh, kw, cin, cout]) => permute(values, [cout, cin, kh, kw], [2, 3, 1, 0]);

/** The length of the difference over the length of `expected`: a ReLU that flips at zero does not matter to it. */
export function relativeError(got, expected) {
  if (got.length !== expected.length) return Infinity;
  let [difference, size] = [0, 0];
  for (let i = 0; i < expected.length; i += 1) {
    difference += (got[i] - expected[i]) ** 2;
    size += expected[i] ** 2;
  }
  const error = Math.sqrt(difference / size);
  return Number.isNaN(error) ? Infinity : error;
}

/** Seeds of a convolution's input, weights and bias. */
export const [X, WEIGHT, BIAS] = [1, 2, 3];
/** Of the fine-tuning step. */
export const [RATE, MOMENTUM] = [1e-7, 0.9];
