// Detected cells are measured, looked at in table, plots and gallery, corrected there, and leave in every format.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { inflateSync } from 'node:zlib';
import { SLOW, engineReady, imagesListed, openPage, saveAnnotations, settled, setScore, unzip } from './page.mjs';

const IMAGES = 6;

/** Rows of a CSV file by the names of its columns; nothing in these tables is quoted. */
function table(bytes) {
  const [header, ...rows] = bytes.toString().trim().split(/\r?\n/).map((line) => line.split(','));
  return rows.map((row) => {
    assert.equal(row.length, header.length);
    return Object.fromEntries(header.map((name, at) => [name, row[at]]));
  });
}

/** The samples of a grey 16-bit PNG: Paeth and its kin are undone by hand, as no library is at hand. */
function png16(bytes) {
  assert.equal(bytes.toString('latin1', 1, 4), 'PNG');
  const [width, height, bits, colour] = [bytes.readUInt32BE(16), bytes.readUInt32BE(20), bytes[24], bytes[25]];
  assert.deepEqual([bits, colour], [16, 0]);
  const parts = [];
  for (let at = 8; at < bytes.length; at += 12 + bytes.readUInt32BE(at)) {
    if (bytes.toString('latin1', at + 4, at + 8) === 'IDAT') parts.push(bytes.subarray(at + 8, at + 8 + bytes.readUInt32BE(at)));
  }
  const raw = inflateSync(Buffer.concat(parts));
  const line = width * 2;
  let above = new Uint8Array(line);
  const values = [];
  for (let y = 0; y < height; y += 1) {
    const filter = raw[y * (line + 1)];
    const row = Uint8Array.from(raw.subarray(y * (line + 1) + 1, (y + 1) * (line + 1)));
    for (let i = 0; i < line; i += 1) {
      const [a, b, c] = [i < 2 ? 0 : row[i - 2], above[i], i < 2 ? 0 : above[i - 2]];
      const [pa, pb, pc] = [Math.abs(b - c), Math.abs(a - c), Math.abs(a + b - 2 * c)];
      row[i] += [0, a, b, (a + b) >> 1, pa <= pb && pa <= pc ? a : pb <= pc ? b : c][filter];
    }
    for (let x = 0; x < width; x += 1) values.push((row[2 * x] << 8) | row[2 * x + 1]);
    above = row;
  }
  return { width, height, values };
}

/** How many pixels each label has. */
function pixels(values) {
  const counts = new Map();
  for (const value of values) if (value) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}

/** Twice the signed area of a closed ring. */
function area(ring) {
  let sum = 0;
  for (let i = 1; i < ring.length; i += 1) sum += ring[i - 1][0] * ring[i][1] - ring[i][0] * ring[i - 1][1];
  return sum / 2;
}

async function detectedSamples() {
  const opened = await openPage({ query: '?device=cpu&test', detector: true, viewport: { width: 1400, height: 900 } });
  const { page } = opened;
  await page.click('#samples');
  await imagesListed(page, IMAGES);
  await engineReady(page);
  await page.waitForSelector('#model-report:not([hidden])', { timeout: SLOW });
  await page.click('#detect-all');
  await page.waitForFunction((count) => document.querySelectorAll('#images [data-state="done"]').length === count, IMAGES, { timeout: SLOW });
  await page.waitForSelector('#job', { state: 'hidden' });
  return opened;
}

async function measureAll(page) {
  await page.click('#tab-measure');
  await page.click('#measure');
  // The run is on the screen with the next frame.
  await settled(page);
  await page.waitForFunction(() => document.getElementById('measure-cancel').hidden, null, { timeout: SLOW });
  await settled(page);
}

const counted = async (page) => Number((await page.textContent('#cells-count')).match(/of ([\d,]+) shown/)[1].replace(',', ''));
const picked = (page) => page.evaluate(() => globalThis.cytobox.store.state.picked.size);

