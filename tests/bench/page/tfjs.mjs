// TensorFlow.js on WebGPU; `tf` is a global of its own scripts.

/* global tf */

import { forward, layerValues, layers, learns } from './network.mjs';
import { BIAS, RATE, MOMENTUM, WEIGHT, X, noise, toHwio } from './values.mjs';

/** Browsers have since taken away the function by which this release asks for the adapter's name. */
function supplyAdapterInfo() {
  GPUAdapter.prototype.requestAdapterInfo ??= function requestAdapterInfo() {
    return Promise.resolve(this.info);
  };
}

const tensor = (shape, seed) => tf.tensor(noise(shape.reduce((a, b) => a * b, 1), seed), shape);
const one = (t) => tf.tidy(() => t.flatten().slice([0], [1]));

/** `step()` gives tensors of which the last is read; it is done `count` times between two readings. */
async function timed(count, step) {
  const begin = performance.now();
  for (let i = 0; i < count; i += 1) {
    const results = step();
    if (i === count - 1) {
      const number = one(results.at(-1));
      await number.data();
      number.dispose();
    }
    tf.dispose(results);
  }
  return (performance.now() - begin) / 1000 / count;
}

/** Waits until everything asked for so far is done. */
async function settle(t) {
  const number = one(t);
  await number.data();
  number.dispose();
}

const read = (tensors) => Promise.all(tensors.map((t) => t.data()));

async function convJob(layer, calculate) {
  const [x, w, b] = [tensor(layer.x, X), tensor(layer.w, WEIGHT), tensor([layer.w[3]], BIAS)];
  const conv = (input, filter) =>
    tf.fused.conv2d({ x: input, filter, bias: b, strides: layer.stride, pad: layer.padding, activation: 'relu' });
  const step = calculate(conv, x, w);
  return {
    async run(count) {
      await Promise.all([x, w].map(settle));
      return timed(count, step);
    },
    async answers() {
      const results = step();
      const values = await read(results);
      tf.dispose(results);
      return values;
    },
    dispose: async () => tf.dispose([x, w, b]),
  };
}

export const tfjsWebgpu = {
  name: 'tfjs_webgpu',

  async open() {
    supplyAdapterInfo();
    if (!(await tf.setBackend('webgpu'))) throw new Error('TensorFlow.js cannot use WebGPU here');
    await tf.ready();
  },

  forward: (layer) => convJob(layer, (conv, x, w) => () => [conv(x, w)]),

  /** The gradients of the sum of the output. */
  forwardBackward: (layer) => convJob(layer, (conv, x, w) => () => tf.grads(conv)([x, w])),

  /** One step of fine-tuning; the loss is the sum over levels of the mean of squares. */
  async modelStep(side) {
    const x = tensor([1, side, side, 3], X);
    const parameters = new Map();
    const variables = [];
    for (const layer of layers()) {
      const { weight, bias } = layerValues(layer);
      const parts = { weight: tf.tensor(toHwio(weight, layer.shape), layer.shape), bias: tf.tensor1d(bias) };
      for (const part of ['weight', 'bias']) {
        parts[part] = tf.variable(parts[part], learns(layer.name, part));
        if (parts[part].trainable) variables.push(parts[part]);
      }
      parameters.set(layer.name, parts);
    }
    const optimizer = tf.train.momentum(RATE, MOMENTUM);
    const ops = {
      conv(input, { name, shape: [kernel], stride }, relu) {
        const { weight: filter, bias } = parameters.get(name);
        const activation = relu ? 'relu' : 'linear';
        return tf.fused.conv2d({ x: input, filter, bias, strides: stride, pad: Math.floor(kernel / 2), activation });
      },
      addRelu: (a, b) => tf.relu(tf.add(a, b)),
      pool: (t) => tf.maxPool(t, 3, 2, 1),
      upsampleAdd: (top, lateral) => tf.add(tf.image.resizeNearestNeighbor(top, lateral.shape.slice(1, 3)), lateral),
      subsample: (t) => tf.maxPool(t, 1, 2, 0),
    };
    const loss = () => forward(ops, x).map((level) => tf.mean(tf.square(level))).reduce((a, b) => tf.add(a, b));
    const step = () => [optimizer.minimize(loss, true, variables)];
    return {
      run: (count) => timed(count, step),
      /** The losses before and after the next step. */
      async answers() {
        const losses = [...step(), ...step()];
        const values = await read(losses);
        tf.dispose(losses);
        return values;
      },
      dispose: async () => {
        tf.dispose([x, ...[...parameters.values()].flatMap(({ weight, bias }) => [weight, bias])]);
        optimizer.dispose();
      },
    };
  },
};
