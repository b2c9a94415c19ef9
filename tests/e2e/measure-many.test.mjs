// Ten thousand cells in the table, the plots and the gallery: nothing that a user does there holds up the page.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SLOW, imagesListed, openPage, settled } from './page.mjs';

const CELLS = 10_000;
const IMAGES = 6;

/** Puts detections on the sample images, without a detector: discs as masks would take the tracing's time. */
async function scatterCells(page) {
  await page.evaluate(
    ({ cells, count }) => {
      const { store } = globalThis.cytobox;
      let seed = 7;
      const random = () => ((seed = (seed * 48271) % 2147483647) / 2147483647);
      const images = store.state.images;
      for (const image of images) {
        const detections = Array.from({ length: Math.ceil(cells / count) }, () => {
          const [x, y, side] = [random() * 460, random() * 460, 12 + random() * 36];
          return { box: [x, y, x + side, y + side * (0.6 + random() * 0.4)], label: random() < 0.3 ? 'nucleoli' : 'not_nucleoli', score: 0.7 + random() * 0.3 };
        }).sort((a, b) => b.score - a.score);
        const found = { image: image.name, file: '', width: 512, height: 512, detections };
        image.result = { detections: found, seconds: 1, stale: false };
        image.state = 'done';
      }
      store.touch('images');
    },
    { cells: CELLS, count: IMAGES },
  );
  await settled(page);
}

/** The tasks over 50 ms that a deed causes. Whoever else is at work on this computer can make one long; what the page does itself is long each time. */
async function longTasks(page, deed, undo = async () => {}) {
  const runs = [];
  for (let tries = 0; tries < 4; tries += 1) {
    if (tries) {
      await undo();
      await settled(page);
    }
    await page.evaluate(() => void (globalThis.longTasks.length = 0));
    await deed();
    await settled(page);
    const tasks = await page.evaluate(() => new Promise((resolve) => setTimeout(() => resolve([...globalThis.longTasks]), 150)));
    if (tasks.length === 0) return [];
    runs.push(tasks);
  }
  return runs;
}

test('10,000 cells: no interaction with table, plots and gallery takes over 50 ms', { timeout: SLOW }, async () => {
  const { page, done } = await openPage({ query: '?device=cpu&test', viewport: { width: 1400, height: 900 } });
  await page.click('#samples');
  await imagesListed(page, IMAGES);
  await scatterCells(page);
  await page.evaluate(() => {
    globalThis.longTasks = [];
    new PerformanceObserver((list) => globalThis.longTasks.push(...list.getEntries().map(({ duration }) => duration))).observe({ type: 'longtask' });
  });
  /** @type {Record<string, number[][]>} */
  const late = {};
  const interaction = async (name, deed, undo) => {
    const runs = await longTasks(page, deed, undo);
    if (runs.length) late[name] = runs;
  };
  await interaction('open the tab', () => page.click('#tab-measure'), () => page.click('#tab-results'));
  assert.match(await page.textContent('#cells-count'), /^10,002 of 10,002/);
  const started = Date.now();
  await page.click('#measure');
  await page.waitForFunction(() => /images measured/.test(document.getElementById('measure-state').textContent), null, { timeout: SLOW });
  console.log(`10,002 boxes on ${IMAGES} images of 512² with 4 channels: ${Date.now() - started} ms`);
  const header = (text) => page.locator('#cells [role="columnheader"] button', { hasText: text }).first();
  await interaction('sort by area', () => header('area').click());
  await interaction('sort by class', () => header('Class').click());
  await interaction('leave out a class', () => page.locator('.class-filter button').nth(0).click(), () => page.locator('.class-filter button').nth(0).click());
  await page.locator('.class-filter button[aria-pressed="false"]').first().click();
  await page.click('#add-range');
  await page.selectOption('.range select', 'area [px²]');
  await interaction('filter by a range', async () => {
    await page.fill('.range input >> nth=0', '300');
    await page.keyboard.press('Tab');
  }, () => page.fill('.range input >> nth=0', ''));
  const within = Number((await page.textContent('#cells-count')).split(' of ')[0].replace(',', ''));
  assert.ok(within > 1000 && within < 10_000, `${within} cells of at least 300 px²`);
  await page.click('.range button');
  await interaction('choose an axis', () => page.selectOption('#plot-y', 'eccentricity'), () => page.selectOption('#plot-y', 'solidity'));
  const lasso = async () => {
    const box = await page.locator('#scatter').boundingBox();
    const at = (x, y) => page.mouse.move(box.x + box.width * x, box.y + box.height * y, { steps: 12 });
    await at(0.2, 0.1);
    await page.mouse.down();
    for (const [x, y] of [[0.9, 0.1], [0.9, 0.8], [0.2, 0.8]]) await at(x, y);
    await page.mouse.up();
  };
  await interaction('lasso', lasso);
  const picked = await page.evaluate(() => globalThis.cytobox.store.state.picked.size);
  assert.ok(picked > 1000, `${picked} cells in the lasso`);
  await interaction('range of the histogram', async () => {
    const box = await page.locator('#histogram').boundingBox();
    await page.mouse.move(box.x + box.width * 0.4, box.y + 60);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.7, box.y + 60, { steps: 8 });
    await page.mouse.up();
  });
  await interaction('select all', () => page.click('#cells-all'));
  assert.equal(await page.evaluate(() => globalThis.cytobox.store.state.picked.size), 10_002);
  await interaction('clear', () => page.click('#cells-none'));
  await interaction('scroll the table', async () => {
    await page.locator('#cells').hover();
    for (let i = 0; i < 10; i += 1) await page.mouse.wheel(0, 4000);
  });
  await interaction('move by key', async () => {
    await page.locator('#cells [data-index]').first().click();
    for (let i = 0; i < 5; i += 1) await page.keyboard.press('ArrowDown');
  });
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await interaction('copy all', async () => {
    await page.click('#cells-none');
    await page.click('#cells-copy');
  });
  await interaction('open the gallery', () => page.click('#tab-gallery'), () => page.click('#tab-measure'));
  await page.waitForFunction(() => document.querySelectorAll('#gallery canvas[data-shown]:not([data-shown=""])').length > 10, null, { timeout: SLOW });
  await interaction('sort the gallery', () => page.selectOption('#gallery-sort', 'eccentricity'), () => page.selectOption('#gallery-sort', 'score'));
  await interaction('scroll the gallery', async () => {
    await page.locator('#gallery').hover();
    for (let i = 0; i < 15; i += 1) await page.mouse.wheel(0, 3000);
  });
  await page.waitForFunction(() => [...document.querySelectorAll('#gallery canvas')].filter(({ dataset }) => dataset.shown).length > 10, null, { timeout: SLOW });
  await page.locator('#gallery [data-index]').nth(3).click();
  await interaction('accept', () => page.keyboard.press('y'));
  await interaction('reject', () => page.keyboard.press('Delete'));
  await interaction('relabel', () => page.keyboard.press('1'));
  const saved = page.waitForEvent('download');
  await page.click('#tab-measure');
  await interaction('export', () => page.click('#cells-export'));
  await saved;
  assert.deepEqual(late, {}, `tasks over 50 ms in each of four runs, in milliseconds: ${JSON.stringify(late)}`);
  await done();
});
