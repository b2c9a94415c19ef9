// Annotation files in and out again: real files of many annotators, masks, tables, and what happens to one's own boxes.

import assert from 'node:assert/strict';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { crc32, deflateSync } from 'node:zlib';
import {
  DATA, SLOW, TEST_IMAGE, annotate, boxCount, boxRows, channelFiles, drop, imagesListed, openPage, saveAnnotations, screenshot, settled, skip, unzip,
} from './page.mjs';

const made = await mkdtemp(path.join(os.tmpdir(), 'cytobox-files-'));
after(() => rm(made, { recursive: true, force: true }));

/** A black 8-bit PNG of that size, for annotations whose image is not part of the data. */
async function blank(name, width, height) {
  const chunk = (type, data) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    sum.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, sum]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = 8;
  const pixels = deflateSync(Buffer.alloc((width + 1) * height));
  const file = path.join(made, name);
  await writeFile(file, Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', header), chunk('IDAT', pixels), chunk('IEND', Buffer.alloc(0))]));
  return file;
}

/** What an XML says: its size, and label, corners and flags of its upright boxes. */
function readVoc(text) {
  const number = (part, name) => Number(new RegExp(`<${name}>\\s*([\\d.]+)\\s*<`).exec(part)?.[1] ?? 0);
  const objects = [...text.matchAll(/<object>.*?<\/object>/gs)].map(([object]) => ({
    label: /<name>\s*(.*?)\s*<\/name>/s.exec(object)?.[1],
    box: object.includes('<bndbox>') ? ['xmin', 'ymin', 'xmax', 'ymax'].map((name) => number(object, name)) : null,
    difficult: number(object, 'difficult'),
    truncated: number(object, 'truncated'),
  }));
  return { file: /<filename>\s*(.*?)\s*<\/filename>/.exec(text)?.[1], width: number(text, 'width'), height: number(text, 'height'), verified: /<annotation[^>]*verified="yes"/.test(text), objects };
}

/** Waits until everything that was dropped is read. */
async function allRead(page) {
  await page.waitForTimeout(300);
  await page.waitForFunction(() => document.getElementById('reading').hidden, null, { timeout: SLOW });
  await settled(page);
}

/** The dialog of what was left out: rows of file, object and reason. */
async function warnings(page) {
  if (await page.isHidden('#ignored')) return [];
  await page.click('#ignored');
  const rows = await page.$$eval('dialog tbody tr', (list) => list.map((row) => [...row.cells].map(({ textContent }) => textContent)));
  await page.keyboard.press('Escape');
  await page.waitForSelector('dialog', { state: 'detached' });
  return rows;
}

test('files of many annotators: every object is read, or named with the reason', { skip, timeout: SLOW }, async () => {
  const { page, done } = await openPage({ query: '?device=cpu' });
  const folder = path.join(DATA, 'voc_odd');
  const names = await readdir(folder);
  await drop(page, names.map((name) => path.join(folder, name)));
  await allRead(page);
  const waiting = await warnings(page);
  assert.equal(waiting.filter(([, , reason]) => /kept and applied when the image is added/.test(reason)).length, names.length, 'all wait for their images');

  const images = [];
  let objects = 0;
  for (const name of names) {
    const voc = readVoc(await readFile(path.join(folder, name), 'utf8'));
    objects += voc.objects.length;
    images.push(await blank(name.replace(/\.xml$/, '.png'), voc.width || 1000, voc.height || 1000));
  }
  await drop(page, images);
  await allRead(page);
  const left = await warnings(page);
  assert.ok(left.every(([file, , reason]) => names.includes(file) && reason), JSON.stringify(left));
  const rejected = left.filter(([, object]) => object).length;
  await annotate(page);
  const csv = (await saveAnnotations(page, ['csv'])).bytes.toString().trim().split('\n');
  const rows = csv.filter((line) => /,\d/.test(line)).length;
  assert.ok(rows >= objects - rejected && rows <= objects, `${rows} boxes of ${objects} objects, ${rejected} named`);
  await done();
});

