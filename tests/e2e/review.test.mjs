// The cells that the detector is least sure of, answered one after the other with one key.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SECOND_IMAGE, SLOW, TEST_IMAGE, channelFiles, drop, engineReady, imagesListed, loadModel, openPage, screenshot, settled } from './page.mjs';

/** How many are open, and how many of how many are answered. */
async function counts(page) {
  await settled(page);
  const text = await page.textContent('#review-count');
  const found = /^([\d,]+) cells? in (\d+) images?; ([\d,]+) of ([\d,]+) reviewed$/.exec(text) ?? assert.fail(text);
  return found.slice(1).map((number) => Number(number.replaceAll(',', '')));
}

const state = (page) =>
  page.evaluate(() => {
    const { images } = globalThis.cytobox.store.state;
    return { labels: images.flatMap(({ annotations }) => annotations?.objects.map(({ label }) => label) ?? []), rejected: images.reduce((sum, { result }) => sum + (result?.rejected?.length ?? 0), 0) };
  });

test('the detector asks, and each answer is one key and one step', { timeout: SLOW }, async () => {
  const { page, done } = await openPage({ query: '?device=cpu&test' });
  await drop(page, [...(await channelFiles(TEST_IMAGE)), ...(await channelFiles(SECOND_IMAGE))]);
  await imagesListed(page, 2);
  await engineReady(page);
  await loadModel(page);
  await page.click('#tab-review');
  await settled(page);
  assert.match(await page.textContent('#review-empty'), /Detect first/);
  await page.click('#detect-all');
  await page.waitForFunction(() => globalThis.cytobox.store.state.images.every(({ result }) => result), null, { timeout: SLOW });
  const [open, images, answered, all] = await counts(page);
  assert.ok(open > 3 && open === all && answered === 0 && images >= 1, `${open} of ${all} in ${images}`);
  const reasons = await page.$$eval('#review .question .reason', (cells) => cells.map(({ textContent }) => textContent));
  assert.ok(reasons.length > 0 && reasons.every((reason) => /threshold|overlaps| or |fills/.test(reason)), reasons.join('\n'));
  await screenshot(page, 'review-light');

  await page.focus('#review');
  await page.keyboard.press('ArrowDown');
  const first = await page.evaluate(() => globalThis.cytobox.store.state.selected);
  assert.notEqual(first, null, 'the cell is selected in its image');
  await page.keyboard.press('Enter');
  assert.deepEqual(await counts(page), [open - 1, images, 1, all]);
  assert.equal((await state(page)).labels.length, 1);
  assert.notEqual(await page.evaluate(() => globalThis.cytobox.store.state.selected), first, 'the next one is');
  await page.keyboard.press('Delete');
  assert.equal((await state(page)).rejected, 1);
  const names = await page.evaluate(() => globalThis.cytobox.store.state.labels.map(({ name }) => name));
  const { labels } = await state(page);
  await page.keyboard.press('2');
  assert.deepEqual((await state(page)).labels.sort(), [...labels, names[1]].sort());
  assert.deepEqual((await counts(page)).slice(2), [3, all]);
  // Taken back one by one.
  for (const left of [2, 1, 0]) {
    await page.keyboard.press('Control+z');
    assert.deepEqual((await counts(page)).slice(2), [left, all]);
  }
  assert.deepEqual(await state(page), { labels: [], rejected: 0 });
  await page.click('#review-skip');
  assert.deepEqual((await counts(page)).slice(2), [0, all]);
  await done();
});