test('cells are measured, selected by a lasso, corrected in the gallery, and leave in every format', { timeout: SLOW }, async () => {
  const { page, done } = await detectedSamples();
  await measureAll(page);
  const cells = await counted(page);
  assert.ok(cells > 50, `${cells} cells`);
  const headers = await page.$$eval('#cells [role="columnheader"]', (list) => list.map(({ textContent }) => textContent));
  for (const name of ['area [px²]', 'eccentricity', 'green mean [grey level]']) assert.ok(headers.includes(name), headers.join());

  // A lasso around all points of the right half of the plot selects their cells, on the canvas too.
  await page.selectOption('#plot-x', 'score');
  await page.selectOption('#plot-y', 'area [px²]');
  await settled(page);
  const plot = await page.locator('#scatter').boundingBox();
  const at = (x, y) => page.mouse.move(plot.x + plot.width * x, plot.y + plot.height * y, { steps: 8 });
  await at(0.6, 0.01);
  await page.mouse.down();
  for (const [x, y] of [[0.99, 0.01], [0.99, 0.87], [0.6, 0.87]]) await at(x, y);
  await page.mouse.up();
  await settled(page);
  const lassoed = await picked(page);
  assert.ok(lassoed > 0 && lassoed < cells, `${lassoed} of ${cells} in the lasso`);
  const scores = await page.evaluate(() => [...globalThis.cytobox.store.state.picked].map(({ score }) => score));
  const all = await page.evaluate(() => globalThis.cytobox.store.state.images.flatMap(({ result }) => result.detections.detections.map(({ score }) => score).filter((score) => score >= 0.7)));
  assert.equal(all.filter((score) => score >= Math.min(...scores)).length, lassoed, 'the highest scores are to the right');

  // The reverse: a lasso on the canvas selects rows of the table.
  await page.keyboard.press('Escape');
  await page.click('#cells-none');
  const view = await page.locator('#viewport').boundingBox();
  await page.keyboard.down('Shift');
  await page.mouse.move(view.x + 2, view.y + 2);
  await page.mouse.down();
  for (const [x, y] of [[0.99, 0.01], [0.99, 0.99], [0.01, 0.99]]) await page.mouse.move(view.x + view.width * x, view.y + view.height * y, { steps: 8 });
  await page.mouse.up();
  await page.keyboard.up('Shift');
  await settled(page);
  const here = await page.evaluate(() => globalThis.cytobox.store.state.images[0].result.detections.detections.filter(({ score }) => score >= 0.7).length);
  assert.equal(await picked(page), here, 'every cell of the image that is shown');
  assert.match(await page.textContent('#cells-count'), new RegExp(`, ${here} selected`));

  // Only what is selected is exported, with the numbers that the cells have in their image.
  const [partly] = await Promise.all([page.waitForEvent('download'), page.click('#cells-export')]);
  const exported = table(unzip(await readFile(await partly.path())).get('measurements.csv'));
  assert.equal(exported.length, here);
  assert.deepEqual(exported.map(({ cell }) => Number(cell)).sort((a, b) => a - b), Array.from({ length: here }, (_, i) => i + 1));

  // The gallery: one cell is rejected, one gets another label.
  await page.click('#cells-none');
  await page.click('#tab-gallery');
  await page.waitForFunction(() => document.querySelector('#gallery canvas[data-shown]:not([data-shown=""])'), null, { timeout: SLOW });
  const lit = await page.$eval('#gallery canvas[data-shown]:not([data-shown=""])', (canvas) => canvas.getContext('2d').getImageData(0, 0, 72, 72).data.filter((value, i) => i % 4 < 3 && value > 40).length);
  assert.ok(lit > 500, `a picture and no black square: ${lit} bright samples`);
  await page.locator('#gallery [data-index="0"]').click();
  // Rejecting is undone and done again as every other edit.
  for (const [key, left] of [['Delete', cells - 1], ['Control+z', cells], ['Control+Shift+z', cells - 1]]) {
    await page.keyboard.press(key);
    await settled(page);
    assert.match(await page.textContent('#gallery-count'), new RegExp(`^${left} of ${left} cells`), key);
  }
  const labels = await page.evaluate(() => globalThis.cytobox.store.state.labels.map(({ name }) => name));
  await page.selectOption('#gallery-relabel', labels[0]);
  const second = await page.evaluate(() => [...globalThis.cytobox.store.state.picked][0]);
  const relabelled = await page.evaluate(
    ([box, label]) => globalThis.cytobox.store.state.images.some(({ annotations }) => annotations?.objects.some((object) => object.label === label && Math.abs(object.box[0] - box[0]) < 5 && Math.abs(object.box[3] - box[3]) < 5)),
    [[...second.box], labels[0]],
  );
  assert.ok(relabelled, 'the cell is annotated with the label that was chosen');

  // Every format, of all images at once.
  await page.click('#tab-results');
  await page.click('#download');
  await page.check('dialog input[value="all"]');
  for (const format of ['coco', 'jsonl', 'measurements', 'labels', 'labels-png', 'rois', 'geojson']) await page.check(`dialog input[value="${format}"]`);
  await page.check('dialog input[name="with-measurements"]');
  await page.fill('dialog input[name="pixel-size"]', '0.5');
  const [saved] = await Promise.all([page.waitForEvent('download', { timeout: SLOW }), page.click('dialog button[type="submit"]')]);
  const files = unzip(await readFile(await saved.path()));
  assert.equal(files.size, 2 + 2 + 4 * IMAGES, [...files.keys()].join());
  const rows = table(files.get('measurements.csv'));
  assert.equal(rows.length, cells - 1, 'the rejected cell has left');
  assert.ok(rows.every((row) => /^[0-9a-f]{64}$/.test(row.detector)), 'the hash of the detector');
  for (const row of rows) assert.ok(Math.abs(Number(row['area [µm²]']) - Number(row['area [px²]']) / 4) < 1e-6);
  const summary = table(files.get('measurements-summary.csv'));
  assert.equal(Number(summary.find((row) => row.image === '(all)' && row.class === '(all)').cells), cells - 1);

  const coco = JSON.parse(files.get('detections.json'));
  assert.equal(coco.annotations.length, cells - 1);
  const areas = (list) => list.map(Number).sort((a, b) => a - b);
  assert.deepEqual(areas(coco.annotations.map(({ measurements }) => measurements['area [px²]'])), areas(rows.map((row) => row['area [px²]'])));
  const lines = files.get('detections.jsonl').toString().trim().split('\n').map((line) => JSON.parse(line));
  assert.deepEqual(areas(lines.flatMap(({ detections }) => detections.map(({ measurements }) => measurements['area [px²]']))), areas(rows.map((row) => row['area [px²]'])));

  for (const { image, detections } of lines) {
    const own = rows.filter((row) => row.image === `${image}.png`);
    assert.equal(own.length, detections.length, image);
    const labelImage = png16(files.get(`${image}_labels.png`));
    assert.deepEqual([labelImage.width, labelImage.height], [512, 512]);
    const sizes = pixels(labelImage.values);
    // The first is on top of all others, so that no pixel of it is hidden.
    assert.equal(sizes.get(1), Number(own.find((row) => row.cell === '1')['area [px²]']));
    assert.ok(Math.max(...sizes.keys()) <= detections.length);
    const tiff = files.get(`${image}_labels.tif`);
    assert.ok(['II*\0', 'MM\0*'].includes(tiff.toString('latin1', 0, 4)));
    const rois = unzip(files.get(`${image}_rois.zip`));
    assert.equal(rois.size, detections.length);
    for (const roi of rois.values()) assert.equal(roi.toString('latin1', 0, 4), 'Iout');
    const { type, features } = JSON.parse(files.get(`${image}.geojson`));
    assert.deepEqual([type, features.length], ['FeatureCollection', detections.length]);
    for (const { geometry, properties } of features) {
      const polygons = geometry.type === 'Polygon' ? [geometry.coordinates] : geometry.coordinates;
      for (const ring of polygons.flat()) assert.deepEqual(ring[0], ring.at(-1), 'a ring is closed');
      const covered = polygons.flat().reduce((sum, ring) => sum + area(ring), 0);
      assert.equal(Math.abs(covered), properties.measurements['area [px²]'], 'outer rings less holes are the mask');
    }
  }

  // The report.
  await page.click('#tab-measure');
  await page.click('#cells-report');
  await page.fill('dialog input[type="text"]', 'Samples & more');
  const [report] = await Promise.all([page.waitForEvent('download', { timeout: SLOW }), page.click('dialog button[type="submit"]')]);
  const html = (await readFile(await report.path())).toString();
  assert.ok(html.includes('<h1>Samples &amp; more</h1>') && html.includes(`all ${IMAGES} images`) && html.includes(`<td class=n>${cells - 1}</td>`));
  assert.equal(html.match(/data:image\/jpeg;base64/g).length, 24);
  assert.ok(!/<script|https?:\/\/(?!www\.w3\.org)/.test(html), 'self-contained');

  // Annotations leave in the same formats.
  await page.click('#tab-annotate');
  const annotated = unzip((await saveAnnotations(page, ['measurements', 'labels-png', 'rois'])).bytes);
  const objects = await page.evaluate(() => globalThis.cytobox.store.state.images.reduce((sum, { annotations }) => sum + (annotations?.objects.length ?? 0), 0));
  const measured = table(annotated.get('measurements.csv'));
  assert.equal(measured.length, objects);
  assert.ok(measured.every(({ score, detector }) => score === '' && detector === ''));
  await done();
});

