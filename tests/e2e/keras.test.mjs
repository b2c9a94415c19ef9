// A weights file of matterport's Mask_RCNN, dropped on the page: what its conventions are, and that it detects as the original did.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { DATA, SLOW, detect, download, drop, engineReady, imagesListed, openPage, screenshot, setScore } from './page.mjs';

const GOLDEN = path.join(DATA, 'keras/golden/mrcnn_r50_c3_synthetic');
const SCRIPT = path.join(DATA, 'keras/make_weights.py');
const FOLDER = path.join(process.env.CARGO_TARGET_DIR ?? path.resolve(import.meta.dirname, '../../target'), 'tmp/keras-page');
const PYTHON = process.env.PYTHON ?? 'python3';

function hasH5py() {
  try {
    execFileSync(PYTHON, ['-c', 'import h5py'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

const skip = existsSync(SCRIPT) && hasH5py() ? false : 'skipped: no real data, or no python3 with h5py';

/** The weights that the values were recorded with, made once. */
function weights() {
  const file = path.join(FOLDER, 'mask_rcnn_cells.h5');
  if (!existsSync(file)) {
    mkdirSync(FOLDER, { recursive: true });
    execFileSync(PYTHON, [SCRIPT, 'mrcnn-r50', '--classes', '3', '--out', `${file}.half`], { stdio: 'ignore' });
    renameSync(`${file}.half`, file);
  }
  return file;
}

/** Values of a tensor of a safetensors file. */
async function tensor(name) {
  const bytes = await readFile(`${GOLDEN}.safetensors`);
  const length = Number(bytes.readBigUInt64LE(0));
  const { data_offsets: [from, to] } = JSON.parse(bytes.subarray(8, 8 + length).toString())[name];
  const data = bytes.subarray(8 + length + from, 8 + length + to);
  return Array.from({ length: data.length / 4 }, (_, i) => (name !== 'final.score' ? data.readInt32LE(i * 4) : data.readFloatLE(i * 4)));
}

test('a dropped .h5 is read with its conventions and detects as the original', { skip, timeout: SLOW }, async () => {
  const { page, done } = await openPage({ query: '?device=cpu' });
  await engineReady(page);
  const file = weights();
  await drop(page, [file]);
  await page.waitForFunction(() => /mask_rcnn_cells/.test(document.querySelector('#model-name')?.textContent ?? ''), null, { timeout: SLOW });
  await page.click('#model-report');
  const report = await page.textContent('dialog[open]');
  for (const part of ['Mask R-CNN, ResNet-50-FPN', 'matterport Mask_RCNN', '123.7', 'All tensors were found']) assert.ok(report.includes(part), `${part} in ${report}`);
  await screenshot(page, 'keras-report');
  await page.keyboard.press('Escape');

  // Cut off, it is refused in a sentence, and the detector stays.
  const cut = path.join(FOLDER, 'cut.h5');
  await writeFile(cut, (await readFile(file)).subarray(0, 5_000_000));
  await drop(page, [cut]);
  await page.waitForSelector('#model-problem:not([hidden])', { timeout: SLOW });
  assert.match(await page.textContent('#model-problem'), /cut\.h5 was not loaded/);
  assert.match(await page.textContent('#model-name'), /mask_rcnn_cells/);

  await drop(page, [path.join(DATA, 'keras/golden/synthetic.png')]);
  await imagesListed(page, 1);
  const started = Date.now();
  await detect(page);
  console.log(`1024² on the CPU: ${((Date.now() - started) / 1000).toFixed(1)} s`);
  await setScore(page, 0.7);
  await screenshot(page, 'keras-detected');
  const { bytes } = await download(page, ['jsonl']);
  const [{ detections }] = bytes.toString().trim().split('\n').map((line) => JSON.parse(line));
  const [boxes, classes, scores] = [await tensor('final.box'), await tensor('final.class'), await tensor('final.score')];
  let same = 0;
  for (const [i, score] of scores.entries()) {
    const [y1, x1, y2, x2] = boxes.slice(i * 4, i * 4 + 4);
    const near = ({ box, label, score: found }) =>
      [x1, y1, x2, y2].every((corner, k) => Math.abs(corner - box[k]) <= 1) && label === `class ${classes[i]}` && Math.abs(found - score) <= 0.005;
    same += detections.some(near) ? 1 : 0;
  }
  assert.ok(same >= scores.length - 2, `${same} of ${scores.length} detections of the original`);
  await done();
});
