// Outlines by brush, eraser, polygon, knife and merging: with mouse, finger, pen and keyboard, and on a large image.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countPixels, readWindow } from '../../www/js/annotate/mask-window.js';
import { annotatePage, click, drag, near, press, selected } from './drawing.mjs';
import { SLOW, annotate, boxCount, boxRows, imagesListed, openPage, placeOf, saveAnnotations, screenshot, settled } from './page.mjs';

/** The objects of the open image, as the project keeps them. */
function objects(page) {
  return page.evaluate(() => {
    const { images, current } = globalThis.cytobox.store.state;
    return images.find(({ id }) => id === current)?.annotations?.objects ?? [];
  });
}

/** Whether a pixel is in the mask of an object. */
function isIn({ mask }, x, y) {
  const [column, row] = [Math.floor(x), Math.floor(y)];
  return readWindow(mask, [column, row, column + 1, row + 1]).pixels[0] === 1;
}

const areaOf = ({ mask }) => countPixels(readWindow(mask));

/** The box of an object is the bounding box of its mask. */
function follows(object) {
  const { x, y, width, height } = readWindow(object.mask);
  assert.deepEqual(object.box, [x, y, x + width, y + height]);
}

const drawingPage = (options = {}) => annotatePage(undefined, { query: '?device=cpu&test', ...options });

/** Sets the size of the brush in its field. */
async function brushSize(page, pixels) {
  await page.fill('#brush-pixels', String(pixels));
  await page.press('#brush-pixels', 'Enter');
  await page.focus('#viewport');
  await settled(page);
}

/** Takes away with one undo, and brings back with one redo, what was just done. */
async function isOneStep(page, name) {
  assert.match(await page.getAttribute('#undo', 'title'), new RegExp(`^${name} `));
  const after = await objects(page);
  await press(page, 'Control+z');
  assert.notDeepEqual(await objects(page), after);
  await press(page, 'Control+Shift+z');
  assert.deepEqual(await objects(page), after);
}

