// This project and burn, in the page's own worker and by its own protocol.

import { Connection } from './js/engine/connection.js';
import { probe } from './js/engine/probe.js';
import { RATE, MOMENTUM } from './values.mjs';

/** A worker on a device. Resolves to `{ report, bench, end }`. */
export async function openWorker(device) {
  const connection = new Connection(`bench-${device}`, (sentence) => console.error(sentence));
  const report = await connection.request({ type: 'start', device, probe: await probe() });
  return {
    report,
    layers: async (side) => (await connection.request({ type: 'benchLayers', side })).layers,
    bench: (task, runs) => connection.request({ type: 'bench', task, runs }),
    end: () => connection.end('done'),
  };
}

/** The worker draws its operands anew each time; that, and their way to the device, is not in the time. */
function job(worker, task) {
  return {
    run: async (count) => (await worker.bench(task, count)).seconds,
    async answers() {
      const { values } = await worker.bench(task, 0);
      return values.map((bytes) => new Float32Array(bytes.slice().buffer));
    },
    dispose: async () => {},
  };
}

/** @param {'cytobox'|'burn'} name whose convolution runs */
export function engine(name, worker) {
  const burn = name === 'burn';
  const conv = ({ x, w, stride, padding }, backward) => job(worker, { kind: 'conv', x, w, stride, padding, burn, backward });
  return {
    name,
    forward: async (layer) => conv(layer, false),
    forwardBackward: async (layer) => conv(layer, true),
    modelForward: async (side) => job(worker, { kind: 'modelForward', side }),
    modelStep: async (side) => job(worker, { kind: 'modelStep', side, rate: RATE, momentum: MOMENTUM }),
  };
}

/** The adapter's multiply-add peak in GFLOP/s. */
export async function peak(worker) {
  const { seconds, flops } = await worker.bench({ kind: 'peak' }, 4);
  return flops / seconds / 1e9;
}
