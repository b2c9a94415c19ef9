// onnxruntime-web: its WebGPU backend, and its wasm backend on one thread.

import * as gpu from './ort/ort.webgpu.min.mjs';
import * as wasm from './ort/ort.wasm.min.mjs';
import { model, node } from './onnx.mjs';
import { convAttributes, levelShapes, networkOnnx } from './network.mjs';
import { BIAS, WEIGHT, X, toNchw, toNhwc, toOihw, noise } from './values.mjs';

for (const { env } of [gpu, wasm]) {
  env.wasm.wasmPaths = new URL('./ort/', location.href).href;
  env.wasm.numThreads = 1;
  env.logLevel = 'error';
}

/** A convolution with bias and ReLU as a file, channels first. */
function convOnnx({ x: [n, h, w, cin], w: shape, stride, out }) {
  const [kh, kw, , cout] = shape;
  const weight = toOihw(noise(kh * kw * cin * cout, WEIGHT), shape);
  const nodes = [
    node('Conv', ['x', 'w', 'b'], ['y'], convAttributes(kh, stride)),
    node('Relu', ['y'], ['p0']),
  ];
  const constants = [
    { name: 'w', shape: [cout, cin, kh, kw], values: weight },
    { name: 'b', shape: [cout], values: noise(cout, BIAS) },
  ];
  const [on, oh, ow, oc] = out;
  return model(nodes, constants, [{ name: 'x', shape: [n, cin, h, w] }], [{ name: 'p0', shape: [on, oc, oh, ow] }]);
}

const image = (shape) => {
  const [n, h, w, c] = shape;
  return { values: toNchw(noise(n * h * w * c, X), shape), dims: [n, c, h, w] };
};

export const ortWebgpu = {
  name: 'ort_webgpu',
  forward: (layer) => gpuJob(convOnnx(layer), layer.x, [layer.out]),
  modelForward: (side) => gpuJob(networkOnnx(side), [1, side, side, 3], levelShapes(side)),
};

/** Input and outputs stay on the GPU. The file is channels first; the backend may choose its own order inside, and the faster is kept. */
async function gpuJob(file, shape, outputs) {
  const jobs = [];
  for (const layout of ['NHWC', 'NCHW']) jobs.push(await gpuJobOf(file, shape, outputs, layout));
  const times = [];
  for (const job of jobs) {
    await job.run(1);
    times.push(await job.run(1));
  }
  const [kept, other] = times[0] <= times[1] ? jobs : jobs.reverse();
  await other.dispose();
  return kept;
}

async function gpuJobOf(file, shape, outputs, preferredLayout) {
  const session = await gpu.InferenceSession.create(file, {
    executionProviders: [{ name: 'webgpu', preferredLayout }],
    preferredOutputLocation: 'gpu-buffer',
  });
  const device = await gpu.env.webgpu.device;
  const { values, dims } = image(shape);
  const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
  const buffer = device.createBuffer({ size: Math.ceil(values.byteLength / 16) * 16, usage: STORAGE | COPY_SRC | COPY_DST });
  device.queue.writeBuffer(buffer, 0, values);
  const x = gpu.Tensor.fromGpuBuffer(buffer, { dataType: 'float32', dims });
  const number = device.createBuffer({ size: 4, usage: COPY_DST | MAP_READ });

  async function run(count) {
    await device.queue.onSubmittedWorkDone();
    const begin = performance.now();
    for (let i = 0; i < count; i += 1) {
      const results = Object.values(await session.run({ x }));
      if (i === count - 1) {
        const commands = device.createCommandEncoder();
        commands.copyBufferToBuffer(results.at(-1).gpuBuffer, 0, number, 0, 4);
        device.queue.submit([commands.finish()]);
        await number.mapAsync(GPUMapMode.READ);
        number.unmap();
      }
      for (const result of results) result.dispose();
    }
    return (performance.now() - begin) / 1000 / count;
  }

  async function answers() {
    const results = await session.run({ x });
    const values = [];
    for (const [i, out] of outputs.entries()) values.push(toNhwc(await results[`p${i}`].getData(true), out));
    return values;
  }

  async function dispose() {
    await session.release();
    buffer.destroy();
    number.destroy();
  }
  return { run, answers, dispose };
}

export const ortWasm = {
  name: 'ort_wasm_1',
  async forward(layer) {
    const session = await wasm.InferenceSession.create(convOnnx(layer), { executionProviders: ['wasm'] });
    const { values, dims } = image(layer.x);
    const x = new wasm.Tensor('float32', values, dims);
    return {
      async run(count) {
        const begin = performance.now();
        for (let i = 0; i < count; i += 1) await session.run({ x });
        return (performance.now() - begin) / 1000 / count;
      },
      answers: async () => [toNhwc((await session.run({ x })).p0.data, layer.out)],
      dispose: () => session.release(),
    };
  },
};
