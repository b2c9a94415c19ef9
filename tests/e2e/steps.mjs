// Times training steps in the browser, on the CPU and on WebGPU's software adapter:
//
//     python3 tests/peer/steps.py DATA FOLDER --cytobox PROGRAM && node tests/e2e/steps.mjs FOLDER [STEPS [DEVICE [BACKBONE]]]
//
// FOLDER holds what the script before it has put there: detectors and four annotated images. Prints the median seconds of a
// step of two images without the first, and of an epoch of 45 images, as JSON lines. DEVICE is cpu or software, BACKBONE resnet18 or
// resnet50; both of each when absent.

import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { drop, engineReady, imagesListed, loadModel, openPage } from './page.mjs';
import { until } from './training.mjs';

const BATCH = 2;
const EPOCH = 45;
const [folder, steps = '4', device, backbone] = process.argv.slice(2);
if (!folder) throw new Error('which folder? See the top of this file.');
const files = (await readdir(folder)).filter((name) => /\.(png|xml)$/.test(name)).map((name) => path.resolve(folder, name));
const images = files.filter((name) => name.endsWith('.xml')).length;

async function measure(device, backbone, learning) {
  const { page, done } = await openPage({ query: `?device=${device}&test` });
  await engineReady(page);
  await drop(page, files);
  await imagesListed(page, images);
  await loadModel(page, path.join(folder, `${backbone}.safetensors`));
  await page.evaluate(async ([trainable, batch, epochs]) => {
    const { choose } = await import('./js/train/plan.js');
    choose({ from: 'detector', unit: 'epochs', amount: epochs, batch, trainable, rate: 1e-4, scaled: false, turns: false, brightness: 0, validation: 0 });
  }, [learning, BATCH, Math.ceil((Number(steps) * BATCH) / images)]);
  await page.click('#tab-train');
  await page.waitForSelector('#train-start:not([disabled])', { timeout: 120_000 });
  await page.evaluate(async () => {
    const { store } = await import('./js/shared/page-state.js');
    // Of its steps the page keeps the losses alone.
    const speeds = (globalThis.speeds = new Map());
    store.watch(() => {
      const last = store.state.training?.last;
      if (last) speeds.set(last.step, last.imagesPerSecond);
    });
  });
  await page.click('#train-start');
  await until(page, 'the steps', ({ steps: all }) => all.length >= Number(steps));
  const speeds = await page.evaluate(() => [...globalThis.speeds].sort(([a], [b]) => a - b).map(([, speed]) => speed));
  const times = speeds.slice(1).map((speed) => BATCH / speed).sort((a, b) => a - b);
  const step = (times[(times.length - 1) >> 1] + times[times.length >> 1]) / 2;
  const epoch = step * Math.ceil(EPOCH / BATCH);
  console.log(JSON.stringify({ device, backbone, learning, step: Number(step.toFixed(2)), epoch: Number(epoch.toFixed(1)), steps: times.length }));
  await done();
}

for (const one of device ? [device] : ['cpu', 'software']) {
  for (const body of backbone ? [backbone] : ['resnet18', 'resnet50']) {
    for (const learning of ['all', 'heads']) await measure(one, body, learning);
  }
}
