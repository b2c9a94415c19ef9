// One run: every contender on every layer, turn by turn, and the whole networks after that. `run.mjs` calls `bench`.

import { engine, openWorker, peak } from './cytobox.mjs';
import { isDense } from './dense.mjs';
import { forwardFlops, stepFlops } from './network.mjs';
import { ortWasm, ortWebgpu } from './ort.mjs';
import { tfjsWebgpu } from './tfjs.mjs';
import { relativeError } from './values.mjs';

/** More than the rounding of sums in another order. */
const TOLERANCE = 1e-3;
/** Seconds between two readings, as far as whole runs allow; no more runs than this. */
const [READING, RUNS] = [0.25, 16];

/**
 * The best time of each contender, in seconds. They take turns, so that a busy machine is busy for all, and must agree
 * with the first one's answers.
 * @param {{name: string, open: () => Promise<{run: Function, answers: Function, dispose: Function}>}[]} contenders
 * @param {{rounds: number, seconds: number}} effort of each contender; it runs at least once after its first time
 */
async function race(contenders, { rounds, seconds }) {
  const entries = [];
  let expected = null;
  for (const { name, open } of contenders) {
    const job = await open();
    const answers = await job.answers();
    expected ??= answers;
    const error = Math.max(...answers.map((values, i) => relativeError(values, expected[i])));
    if (!(error <= TOLERANCE)) throw new Error(`${name} disagrees with ${contenders[0].name}: ${error}`);
    entries.push({ name, job, best: Infinity, spent: 0, count: 1 });
  }
  for (let round = 0; round < rounds; round += 1) {
    for (const entry of entries) {
      if (entry.spent > seconds) continue;
      const begin = performance.now();
      entry.best = Math.min(entry.best, await entry.job.run(entry.count));
      entry.spent += (performance.now() - begin) / 1000;
      entry.count = Math.min(RUNS, Math.max(1, Math.round(READING / entry.best)));
    }
  }
  for (const { job } of entries) await job.dispose();
  return Object.fromEntries(entries.map(({ name, best }) => [name, best]));
}

/** GFLOP/s of each contender by its seconds. */
const rates = (times, flops) =>
  Object.fromEntries(Object.entries(times).map(([name, seconds]) => [name, flops / seconds / 1e9]));

/**
 * The dense layers of images as large as in a training, which the peers take minutes for: this project's kernels alone, each
 * beside the peak at that moment.
 */
async function denseLayers(worker, side, effort) {
  const cytobox = engine('cytobox', worker);
  const rows = [];
  for (const layer of (await worker.layers(side)).filter(isDense)) {
    const before = await peak(worker);
    const times = await race([{ name: 'cytobox', open: () => cytobox.forward(layer) }], effort);
    const gflops = layer.flops / times.cytobox / 1e9;
    rows.push({ layer: layer.name, x: layer.x, w: layer.w, stride: layer.stride, gflops, peak_gflops: Math.max(before, await peak(worker)) });
    globalThis.tell?.({ layer: `${layer.name} of ${side}²`, figure: 'forward', rates: { cytobox: gflops } });
  }
  return { side, layers: rows };
}

/** @param {{side: number, modelSide: number, denseSide: number, rounds: number, seconds: number}} options */
export async function bench({ side, modelSide, denseSide, rounds, seconds }) {
  const effort = { rounds, seconds };
  const [gpu, cpu] = [await openWorker('software'), await openWorker('cpu')];
  await tfjsWebgpu.open();
  const [cytobox, burn, cytoboxCpu] = [engine('cytobox', gpu), engine('burn', gpu), engine('cytobox', cpu)];
  const figures = {
    conv_forward: ['forward', [cytobox, burn, ortWebgpu, tfjsWebgpu]],
    conv_forward_backward: ['forwardBackward', [cytobox, burn, tfjsWebgpu]],
    cpu_forward: ['forward', [cytoboxCpu, ortWasm]],
  };

  const report = { adapter: gpu.report.name, side, peak_gflops: await peak(gpu), layers: [] };
  for (const layer of await gpu.layers(side)) {
    const row = { layer: layer.name, x: layer.x, w: layer.w, stride: layer.stride };
    for (const [figure, [method, contenders]] of Object.entries(figures)) {
      const flops = layer.flops * (method === 'forward' ? 1 : 3);
      const open = contenders.map((c) => ({ name: c.name, open: () => c[method](layer) }));
      row[figure] = rates(await race(open, effort), flops);
      globalThis.tell?.({ layer: layer.name, figure, rates: row[figure] });
    }
    report.layers.push(row);
    report.peak_gflops = Math.max(report.peak_gflops, await peak(gpu));
  }
  report.dense = await denseLayers(gpu, denseSide, effort);
  const model = { name: 'ResNet-18-FPN', side: modelSide, flops: {}, seconds: {} };
  const models = {
    model_forward: ['modelForward', [cytobox, ortWebgpu], forwardFlops(modelSide)],
    model_step: ['modelStep', [cytobox, tfjsWebgpu], stepFlops(modelSide)],
  };
  for (const [figure, [method, contenders, flops]] of Object.entries(models)) {
    const times = await race(contenders.map((c) => ({ name: c.name, open: () => c[method](modelSide) })), effort);
    report[figure] = rates(times, flops);
    model.flops[figure] = flops;
    model.seconds[figure] = times;
    globalThis.tell?.({ layer: model.name, figure, rates: report[figure] });
  }
  report.model = model;
  for (const worker of [gpu, cpu]) worker.end();
  return report;
}