test('LabelImg files beside their images come back unchanged in meaning', { skip, timeout: SLOW }, async () => {
  const { page, done } = await openPage({ query: '?device=cpu' });
  const folder = path.join(DATA, 'bccd');
  const annotationsOf = (stem) => path.join(folder, 'Annotations', `${stem}.xml`);
  const stems = (await readdir(path.join(folder, 'Annotations'))).map((name) => name.replace('.xml', '')).sort().slice(0, 23);
  // Boxes without width, and a file that says of itself that it is not verified.
  stems.push('BloodImage_00338', 'BloodImage_00343', 'BloodImage_00171');
  const files = new Map(stems.map((stem) => [stem, annotationsOf(stem)]));
  // Nobody marked a cell of this set as difficult, or an image as verified: here every third cell of one image is.
  const [hard] = stems;
  let count = 0;
  const marked = (await readFile(annotationsOf(hard), 'utf8')).replace(/<difficult>0/g, (flag) => ((count += 1) % 3 ? flag : '<difficult>1')).replace('<annotation>', '<annotation verified="yes">');
  files.set(hard, path.join(made, `${hard}.xml`));
  await writeFile(files.get(hard), marked);

  await drop(page, [...files].flatMap(([stem, file]) => [path.join(folder, 'JPEGImages', `${stem}.jpg`), file]));
  await imagesListed(page, stems.length);
  await allRead(page);
  await annotate(page);
  const saved = unzip((await saveAnnotations(page, ['voc'])).bytes);
  const left = await warnings(page);
  const seen = { difficult: 0, truncated: 0, verified: 0, degenerate: 0 };
  for (const [stem, file] of files) {
    const before = readVoc(await readFile(file, 'utf8'));
    const [, bytes] = [...saved].find(([name]) => name.endsWith(`${stem}.xml`)) ?? assert.fail(`${stem} was not saved`);
    const degenerate = before.objects.flatMap(({ box: [x1, y1, x2, y2] }, index) => (x1 < x2 && y1 < y2 ? [] : [index]));
    const named = left.filter(([where, object]) => where.endsWith(`${stem}.xml`) && object).map(([, object]) => Number(object) - 1);
    assert.deepEqual(named, degenerate, `${stem}: the objects that cannot be used are named, and no other`);
    const objects = before.objects.filter((_, index) => !degenerate.includes(index));
    assert.deepEqual(readVoc(bytes.toString()), { ...before, objects }, stem);
    seen.verified += Number(before.verified);
    seen.degenerate += degenerate.length;
    for (const { difficult, truncated } of objects) {
      seen.difficult += difficult;
      seen.truncated += truncated;
    }
  }
  assert.equal(seen.degenerate, 2);
  for (const [flag, number] of Object.entries(seen)) assert.ok(number > 0, `none of these files has ${flag}`);
  await done();
});

/** Brightness of every pixel of a grey PNG, decoded by the browser. */
function pixels(page, bytes) {
  return page.evaluate(async (base64) => {
    const data = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const bitmap = await createImageBitmap(new Blob([data], { type: 'image/png' }), { colorSpaceConversion: 'none' });
    const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d');
    context.drawImage(bitmap, 0, 0);
    return [...context.getImageData(0, 0, bitmap.width, bitmap.height).data.filter((_, at) => at % 4 === 0)];
  }, bytes.toString('base64'));
}

test('boxes and masks: in, out in every format, and in again', { skip, timeout: SLOW }, async () => {
  const { page, done } = await openPage({ query: '?device=cpu' });
  const folder = path.join(DATA, 'hpa/train');
  const stem = (await readdir(folder)).filter((name) => name.endsWith('.xml')).sort()[0].replace('.xml', '');
  const all = (await readdir(folder)).filter((name) => name.startsWith(stem)).map((name) => path.join(folder, name));
  await drop(page, all);
  await imagesListed(page, 1);
  await allRead(page);
  await annotate(page);
  const objects = readVoc(await readFile(path.join(folder, `${stem}.xml`), 'utf8')).objects;
  assert.equal(await boxCount(page), objects.length);
  assert.ok((await boxRows(page)).every(([, , , , outline]) => outline === 'mask'));
  await screenshot(page, 'masks-light');

  const saved = unzip((await saveAnnotations(page, ['voc', 'coco', 'yolo', 'csv', 'jsonl', 'masks'])).bytes);
  const file = (ending) => [...saved].find(([name]) => name.endsWith(ending)) ?? assert.fail(`${ending} in ${[...saved.keys()]}`);
  assert.deepEqual(readVoc(file(`${stem}.xml`)[1].toString()).objects, objects);
  const mask = await readFile(path.join(folder, `${stem}_mask.png`));
  assert.deepEqual(await pixels(page, file('_mask.png')[1]), await pixels(page, mask));
  const coco = JSON.parse([...saved].find(([name]) => name.endsWith('.json'))[1]);
  assert.equal(coco.annotations.length, objects.length);
  await done();

  // Each format alone brings the same boxes to the image again.
  const channels = all.filter((name) => !/(_mask\.png|\.xml)$/.test(name));
  const kinds = [['xml', /\.xml$|_mask\.png$/], ['json', /\.json$/], ['jsonl', /\.jsonl$/], ['yolo', /\.txt$/], ['csv', /\.csv$/]];
  for (const [kind, pattern] of kinds) {
    const back = [];
    for (const [name, bytes] of saved) {
      if (!pattern.test(name)) continue;
      back.push(path.join(made, path.basename(name)));
      await writeFile(back.at(-1), bytes);
    }
    const again = await openPage({ query: '?device=cpu' });
    await drop(again.page, [...channels, ...back]);
    await imagesListed(again.page, 1);
    await allRead(again.page);
    await annotate(again.page);
    assert.equal(await boxCount(again.page), objects.length, kind);
    const voc = readVoc((await saveAnnotations(again.page, ['voc'])).bytes.toString());
    voc.objects.forEach(({ label, box }, index) => {
      assert.equal(label, objects[index].label, kind);
      box.forEach((corner, at) => assert.ok(Math.abs(corner - objects[index].box[at]) <= 1, `${kind}: ${box} instead of ${objects[index].box}`));
    });
    await again.done();
  }
});