test('the brush begins a cell, adds to it and takes from it; the box follows, and a stroke is one step', { timeout: SLOW }, async () => {
  const { page, done } = await drawingPage();
  await page.click('#tool-brush');
  await settled(page);
  assert.equal(await page.getAttribute('#tool-brush', 'aria-pressed'), 'true');
  assert.match(await page.textContent('#live'), /^Brush: /);
  await brushSize(page, 40);
  await drag(page, [100, 100], [150, 100], [150, 160]);
  near(await selected(page), [80, 80, 170, 180]);
  assert.deepEqual((await boxRows(page)).map(([label, , , , outline]) => [label, outline]), [['cell', 'mask']]);
  assert.match(await page.textContent('#live'), /^Painted: cell, [\d,]+ pixels, \d+ by \d+$/);
  let [cell] = await objects(page);
  follows(cell);
  for (const [x, y] of [[100, 100], [150, 130], [150, 175], [84, 100]]) assert.ok(isIn(cell, x, y), `${x}, ${y}`);
  for (const [x, y] of [[110, 150], [82, 82], [168, 178]]) assert.ok(!isIn(cell, x, y), `${x}, ${y}`);
  await isOneStep(page, 'Painted');

  // A second stroke belongs to the same cell, and a click is a dot.
  await click(page, 220, 100);
  [cell] = await objects(page);
  follows(cell);
  near(await selected(page), [80, 80, 240, 180]);
  await isOneStep(page, 'Painted');

  // Shift erases, as the eraser does; a stroke that changes no pixel is no step.
  const before = areaOf(cell);
  await page.keyboard.down('Shift');
  await click(page, 150, 100);
  await page.keyboard.up('Shift');
  [cell] = await objects(page);
  assert.ok(before - areaOf(cell) > 900 && before - areaOf(cell) <= 1300, `${before - areaOf(cell)} pixels of a disc`);
  assert.ok(!isIn(cell, 150, 100));
  await isOneStep(page, 'Erased');
  await press(page, 'r');
  const untouched = await objects(page);
  await click(page, 400, 400);
  assert.deepEqual(await objects(page), untouched);
  await drag(page, [200, 100], [240, 100]);
  [cell] = await objects(page);
  follows(cell);
  near(await selected(page), [80, 80, 170, 180]);
  await isOneStep(page, 'Erased');

  // Escape gives a stroke up, then the selection: the next stroke is another cell. N does so at once.
  await press(page, 'p');
  const kept = await objects(page);
  await page.mouse.move(...(await placeOf(page, 300, 300)));
  await page.mouse.down();
  await page.mouse.move(...(await placeOf(page, 340, 300)));
  await settled(page);
  await screenshot(page, 'brush-light');
  await press(page, 'Escape');
  await page.mouse.up();
  await settled(page);
  assert.deepEqual(await objects(page), kept);
  await press(page, 'Escape');
  await drag(page, [300, 300], [340, 300]);
  assert.equal(await boxCount(page), 2);
  await press(page, 'n');
  await drag(page, [400, 100], [420, 100]);
  assert.equal(await boxCount(page), 3);
  near(await selected(page), [380, 80, 440, 120]);

  // With Control a click selects; the stroke after it belongs to that cell, and its label stays its own.
  await page.keyboard.down('Control');
  await click(page, 320, 300);
  await page.keyboard.up('Control');
  near(await selected(page), [280, 280, 360, 320]);
  await click(page, 320, 330);
  near(await selected(page), [280, 280, 360, 350]);
  const [, second] = await objects(page);
  await page.click('#add-label');
  await page.keyboard.type('mitotic');
  await page.keyboard.press('Enter');
  await page.waitForSelector('dialog', { state: 'detached' });
  await page.focus('#viewport');
  await press(page, '2');
  assert.deepEqual((await objects(page))[1], { ...second, label: 'mitotic' });

  // Without a pixel left the box goes as well.
  await press(page, 'r');
  await brushSize(page, 300);
  await click(page, 320, 310);
  assert.equal(await boxCount(page), 2);
  assert.match(await page.textContent('#live'), /box was deleted/);
  await isOneStep(page, 'Outline erased');

  // The engine reads what was painted: the file has the same areas.
  const wanted = (await objects(page)).map(areaOf);
  const coco = JSON.parse((await saveAnnotations(page, ['coco'])).bytes);
  assert.deepEqual(coco.annotations.map(({ area }) => area), wanted);
  assert.ok(coco.annotations.every(({ segmentation }) => segmentation));
  await done();
});