test('an image whose files are gone is named, and the rest is measured; cancelling saves nothing', { timeout: SLOW }, async () => {
  const { page, done } = await detectedSamples();
  const name = await page.evaluate(() => {
    const { store } = globalThis.cytobox;
    const [, image] = store.state.images;
    // As it is after a restart without room for its files.
    Object.assign(image, { absent: [], files: [], problem: { code: 'files-absent', sentence: 'Drop its files again.' }, state: 'problem' });
    store.touch('images');
    return image.name;
  });
  await measureAll(page);
  assert.match(await page.textContent('#measure-problems'), new RegExp(`Not measured: ${name}: Drop its files again`));
  await page.click('#download');
  await page.check('dialog input[value="all"]');
  for (const format of ['measurements', 'rois', 'geojson']) await page.check(`dialog input[value="${format}"]`);
  const [saved] = await Promise.all([page.waitForEvent('download', { timeout: SLOW }), page.click('dialog button[type="submit"]')]);
  const files = unzip(await readFile(await saved.path()));
  const images = new Set(table(files.get('measurements.csv')).map(({ image }) => image));
  assert.ok(images.size === IMAGES - 1 && !images.has(`${name}.png`), [...images].join());
  assert.ok(files.has(`${name}_rois.zip`) && !files.has(`${name}.geojson`), 'outlines need no samples');
  await page.waitForFunction((image) => document.getElementById('alerts').textContent.includes(`Not measured: ${image}`), name);

  let downloads = 0;
  page.on('download', () => (downloads += 1));
  // At another threshold the cells have to be measured again, which can be cancelled. The field, as a notice may take the focus.
  await page.waitForSelector('dialog', { state: 'detached' });
  await page.click('#tab-results');
  await page.fill('#score-number', '0.50');
  await page.dispatchEvent('#score-number', 'change');
  await page.waitForFunction(() => globalThis.cytobox.store.state.score === 0.5);
  await page.click('#download');
  await page.check('dialog input[value="all"]');
  await page.check('dialog input[value="measurements"]');
  await page.check('dialog input[value="labels"]');
  await page.evaluate(() => {
    document.querySelector('dialog button[type="submit"]').click();
    setTimeout(() => [...document.querySelectorAll('dialog button')].find(({ textContent }) => textContent === 'Cancel').click(), 30);
  });
  await page.waitForFunction(() => /Cancelled; nothing was saved/.test(document.querySelector('dialog').textContent), null, { timeout: SLOW });
  assert.equal(downloads, 0);
  await done();
});

