// The first minute of a newcomer: no images, no detector, and boxes after two clicks; then each next step is named.

import assert from 'node:assert/strict';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { MODEL, SLOW, channelFiles, detect, drop, engineReady, imagesListed, openPage, rowCount, screenshot, settled } from './page.mjs';

const named = (page, name = 'cells') => page.waitForFunction((wanted) => document.querySelector('#model-name').textContent === wanted, name, { timeout: SLOW });

/** The strip of next steps: which of them it is at, and what its button says. */
async function next(page) {
  await settled(page);
  return page.evaluate(() => {
    const button = document.getElementById('next-do');
    return { at: document.querySelector('#next-steps [aria-current]')?.dataset.step, button: button.hidden ? '' : button.textContent };
  });
}

/** Waits until the strip is there. */
const nextIs = (page, at) => page.waitForFunction((step) => document.querySelector('#next-steps [aria-current]')?.dataset.step === step, at, { timeout: SLOW });

test('synthetic images and the bundled detector give boxes in two clicks; then Correct, then Train', { timeout: SLOW }, async () => {
  const { page, reopen, done } = await openPage({ query: '?device=cpu&test', detector: true });
  const asked = [];
  page.context().on('request', (request) => asked.push(new URL(request.url()).pathname));
  await engineReady(page);
  await named(page);
  assert.ok(await page.isHidden('#next'), 'the empty page leads by itself');
  await screenshot(page, 'first-light');
  await page.click('#samples');
  await imagesListed(page, 6);
  assert.deepEqual(await next(page), { at: 'detect', button: 'Detect all' });
  await page.click('#next-do');
  await page.waitForSelector('#images [aria-selected="true"][data-state="done"]', { timeout: SLOW });
  assert.ok((await rowCount(page)) > 0, 'cells above the score of 0.7');
  await screenshot(page, 'first-boxes-light');

  await nextIs(page, 'correct');
  assert.deepEqual(await next(page), { at: 'correct', button: 'Correct' });
  await screenshot(page, 'next-correct-light');
  await page.click('#next-do');
  await settled(page);
  assert.equal(await page.getAttribute('#mode-annotate', 'aria-pressed'), 'true');
  // What was found is offered, and no cell that has its box already is offered again.
  const { offered, twice } = await page.evaluate(async () => {
    const { currentObjects } = await import('./js/annotate/annotations.js');
    const { openDetections } = await import('./js/canvas/open-detections.js');
    const { iou } = await import('./js/canvas/geometry.js');
    const open = openDetections().map(({ detection }) => detection);
    return { offered: open.length, twice: open.filter((one) => currentObjects().some((object) => object.label === one.label && iou(object.box, one.box) > 0.5)).length };
  });
  assert.equal(twice, 0);
  assert.equal((await next(page)).button, offered ? `Accept all ${offered}` : 'Mark as verified');
  for (let presses = 0; presses < 12 && (await next(page)).at === 'correct'; presses += 1) await page.click('#next-do');
  assert.deepEqual(await next(page), { at: 'train', button: 'Train…' });
  await screenshot(page, 'next-train-light');
  await page.click('#next-do');
  await settled(page);
  assert.ok(await page.isVisible('#train-panel'));
  await page.waitForSelector('#train-start:not([disabled])', { timeout: SLOW });
  assert.deepEqual(await next(page), { at: 'train', button: '' }, 'the button is the one in the panel');

  // Hidden, it stays hidden, and the help brings it back.
  await page.click('#next-hide');
  await settled(page);
  assert.ok(await page.isHidden('#next'));
  await page.waitForTimeout(300);
  // A page whose project has no detector of its own takes the bundled one from the cache.
  asked.length = 0;
  const again = await reopen();
  await engineReady(again);
  await imagesListed(again, 6);
  await named(again);
  assert.ok(asked.some((path) => path.endsWith('/models/manifest.json')));
  assert.ok(!asked.some((path) => path.endsWith('.safetensors')), 'the detector is not fetched twice');
  assert.ok(await again.isHidden('#next'));
  await again.click('#help');
  await again.click('dialog >> text=Show the next step');
  await again.keyboard.press('Escape');
  await settled(again);
  assert.ok(await again.isVisible('#next'));
  await done();
});

