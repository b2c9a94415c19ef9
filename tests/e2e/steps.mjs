// Times training steps in the browser, on the CPU and on WebGPU's software adapter:
//
//     python3 tests/peer/steps.py DATA FOLDER --cytobox PROGRAM && node tests/e2e/steps.mjs FOLDER [STEPS]
//
// FOLDER holds what the script before it has put there: detectors and four annotated images. Prints the median seconds of a
// step of two images without the first, and of an epoch of 45 images, as JSON lines.

import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { drop, engineReady, imagesListed, loadModel, openPage } from './page.mjs';
import { until } from './training.mjs';

const BATCH = 2;
const EPOCH = 45;
const [folder, steps = '4'] = process.argv.slice(2);
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
    const { choose } = await import('./js/plan.js');
    choose({ from: 'detector', unit: 'epochs', amount: epochs, batch, trainable, rate: 1e-4, scaled: false, turns: false, brightness: 0, validation: 0 });
  }, [learning, BATCH, Math.ceil((Number(steps) * BATCH) / images)]);
  await page.click('#tab-train');
  await page.waitForSelector('#train-start:not([disabled])', { timeout: 120_000 });
  await page.click('#train-start');
  const ended = await until(page, 'the steps', ({ steps: all }) => all.length >= Number(steps));
  const times = ended.steps.slice(1).map(({ imagesPerSecond }) => BATCH / imagesPerSecond).sort((a, b) => a - b);
  const step = (times[(times.length - 1) >> 1] + times[times.length >> 1]) / 2;
  const epoch = step * Math.ceil(EPOCH / BATCH);
  console.log(JSON.stringify({ device, backbone, learning, step: Number(step.toFixed(2)), epoch: Number(epoch.toFixed(1)), steps: times.length }));
  await done();
}

for (const device of ['cpu', 'software']) {
  for (const backbone of ['resnet18', 'resnet50']) {
    for (const learning of ['all', 'heads']) await measure(device, backbone, learning);
  }
}
