// What the tests of drawing share: a page with images in the mode Annotate, and what hands do to it.

import assert from 'node:assert/strict';
import { TEST_IMAGE, annotate, channelFiles, drop, imagesListed, openPage, placeOf, settled } from './page.mjs';

/** A page with images, ready for boxes; the view shows the whole image. */
export async function annotatePage(stems = [TEST_IMAGE], options = {}) {
  const { page, done } = await openPage({ query: '?device=cpu', ...options });
  const files = [];
  for (const stem of stems) files.push(...(await channelFiles(stem)));
  await drop(page, files);
  await imagesListed(page, stems.length);
  await page.waitForSelector('#channels button');
  await annotate(page);
  return { page, done };
}

/** Drags with the mouse along places of the image; of two, over the middle between them. */
export async function drag(page, from, ...to) {
  const [first] = to;
  const places = to.length > 1 ? to : [[(from[0] + first[0]) / 2, (from[1] + first[1]) / 2], first];
  await page.mouse.move(...(await placeOf(page, ...from)));
  await page.mouse.down();
  for (const place of places) await page.mouse.move(...(await placeOf(page, ...place)));
  await page.mouse.up();
  await settled(page);
}

export async function click(page, x, y) {
  await page.mouse.click(...(await placeOf(page, x, y)));
  await settled(page);
}

export async function press(page, ...keys) {
  for (const key of keys) {
    await page.keyboard.press(key);
    await settled(page);
  }
}

/** The selected row of the table of boxes. */
export function selected(page) {
  return page.$$eval('#boxes [aria-selected="true"] [role="gridcell"]', (cells) => cells.map(({ textContent }) => textContent));
}

/** Corners that the table says are within some pixels of what was drawn: a screen pixel is not an image pixel. */
export function near([, place, size], [x1, y1, x2, y2], pixels = 1) {
  const [x, y] = place.split(',').map(Number);
  const [width, height] = size.split('×').map(Number);
  const found = [x, y, x + width, y + height];
  [x1, y1, x2, y2].forEach((wanted, at) => assert.ok(Math.abs(found[at] - wanted) <= pixels, `${found} instead of ${[x1, y1, x2, y2]}`));
}