test('an outline goes along with its box, is cut with it, and a proposal that is painted on is drawn', { timeout: SLOW }, async () => {
  const { page, done } = await drawingPage();
  await press(page, 'p');
  await brushSize(page, 60);
  await drag(page, [100, 100], [140, 100]);
  const propose = () =>
    page.evaluate(() => {
      const { store } = globalThis.cytobox;
      const image = store.state.images[0];
      image.annotations = { ...image.annotations, objects: image.annotations.objects.map((object) => ({ ...object, proposed: true })) };
      store.touch('images', 'annotations');
    });
  await propose();
  await press(page, 'v');
  const [cell] = await objects(page);
  await drag(page, [120, 100], [220, 150]);
  let [moved] = await objects(page);
  follows(moved);
  assert.equal(moved.proposed, true, 'nobody changed the shape');
  const [dx, dy] = [moved.box[0] - cell.box[0], moved.box[1] - cell.box[1]];
  assert.ok(Math.abs(dx - 100) <= 1 && Math.abs(dy - 50) <= 1);
  assert.deepEqual(readWindow(moved.mask).pixels, readWindow(cell.mask).pixels);
  await isOneStep(page, 'Box moved');
  await press(page, 'ArrowRight', 'Shift+ArrowDown');
  [moved] = await objects(page);
  follows(moved);
  assert.equal(areaOf(moved), areaOf(cell));

  // Resized, it keeps what lies within: less where the box is smaller, all of it where it is larger, nothing where it left.
  const [x1, y1, x2, y2] = moved.box;
  await drag(page, [x2, (y1 + y2) / 2], [(x1 + x2) / 2, (y1 + y2) / 2]);
  let [cut] = await objects(page);
  assert.ok(areaOf(cut) < areaOf(moved) * 0.6 && areaOf(cut) > areaOf(moved) * 0.4);
  assert.ok(readWindow(cut.mask).x + readWindow(cut.mask).width <= cut.box[2]);
  await isOneStep(page, 'Box resized');
  await press(page, 'Alt+Shift+ArrowRight');
  assert.deepEqual((await objects(page))[0].mask, cut.mask);

  // The brush makes it a drawn one.
  await press(page, 'p');
  await click(page, (x1 + x2) / 2, y1 - 10);
  [cut] = await objects(page);
  follows(cut);
  assert.equal('proposed' in cut, false);

  // A proposal that comes during a stroke gives way to it; a cell that an undo takes away takes the stroke along.
  await page.mouse.move(...(await placeOf(page, 60, 300)));
  await page.mouse.down();
  await page.mouse.move(...(await placeOf(page, 80, 300)));
  await propose();
  await page.mouse.up();
  await settled(page);
  const [drawn] = await objects(page);
  assert.ok(isIn(drawn, 70, 300) && !('proposed' in drawn));
  await page.mouse.move(...(await placeOf(page, 60, 400)));
  await page.mouse.down();
  await press(page, 'Control+z');
  await page.mouse.up();
  await settled(page);
  const [undone] = await objects(page);
  assert.ok(!isIn(undone, 70, 300) && !isIn(undone, 60, 400));

  // A plain box becomes an outline by painting on it, and by erasing its corners.
  await press(page, 'Escape', 'v');
  await drag(page, [350, 350], [450, 450]);
  assert.equal((await selected(page))[4], 'box only');
  assert.ok(await page.isDisabled('#fill-holes'), 'there is no outline to fill');
  await press(page, 'f');
  assert.match(await page.textContent('#notices'), /no outline/);
  await press(page, 'r');
  await click(page, 350, 350);
  assert.equal((await selected(page))[4], 'mask');
  const corner = (await objects(page))[1];
  near(await selected(page), [350, 350, 450, 450]);
  assert.ok(!isIn(corner, 352, 352) && isIn(corner, 448, 352));
  await done();
});

test('holes are filled, a contour grows and shrinks, by keys and by buttons', { timeout: SLOW }, async () => {
  const { page, done } = await drawingPage();
  await press(page, 'p');
  await brushSize(page, 12);
  await drag(page, [200, 200], [260, 200], [260, 260], [200, 260], [200, 200]);
  const [ring] = await objects(page);
  assert.ok(!isIn(ring, 230, 230));
  await press(page, 'f');
  let [full] = await objects(page);
  assert.ok(isIn(full, 230, 230));
  assert.deepEqual(full.box, ring.box);
  await isOneStep(page, 'Holes filled');
  await press(page, 'f');
  assert.equal(await page.textContent('#live'), 'The outline has no holes.');
  await press(page, 'Control+z');
  await page.click('#fill-holes');
  await settled(page);
  assert.deepEqual((await objects(page))[0], full);

  await page.focus('#viewport');
  await press(page, '>', '>');
  const [grown] = await objects(page);
  follows(grown);
  assert.deepEqual(grown.box, [full.box[0] - 2, full.box[1] - 2, full.box[2] + 2, full.box[3] + 2]);
  // Presses that follow each other at once are one step, as with arrow keys.
  await press(page, 'Control+z');
  assert.deepEqual((await objects(page))[0], full);
  await page.click('#shrink');
  await settled(page);
  const [shrunk] = await objects(page);
  assert.deepEqual(shrunk.box, [full.box[0] + 1, full.box[1] + 1, full.box[2] - 1, full.box[3] - 1]);
  await isOneStep(page, 'Outline shrunk');
  await page.click('#grow');
  await page.focus('#viewport');
  await press(page, '<');
  [full] = await objects(page);
  assert.deepEqual(full.box, shrunk.box);
  await done();
});

