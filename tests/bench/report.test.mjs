// The benchmark's report, without a browser: node --test tests/bench/report.test.mjs

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forwardFlops, layers, learns, stepFlops } from './page/network.mjs';
import { line, summary, table } from './report.mjs';

const layer = (name, w, scale) => ({
  layer: name,
  x: [1, 8, 8, w[2]],
  w,
  stride: 1,
  conv_forward: { cytobox: 4 * scale, burn: scale, ort_webgpu: scale, tfjs_webgpu: scale / 2 },
  conv_forward_backward: { cytobox: 3 * scale, burn: scale, tfjs_webgpu: scale / 4 },
  cpu_forward: { cytobox: 20 * scale, ort_wasm_1: 30 * scale },
});

const report = {
  adapter: 'an adapter',
  side: 128,
  peak_gflops: 12.34567,
  layers: [layer('3×3', [3, 3, 64, 64], 1), layer('1×1', [1, 1, 64, 256], 4)],
  dense: {
    side: 512,
    layers: [
      { layer: 'a', x: [1, 8, 8, 64], w: [3, 3, 64, 64], stride: 1, gflops: 4, peak_gflops: 10 },
      { layer: 'b', x: [1, 8, 8, 64], w: [3, 3, 64, 64], stride: 2, gflops: 2, peak_gflops: 20 },
    ],
  },
  model_forward: { cytobox: 3.00001, ort_webgpu: 0.5 },
  model_step: { cytobox: 2, tfjs_webgpu: 0.4 },
  model: {
    name: 'ResNet-18-FPN',
    side: 128,
    flops: { model_forward: 3e9, model_step: 8e9 },
    seconds: { model_forward: { cytobox: 1, ort_webgpu: 6 }, model_step: { cytobox: 4, tfjs_webgpu: 20 } },
  },
};

test('the summary has the geometric means over layers, and nothing but rates beside the model', () => {
  const found = summary(report);
  assert.deepEqual(found, {
    adapter: 'an adapter',
    peak_gflops: 12.35,
    conv_forward: { cytobox: 8, burn: 2, ort_webgpu: 2, tfjs_webgpu: 1 },
    conv_forward_backward: { cytobox: 6, burn: 2, tfjs_webgpu: 0.5 },
    cpu_forward: { cytobox: 40, ort_wasm_1: 60 },
    share_of_peak: { 128: 0.324, 512: 0.2 },
    model_forward: { cytobox: 3, ort_webgpu: 0.5 },
    model_step: { cytobox: 2, tfjs_webgpu: 0.4 },
    model: report.model,
  });
});

test('the table names every figure and unit', () => {
  const text = table(report);
  for (const part of ['model_step (GFLOP/s)', 'in seconds', '32 % (32 % to 32 %); of images of 512²: 20 % (10 % to 40 %)', 'conv_forward: 8.00 × tfjs_webgpu']) {
    assert.ok(text.includes(part), `${part} in\n${text}`);
  }
  assert.match(line({ layer: '3×3', figure: 'conv_forward', rates: { cytobox: 3.14159 } }), /cytobox 3\.14 GFLOP\/s$/);
});

test("the operations of ResNet-18-FPN are the architecture's", () => {
  // torchvision counts 1.814e9 multiply-adds at 224², of which the classifier has 512 000; the pyramid's own are added here.
  const pyramid = (side) =>
    [64, 128, 256, 512].reduce((sum, cin, i) => sum + (side / (4 << i)) ** 2 * (cin * 256 + 9 * 256 * 256), 0);
  const body = forwardFlops(224) / 2 - pyramid(224);
  assert.ok(Math.abs(body - 1.8135e9) < 1e6, `${body}`);
  assert.equal(forwardFlops(256), 4 * forwardFlops(128));
});

test('a step takes the forward pass and only those gradients that something learns from', () => {
  const [forward, step] = [forwardFlops(128), stepFlops(128)];
  assert.ok(step > 2 * forward && step < 3 * forward, `${step} of ${forward}`);
  // The stem and the first stage are frozen: forward alone.
  assert.deepEqual(layers().filter(({ name }) => !learns(name, 'weight')).map(({ name }) => name), [
    'body.conv1',
    'body.layer1.0.conv1',
    'body.layer1.0.conv2',
    'body.layer1.1.conv1',
    'body.layer1.1.conv2',
  ]);
});
