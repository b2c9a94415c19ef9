// Runs the benchmark of tests/bench/page in one headless Chromium and writes what it found. `cargo xtask bench` calls this.
// By hand: node tests/bench/run.mjs [--side N] [--model-side N] [--dense-side N] [--rounds N] [--seconds S] [--out FILE]

import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { expectNoErrors, expectNoOutsideRequests, launch } from '../e2e/browser.mjs';
import { DIST, startServer } from '../e2e/server.mjs';
import { line, summary, table } from './report.mjs';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const PEERS = path.join(HERE, 'node_modules');

const { values: options } = parseArgs({
  options: {
    side: { type: 'string', default: '128' },
    'model-side': { type: 'string', default: '128' },
    // Of a training's images.
    'dense-side': { type: 'string', default: '512' },
    rounds: { type: 'string', default: '4' },
    // With the default layers a run then ends in a quarter of an hour on a software adapter.
    seconds: { type: 'string', default: '1.5' },
    out: { type: 'string', default: path.join(path.dirname(DIST), 'bench', 'browser.json') },
  },
});

/** One folder with the built page's worker, the benchmark's page and its peers. */
async function assemble(site) {
  const copy = (from, to) => cp(from, path.join(site, to), { recursive: true, dereference: true });
  await copy(DIST, '.');
  await copy(path.join(HERE, 'page'), '.');
  const ort = path.join(PEERS, 'onnxruntime-web/dist');
  for (const name of ['ort.webgpu.min.mjs', 'ort.wasm.min.mjs']) await copy(path.join(ort, name), `ort/${name}`);
  for (const build of ['ort-wasm-simd-threaded', 'ort-wasm-simd-threaded.asyncify', 'ort-wasm-simd-threaded.jsep']) {
    for (const end of ['mjs', 'wasm']) await copy(path.join(ort, `${build}.${end}`), `ort/${build}.${end}`);
  }
  await copy(path.join(PEERS, '@tensorflow/tfjs/dist/tf.min.js'), 'tfjs/tf.min.js');
  const backend = 'tf-backend-webgpu.min.js';
  await copy(path.join(PEERS, '@tensorflow/tfjs-backend-webgpu/dist', backend), `tfjs/${backend}`);
}

const site = await mkdtemp(path.join(os.tmpdir(), 'cytobox-bench-'));
try {
  await assemble(site);
  // No security policy: the peers are not made for one, and this is not the product's page.
  const server = await startServer(site, { headers: { 'Cross-Origin-Opener-Policy': 'same-origin' } });
  const browser = await launch({});
  try {
    const guard = await expectNoOutsideRequests(browser.context, server.origin);
    const page = await browser.context.newPage();
    const complaints = expectNoErrors(page);
    await page.exposeFunction('tell', (done) => console.log(line(done)));
    await page.goto(`${server.origin}/index.html`);
    const began = performance.now();
    const report = await page
      .evaluate((o) => import('./main.mjs').then(({ bench }) => bench(o)), {
        side: Number(options.side),
        modelSide: Number(options['model-side']),
        denseSide: Number(options['dense-side']),
        rounds: Number(options.rounds),
        seconds: Number(options.seconds),
      })
      .catch((error) => {
        throw new Error([error.message, ...complaints.errors].join('\n'));
      });
    guard.check();
    console.log(`\n${table(report)}`);
    console.log(`\nafter ${Math.round((performance.now() - began) / 1000)} s`);
    await mkdir(path.dirname(options.out), { recursive: true });
    await writeFile(options.out, `${JSON.stringify(summary(report), null, 2)}\n`);
    const layers = path.join(path.dirname(options.out), `${path.basename(options.out, '.json')}-layers.json`);
    await writeFile(layers, `${JSON.stringify(report, null, 2)}\n`);
    console.log(`${options.out}\n${layers}`);
  } finally {
    await browser.close();
    await server.close();
  }
} finally {
  await rm(site, { recursive: true, force: true });
}