test('boxes are found by every name that the engine knows: of a channel, with a list of classes in the folder', { timeout: SLOW }, async () => {
  const { page, done } = await openPage({ query: '?device=cpu' });
  const files = { 'sample_green.txt': '1 0.5 0.5 0.1 0.2\n', 'class_names.txt': 'cell\nnucleus\n' };
  for (const [name, text] of Object.entries(files)) await writeFile(path.join(made, name), text);
  await drop(page, [await blank('sample.png', 200, 100), ...Object.keys(files).map((name) => path.join(made, name))]);
  await imagesListed(page, 1);
  await allRead(page);
  await annotate(page);
  assert.deepEqual(await boxRows(page), [['nucleus', '90,40', '20×20', '', 'box only']]);
  assert.deepEqual(await warnings(page), []);
  // Another list gives the numbers other names.
  await writeFile(path.join(made, 'class_names.txt'), 'cell\nmitosis\n');
  await drop(page, [path.join(made, 'class_names.txt')]);
  await allRead(page);
  assert.deepEqual((await boxRows(page)).map(([label]) => label), ['mitosis']);
  await done();
});

test('label images alone become objects; a table of labels of whole images becomes a chart', { skip, timeout: SLOW }, async () => {
  const { page, done } = await openPage({ query: '?device=cpu' });
  const folder = path.join(DATA, 'dsb2018/train');
  const stems = (await readdir(folder)).filter((name) => name.endsWith('_label.png')).sort().slice(0, 2).map((name) => name.replace('_label.png', ''));
  await drop(page, stems.flatMap((stem) => [path.join(folder, `${stem}.png`), path.join(folder, `${stem}_label.png`)]));
  await imagesListed(page, 2);
  await allRead(page);
  await annotate(page);
  const table = (await readFile(path.join(DATA, 'dsb2018/train_boxes.csv'), 'utf8')).split('\n');
  const wanted = table.filter((line) => line.startsWith(stems[0])).length;
  assert.equal(await boxCount(page), wanted);
  assert.ok((await boxRows(page)).every(([label, , , , outline]) => label === 'cell' && outline === 'mask'));

  await drop(page, [path.join(DATA, 'hpa/kaggle_train.csv')]);
  await allRead(page);
  await page.click('#class-chart');
  const text = await page.textContent('dialog');
  assert.match(text, /31,072 images, 28 classes/);
  assert.match(text, /Rods & rings/);
  assert.equal(await page.locator('dialog table').last().locator('tbody tr').count(), 28);
  await screenshot(page, 'classes-light');
  await done();
});

test('a label image that comes later gives its masks to the boxes that are there', { skip, timeout: SLOW }, async () => {
  const { page, done } = await openPage({ query: '?device=cpu' });
  const folder = path.join(DATA, 'dsb2018/train');
  const stem = (await readdir(folder)).filter((name) => name.endsWith('_label.png')).sort()[0].replace('_label.png', '');
  const table = (await readFile(path.join(DATA, 'dsb2018/train_boxes.csv'), 'utf8')).split('\n');
  const rows = table.filter((line, index) => index === 0 || line.startsWith(stem));
  const csv = path.join(made, 'boxes.csv');
  await writeFile(csv, rows.join('\n'));
  await drop(page, [path.join(folder, `${stem}.png`), csv]);
  await imagesListed(page, 1);
  await allRead(page);
  await annotate(page);
  assert.equal(await boxCount(page), rows.length - 1);
  assert.ok((await boxRows(page)).every(([label, , , , outline]) => label === 'nucleus' && outline === 'box only'));
  await drop(page, [path.join(folder, `${stem}_label.png`)]);
  await allRead(page);
  assert.equal(await boxCount(page), rows.length - 1);
  assert.ok((await boxRows(page)).every(([label, , , , outline]) => label === 'nucleus' && outline === 'mask'));
  await done();
});

test("a user's own boxes are never replaced unasked, and replacing can be undone", { skip, timeout: SLOW }, async () => {
  const { page, done } = await openPage({ query: '?device=cpu' });
  await drop(page, await channelFiles());
  await imagesListed(page, 1);
  await page.waitForSelector('#channels button');
  await annotate(page);
  await page.focus('#viewport');
  await page.keyboard.press('Enter');
  assert.equal(await boxCount(page), 1);
  const xml = path.join(DATA, 'hpa/test', `${TEST_IMAGE}.xml`);
  const wanted = readVoc(await readFile(xml, 'utf8')).objects.length;
  await drop(page, [xml]);
  await page.click('dialog button:has-text("Keep mine")');
  await allRead(page);
  assert.equal(await boxCount(page), 1);
  // The same file under another name is another file.
  const copy = path.join(made, `${TEST_IMAGE}.xml`);
  await writeFile(copy, await readFile(xml));
  await drop(page, [copy]);
  await page.click('dialog button:has-text("Replace them")');
  await allRead(page);
  assert.equal(await boxCount(page), wanted);
  await page.click('#undo');
  assert.equal(await boxCount(page), 1);
  await done();
});
