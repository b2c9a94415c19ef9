// What the tests of training share: small annotated images, the smallest training, and what the page knows of it.

import assert from 'node:assert/strict';
import { SLOW, imagesListed } from './page.mjs';

/** Synthetic images so small that a step takes a second or so on a software adapter. */
export const IMAGES = 6;
const SIDE = 64;

/** Puts annotated synthetic images on the page. */
export async function takeSamples(page) {
  const files = await page.evaluate(async ([images, side]) => {
    const { files } = await globalThis.cytobox.send('images', { type: 'samples', images, seed: 3, side });
    return files.map(({ name, bytes }) => ({ name, bytes: [...bytes] }));
  }, [IMAGES, SIDE]);
  await page.setInputFiles('#pick-files', files.map(({ name, bytes }) => ({ name, mimeType: '', buffer: Buffer.from(bytes) })));
  await imagesListed(page, IMAGES);
  await page.waitForFunction(() => globalThis.cytobox.store.state.images.every((image) => image.annotations?.objects.length));
}

/** Opens the panel and chooses the smallest training; resolves when the engine has answered. */
export async function chooseSmall(page, { epochs, rate = '0.002', checkpoint = '60' }) {
  await page.click('#tab-train');
  await page.selectOption('#train-panel [data-choice="architecture"]', 'fasterrcnn_resnet_fpn');
  await page.selectOption('#train-panel [data-choice="width"]', 'narrow');
  await page.selectOption('#train-panel [data-choice="unit"]', 'epochs');
  await page.fill('#train-panel [data-choice="amount"]', String(epochs));
  await page.click('#train-panel summary');
  await page.fill('#train-panel [data-choice="batch"]', '2');
  await page.fill('#train-panel [data-choice="rate"]', rate);
  await page.fill('#train-panel [data-choice="checkpoint"]', checkpoint);
  await page.fill('#train-panel [data-choice="seed"]', '5');
  await page.press('#train-panel [data-choice="seed"]', 'Tab');
  await page.waitForSelector('#train-start:not([disabled])', { timeout: SLOW });
}

/** What the page knows of the training. */
export function training(page) {
  return page.evaluate(async () => {
    const { store } = await import('./js/shared/page-state.js');
    const { training, trainingProblem } = store.state;
    const { state, saved, steps, started } = training ?? {};
    return training && { state, saved, steps, from: started?.fromStep ?? null, problem: trainingProblem };
  });
}

/** Waits for something of the training, which must not end with a problem. */
export async function until(page, what, condition) {
  const started = Date.now();
  for (;;) {
    const now = await training(page);
    assert.equal(now?.problem ?? '', '', 'the training goes on');
    if (now && condition(now)) return now;
    assert.ok(Date.now() - started < SLOW, `${what}: ${JSON.stringify(now?.steps.at(-1))}`);
    await page.waitForTimeout(300);
  }
}