test('while the bundled detector is loading, the page says so', { timeout: SLOW }, async () => {
  const { page, done } = await openPage({ query: '?device=cpu&test' });
  const { origin } = new URL(page.url());
  const context = page.context();
  let letGo = () => {};
  const held = new Promise((resolve) => (letGo = resolve));
  await context.route('**/models/*.safetensors', async (route) => {
    await held;
    await route.continue();
  });
  await page.close();
  const slow = await context.newPage();
  await slow.goto(`${origin}/?device=cpu&test`);
  await slow.waitForSelector('#model-progress:not([hidden])');
  await engineReady(slow);
  assert.match(await slow.textContent('#model-name'), /^Loading the bundled detector \(23\.9 MB\) …$/);
  assert.equal(await slow.getAttribute('#detect', 'title'), 'The detector is still loading');
  await slow.click('#samples');
  await imagesListed(slow, 6);
  await settled(slow);
  assert.match(await slow.textContent('#next-sentence'), /The detector is loading/);
  assert.ok(await slow.isVisible('#model-progress'));
  await screenshot(slow, 'first-loading-light');
  letGo();
  await named(slow);
  await settled(slow);
  assert.ok(await slow.isHidden('#model-progress'));
  assert.deepEqual(await next(slow), { at: 'detect', button: 'Detect all' });
  // Nothing of it is kept with the project: a newer page brings a newer one.
  await slow.waitForTimeout(500);
  const kept = await slow.evaluate(async () => {
    const { openDatabase, readAll } = await import('./js/project/database.js');
    return (await readAll(await openDatabase(() => {}), 'detector')).entries.size;
  });
  assert.equal(kept, 0);
  await slow.close();
  await done();
});

/** Runs in the page before it: the engine takes its time to start, and what detectors it is given is noted. */
function slowEngine() {
  globalThis.sent = [];
  const post = Worker.prototype.postMessage;
  Worker.prototype.postMessage = function (message, ...rest) {
    const { type, name } = message.command ?? {};
    if (type === 'loadModel') globalThis.sent.push(name);
    if (type === 'start') setTimeout(() => post.call(this, message, ...rest), 2500);
    else post.call(this, message, ...rest);
  };
}

test('a dropped detector is never replaced by the bundled one', { timeout: SLOW }, async () => {
  const { page, done } = await openPage({ query: '?device=cpu&test' });
  const { origin } = new URL(page.url());
  const context = page.context();
  await context.route('**/models/*.safetensors', async (route) => {
    await new Promise((resolve) => setTimeout(resolve, 600));
    await route.continue();
  });
  const session = await context.newCDPSession(page);
  await page.goto('about:blank');
  const name = path.basename(MODEL, '.safetensors');
  // While the engine starts: before the other one has come, and after it, when that is the first in the queue.
  for (const [come, wanted] of [[/^Loading the/, [`${name}.safetensors`]], [/^(Loading )?cells/, ['cells.safetensors', `${name}.safetensors`]]]) {
    const other = await context.newPage();
    await other.addInitScript(slowEngine);
    await other.goto(`${origin}/?device=cpu&test`);
    await other.waitForFunction(() => document.getElementById('project-state').textContent !== 'opening …');
    await other.waitForFunction((text) => new RegExp(text).test(document.getElementById('model-name').textContent), come.source, { timeout: SLOW });
    await other.setInputFiles('#pick-model', MODEL);
    await named(other, name);
    await other.waitForTimeout(1500);
    assert.equal(await other.textContent('#model-name'), name);
    assert.deepEqual(await other.evaluate(() => globalThis.sent), wanted);
    await other.close();
    // The next round begins as a newcomer again.
    await session.send('Storage.clearDataForOrigin', { origin, storageTypes: 'all' });
  }
  await done();
});

