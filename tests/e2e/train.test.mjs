// Training on the page: annotated images in, a better detector out, and going on after the tab was closed.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import test from 'node:test';
import { SLOW, engineReady, imagesListed, openPage, screenshot, settled } from './page.mjs';

/** Synthetic images so small that a step takes a second or so on a software adapter. */
const IMAGES = 6;
const SIDE = 64;

/** Puts annotated synthetic images on the page. */
async function takeSamples(page) {
  const files = await page.evaluate(async ([images, side]) => {
    const { files } = await globalThis.cytobox.send('images', { type: 'samples', images, seed: 3, side });
    return files.map(({ name, bytes }) => ({ name, bytes: [...bytes] }));
  }, [IMAGES, SIDE]);
  await page.setInputFiles('#pick-files', files.map(({ name, bytes }) => ({ name, mimeType: '', buffer: Buffer.from(bytes) })));
  await imagesListed(page, IMAGES);
}

/** Opens the panel and chooses the smallest training; resolves when the engine has answered. */
async function chooseSmall(page, { epochs, rate = '0.002' }) {
  await page.click('#tab-train');
  await page.selectOption('#train-panel [data-choice="architecture"]', 'fasterrcnn_resnet_fpn');
  await page.selectOption('#train-panel [data-choice="width"]', 'narrow');
  await page.selectOption('#train-panel [data-choice="unit"]', 'epochs');
  await page.fill('#train-panel [data-choice="amount"]', String(epochs));
  await page.click('#train-panel summary');
  await page.fill('#train-panel [data-choice="batch"]', '2');
  await page.fill('#train-panel [data-choice="rate"]', rate);
  await page.fill('#train-panel [data-choice="seed"]', '5');
  await page.press('#train-panel [data-choice="seed"]', 'Tab');
  await page.waitForSelector('#train-start:not([disabled])', { timeout: SLOW });
}

/** What the page knows of the training. */
function training(page) {
  return page.evaluate(async () => {
    const { store } = await import('./js/store.js');
    const { training, trainingProblem } = store.state;
    return training && { state: training.state, saved: training.saved, steps: training.steps, problem: trainingProblem };
  });
}

async function until(page, what, condition) {
  const started = Date.now();
  for (;;) {
    const now = await training(page);
    assert.equal(now?.problem ?? '', '', 'the training goes on');
    if (now && condition(now)) return now;
    assert.ok(Date.now() - started < SLOW, `${what}: ${JSON.stringify(now?.steps.at(-1))}`);
    await page.waitForTimeout(300);
  }
}

const mean = (steps) => steps.reduce((sum, { total }) => sum + total, 0) / steps.length;

/** Annotate, train, close in the middle, reopen, go on, finish, detect. */
async function learnsAndGoesOn(query) {
  const { page, reopen, done } = await openPage({ query });
  await engineReady(page);
  await takeSamples(page);
  await page.waitForFunction(async () => (await import('./js/store.js')).store.state.images.every((image) => image.annotations?.objects.length));
  await chooseSmall(page, { epochs: 40 });
  assert.match(await page.innerText('#train-data'), /cells on 6 images/);
  assert.match(await page.innerText('#train-estimate'), /a step/);
  await screenshot(page, 'train-setup-light');
  await page.click('#train-start');
  const first = await until(page, 'some steps', ({ steps }) => steps.length >= 8);
  await page.click('#train-pause');
  const paused = await until(page, 'the checkpoint of the pause', ({ state, saved }) => state === 'paused' && saved !== null);
  await screenshot(page, 'train-paused-light');

  const again = await reopen();
  await engineReady(again);
  await again.click('#tab-train');
  await again.waitForSelector('#train-resume:not([disabled])', { timeout: SLOW });
  assert.match(await again.innerText('#train-interrupted'), new RegExp(`after step ${paused.saved}`));
  await again.click('#train-resume');
  const later = await until(again, 'the next steps', ({ steps }) => steps.length > 0);
  assert.equal(later.steps[0].step, paused.saved + 1, 'it goes on where it was');
  const before = mean(first.steps.slice(0, 3));
  await until(again, `half of the loss of ${before}`, ({ steps }) => steps.length >= 5 && mean(steps.slice(-5)) <= before / 2);
  await again.click('#train-stop');
  await until(again, 'the end', ({ state }) => state === 'done');
  await again.waitForSelector('#train-losses[src^="blob:"]');
  await settled(again);
  assert.match(await again.innerText('#train-result'), /The new detector is in use/);
  await screenshot(again, 'train-done-light');
  assert.ok(await again.isHidden('#train-interrupted'));

  const [saved] = await Promise.all([again.waitForEvent('download'), again.click('#train-download')]);
  const file = await readFile(await saved.path());
  assert.equal(saved.suggestedFilename(), 'trained.safetensors');
  const header = JSON.parse(file.subarray(8, 8 + Number(file.readBigUInt64LE(0))).toString());
  assert.ok(header['roi_heads.box_predictor.cls_score.weight'], 'torchvision’s names');

  await again.click('#train-evaluation');
  await again.waitForSelector('dialog img[src^="blob:"]');
  assert.match(await again.innerText('dialog'), /Whatever the class/);
  await screenshot(again, 'train-evaluation-light');
  await again.keyboard.press('Escape');
  await again.click('#tab-results');
  await again.click('#detect');
  await again.waitForSelector('#images [aria-selected="true"][data-state="done"]', { timeout: SLOW });
  await done();
}

test('on WebGPU: train, close the tab, go on, and the loss has halved', { timeout: 2 * SLOW }, () => learnsAndGoesOn('?device=software&test'));

test('on the CPU: train, close the tab, go on, and the loss has halved', { timeout: 2 * SLOW }, () => learnsAndGoesOn('?device=cpu&test'));

test('a training is cancelled, and finished early', { timeout: SLOW }, async () => {
  const { page, done } = await openPage({ query: '?device=cpu&test' });
  await engineReady(page);
  await takeSamples(page);
  await chooseSmall(page, { epochs: 500 });
  await page.click('#train-start');
  await until(page, 'a step', ({ steps }) => steps.length >= 1);
  await page.click('#train-cancel');
  await until(page, 'the cancel', ({ state }) => state === 'done');
  await page.waitForSelector('#train-start:not([disabled])', { timeout: SLOW });
  assert.equal(await page.innerText('#model-name'), 'No detector yet', 'a cancelled training leaves no detector');
  await page.click('#train-start');
  await until(page, 'steps', ({ steps }) => steps.length >= 2);
  await page.click('#train-stop');
  await until(page, 'the end', ({ state }) => state === 'done');
  assert.match(await page.innerText('#train-result'), /Trained for/);
  await page.click('#tab-results');
  assert.equal(await page.innerText('#model-name'), 'trained');
  await done();
});
