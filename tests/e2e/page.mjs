// What the tests of the page share: real data, a page that is ready, and ways to do what a user does.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { mkdir, readFile, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { inflateRawSync } from 'node:zlib';
import { expectNoOutsideRequests, launch } from './browser.mjs';
import { startServer } from './server.mjs';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const CHECKOUT = path.resolve(HERE, '../..');
const TARGET = process.env.CARGO_TARGET_DIR ?? path.join(CHECKOUT, 'target');
/** The command line, built by `cargo build --release --bin cytobox`. */
export const PROGRAM = process.env.CYTOBOX_PROGRAM ?? path.join(TARGET, 'release', process.platform === 'win32' ? 'cytobox.exe' : 'cytobox');
const RESULTS = path.join(HERE, 'results');

/** Real microscope images; they are not part of the checkout. */
export const DATA = process.env.CYTOBOX_DATA ?? path.resolve(HERE, '../../../shared/data');
const REFERENCE_MODEL = path.join(DATA, 'models/hpa_maskrcnn_resnet18_fpn.safetensors');
const isReal = existsSync(REFERENCE_MODEL);
/** For `test(name, { skip }, …)` of tests that compare with real annotations or with torchvision's detections. */
export const skip = isReal ? false : 'skipped: no real data';

/** Images and a detector: the reference model and its test images, or else the bundled detector and synthetic images. */
const IMAGES = isReal ? path.join(DATA, 'hpa/test') : synthesize();
export const MODEL = isReal ? REFERENCE_MODEL : path.join(CHECKOUT, 'models/cells.safetensors');

/** The software adapter and a debug-free CPU both take their time on a busy machine. */
export const SLOW = 10 * 60_000;

export const TEST_IMAGE = isReal ? '001bcdd2-bbb2-11e8-b2ba-ac1f6b6435d0' : 'synthetic-1-0';
export const SECOND_IMAGE = isReal ? '027a702a-bbca-11e8-b2bc-ac1f6b6435d0' : 'synthetic-1-1';

/** A folder of synthetic images that goes when the tests end. */
function synthesize() {
  const folder = mkdtempSync(path.join(tmpdir(), 'cytobox-e2e-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  execFileSync(PROGRAM, ['synth', '--out', folder, '--images', '5', '--seed', '1'], { stdio: 'ignore' });
  return folder;
}

/** Every test image, in the order of names. */
export async function testImages() {
  const names = await readdir(IMAGES);
  return names.filter((name) => name.endsWith('.xml')).map((name) => name.slice(0, -4)).sort();
}

/** The four channel files of a test image. */
export async function channelFiles(stem = TEST_IMAGE) {
  const names = (await readdir(IMAGES)).filter((name) => name.startsWith(stem) && /_(red|green|blue|yellow)\.png$/.test(name));
  assert.equal(names.length, 4, `four channels of ${stem}`);
  return names.sort().map((name) => path.join(IMAGES, name));
}

/** What torchvision finds in that image. */
export async function reference(stem = TEST_IMAGE) {
  return JSON.parse(await readFile(path.join(DATA, 'models/predictions_hpa_test.json'), 'utf8'))[stem];
}

/** The same address for a page that does not load the detector that comes with it. */
export function withoutDetector(query) {
  return query ? `${query}&detector=none` : '?detector=none';
}

/**
 * A browser with the page in it, without the detector that comes with it unless `detector`. `done()` ends it and fails if anything outside the origin was asked for.
 * Dialogs that would keep the page from closing are accepted.
 */
export async function openPage({ query = '', webgpu = true, detector = false, ...options } = {}) {
  const server = await startServer();
  const browser = await launch({ webgpu, viewport: { width: 1280, height: 720 }, ...options });
  const guard = await expectNoOutsideRequests(browser.context, server.origin);
  const page = await browser.context.newPage();
  const uncaught = [];
  page.on('pageerror', (error) => uncaught.push(error.message));
  page.on('dialog', (dialog) => dialog.accept());
  const address = `${server.origin}/${detector ? query : withoutDetector(query)}`;
  await page.goto(address);
  await page.waitForFunction(() => document.getElementById('project-state').textContent !== 'opening …');
  let current = page;
  return {
    page,
    /** Closes the page and opens it again, as a user does the next day. */
    reopen: async () => {
      await current.close();
      const next = (current = await browser.context.newPage());
      next.on('pageerror', (error) => uncaught.push(error.message));
      next.on('dialog', (dialog) => dialog.accept());
      await next.goto(address);
      return next;
    },
    done: async () => {
      await browser.close();
      await server.close();
      guard.check();
      assert.deepEqual(uncaught, [], 'uncaught errors of the page');
    },
  };
}

/** Waits until the badge says that the engine is ready. */
export async function engineReady(page) {
  await page.waitForSelector('#device[data-state="ready"]', { timeout: SLOW });
}

/** Drops files and folders of the disk as the file manager would. */
export async function drop(page, files) {
  const session = await page.context().newCDPSession(page);
  const data = { items: [], files, dragOperationsMask: 1 };
  for (const type of ['dragEnter', 'dragOver', 'drop']) {
    await session.send('Input.dispatchDragEvent', { type, x: 600, y: 300, data });
  }
  await session.detach();
}

/** Waits until the list has that many images and the reading is over. */
export async function imagesListed(page, count) {
  await page.waitForFunction(
    (wanted) => document.querySelectorAll('#images [role="option"]').length >= Math.min(wanted, 5)
      && document.querySelector('#filter option').textContent === `All: ${wanted}`
      && document.getElementById('reading').hidden,
    count,
    { timeout: 60_000 },
  );
}

export async function loadModel(page, file = MODEL) {
  await page.setInputFiles('#pick-model', file);
  await page.waitForFunction(() => !document.getElementById('model-report').hidden, null, { timeout: SLOW });
}

/** Presses Detect and waits for the result of the current image. */
export async function detect(page) {
  await page.click('#detect');
  await page.waitForSelector('#images [aria-selected="true"][data-state="done"]', { timeout: SLOW });
  await page.waitForSelector('#job', { state: 'hidden' });
}

/** Moves the slider as the keyboard does: to one end, then step by step. */
export async function setScore(page, score) {
  await page.focus('#score');
  await page.keyboard.press('Home');
  for (let at = 5; at < Math.round(score * 100); at += 1) await page.keyboard.press('ArrowRight');
  await settled(page);
  assert.equal(await page.inputValue('#score-number'), score.toFixed(2));
}

/** Resolves when what was done is on the screen: the page draws its state once a frame. */
export async function settled(page) {
  await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve()))));
}

