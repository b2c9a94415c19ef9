// Makes the README's pictures of the page, from synthetic images and the bundled detector:
//
//     cargo xtask build && node tests/e2e/pictures.mjs [FOLDER]
//
// FOLDER is www/pictures when absent. Detection and training run on the CPU, so that the pictures need no graphics card.

import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { SLOW, engineReady, imagesListed, openPage, settled } from './page.mjs';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const folder = path.resolve(process.argv[2] ?? path.join(HERE, '../../www/pictures'));
await mkdir(folder, { recursive: true });

const { page, done } = await openPage({ query: '?device=cpu&test', detector: true, viewport: { width: 1280, height: 760 } });

/** The page as it is now, without notices that are about to go. */
async function picture(name) {
  await page.evaluate(() => document.getElementById('notices').replaceChildren());
  await page.mouse.move(640, 4);
  await settled(page);
  await page.screenshot({ path: path.join(folder, `${name}.png`) });
  console.log(`${name}.png`);
}

await engineReady(page);
await page.waitForSelector('#model-report:not([hidden])', { timeout: SLOW });
await page.click('#samples');
await imagesListed(page, 6);
await page.waitForSelector('#detect-all:not([disabled])', { timeout: SLOW });
await page.click('#detect-all');
await page.waitForSelector('#job:not([hidden])');
await page.waitForSelector('#job', { state: 'hidden', timeout: SLOW });
await picture('detections');

await page.click('#mode-annotate');
await page.click('#tab-annotate');
await settled(page);
await page.focus('#boxes');
await page.keyboard.press('ArrowDown');
await picture('annotate');

await page.click('#class-chart');
await page.waitForSelector('dialog');
await picture('classes');
await page.keyboard.press('Escape');
await page.waitForSelector('dialog', { state: 'detached' });

await page.click('#tab-train');
await page.selectOption('#train-panel [data-choice="unit"]', 'epochs');
await page.fill('#train-panel [data-choice="amount"]', '6');
await page.press('#train-panel [data-choice="amount"]', 'Tab');
await page.waitForSelector('#train-start:not([disabled])', { timeout: SLOW });
await page.click('#train-start');
await page.waitForFunction(() => globalThis.cytobox.store.state.training?.validations.length >= 4, null, { timeout: 2 * SLOW });
await picture('curves');
await page.waitForFunction(() => {
  const { training, evaluation } = globalThis.cytobox.store.state;
  return training?.state === 'done' && evaluation !== null;
}, null, { timeout: 2 * SLOW });
await page.click('#train-evaluation');
await page.waitForSelector('dialog img[src^="blob:"]');
await picture('evaluation');
await done();
