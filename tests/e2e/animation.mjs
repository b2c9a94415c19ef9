// Makes the README's animated picture, the first minutes with the page, from synthetic images and the bundled detector:
//
//     cargo xtask build && PYTHON=PYTHON node tests/e2e/animation.mjs [FILE]
//
// FILE is www/pictures/first-minutes.webp when absent. PYTHON needs Pillow, which comes with torchvision. Detection and
// training run on the CPU, so no graphics card is needed.

import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { SLOW, engineReady, imagesListed, openPage, settled } from './page.mjs';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const file = path.resolve(process.argv[2] ?? path.join(HERE, '../../www/pictures/first-minutes.webp'));
const folder = await mkdtemp(path.join(tmpdir(), 'cytobox-frames-'));

const { page, done } = await openPage({ query: '?device=cpu&test', detector: true, viewport: { width: 1120, height: 640 } });

/** @type {{name: string, milliseconds: number}[]} */
const frames = [];

/** The page as it is now, shown for so long. @param {number} milliseconds */
async function frame(milliseconds) {
  await page.evaluate(() => document.getElementById('notices')?.replaceChildren());
  await settled(page);
  const name = `${String(frames.length).padStart(3, '0')}.png`;
  await page.screenshot({ path: path.join(folder, name) });
  frames.push({ name, milliseconds });
}

async function detectAll() {
  await page.waitForSelector('#detect-all:not([disabled])', { timeout: SLOW });
  await page.click('#detect-all');
  await page.waitForSelector('#job:not([hidden])');
  await frame(500);
  await page.waitForSelector('#job', { state: 'hidden', timeout: SLOW });
  await page.mouse.move(500, 4);
}

await engineReady(page);
await page.waitForSelector('#model-report:not([hidden])', { timeout: SLOW });
await frame(1500);
await page.click('#samples');
await imagesListed(page, 6);
await page.waitForFunction(() => globalThis.cytobox.store.state.images[0].size !== null);
await frame(1200);
await detectAll();
await frame(2000);

// A box round a cell, drawn in steps.
await page.click('#mode-annotate');
await page.click('#tab-annotate');
await settled(page);
const canvas = await page.locator('#viewport').boundingBox();
const [x, y] = [canvas.x + canvas.width * 0.56, canvas.y + canvas.height * 0.4];
await page.mouse.move(x, y);
await page.mouse.down();
for (const part of [0.3, 0.65, 1]) {
  await page.mouse.move(x + 70 * part, y + 70 * part);
  await frame(250);
}
await page.mouse.up();
await frame(1200);
for (let presses = 0; presses < 12 && (await page.textContent('#next-do'))?.startsWith('Accept'); presses += 1) await page.click('#next-do');
await frame(1200);

await page.click('#tab-train');
await page.selectOption('#train-panel [data-choice="unit"]', 'epochs');
await page.fill('#train-panel [data-choice="amount"]', '4');
await page.press('#train-panel [data-choice="amount"]', 'Tab');
await page.waitForSelector('#train-start:not([disabled])', { timeout: SLOW });
await frame(1000);
await page.click('#train-start');
for (let validations = 1; validations <= 3; validations += 1) {
  await page.waitForFunction((wanted) => globalThis.cytobox.store.state.training?.validations.length >= wanted, validations, { timeout: 2 * SLOW });
  await frame(700);
}
await page.waitForFunction(
  () => {
    const { training, evaluation } = globalThis.cytobox.store.state;
    return training?.state === 'done' && evaluation !== null;
  },
  null,
  { timeout: 2 * SLOW },
);
await frame(1500);
await page.click('#mode-view');
await detectAll();
await frame(2500);
await done();

const encode = `
import json, sys
from PIL import Image
folder, file = sys.argv[1:3]
frames = json.load(sys.stdin)
images = [Image.open(f"{folder}/{frame['name']}").convert("RGB") for frame in frames]
images[0].save(file, save_all=True, append_images=images[1:], duration=[frame["milliseconds"] for frame in frames], loop=0, quality=60, method=6)
`;
await writeFile(path.join(folder, 'encode.py'), encode);
execFileSync(process.env.PYTHON ?? 'python3', [path.join(folder, 'encode.py'), folder, file], { input: JSON.stringify(frames) });
await rm(folder, { recursive: true });
console.log(`${path.relative(process.cwd(), file)}: ${frames.length} frames`);