/** How many detections the table has. */
export async function rowCount(page) {
  await settled(page);
  return Number(await page.getAttribute('#detections', 'aria-rowcount')) - 1;
}

/** Downloads formats through the dialog. Resolves to `{ name, bytes }`. */
export async function download(page, formats, which = 'one') {
  await page.click('#download');
  await page.check(`dialog input[value="${which}"]`);
  for (const format of formats) await page.check(`dialog input[value="${format}"]`);
  const [saved] = await Promise.all([page.waitForEvent('download'), page.click('dialog button[type="submit"]')]);
  await page.waitForSelector('dialog', { state: 'detached' });
  return { name: saved.suggestedFilename(), bytes: await readFile(await saved.path()) };
}

/** Goes over to drawing boxes. */
export async function annotate(page) {
  await page.click('#mode-annotate');
  await settled(page);
}

/** Where a pixel of the image is on the screen, while the whole image is fitted into the view. */
export async function placeOf(page, x, y) {
  const facts = /(\d+) × (\d+)/.exec(await page.textContent('#facts'));
  const [width, height] = [Number(facts[1]), Number(facts[2])];
  const view = await page.locator('#viewport').boundingBox();
  const scale = Math.min((view.width - 16) / width, (view.height - 16) / height);
  return [view.x + (view.width - width * scale) / 2 + x * scale, view.y + (view.height - height * scale) / 2 + y * scale];
}

/** How many boxes the table has. */
export async function boxCount(page) {
  await settled(page);
  return Number(await page.getAttribute('#boxes', 'aria-rowcount')) - 1;
}

/** The rows of the table of boxes that are on the screen: label, place, size, difficult, outline. */
export async function boxRows(page) {
  await settled(page);
  return page.$$eval('#boxes [data-index]', (rows) =>
    rows
      .sort((a, b) => Number(a.dataset.index) - Number(b.dataset.index))
      .map((row) => [...row.querySelectorAll('[role="gridcell"]')].map(({ textContent }) => textContent)),
  );
}

/** Saves annotations through the dialog. Resolves to `{ name, bytes }`. */
export async function saveAnnotations(page, formats, which = 'all') {
  await page.click('#save-annotations');
  await page.check(`dialog input[value="${which}"]`);
  for (const format of formats) await page.check(`dialog input[value="${format}"]`);
  const [saved] = await Promise.all([page.waitForEvent('download'), page.click('dialog button[type="submit"]')]);
  await page.waitForSelector('dialog', { state: 'detached' });
  return { name: saved.suggestedFilename(), bytes: await readFile(await saved.path()) };
}

/** The files of a zip, by name. */
export function unzip(bytes) {
  const files = new Map();
  let end = bytes.length - 22;
  while (end >= 0 && bytes.readUInt32LE(end) !== 0x06054b50) end -= 1;
  assert.ok(end >= 0, 'the zip has a directory');
  let at = bytes.readUInt32LE(end + 16);
  for (let left = bytes.readUInt16LE(end + 10); left > 0; left -= 1) {
    assert.equal(bytes.readUInt32LE(at), 0x02014b50);
    const [method, size] = [bytes.readUInt16LE(at + 10), bytes.readUInt32LE(at + 20)];
    const [name, extra, comment] = [28, 30, 32].map((field) => bytes.readUInt16LE(at + field));
    const local = bytes.readUInt32LE(at + 42);
    const start = local + 30 + bytes.readUInt16LE(local + 26) + bytes.readUInt16LE(local + 28);
    const packed = bytes.subarray(start, start + size);
    files.set(bytes.toString('utf8', at + 46, at + 46 + name), method === 8 ? inflateRawSync(packed) : packed);
    at += 46 + name + extra + comment;
  }
  return files;
}

/** For a person to look at. */
export async function screenshot(page, name) {
  await mkdir(RESULTS, { recursive: true });
  await page.screenshot({ path: path.join(RESULTS, `${name}.png`) });
}