test('a polygon by clicks, by a drag around the cell, and cut out of one', { timeout: SLOW }, async () => {
  const { page, done } = await drawingPage();
  await press(page, 't');
  for (const place of [[100, 100], [200, 100], [210, 210], [200, 200], [100, 200]]) await click(page, ...place);
  // Backspace takes a corner back, and no box is there to be deleted.
  await press(page, 'Backspace');
  await click(page, 100, 200);
  await screenshot(page, 'polygon-light');
  assert.equal(await boxCount(page), 0);
  await click(page, 101, 101);
  let [cell] = await objects(page);
  follows(cell);
  near(await selected(page), [100, 100, 210, 210]);
  assert.ok(isIn(cell, 150, 150) && !isIn(cell, 207, 150));
  await isOneStep(page, 'Polygon drawn');

  // A drag that ends where it began.
  await drag(page, [220, 120], [260, 120], [260, 160], [150, 160], [150, 120], [185, 119], [220, 120]);
  [cell] = await objects(page);
  near(await selected(page), [100, 100, 260, 210]);
  assert.ok(isIn(cell, 250, 150));
  const before = areaOf(cell);
  for (const place of [[120, 120], [140, 120], [140, 140], [120, 140]]) await click(page, ...place);
  await page.keyboard.down('Shift');
  await click(page, 120, 120);
  await page.keyboard.up('Shift');
  [cell] = await objects(page);
  assert.ok(Math.abs(before - areaOf(cell) - 400) < 45, `${before - areaOf(cell)} pixels were cut out`);
  assert.ok(!isIn(cell, 130, 130));
  await isOneStep(page, 'Polygon cut out');

  // Escape ends it without a change, another tool and another image do too.
  const kept = await objects(page);
  await click(page, 300, 300);
  await click(page, 340, 300);
  await press(page, 'Escape');
  await click(page, 300, 300);
  await press(page, 'p', 't');
  assert.deepEqual(await objects(page), kept.slice(0, 1));
  await done();
});

test('a line splits a cell, and two cells are merged: clicked, or the nearest', { timeout: SLOW }, async () => {
  const { page, done } = await drawingPage();
  await press(page, 'p');
  await brushSize(page, 60);
  await drag(page, [100, 200], [200, 200]);
  const [whole] = await objects(page);
  await press(page, 'k');
  // A line that ends within the cell splits nothing.
  await drag(page, [120, 150], [120, 200]);
  assert.match(await page.textContent('#notices'), /from edge to edge/);
  assert.equal(await boxCount(page), 1);
  await page.mouse.move(...(await placeOf(page, 120, 150)));
  await page.mouse.down();
  await page.mouse.move(...(await placeOf(page, 120, 250)));
  await settled(page);
  await screenshot(page, 'split-light');
  await page.mouse.up();
  await settled(page);
  assert.equal(await boxCount(page), 2);
  const [larger, smaller] = await objects(page);
  follows(larger);
  follows(smaller);
  near(await selected(page), [120, 170, 230, 230]);
  assert.equal(areaOf(larger) + areaOf(smaller), areaOf(whole));
  assert.match(await page.textContent('#live'), /^Split in two: cell, .*; cell, /);
  await isOneStep(page, 'Cell split');

  // Without a selection it is the cell under the line; a click selects.
  await press(page, 'Escape');
  await drag(page, [180, 150], [180, 250]);
  assert.equal(await boxCount(page), 3);
  await click(page, 100, 200);
  near(await selected(page), [70, 170, 120, 230]);

  await press(page, 'j');
  await click(page, 150, 200);
  assert.equal(await boxCount(page), 2);
  const [, merged] = (await objects(page)).sort((a, b) => areaOf(a) - areaOf(b));
  follows(merged);
  assert.deepEqual(merged.box.slice(0, 2), whole.box.slice(0, 2));
  await isOneStep(page, 'Cells merged');
  // Enter takes the nearest neighbour: the one that touches.
  await press(page, 'Enter');
  assert.deepEqual((await objects(page)).map(({ box, mask }) => [box, mask]), [[whole.box, whole.mask]]);
  await press(page, 'Enter');
  assert.match(await page.textContent('#notices'), /no neighbour/);

  // Boxes without outlines are split and merged as boxes.
  await press(page, 'Escape', 'v');
  await drag(page, [300, 300], [400, 360]);
  await press(page, 'k');
  await drag(page, [330, 280], [330, 380]);
  assert.deepEqual((await boxRows(page)).slice(1).map((row) => row[4]), ['box only', 'box only']);
  await press(page, 'j', 'Escape');
  await click(page, 310, 330);
  await click(page, 380, 330);
  near(await selected(page), [300, 300, 400, 360]);
  assert.equal((await selected(page))[4], 'box only');
  await done();
});