test('images that are not of the Atlas get the general detector, which scales them by their cells; either can be chosen', { timeout: SLOW }, async () => {
  const { page, reopen, done } = await openPage({ query: '?device=cpu&test', detector: true });
  await engineReady(page);
  await named(page);
  assert.ok(await page.isHidden('#cell-diameter-row'), 'the Atlas detector takes images as they are');
  // The nuclei of an image by themselves.
  const folder = await mkdtemp(path.join(tmpdir(), 'cytobox-nuclei-'));
  const nuclei = path.join(folder, 'nuclei.png');
  await cp((await channelFiles()).find((file) => file.endsWith('_blue.png')), nuclei);
  await drop(page, [nuclei]);
  await imagesListed(page, 1);
  await named(page, 'general');
  await page.waitForSelector('#detect:not([disabled])', { timeout: SLOW });
  assert.match(await page.textContent('#notices'), /the general bundled detector is loaded/);
  await detect(page);
  const found = await rowCount(page);
  assert.ok(found > 0, 'nuclei above the score of 0.7');
  await screenshot(page, 'general-light');

  // Measured, the diameter is that of what was found; the results are of another scale then.
  await page.click('#measure-diameter');
  await settled(page);
  const measured = Number(await page.inputValue('#cell-diameter'));
  assert.ok(measured > 5 && measured < 200, `${measured}`);
  assert.ok(await page.isVisible('#stale'));
  await page.fill('#cell-diameter', '0');
  await page.press('#cell-diameter', 'Enter');
  await settled(page);
  assert.equal(Number(await page.inputValue('#cell-diameter')), measured, 'a diameter of nothing is refused');
  await page.click('#detect');
  await page.waitForSelector('#stale', { state: 'hidden', timeout: SLOW });
  await page.waitForSelector('#job', { state: 'hidden' });
  assert.ok((await rowCount(page)) > 0, 'at the measured diameter the nuclei are found too');

  // What was chosen stays with the project, and images do not change it.
  await page.click('[data-bundled="atlas"]');
  await named(page, 'cells');
  await page.waitForFunction(() => document.getElementById('project-state').textContent.startsWith('saved'), null, { timeout: SLOW });
  const again = await reopen();
  await engineReady(again);
  await named(again, 'cells');
  await imagesListed(again, 1);
  await again.waitForTimeout(500);
  assert.equal(await again.textContent('#model-name'), 'cells');
  assert.equal(await again.evaluate(async () => (await import('./js/shared/page-state.js')).store.state.cellDiameter), measured);
  await rm(folder, { recursive: true });
  await done();
});

test('a broken entry of the cache is mended, and no hash is needed on an insecure address', { timeout: SLOW }, async () => {
  const { page, reopen, done } = await openPage({ query: '?device=cpu&test', detector: true });
  await engineReady(page);
  await named(page);
  const broken = await page.evaluate(async () => {
    const cache = await caches.open('cytobox-models');
    const [key] = await cache.keys();
    const bytes = new Uint8Array(await (await cache.match(key)).arrayBuffer());
    bytes[bytes.length - 1] ^= 1;
    await cache.put(key, new Response(bytes));
    return key.url;
  });
  const again = await reopen();
  await engineReady(again);
  await named(again);
  const { sum, only } = await again.evaluate(async (url) => {
    const cache = await caches.open('cytobox-models');
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', await (await cache.match(url)).arrayBuffer()));
    return { sum: [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join(''), only: (await cache.keys()).length };
  }, broken);
  assert.ok(broken.endsWith(sum), 'fetched anew');
  assert.equal(only, 1);

  const bare = await again.context().newPage();
  await bare.addInitScript(() => {
    Object.defineProperty(Crypto.prototype, 'subtle', { get: () => undefined });
    Object.defineProperty(globalThis, 'caches', { get: () => undefined });
  });
  await again.close();
  await bare.goto(broken.replace(/models\/.*/, '?device=cpu&test'));
  await engineReady(bare);
  await named(bare);
  await bare.close();
  await done();
});