test('thresholds of classes are chosen on the evaluation, kept in the detector and used; the slider remains', { timeout: SLOW }, async () => {
  const { page, done } = await detectedSamples();
  await page.click('#tab-train');
  await page.click('#train-evaluate');
  await page.waitForSelector('#keep-thresholds:not([disabled])', { timeout: SLOW });
  const chosen = () =>
    page.$$eval('dialog section table tbody tr', (rows) => rows.map((row) => [row.querySelector('th').textContent, ...[...row.querySelectorAll('td')].map(({ textContent }) => textContent)]));
  await settled(page);
  const best = await chosen();
  assert.equal(best.length, 2);
  for (const [, threshold, precision, recall, f1] of best) {
    const [p, r] = [Number(precision), Number(recall)];
    assert.ok(Number(threshold) >= 0.05 && Math.abs(Number(f1) - (2 * p * r) / (p + r)) < 0.02, best.join(' | '));
  }
  const before = await page.textContent('dialog section table');
  await page.$eval('#threshold-precision', (input) => void (input.value = '0.5'));
  await page.selectOption('#threshold-goal', 'precision');
  await page.waitForFunction((text) => document.querySelector('dialog section table').textContent !== text, before);
  const wanted = await chosen();
  for (const [, , precision] of wanted) assert.ok(Number(precision) >= 0.5, wanted.join(' | '));
  await page.click('#keep-thresholds');
  await page.waitForFunction(() => /^Kept/.test(document.querySelector('dialog section [role="status"]').textContent), null, { timeout: SLOW });
  await page.keyboard.press('Escape');
  await page.click('#tab-results');
  const told = await page.textContent('#by-class-text');
  for (const [label, threshold] of wanted) assert.ok(told.includes(`${label} ${threshold}`), told);
  const counts = await page.evaluate((thresholds) => {
    const { images, model } = globalThis.cytobox.store.state;
    const [{ result }] = images;
    return {
      kept: Object.entries(model.report.config.class_score_thresh).map(([label, score]) => [label, score.toFixed(2)]),
      stale: images.some(({ result: one }) => one.stale),
      shown: result.detections.detections.filter(({ label, score }) => score >= Object.fromEntries(thresholds)[label]).length,
    };
  }, wanted.map(([label, threshold]) => [label, Number(threshold)]));
  assert.deepEqual(counts.kept.sort(), wanted.map(([label, threshold]) => [label, threshold]).sort());
  assert.equal(counts.stale, false, 'the same detector found them');
  assert.match(await page.textContent('#shown'), new RegExp(`^${counts.shown} of `));
  await setScore(page, 0.9);
  assert.equal(await page.isChecked('#by-class'), false, 'who moves the slider means it for all classes');
  await done();
});
