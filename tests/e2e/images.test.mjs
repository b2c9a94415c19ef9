// Images that leave something open: TIFF pages that nobody has explained, and how bright a 16-bit sample is.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32, deflateSync } from 'node:zlib';
import { SLOW, imagesListed, openPage } from './page.mjs';

/** A TIFF of grey pages, 2 × 1 with 8 bit, without a description. */
function pages(values) {
  const parts = [Buffer.from('II*\0\x08\0\0\0', 'latin1')];
  let at = 8;
  values.forEach((value, index) => {
    const tags = [[256, 2], [257, 1], [258, 8], [259, 1], [262, 1], [273, at + 2 + 9 * 12 + 4], [277, 1], [278, 1], [279, 2]];
    const page = Buffer.alloc(2 + tags.length * 12 + 4 + 2);
    page.writeUInt16LE(tags.length);
    tags.forEach(([tag, number], row) => {
      page.writeUInt16LE(tag, 2 + row * 12);
      page.writeUInt16LE(4, 4 + row * 12);
      page.writeUInt32LE(1, 6 + row * 12);
      page.writeUInt32LE(number, 10 + row * 12);
    });
    at += page.length;
    page.writeUInt32LE(index + 1 < values.length ? at : 0, 2 + tags.length * 12);
    page.fill(value, page.length - 2);
    parts.push(page);
  });
  return Buffer.concat(parts);
}

/** A grey 16-bit PNG of 64 × 64 samples of one value, and one that is hot. */
function png(value, hot = value) {
  const raw = Buffer.alloc(64 * (1 + 128));
  for (let y = 0; y < 64; y += 1) for (let x = 0; x < 64; x += 1) raw.writeUInt16BE(x + y ? value : hot, y * 129 + 1 + x * 2);
  const chunk = (kind, data) => {
    const body = Buffer.concat([Buffer.from(kind, 'latin1'), data]);
    const frame = Buffer.alloc(8);
    frame.writeUInt32BE(data.length);
    frame.writeUInt32BE(crc32(body), 4);
    return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
  };
  const header = Buffer.from([0, 0, 0, 64, 0, 0, 0, 64, 16, 0, 0, 0, 0]);
  const magic = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');
  return Buffer.concat([magic, chunk('IHDR', header), chunk('IDAT', deflateSync(raw)), chunk('IEND', Buffer.alloc(0))]);
}

const add = (page, files) => page.setInputFiles('#pick-files', Object.entries(files).map(([name, buffer]) => ({ name, mimeType: 'image/*', buffer })));

test('pages that a TIFF does not explain are asked about, and taken for channels on request', { timeout: SLOW }, async () => {
  const { page, done } = await openPage({ query: '?device=cpu&test' });
  await add(page, { 'a.tif': pages([200, 100, 50]), 'b.tif': pages([1, 2]) });
  await imagesListed(page, 2);
  await page.waitForFunction(() => globalThis.cytobox.store.state.images.every(({ problem }) => problem?.code === 'pages-unknown'));
  assert.match(await page.textContent('#problem-sentence'), /3 pages and does not say/);
  await page.click('#fix');
  await page.waitForFunction(() => globalThis.cytobox.store.state.opened?.layers.length === 3);
  assert.equal(await page.isHidden('#problem'), true);
  assert.ok(await page.evaluate(() => globalThis.cytobox.store.state.images.every(({ pages }) => pages === 'channels')));
  await done();
});

test('pages that a TIFF does not explain can be the slices of a stack', { timeout: SLOW }, async () => {
  const { page, done } = await openPage({ query: '?device=cpu&test' });
  await add(page, { 'a.tif': pages([200, 100, 50]) });
  await imagesListed(page, 1);
  await page.click('#fix-otherwise');
  await page.waitForFunction(() => globalThis.cytobox.store.state.opened?.stack?.slices === 3);
  assert.equal(await page.textContent('#stack-z-value'), '2/3');
  await done();
});

test('16-bit images of a project have one full brightness, whichever is opened', { timeout: SLOW }, async () => {
  const { page, done } = await openPage({ query: '?device=cpu&test' });
  await add(page, { 'a.png': png(800), 'b.png': png(800, 65_535), 'c.png': png(4000) });
  await imagesListed(page, 3);
  for (const name of ['a', 'b', 'c']) {
    await page.evaluate((wanted) => {
      const { store } = globalThis.cytobox;
      const { id } = store.state.images.find((image) => image.name === wanted);
      if (store.state.current !== id) store.set({ current: id, opened: null });
    }, name);
    await page.waitForFunction((wanted) => {
      const { opened, images, current } = globalThis.cytobox.store.state;
      return opened?.id === current && images.find(({ id }) => id === current)?.name === wanted;
    }, name);
    assert.equal(await page.evaluate(() => globalThis.cytobox.store.state.opened.whiteLevel), 4095, name);
  }
  await done();
});

test('an image that is opened again stays on the screen until its new picture is there', { timeout: SLOW }, async () => {
  const { page, done } = await openPage({ query: '?device=cpu&test' });
  await add(page, { 'a.png': png(4000) });
  await imagesListed(page, 1);
  await page.waitForFunction(() => globalThis.cytobox.store.state.opened?.whiteLevel === 4095);
  const gaps = await page.evaluate(async () => {
    const { store } = globalThis.cytobox;
    store.set({ bitDepth: 16 });
    let empty = 0;
    while (store.state.opened?.whiteLevel !== 65_535) {
      if (!store.state.opened) empty += 1;
      await new Promise((resolve) => setTimeout(resolve));
    }
    return empty;
  });
  assert.equal(gaps, 0);
  await done();
});
