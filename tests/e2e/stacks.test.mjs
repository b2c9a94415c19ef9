// Stacks: slices and time points of the current image, projections of all, and what is kept of the choice.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { SLOW, imagesListed, openPage, settled } from './page.mjs';

const RESULTS = path.join(path.dirname(fileURLToPath(import.meta.url)), 'results');
const [WIDTH, HEIGHT, SLICES, FRAMES] = [96, 64, 5, 2];
/** Slice in focus of the first time point, counted from 0. */
const FOCUS = 1;

/** A cell at the left whose brightness tells the slice and the time point, and fine structure at the right, blurred out of focus. */
function plane(z, t) {
  const blur = 1 + 2 * Math.abs(z - FOCUS);
  const samples = Buffer.alloc(WIDTH * HEIGHT);
  for (let y = 0; y < HEIGHT; y += 1) {
    for (let x = 0; x < WIDTH; x += 1) {
      const cell = Math.hypot(x - 24, y - 32) < 18 ? 20 + 8 * z + 2 * t : 4;
      const structure = x > 48 ? 60 + (50 / blur) * Math.sin(x / 1.5) * Math.cos(y / 2) : 0;
      samples[y * WIDTH + x] = Math.round(cell + structure);
    }
  }
  return samples;
}

/** An ImageJ hyperstack: all planes behind one directory with a description. */
function hyperstack() {
  const text = Buffer.from(`ImageJ=1.54f\nimages=${SLICES * FRAMES}\nslices=${SLICES}\nframes=${FRAMES}\nhyperstack=true\n\0`, 'latin1');
  const tags = [[256, 4, 1, WIDTH], [257, 4, 1, HEIGHT], [258, 3, 1, 8], [259, 3, 1, 1], [262, 3, 1, 1], [270, 2, text.length, 0], [273, 4, 1, 0], [277, 3, 1, 1], [278, 4, 1, HEIGHT], [279, 4, 1, WIDTH * HEIGHT]];
  const behind = 8 + 2 + tags.length * 12 + 4;
  tags[5][3] = behind;
  tags[6][3] = behind + text.length;
  const head = Buffer.alloc(behind);
  head.write('II*\0\x08\0\0\0', 'latin1');
  head.writeUInt16LE(tags.length, 8);
  tags.forEach(([tag, kind, count, value], row) => {
    const at = 10 + row * 12;
    head.writeUInt16LE(tag, at);
    head.writeUInt16LE(kind, at + 2);
    head.writeUInt32LE(count, at + 4);
    head.writeUInt32LE(value, at + 8);
  });
  const planes = [];
  for (let t = 0; t < FRAMES; t += 1) for (let z = 0; z < SLICES; z += 1) planes.push(plane(z, t));
  return Buffer.concat([head, text, ...planes]);
}

const add = (page, files) => page.setInputFiles('#pick-files', Object.entries(files).map(([name, buffer]) => ({ name, mimeType: 'image/*', buffer })));

/** The brightness of the cell, once that plane is on the screen. */
async function cell(page, wanted) {
  await page.waitForFunction((plane) => {
    const stack = globalThis.cytobox.store.state.opened?.stack;
    return stack && Object.entries(plane).every(([key, value]) => (stack[key] ?? null) === value);
  }, wanted, { timeout: 60_000 });
  await settled(page);
  return page.evaluate(() => {
    const canvas = new OffscreenCanvas(1, 1);
    const context = canvas.getContext('2d');
    context.drawImage(globalThis.cytobox.store.state.opened.layers[0].bitmap, -24, -32);
    return context.getImageData(0, 0, 1, 1).data[0];
  });
}

test('a stack has a slider for slices and time points, and projections', { timeout: SLOW }, async () => {
  const { page, reopen, done } = await openPage({ query: '?device=cpu&test' });
  await add(page, { 'stack.tif': hyperstack() });
  await imagesListed(page, 1);
  assert.equal(await cell(page, { z: 3, t: 1 }), 36, 'the middle slice of the first time point');
  assert.equal(await page.isVisible('#stack-tools'), true);
  assert.match(await page.textContent('#facts'), /z 3\/5, t 1\/2/);
  assert.match(await page.textContent('#warnings'), /the first of 2 time points/);
  await mkdir(RESULTS, { recursive: true });
  await page.screenshot({ path: path.join(RESULTS, 'stack-plane.png') });

  await page.focus('#viewport');
  await page.keyboard.press('.');
  assert.equal(await cell(page, { z: 4, t: 1 }), 44, 'the full stop goes to the next slice');
  await page.keyboard.press('Shift+.');
  assert.equal(await cell(page, { z: 4, t: 2 }), 46);
  for (let step = 0; step < 5; step += 1) await page.keyboard.press(',');
  assert.equal(await cell(page, { z: 1, t: 2 }), 22, 'before the first slice there is none');
  await page.focus('#stack-z');
  await page.keyboard.press('ArrowRight');
  assert.equal(await cell(page, { z: 2, t: 2 }), 30, 'the slider has the keys of sliders');
  assert.equal(await page.textContent('#stack-z-value'), '2/5');

  await page.selectOption('#projection', 'max');
  assert.equal(await cell(page, { projection: 'max', z: null, t: 2 }), 54);
  assert.equal(await page.isHidden('#stack-z-row'), true);
  await page.screenshot({ path: path.join(RESULTS, 'stack-maximum.png') });
  await page.selectOption('#projection', 'mean');
  assert.equal(await cell(page, { projection: 'mean', t: 2 }), 38);
  await page.selectOption('#projection', 'sharpest');
  assert.equal(await cell(page, { projection: 'sharpest', z: FOCUS + 1, t: 2 }), 30);
  assert.match(await page.textContent('#facts'), /sharpest: z 2\/5, t 2\/2/);

  await page.waitForFunction(() => document.getElementById('project-state').textContent === 'saved');
  const again = await reopen();
  await imagesListed(again, 1);
  assert.equal(await cell(again, { projection: 'sharpest', z: FOCUS + 1, t: 2 }), 30, 'the choice is kept with the project');
  await done();
});

test('detections say which plane they are of, and count as outdated in another', { timeout: SLOW }, async () => {
  const { page, done } = await openPage({ query: '?device=cpu&test', detector: true });
  await add(page, { 'stack.tif': hyperstack() });
  await imagesListed(page, 1);
  await page.selectOption('#projection', 'max');
  await page.waitForSelector('#detect:not([disabled])', { timeout: 120_000 });
  await cell(page, { projection: 'max', t: 1 });
  await page.click('#detect');
  const detected = () => globalThis.cytobox.store.state.images[0].result;
  await page.waitForFunction(detected, null, { timeout: 300_000 });
  const { stack } = await page.evaluate(() => globalThis.cytobox.store.state.images[0].result.detections);
  assert.deepEqual(stack, { slices: SLICES, frames: FRAMES, projection: 'max', t: 1 });
  assert.equal(await page.isHidden('#stale'), true);
  await page.selectOption('#projection', 'plane');
  await cell(page, { projection: 'plane', z: 3, t: 1 });
  assert.equal(await page.isVisible('#stale'), true);
  await done();
});
