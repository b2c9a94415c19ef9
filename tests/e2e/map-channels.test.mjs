// Channels that the detector was not trained on: it is said, and a dialog maps them.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { SLOW, imagesListed, loadModel, MODEL, openPage } from './page.mjs';

const RESULTS = path.join(path.dirname(fileURLToPath(import.meta.url)), 'results');
const SIDE = 64;

/** An uncompressed grey TIFF with a disc. */
function grey() {
  const tags = [[256, SIDE], [257, SIDE], [258, 8], [259, 1], [262, 1], [273, 0], [277, 1], [278, SIDE], [279, SIDE * SIDE]];
  const behind = 8 + 2 + tags.length * 12 + 4;
  tags[5][1] = behind;
  const head = Buffer.alloc(behind);
  head.write('II*\0\x08\0\0\0', 'latin1');
  head.writeUInt16LE(tags.length, 8);
  tags.forEach(([tag, value], row) => {
    head.writeUInt16LE(tag, 10 + row * 12);
    head.writeUInt16LE(4, 12 + row * 12);
    head.writeUInt32LE(1, 14 + row * 12);
    head.writeUInt32LE(value, 18 + row * 12);
  });
  const samples = Buffer.alloc(SIDE * SIDE, 10);
  for (let i = 0; i < samples.length; i += 1) if (Math.hypot((i % SIDE) - 32, Math.floor(i / SIDE) - 32) < 15) samples[i] = 200;
  return Buffer.concat([head, samples]);
}

/** The colour in the middle of the image. */
function middle(page) {
  return page.evaluate(() => {
    const canvas = new OffscreenCanvas(1, 1);
    const context = canvas.getContext('2d');
    context.drawImage(globalThis.cytobox.store.state.opened.layers[0].bitmap, -32, -32);
    return [...context.getImageData(0, 0, 1, 1).data.slice(0, 3)];
  });
}

test('a detector of four channels says so of a grey image, and the nucleus is proposed', { timeout: SLOW }, async () => {
  const { page, done } = await openPage({ query: '?device=cpu&test' });
  const files = ['a.tif', 'b.tif'].map((name) => ({ name, mimeType: 'image/tiff', buffer: grey() }));
  await page.setInputFiles('#pick-files', files);
  await imagesListed(page, 2);
  await page.waitForFunction(() => globalThis.cytobox.store.state.opened);
  assert.equal(await page.isHidden('#map-channels'), true, 'without a detector there is nothing to map to');
  assert.deepEqual(await middle(page), [200, 200, 200]);

  await loadModel(page, MODEL);
  await page.waitForSelector('#map-channels:not([hidden])', { timeout: 60_000 });
  assert.match(await page.textContent('#warnings'), /trained on the channels red, green, blue and yellow, and this image has grey alone/);
  await page.click('#map-channels');
  assert.equal(await page.inputValue('[aria-label="Channel for blue"]'), 'grey');
  assert.equal(await page.inputValue('[aria-label="Channel for red"]'), '');
  await mkdir(RESULTS, { recursive: true });
  await page.screenshot({ path: path.join(RESULTS, 'map-channels.png') });
  await page.selectOption('[aria-label="Channel for yellow"]', 'grey');
  await page.click('dialog button[type="submit"]');
  await page.waitForFunction(() => globalThis.cytobox.store.state.opened?.merge.grey[2] === 1 && globalThis.cytobox.store.state.opened.merge.grey[0] === 0.5);
  assert.deepEqual(await middle(page), [100, 100, 200], 'blue, and half of red and green');
  assert.equal((await page.textContent('#warnings')).includes('trained on'), false);
  const merges = await page.evaluate(() => globalThis.cytobox.store.state.images.map(({ merge }) => merge));
  assert.deepEqual(merges, Array(2).fill({ grey: [0.5, 0.5, 1] }), 'in all images with these channels');
  await done();
});