test('each gesture with the keyboard alone', { timeout: SLOW }, async () => {
  const { page, done } = await drawingPage();
  await page.focus('#viewport');
  await press(page, 'p', 'Enter');
  const size = Number(await page.inputValue('#brush-pixels'));
  for (let presses = 0; presses < 4; presses += 1) await press(page, 'Shift+ArrowRight');
  assert.equal(await boxCount(page), 0, 'the brush is still lowered');
  await press(page, 'Enter');
  let [cell] = await objects(page);
  follows(cell);
  assert.ok(Math.abs(cell.box[2] - cell.box[0] - 40 - size) <= 1 && Math.abs(cell.box[3] - cell.box[1] - size) <= 1, String(cell.box));
  await isOneStep(page, 'Painted');

  // The size, by its keys.
  await press(page, ']', ']', '[');
  const larger = Number(await page.inputValue('#brush-pixels'));
  assert.ok(larger > size);
  assert.equal(await page.textContent('#live'), `Brush size ${larger}`);
  await press(page, 'Enter', 'Shift+ArrowDown', 'Escape');
  assert.deepEqual((await objects(page))[0], cell);

  // The knife: from above the middle to below it.
  await press(page, 'k', 'Shift+ArrowUp', 'Shift+ArrowUp', 'Enter');
  for (let presses = 0; presses < 4; presses += 1) await press(page, 'Shift+ArrowDown');
  await screenshot(page, 'keyboard-light');
  await press(page, 'Enter');
  assert.equal(await boxCount(page), 2);
  await press(page, 'j', 'Enter');
  assert.equal(await boxCount(page), 1);
  assert.deepEqual((await objects(page))[0].mask, cell.mask);

  // The polygon: three corners, the last one twice.
  await press(page, 'n', 't', 'Enter', 'Shift+ArrowRight', 'Shift+ArrowRight', 'Enter', 'Shift+ArrowDown', 'Shift+ArrowDown', 'Enter');
  assert.match(await page.textContent('#live'), /^3 corners/);
  await press(page, 'Enter');
  [, cell] = await objects(page);
  follows(cell);
  assert.ok(areaOf(cell) > 150 && areaOf(cell) < 250, `${areaOf(cell)} pixels of half a square of 20`);

  // Escape leads out: the selection, the tool, then Tab leaves the canvas.
  await press(page, 'Escape', 'Escape');
  assert.equal(await page.getAttribute('#tool-box', 'aria-pressed'), 'true');
  await press(page, 'Escape', 'Tab');
  assert.ok(await page.$eval('#viewport', (element) => document.activeElement !== element), 'the canvas is no trap');
  await done();
});

test('the wheel with Shift or Alt sets the size and otherwise zooms; the slider does too', { timeout: SLOW }, async () => {
  const { page, done } = await drawingPage();
  await press(page, 'p');
  const size = async () => Number(await page.inputValue('#brush-pixels'));
  const zoom = await page.textContent('#zoom-value');
  await page.mouse.move(...(await placeOf(page, 250, 250)));
  const start = await size();
  for (const modifier of ['Shift', 'Alt']) {
    const before = await size();
    await page.keyboard.down(modifier);
    await page.mouse.wheel(0, -100);
    await settled(page);
    assert.ok((await size()) > before, modifier);
    await page.mouse.wheel(0, 100);
    await settled(page);
    await page.keyboard.up(modifier);
  }
  assert.ok(Math.abs((await size()) - start) <= 1);
  assert.equal(await page.textContent('#zoom-value'), zoom);
  await page.mouse.wheel(0, -100);
  await settled(page);
  assert.notEqual(await page.textContent('#zoom-value'), zoom);
  await page.focus('#brush-size');
  await press(page, 'End');
  assert.equal(await size(), 512);
  await press(page, 'Home');
  assert.equal(await size(), 1);
  await page.fill('#brush-pixels', '100000');
  await page.press('#brush-pixels', 'Enter');
  assert.equal(await size(), 512);
  await page.focus('#viewport');
  await press(page, 'v');
  assert.ok(await page.isHidden('#brush-row'), 'the box needs no size');
  await done();
});

