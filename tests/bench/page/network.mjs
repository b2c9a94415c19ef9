// ResNet-18 and its feature pyramid, layer by layer in the order in which `src/model` builds them, so that a layer's
// number is its seed and every contender has the same weights.

import { model, node } from './onnx.mjs';
import { noise, weightScale } from './values.mjs';

const PLANES = [64, 128, 256, 512];
const PYRAMID = 256;

/** @typedef {{name: string, shape: [number, number, number, number], stride: number, seed: number}} Layer weights as HWIO */

/** @returns {Layer[]} */
export function layers() {
  const list = [];
  const add = (name, cin, cout, kernel, stride) =>
    list.push({ name, shape: [kernel, kernel, cin, cout], stride, seed: 1000 + list.length });
  add('body.conv1', 3, 64, 7, 2);
  PLANES.forEach((planes, i) => {
    for (const k of [0, 1]) {
      const input = k === 0 && i > 0 ? PLANES[i - 1] : planes;
      const stride = k === 0 && i > 0 ? 2 : 1;
      const block = `body.layer${i + 1}.${k}`;
      add(`${block}.conv1`, input, planes, 3, stride);
      add(`${block}.conv2`, planes, planes, 3, 1);
      if (stride > 1) add(`${block}.downsample`, input, planes, 1, stride);
    }
  });
  PLANES.forEach((planes, i) => {
    add(`fpn.inner.${i}`, planes, PYRAMID, 1, 1);
    add(`fpn.layer.${i}`, PYRAMID, PYRAMID, 3, 1);
  });
  return list;
}

/** The values of a layer, as `src/bench.rs` draws them: weights `[cout, cin, kh, kw]`. */
export function layerValues({ shape, seed }) {
  const [kh, kw, cin, cout] = shape;
  return {
    weight: noise(kh * kw * cin * cout, seed, weightScale(kh * kw * cin)),
    bias: noise(cout, seed + 500, 0.1),
  };
}

/** What learns when a detector is fine-tuned: not the stem and the first stage, nor biases that hold a frozen norm. */
export const learns = (name, part) =>
  name.startsWith('fpn.') || (part === 'weight' && !/^body\.(conv1|layer1)/.test(name));

/** Multiplications and additions of a layer's forward pass for a `side × side` image, or of one of its two gradients. */
function layerFlops({ name, shape: [kh, kw, cin, cout] }, side) {
  const level = Number(/(?:inner|layer)\.?(\d)/.exec(name)?.[1] ?? 0);
  const part = name.startsWith('fpn') ? 4 << level : 2 << level;
  return 2 * (side / part) ** 2 * kh * kw * cin * cout;
}

const sum = (values) => values.reduce((a, b) => a + b, 0);

/** Multiplications and additions of one forward pass of a `side × side` image. */
export const forwardFlops = (side) => sum(layers().map((layer) => layerFlops(layer, side)));

/** What looks at the first stage or the picture, before which nothing learns: its input needs no gradient. */
const first = /^(body\.(conv1|layer1|layer2\.0\.(conv1|downsample))|fpn\.inner\.0$)/;

/** Of one step of fine-tuning: the forward pass, the gradients of the weights that learn, and those of the inputs behind them. */
export function stepFlops(side) {
  const passes = ({ name }) => 1 + (learns(name, 'weight') ? 1 : 0) + (first.test(name) ? 0 : 1);
  return sum(layers().map((layer) => passes(layer) * layerFlops(layer, side)));
}

/**
 * The network by the operations that it is made of. `ops` has `conv(x, layer, relu)`, `addRelu(a, b)`, `pool(x)`,
 * `upsampleAdd(top, lateral)` and `subsample(x)`. Gives the five levels, finest first.
 */
export function forward(ops, image) {
  const byName = new Map(layers().map((layer) => [layer.name, layer]));
  const conv = (name, x, relu) => ops.conv(x, byName.get(name), relu);
  let x = ops.pool(conv('body.conv1', image, true));
  const stages = [];
  for (const stage of [1, 2, 3, 4]) {
    for (const k of [0, 1]) {
      const block = `body.layer${stage}.${k}`;
      const shortcut = byName.has(`${block}.downsample`) ? conv(`${block}.downsample`, x, false) : x;
      x = ops.addRelu(conv(`${block}.conv2`, conv(`${block}.conv1`, x, true), false), shortcut);
    }
    stages.push(x);
  }
  const levels = [];
  let above = null;
  for (const i of [3, 2, 1, 0]) {
    const lateral = conv(`fpn.inner.${i}`, stages[i], false);
    above = above === null ? lateral : ops.upsampleAdd(above, lateral);
    levels.unshift(conv(`fpn.layer.${i}`, above, false));
  }
  return [...levels, ops.subsample(levels[3])];
}

/** `[n, h, w, c]` of the five levels. */
export const levelShapes = (side) => [4, 8, 16, 32, 64].map((part) => [1, side / part, side / part, PYRAMID]);

/** The network as an ONNX file: input `x` and outputs `p0` to `p4`, channels first. */
export function networkOnnx(side) {
  const [nodes, initializers] = [[], []];
  const constant = (name, shape, values) => {
    initializers.push({ name, shape, values });
    return name;
  };
  const op = (type, inputs, attributes) => {
    const output = `t${nodes.length}`;
    nodes.push(node(type, inputs, [output], attributes));
    return output;
  };
  const scales = constant('scales', [4], Float32Array.of(1, 1, 2, 2));
  const levels = forward(
    {
      conv(x, layer, relu) {
        const { weight, bias } = layerValues(layer);
        const [kh, kw, cin, cout] = layer.shape;
        const w = constant(`${layer.name}.weight`, [cout, cin, kh, kw], weight);
        const b = constant(`${layer.name}.bias`, [cout], bias);
        const y = op('Conv', [x, w, b], convAttributes(kh, layer.stride));
        return relu ? op('Relu', [y]) : y;
      },
      addRelu: (a, b) => op('Relu', [op('Add', [a, b])]),
      pool: (x) => op('MaxPool', [x], { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] }),
      upsampleAdd: (top, lateral) =>
        op('Add', [
          op('Resize', [top, '', scales], {
            mode: 'nearest',
            coordinate_transformation_mode: 'asymmetric',
            nearest_mode: 'floor',
          }),
          lateral,
        ]),
      subsample: (x) => op('MaxPool', [x], { kernel_shape: [1, 1], strides: [2, 2] }),
    },
    'x',
  );
  const shapes = levelShapes(side).map(([n, h, w, c]) => [n, c, h, w]);
  levels.forEach((level, i) => nodes.push(node('Identity', [level], [`p${i}`])));
  const outputs = shapes.map((shape, i) => ({ name: `p${i}`, shape }));
  return model(nodes, initializers, [{ name: 'x', shape: [1, 3, side, side] }], outputs);
}

export const convAttributes = (kernel, stride) => ({
  kernel_shape: [kernel, kernel],
  strides: [stride, stride],
  pads: Array(4).fill(Math.floor(kernel / 2)),
});
