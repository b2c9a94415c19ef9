// What goes wrong, and that the page goes on: cancelling, a crashed worker, incomplete and hostile files, no GPU.

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import {
  DATA, SLOW, channelFiles, detect, download, drop, engineReady, imagesListed, loadModel, openPage, rowCount, screenshot, settled, skip,
} from './page.mjs';

async function readyPage(query = '?device=cpu&test') {
  const opened = await openPage({ query });
  await engineReady(opened.page);
  await drop(opened.page, await channelFiles());
  await imagesListed(opened.page, 1);
  await loadModel(opened.page);
  return opened;
}

test('a run is cancelled, and the next one works', { timeout: SLOW }, async () => {
  const { page, done } = await readyPage();
  await page.click('#detect');
  await page.waitForSelector('#job:not([hidden])');
  await page.click('#job-cancel');
  await page.waitForSelector('#job', { state: 'hidden', timeout: 10_000 });
  assert.match(await page.textContent('#notices'), /Cancelled/);
  assert.ok(['new', 'ready'].includes((await page.getAttribute('#images [aria-selected="true"]', 'data-state')) ?? ''));
  await detect(page);
  assert.ok((await rowCount(page)) > 0);
  await done();
});

test('a crashed worker is replaced; images, results and detector are still there', { timeout: SLOW }, async () => {
  const { page, done } = await readyPage();
  await detect(page);
  const before = await rowCount(page);
  const answer = await page.evaluate(() => globalThis.cytobox.send('engine', { type: 'panic' }).then(() => 'answered', (error) => error.constructor.name));
  assert.equal(answer, 'WorkerDied');
  assert.match(await page.textContent('#alerts'), /is restarting/);
  await engineReady(page);
  assert.equal(await rowCount(page), before, 'the results are the page’s');
  await page.waitForSelector('#detect:not([disabled])');
  await detect(page);
  assert.equal(await rowCount(page), before, 'the new worker finds the same');
  await done();
});

test('nothing but the test address opens the workers to the page', async () => {
  const { page, done } = await openPage({ query: '?device=cpu' });
  assert.equal(await page.evaluate(() => typeof globalThis.cytobox), 'undefined');
  await done();
});

test('an incomplete set says what is missing, and is filled with black on a word', { timeout: SLOW }, async () => {
  const { page, done } = await openPage({ query: '?device=cpu' });
  await drop(page, (await channelFiles()).filter((file) => !file.endsWith('_yellow.png')));
  await imagesListed(page, 1);
  assert.match(await page.textContent('#problem-sentence'), /yellow channel is missing/);
  await screenshot(page, 'problem-light');
  await page.click('#fix');
  await page.waitForSelector('#images [data-state="ready"]');
  await settled(page);
  assert.ok(await page.isHidden('#problem'));
  assert.match(await page.textContent('#facts'), /yellow filled with black/);
  await engineReady(page);
  await loadModel(page);
  await detect(page);
  const [line] = (await download(page, ['jsonl'])).bytes.toString().split('\n');
  const [image] = JSON.parse((await download(page, ['coco'])).bytes.toString()).images;
  for (const written of [JSON.parse(line), image]) {
    assert.deepEqual(written.filled, ['yellow'], 'the fill is written into the results');
    assert.deepEqual(written.merge.red, [1, 0, 0], 'and so are the weights of the channels');
  }
  await done();
});

test('a channel dropped later completes its image', { timeout: SLOW }, async () => {
  const { page, done } = await openPage({ query: '?device=cpu' });
  const files = await channelFiles();
  await drop(page, files.slice(0, 3));
  await page.waitForSelector('#images [data-state="problem"]');
  await drop(page, files.slice(3));
  await page.waitForSelector('#images [data-state="ready"]');
  await done();
});

test('hostile and foreign files are named, and the others go on', { skip, timeout: SLOW }, async () => {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'cytobox-hostile-'));
  try {
    await writeFile(path.join(folder, 'script.png'), '<svg onload="alert(1)"><script>alert(1)</script></svg>');
    await writeFile(path.join(folder, '<img src=x onerror=alert(1)>.txt'), 'no image');
    const cut = Buffer.from('89504e470d0a1a0a0000000d494844520000ffff0000ffff', 'hex');
    await writeFile(path.join(folder, 'bomb.png'), cut);
    const { page, done } = await openPage({ query: '?device=cpu' });
    let alerted = false;
    page.on('dialog', () => (alerted = true));
    await drop(page, [folder, ...(await channelFiles())]);
    await imagesListed(page, 2);
    await page.waitForFunction(() => document.querySelectorAll('#images [data-state="problem"]').length === 1
      && document.querySelectorAll('#images [data-state="ready"]').length === 1);
    await page.waitForFunction(() => /2 warnings/.test(document.querySelector('#ignored').textContent));
    await page.click('#ignored');
    const left = await page.textContent('dialog');
    assert.match(left, /<img src=x onerror=alert\(1\)>\.txt/);
    assert.match(left, /script\.png/, 'told by its content, which is no image');
    await page.keyboard.press('Escape');
    await engineReady(page);
    await page.setInputFiles('#pick-model', path.join(DATA, 'README.md'));
    await page.waitForSelector('#model-problem:not([hidden])');
    assert.match(await page.textContent('#model-problem'), /README\.md was not loaded\. \S/);
    assert.equal(alerted, false);
    await done();
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test('without WebGPU the CPU runs, and the badge says why', { timeout: SLOW }, async () => {
  const { page, done } = await openPage({ webgpu: false });
  await engineReady(page);
  assert.match(await page.textContent('#device'), /CPU/);
  await page.click('#device');
  assert.match(await page.textContent('dialog'), /WebGPU/);
  assert.ok((await page.locator('dialog tbody tr').count()) >= 1, 'the self test is listed');
  assert.equal(await page.locator('dialog tbody', { hasText: 'failed' }).count(), 0);
  await done();
});

/** Computers without a graphics processor to use: what runs in the page before it, and what the badge then says. */
const WITHOUT_GPU = {
  'the CPU takes over where there is no adapter': [() => {
    GPU.prototype.requestAdapter = async () => null;
  }, /no graphics adapter/],
  'the CPU takes over where timestamps are missing': [() => {
    GPU.prototype.requestAdapter = async () => ({ info: { vendor: 'old' }, features: new Set(), limits: {} });
  }, /old\) lacks the required feature timestamp-query/],
  'the CPU takes over where the page is not secure': [() => {
    Object.defineProperty(globalThis, 'isSecureContext', { value: false });
  }, /https/],
  'the CPU takes over from a software adapter that nobody asked for': [() => {}, /software/],
};

for (const [name, [script, sentence]] of Object.entries(WITHOUT_GPU)) {
  test(name, { timeout: SLOW }, async () => {
    const { page, done } = await openPage({ query: '?device=cpu' });
    await page.addInitScript(script);
    await page.goto(new URL('/?detector=none', page.url()).href);
    await engineReady(page);
    assert.match(await page.textContent('#device'), /CPU/);
    await page.click('#device');
    assert.match(await page.textContent('dialog'), sentence);
    await done();
  });
}

test('a GPU that was asked for and is none is an error, with a way back to the CPU', { timeout: SLOW }, async () => {
  const { page, done } = await openPage({ query: '?device=webgpu', webgpu: false });
  await page.waitForSelector('#device[data-state="failed"]', { timeout: SLOW });
  await page.click('#device');
  await page.click('dialog button:has-text("Use the CPU")');
  await engineReady(page);
  assert.match(await page.textContent('#device'), /CPU/);
  await done();
});
