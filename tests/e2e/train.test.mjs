// Training on the page: annotated images in, a better detector out, and going on after the tab was closed.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import test from 'node:test';
import { SLOW, engineReady, openPage, screenshot, settled } from './page.mjs';
import { waitSaved } from './project.mjs';
import { chooseSmall, takeSamples, until } from './training.mjs';

const mean = (steps) => steps.reduce((sum, { total }) => sum + total, 0) / steps.length;

/** The bytes that a click downloads. */
async function download(page, button, name = null) {
  const [saved] = await Promise.all([page.waitForEvent('download'), page.click(button)]);
  if (name) assert.equal(saved.suggestedFilename(), name);
  return readFile(await saved.path());
}

/** A report must show all it has without anything else, from wherever it is kept. */
async function readsAlone(page, html) {
  const reader = await page.context().newPage();
  const asked = [];
  reader.on('request', (request) => asked.push(request.url().slice(0, 80)));
  await reader.setContent(html.toString());
  assert.match(await reader.innerText('body'), /AP50/);
  assert.ok(await reader.locator('svg').count(), 'curves');
  assert.deepEqual(asked.filter((url) => !url.startsWith('data:')), []);
  await screenshot(reader, 'train-report-light');
  await reader.close();
}

/** Annotate, train, close in the middle, reopen, go on, finish, detect. */
async function learnsAndGoesOn(query) {
  const { page, reopen, done } = await openPage({ query });
  await engineReady(page);
  await takeSamples(page);
  await chooseSmall(page, { epochs: 20 });
  assert.match(await page.innerText('#train-data'), /cells on 6 images/);
  assert.match(await page.innerText('#train-estimate'), /s per step/);
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
  const later = await until(again, 'the next steps', ({ steps }) => steps.some(({ step }) => step > paused.saved));
  assert.equal(later.from, paused.saved, 'it goes on where it was');
  assert.deepEqual(later.steps.slice(0, paused.saved), paused.steps.slice(0, paused.saved), 'its curves have their first part');
  const before = mean(first.steps.slice(0, 3));
  await until(again, `half of the loss of ${before}`, ({ steps }) => steps.length >= 5 && mean(steps.slice(-5)) <= before / 2);
  await again.click('#train-stop');
  await until(again, 'the end', ({ state }) => state === 'done');
  await again.waitForSelector('#train-losses[src^="blob:"]');
  await settled(again);
  assert.match(await again.innerText('#train-result'), /The new detector is in use/);
  await screenshot(again, 'train-done-light');
  assert.ok(await again.isHidden('#train-interrupted'));

  const file = await download(again, '#train-download', 'trained.safetensors');
  const header = JSON.parse(file.subarray(8, 8 + Number(file.readBigUInt64LE(0))).toString());
  assert.ok(header['roi_heads.box_predictor.cls_score.weight'], 'torchvision’s names');

  await again.click('#train-evaluation');
  await again.waitForSelector('dialog img[src^="blob:"]');
  assert.match(await again.innerText('dialog'), /Class-agnostic/);
  await screenshot(again, 'train-evaluation-light');
  await readsAlone(again, await download(again, 'dialog button:has-text("Download report")'));
  await again.keyboard.press('Escape');
  await again.click('#tab-results');
  await again.click('#detect');
  await again.waitForSelector('#images [aria-selected="true"][data-state="done"]', { timeout: SLOW });

  // The next day curves, outcome and evaluation are still there.
  await waitSaved(again);
  const third = await reopen();
  await engineReady(third);
  await third.waitForFunction(() => document.getElementById('model-name').textContent === 'trained', null, { timeout: SLOW });
  await third.click('#tab-train');
  await third.waitForSelector('#train-losses[src^="blob:"]');
  assert.match(await third.innerText('#train-result'), /Trained for .* The new detector is in use/);
  assert.ok(await third.isHidden('#train-interrupted'));
  await third.click('#train-evaluation');
  await third.waitForSelector('dialog img[src^="blob:"]');
  await third.keyboard.press('Escape');
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

test('a training that was interrupted on the CPU gives the same detector, byte for byte', { timeout: SLOW }, async () => {
  const train = async (interrupt) => {
    const { page, reopen, done } = await openPage({ query: '?device=cpu&test' });
    await engineReady(page);
    await takeSamples(page);
    await chooseSmall(page, { epochs: 4 });
    await page.click('#train-start');
    const last = await interrupt(page, reopen);
    const { steps } = await until(last, 'the end', ({ state }) => state === 'done');
    const file = await download(last, '#train-download');
    await done();
    return { steps, file };
  };
  const whole = await train((page) => page);
  const cut = await train(async (page, reopen) => {
    await until(page, 'some steps', ({ steps }) => steps.length >= 3);
    await page.click('#train-pause');
    await until(page, 'the checkpoint of the pause', ({ state, saved }) => state === 'paused' && saved !== null);
    const again = await reopen();
    await engineReady(again);
    await again.click('#tab-train');
    await again.click('#train-resume');
    return again;
  });
  assert.deepEqual(cut.steps.map(({ total }) => total), whole.steps.map(({ total }) => total), 'the losses of all steps');
  assert.ok(cut.file.equals(whole.file), 'the detectors');
});

/** Runs in the page before it: keeps the workers, so that a test can speak to the page in their place. */
function keepWorkers() {
  globalThis.workers = [];
  globalThis.Worker = class extends Worker {
    constructor(url, options) {
      super(url, options);
      globalThis.workers.push({ name: options.name, worker: this });
    }
  };
}

test('a device that fails in a training is not asked again, and the training goes on from its checkpoint', { timeout: SLOW }, async () => {
  const { page, done } = await openPage({ query: '?device=cpu&test' });
  await page.addInitScript(keepWorkers);
  await page.reload();
  await engineReady(page);
  await takeSamples(page);
  await chooseSmall(page, { epochs: 500, checkpoint: '1' });
  await page.click('#train-start');
  const { saved } = await until(page, 'a checkpoint', (now) => now.saved !== null && now.steps.at(-1).step >= now.saved);
  await page.evaluate(() => {
    const { worker } = globalThis.workers.findLast(({ name }) => name === 'engine');
    const id = globalThis.cytobox.store.state.training.request;
    worker.dispatchEvent(new MessageEvent('message', { data: { type: 'failed', id, code: 'device-failed', sentence: 'The graphics card gave no number.' } }));
  });
  await page.click('#alerts button:has-text("Resume")');
  assert.equal(await page.evaluate(() => globalThis.workers.filter(({ name }) => name === 'engine').length), 2, 'another worker');
  await page.waitForFunction(() => globalThis.cytobox.store.state.training.started, null, { timeout: SLOW });
  const { from } = await until(page, 'the next steps', (now) => now.steps.at(-1)?.step > now.from);
  assert.ok(from >= saved, `from ${from}, though ${saved} was saved`);
  await page.click('#train-cancel');
  await until(page, 'the cancel', ({ state }) => state === 'done');
  await done();
});

test('a training that does not fit is made smaller by one click', { timeout: SLOW }, async () => {
  const { page, done } = await openPage({ query: '?device=cpu&test' });
  await page.addInitScript(() => Object.defineProperty(Navigator.prototype, 'deviceMemory', { get: () => globalThis.memory }));
  await page.reload();
  await engineReady(page);
  await page.click('#samples');
  await page.click('#tab-train');
  await page.waitForSelector('#train-start:not([disabled])', { timeout: SLOW });
  assert.ok(await page.isHidden('#train-smaller'));
  const [, amount, unit] = /([\d.]+) (MB|GB) of memory/.exec(await page.innerText('#train-estimate'));
  // Half of the computer's memory is a tenth less than it takes.
  await page.evaluate((bytes) => (globalThis.memory = (0.9 * 2 * bytes) / 2 ** 30), Number(amount) * (unit === 'GB' ? 1e9 : 1e6));
  await page.click('#train-panel summary');
  await page.fill('#train-panel [data-choice="seed"]', '5');
  await page.press('#train-panel [data-choice="seed"]', 'Tab');
  await page.waitForSelector('#train-smaller button', { timeout: SLOW });
  assert.match(await page.innerText('#train-estimate'), /exceeds the memory available to the page/);
  await page.locator('#train-smaller').scrollIntoViewIfNeeded();
  await screenshot(page, 'train-smaller-light');
  await page.click('#train-smaller button');
  await page.waitForFunction(() => /of memory/.test(document.getElementById('train-estimate').textContent)
    && !document.getElementById('train-estimate').classList.contains('error'), null, { timeout: SLOW });
  await page.waitForSelector('#train-smaller', { state: 'hidden' });
  await page.waitForSelector('#train-start:not([disabled])', { timeout: SLOW });
  await done();
});