test('a finger and a pen paint, the other end of the pen erases, two fingers paint nothing', { timeout: SLOW }, async () => {
  const { page, done } = await drawingPage({ hasTouch: true });
  await press(page, 'p');
  await brushSize(page, 20);
  const session = await page.context().newCDPSession(page);
  const touch = async (type, ...points) => {
    const touchPoints = [];
    for (const [index, point] of points.entries()) {
      const [x, y] = await placeOf(page, ...point);
      touchPoints.push({ x, y, id: index });
    }
    await session.send('Input.dispatchTouchEvent', { type, touchPoints });
  };
  await touch('touchStart', [50, 60]);
  await touch('touchMove', [90, 60]);
  await touch('touchMove', [150, 60]);
  await touch('touchEnd');
  await settled(page);
  near(await selected(page), [40, 50, 160, 70]);
  const kept = await objects(page);
  await touch('touchStart', [200, 250]);
  await touch('touchMove', [190, 250]);
  await touch('touchStart', [190, 250], [300, 250]);
  await touch('touchMove', [150, 250], [350, 250]);
  await touch('touchEnd');
  await settled(page);
  assert.deepEqual(await objects(page), kept);
  await page.click('#zoom-fit');
  await page.focus('#viewport');
  await press(page, 'n');

  // The pen's places between two events are drawn as well: a curve stays a curve.
  await page.evaluate(() => {
    const own = PointerEvent.prototype.getCoalescedEvents;
    globalThis.coalesced = 0;
    PointerEvent.prototype.getCoalescedEvents = function coalesced() {
      const events = own.call(this);
      globalThis.coalesced += events.length;
      return events;
    };
  });
  const pen = async (type, point, buttons) => {
    const [x, y] = await placeOf(page, ...point);
    await session.send('Input.dispatchMouseEvent', { type, x, y, button: 'left', buttons, clickCount: 1, pointerType: 'pen' });
  };
  await pen('mousePressed', [300, 300], 1);
  await pen('mouseMoved', [350, 300], 1);
  await pen('mouseMoved', [350, 350], 1);
  await pen('mouseReleased', [350, 350], 0);
  await settled(page);
  near(await selected(page), [290, 290, 360, 360]);
  assert.ok((await page.evaluate(() => globalThis.coalesced)) >= 2);

  // No driver has the other end of a pen: the canvas is told of it as a browser would.
  const before = areaOf((await objects(page))[1]);
  const [clientX, clientY] = await placeOf(page, 350, 320);
  await page.evaluate(([x, y]) => {
    const region = document.getElementById('viewport');
    region.setPointerCapture = () => {};
    const tell = (type, buttons) =>
      region.dispatchEvent(new PointerEvent(type, { pointerId: 77, pointerType: 'pen', button: 5, buttons, clientX: x, clientY: y, bubbles: true }));
    tell('pointerdown', 32);
    tell('pointerup', 0);
  }, [clientX, clientY]);
  await settled(page);
  const after = areaOf((await objects(page))[1]);
  assert.ok(before - after > 250 && before - after < 380, `${before - after} pixels were erased`);
  await isOneStep(page, 'Erased');
  await done();
});

