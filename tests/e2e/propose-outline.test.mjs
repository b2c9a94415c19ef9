// Boxes get outlines from the detector's mask head: when they are drawn or resized, on request, and all at once.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  SLOW,
  TEST_IMAGE,
  annotate,
  boxRows,
  channelFiles,
  detect,
  drop,
  engineReady,
  imagesListed,
  loadModel,
  openPage,
  placeOf,
  screenshot,
  settled,
} from './page.mjs';

/** What the table says of the outline of each box. */
async function outlines(page) {
  return (await boxRows(page)).map((row) => row.at(-1));
}

/** Waits until it says so. */
async function outlined(page, ...expected) {
  const end = Date.now() + SLOW / 4;
  let found = await outlines(page);
  while (found.join() !== expected.join() && Date.now() < end) found = await outlines(page);
  assert.deepEqual(found, expected);
}

/** Pixels of the mask of an annotated object, and of those of them that a detection has too. */
function overlap(page, index, detection) {
  return page.evaluate(
    async ([at, of]) => {
      const { runs } = await import('/js/shared/run-lengths.js');
      const { images, current } = globalThis.cytobox.store.state;
      const image = images.find(({ id }) => id === current);
      const pixels = (mask) => {
        const set = new Set();
        let place = 0;
        [...runs(mask).counts].forEach((length, run) => {
          if (run % 2) for (let i = 0; i < length; i += 1) set.add(place + i);
          place += length;
        });
        return set;
      };
      const [own, found] = [pixels(image.annotations.objects[at].mask), pixels(image.result.detections.detections[of].mask)];
      const both = [...own].filter((pixel) => found.has(pixel)).length;
      return both / (own.size + found.size - both);
    },
    [index, detection],
  );
}

test('an outline is proposed as soon as a box is drawn, follows its corner, and goes and comes with one key', { timeout: SLOW }, async () => {
  const { page, done } = await openPage({ query: '?device=cpu&test' });
  await drop(page, await channelFiles(TEST_IMAGE));
  await imagesListed(page, 1);
  await engineReady(page);
  await loadModel(page);
  await detect(page);
  const cells = await page.evaluate(() =>
    globalThis.cytobox.store.state.images[0].result.detections.detections.map(({ box, mask }) => ({ box: [...box], mask: Boolean(mask) })),
  );
  assert.ok(cells[0].mask && cells.length > 2);
  await annotate(page);
  const [x1, y1, x2, y2] = cells[0].box.map(Math.round);

  await page.mouse.move(...(await placeOf(page, x1, y1)));
  await page.mouse.down();
  await page.mouse.move(...(await placeOf(page, x2 - 4, y2 - 4)), { steps: 3 });
  // While the corner moves, the outline of a moment ago is there.
  await page.waitForFunction(() => import('/js/canvas/annotation-layer.js').then(({ pending }) => Boolean(pending.draft?.mask)), null, { timeout: SLOW });
  await page.mouse.move(...(await placeOf(page, x2, y2)));
  await page.evaluate(() => {
    const { store } = globalThis.cytobox;
    addEventListener('pointerup', () => (globalThis.dragEnded = performance.now()), { capture: true, once: true });
    const end = store.subscribe(['annotations'], ({ images }) => {
      if (!images[0].annotations?.objects[0]?.proposed) return;
      globalThis.outlinedAfter = performance.now() - globalThis.dragEnded;
      end();
    });
  });
  await page.mouse.up();
  await outlined(page, 'proposed');
  console.log(`${(await page.evaluate(() => globalThis.outlinedAfter)).toFixed(0)} ms from the end of the drag to its outline, with the features there`);
  const drawn = await overlap(page, 0, 0);
  assert.ok(drawn > 0.85, `IoU ${drawn} with the mask of the detection of this box`);
  await screenshot(page, 'proposed-outline-light');

  await page.keyboard.press('u');
  await outlined(page, 'box only');
  await page.keyboard.press('u');
  await outlined(page, 'proposed');
  await page.keyboard.press('Control+z');
  await outlined(page, 'box only');
  await page.keyboard.press('Control+Shift+z');
  await outlined(page, 'proposed');

  // Several keys in a row are one step, and then the outline is that of the new place.
  for (let i = 0; i < 3; i += 1) await page.keyboard.press('Alt+ArrowRight');
  await settled(page);
  await page.waitForFunction(() => document.querySelector('#undo').title.startsWith('Outline proposed'), null, { timeout: SLOW });
  await page.keyboard.press('Control+z');
  await page.keyboard.press('Control+z');
  await settled(page);
  const corners = await page.evaluate(() => globalThis.cytobox.store.state.images[0].annotations.objects[0].box[2]);
  assert.ok(Math.abs(corners - x2) <= 1, `${corners} instead of ${x2}`);

  // Where nobody wants it, a box is a box, until all are outlined at once.
  await page.uncheck('#proposing');
  const second = cells[1].box.map(Math.round);
  await page.keyboard.press('w');
  await page.mouse.move(...(await placeOf(page, second[0], second[1])));
  await page.mouse.down();
  await page.mouse.move(...(await placeOf(page, second[2], second[3])), { steps: 3 });
  await page.mouse.up();
  await outlined(page, 'proposed', 'box only');
  assert.equal(await page.textContent('#outline-all'), 'Outline 1 box');
  await page.click('#outline-all');
  await outlined(page, 'proposed', 'proposed');
  assert.ok((await overlap(page, 1, 1)) > 0.85);
  assert.ok(await page.isDisabled('#outline-all'));

  // A stroke of the brush makes it a person's.
  await page.click('#grow');
  await outlined(page, 'proposed', 'mask');
  await done();
});
