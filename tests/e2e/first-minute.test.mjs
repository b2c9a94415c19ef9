// The first minute of a newcomer: no images, no detector, and boxes after two clicks.

import assert from 'node:assert/strict';
import test from 'node:test';
import { SLOW, engineReady, imagesListed, openPage, rowCount, screenshot } from './page.mjs';

const named = (page) => page.waitForFunction(() => document.querySelector('#model-name').textContent === 'cells', null, { timeout: SLOW });

test('synthetic images and the detector that comes along give boxes in two clicks', { timeout: SLOW }, async () => {
  const { page, reopen, done } = await openPage({ query: '?device=cpu', detector: true });
  const asked = [];
  page.context().on('request', (request) => asked.push(new URL(request.url()).pathname));
  await engineReady(page);
  await named(page);
  await screenshot(page, 'first-light');
  await page.click('#samples');
  await imagesListed(page, 6);
  await page.click('#detect:not([disabled])');
  await page.waitForSelector('#images [aria-selected="true"][data-state="done"]', { timeout: SLOW });
  assert.ok((await rowCount(page)) > 0, 'cells above the score of 0.7');
  await screenshot(page, 'first-boxes-light');

  // A page whose project is gone takes the detector from the cache.
  const session = await page.context().newCDPSession(page);
  await session.send('Storage.clearDataForOrigin', { origin: new URL(page.url()).origin, storageTypes: 'indexeddb' });
  asked.length = 0;
  const again = await reopen();
  await engineReady(again);
  await named(again);
  assert.ok(asked.some((path) => path.endsWith('/models/manifest.json')));
  assert.ok(!asked.some((path) => path.endsWith('.safetensors')), 'the detector is not fetched twice');
  await done();
});