test('painting on 4,096 × 4,096 pixels among 2,000 outlines stays fluid', { timeout: SLOW }, async (context) => {
  const { page, done } = await openPage({ query: '?device=cpu&test' });
  await page.evaluate(async () => {
    const canvas = new OffscreenCanvas(4096, 4096);
    const drawn = canvas.getContext('2d');
    drawn.fillStyle = '#111';
    drawn.fillRect(0, 0, 4096, 4096);
    const blob = await canvas.convertToBlob({ type: 'image/jpeg' });
    const files = new DataTransfer();
    files.items.add(new File([blob], 'large.jpg'));
    const picker = document.getElementById('pick-files');
    picker.files = files.files;
    picker.dispatchEvent(new Event('change'));
  });
  await imagesListed(page, 1);
  await page.waitForFunction(() => /4,?096 × 4,?096/.test(document.getElementById('facts').textContent), null, { timeout: SLOW });
  await annotate(page);
  await page.evaluate(() => {
    const { store } = globalThis.cytobox;
    const side = 4096;
    const objects = Array.from({ length: 2000 }, (_, index) => {
      const [x, y, width, height] = [(index % 50) * 80 + 10, Math.floor(index / 50) * 100 + 10, 50, 60];
      const counts = [x * side + y];
      for (let column = 0; column < width; column += 1) counts.push(height, column < width - 1 ? side - height : side * side - (x + width - 1) * side - y - height);
      return { box: [x, y, x + width, y + height], label: ['nucleus', 'mitotic'][index % 2], difficult: false, truncated: false, mask: { size: [side, side], counts } };
    });
    store.state.images[0].annotations = { verified: false, objects };
    store.touch('images', 'annotations');
    globalThis.spent = { events: [], frames: [] };
    let start = 0;
    window.addEventListener('pointermove', () => (start = performance.now()), { capture: true });
    window.addEventListener('pointermove', () => globalThis.spent.events.push(performance.now() - start));
    window.addEventListener('pointerup', () => (start = performance.now()), { capture: true });
    window.addEventListener('pointerup', () => (globalThis.spent.up = performance.now() - start));
    window.addEventListener('pointerdown', () => (start = performance.now()), { capture: true });
    window.addEventListener('pointerdown', () => (globalThis.spent.down = performance.now() - start));
    const ask = globalThis.requestAnimationFrame.bind(globalThis);
    globalThis.requestAnimationFrame = (run) =>
      ask((time) => {
        const begin = performance.now();
        run(time);
        globalThis.spent.frames.push(performance.now() - begin);
      });
  });
  await settled(page);
  await page.waitForTimeout(2000);
  const view = await page.locator('#viewport').boundingBox();
  const [x, y] = [view.x + view.width / 2, view.y + view.height / 2];
  /** The slowest event and the frames of a stroke of 150 moves, in milliseconds. */
  const paint = async (name, reach) => {
    await page.mouse.move(x + reach, y);
    await page.evaluate(() => Object.assign(globalThis.spent, { events: [], frames: [] }));
    await page.mouse.down();
    for (let i = 1; i <= 150; i += 1) {
      const turn = (i / 150) * 6 * Math.PI;
      await page.mouse.move(x + reach * (1 - i / 300) * Math.cos(turn), y + reach * (1 - i / 300) * Math.sin(turn));
    }
    await page.mouse.up();
    const { events, frames, down, up } = await page.evaluate(() => globalThis.spent);
    const share = (list, part) => list.sort((a, b) => a - b)[Math.floor((list.length - 1) * part)];
    const figures = [share(events, 0.5), share(events, 0.95), share(events, 1), share(frames, 0.5), share(frames, 0.95), down, up].map((value) => value.toFixed(1));
    context.diagnostic(
      `${name}: event median ${figures[0]} ms, p95 ${figures[1]} ms, most ${figures[2]} ms; script of a frame median ${figures[3]} ms, p95 ${figures[4]} ms; down ${figures[5]} ms, up ${figures[6]} ms`,
    );
    await settled(page);
    return { event: share(events, 0.95), frame: share(frames, 0.95) };
  };
  await press(page, 'p');
  await brushSize(page, 200);
  const far = await paint('the whole image in view, brush of 200 px, new cell', 250);
  const again = await paint('the same, into the same cell', 200);
  assert.equal((await objects(page)).length, 2001);
  await page.click('#zoom-one');
  await page.focus('#viewport');
  await press(page, 'n');
  await brushSize(page, 24);
  const close = await paint('at 100 %, brush of 24 px, new cell', 120);
  assert.equal((await objects(page)).length, 2002);
  follows((await objects(page))[2000]);
  await screenshot(page, 'painted-4096');
  for (const { event, frame } of [far, again, close]) {
    assert.ok(event < 16, `${event} ms in an event of a stroke`);
    assert.ok(frame < 16, `${frame} ms of script in a frame of a stroke`);
  }
  await done();
});
