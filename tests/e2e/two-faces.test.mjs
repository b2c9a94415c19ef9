// One small project through both faces, the command line natively and the page in the browser's wasm, both on the CPU: the
// same data, the same plan, the same first step, the same detections.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { PROGRAM, SLOW, engineReady, imagesListed, loadModel, openPage } from './page.mjs';
import { IMAGES, chooseSmall, until } from './training.mjs';

const CHECKOUT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const DETECTOR = path.join(CHECKOUT, 'models/cells.safetensors');
/** Of the page. */
const MODULES = { training: './js/train/training.js', images: './js/images/images.js' };
const SIDE = 128;
const EPOCHS = 1;

/** Sums of floats in another order; what crosses to JavaScript as f32 has seven digits. */
const ROUNDING = 1e-5;
const LOSS = 1e-4;
/** Of boxes in pixels, and of scores. */
const SHIFT = 0.1;
const SCORE = 1e-3;
/** Detections that are compared: one that is weaker may give way to another by a rounding. */
const SURE = 0.5;

/** What the program prints. */
async function cytobox(...args) {
  const { stdout } = await promisify(execFile)(PROGRAM, args, { maxBuffer: 64 << 20 });
  return stdout;
}

/** The same but for rounding; what is missing is as what is null. */
function same(page, program, where) {
  if (typeof program === 'number') {
    const scale = Math.max(1, Math.abs(program));
    assert.ok(Math.abs(page - program) <= ROUNDING * scale, `${where}: ${page} on the page, ${program} on the command line`);
  } else if (program && typeof program === 'object') {
    assert.equal(Array.isArray(page), Array.isArray(program), where);
    for (const key of new Set([...Object.keys(page ?? {}), ...Object.keys(program)])) same(page?.[key] ?? null, program[key] ?? null, `${where}.${key}`);
  } else {
    assert.deepEqual(page, program, where);
  }
}

/** Every sure detection of one is among the other's. */
function foundByBoth(some, others, where) {
  for (const one of some.filter(({ score }) => score >= SURE)) {
    const twin = others.find(({ label, box, score }) => label === one.label
      && Math.abs(score - one.score) <= SCORE
      && box.every((edge, i) => Math.abs(edge - one.box[i]) <= SHIFT));
    assert.ok(twin, `${where}: ${JSON.stringify([one.box, one.label, one.score])}`);
  }
}

/** What the page would train, as its panel asks for it. */
const prepared = (page) => page.evaluate(async (module) => {
  const { prepare } = await import(module);
  return JSON.parse(JSON.stringify(await prepare()));
}, MODULES.training);

/** Detections of every image, by name. */
const detected = (page) => page.evaluate(async (module) => {
  const { inputOf } = await import(module);
  const found = [];
  for (const image of globalThis.cytobox.store.state.images) {
    const { detections } = await globalThis.cytobox.send('engine', { type: 'detect', image: await inputOf(image), score: 0.05 });
    found.push([image.name, detections.detections.map(({ box, label, score }) => ({ box: [...box], label, score }))]);
  }
  return found;
}, MODULES.images);

test('page and command line read, plan, train and detect alike', { timeout: 2 * SLOW }, async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'cytobox-'));
  const [data, trained, results] = ['data', 'trained.safetensors', 'results'].map((name) => path.join(folder, name));
  await cytobox('synth', '--out', data, '--images', String(IMAGES), '--width', String(SIDE), '--height', String(SIDE), '--seed', '37');
  const files = (await readdir(data)).sort().map((name) => path.join(data, name));

  const { page, done } = await openPage({ query: '?device=cpu&test' });
  await engineReady(page);
  await page.setInputFiles('#pick-files', files);
  await imagesListed(page, IMAGES);
  await page.waitForFunction(() => globalThis.cytobox.store.state.images.every((image) => image.annotations?.objects.length));

  // As `chooseSmall` does it.
  await chooseSmall(page, { epochs: EPOCHS });
  await page.selectOption('#train-panel [data-choice="architecture"]', 'maskrcnn_resnet_fpn');
  const options = ['--data', data, '--out', trained, '--device', 'cpu', '--arch', 'mask-rcnn', '--fpn-channels', '64', '--representation', '128'];
  options.push('--epochs', String(EPOCHS), '--batch', '2', '--rate', '0.002', '--seed', '5');
  const [onPage, onLine] = [await prepared(page), JSON.parse(await cytobox('train', ...options, '--dry-run'))];
  for (const key of ['classes', 'findings', 'validationImages', 'withoutMask', 'settings', 'config', 'anchors']) same(onPage[key], onLine[key], key);
  assert.ok(onLine.classes.length >= 1 && onLine.validationImages.length >= 1, JSON.stringify(onLine.classes));

  await page.waitForSelector('#train-start:not([disabled])', { timeout: SLOW });
  await page.click('#train-start');
  const { steps } = await until(page, 'the end', ({ state }) => state === 'done');
  await cytobox('train', ...options);
  const log = (await readFile(`${trained}.log.jsonl`, 'utf8')).trim().split('\n').map((line) => JSON.parse(line));
  const first = log.find(({ type }) => type === 'step');
  for (const [name, loss] of Object.entries(first.losses)) {
    const other = steps[0].losses[name];
    assert.ok(Math.abs(other - loss) <= LOSS, `${name} of the first step: ${other} on the page, ${loss} on the command line`);
  }
  assert.ok(first.losses.loss_mask > 0, 'masks are learnt');
  assert.equal(steps.length, log.filter(({ type }) => type === 'step').length, 'steps');

  await page.click('#tab-results');
  await loadModel(page, DETECTOR);
  await page.waitForFunction(() => globalThis.cytobox.store.state.model?.file.name === 'cells.safetensors', null, { timeout: SLOW });
  const byPage = new Map(await detected(page));
  await cytobox('detect', data, '--model', DETECTOR, '--out', results, '--score', '0.05', '--device', 'cpu');
  const lines = (await readFile(path.join(results, 'detections.jsonl'), 'utf8')).trim().split('\n').map((line) => JSON.parse(line));
  assert.deepEqual([...byPage.keys()].sort(), lines.map(({ image }) => image).sort());
  for (const { image, detections } of lines) {
    foundByBoth(detections, byPage.get(image), `${image}, only on the command line`);
    foundByBoth(byPage.get(image), detections, `${image}, only on the page`);
  }
  assert.ok(lines.some(({ detections }) => detections.some(({ score }) => score >= SURE)), 'something is found');
  await done();
  await rm(folder, { recursive: true });
});
