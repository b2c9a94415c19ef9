// What gestures do to masks, against the plainest way to say it: pixel by pixel over the whole image.

import assert from 'node:assert/strict';
import test from 'node:test';
import { split, union } from '../../www/js/annotate/mask-parts.js';
import { fillHoles, fillPolygon, grow, paintStroke, polygonBox, shrink, strokeBox } from '../../www/js/annotate/mask-shapes.js';
import {
  countPixels,
  cropMask,
  extentOf,
  maskBox,
  moveWindow,
  newWindow,
  readWindow,
  shiftMask,
  toRuns,
  usedBox,
  widened,
} from '../../www/js/annotate/mask-window.js';
import { insidePolygon } from '../../www/js/canvas/geometry.js';
import { area } from '../../www/js/shared/run-lengths.js';

const SIZE = { width: 23, height: 17 };
const WHOLE = [0, 0, SIZE.width, SIZE.height];

let seed = 7;
function random() {
  seed = (seed * 1103515245 + 12345) % 2147483648;
  return seed / 2147483648;
}

/** A mask from what holds of each pixel. */
function maskOf(holds, size = SIZE) {
  const window = newWindow([0, 0, size.width, size.height]);
  for (let x = 0; x < size.width; x += 1) for (let y = 0; y < size.height; y += 1) window.pixels[x * size.height + y] = Number(Boolean(holds(x, y)));
  return window;
}

/** Whether a pixel of the image is set in a window anywhere on it. */
function at({ x, y, width, height, pixels }, column, row) {
  if (column < x || column >= x + width || row < y || row >= y + height) return false;
  return pixels[(column - x) * height + row - y] === 1;
}

/** The rows of the image as text, so that a failure can be looked at. */
function rows(window, { width, height } = SIZE) {
  return Array.from({ length: height }, (_, y) => Array.from({ length: width }, (__, x) => (at(window, x, y) ? '#' : '.')).join('')).join('\n');
}

const same = (found, wanted, size = SIZE) => assert.equal(rows(found, size), rows(wanted, size));

/** Blobs, single pixels, full columns and both ends of the image. */
function randomMask() {
  const discs = Array.from({ length: 3 }, () => [random() * SIZE.width, random() * SIZE.height, 1 + random() * 5]);
  return maskOf((x, y) => discs.some(([cx, cy, r]) => Math.hypot(x + 0.5 - cx, y + 0.5 - cy) < r) || random() < 0.05 || x === 3);
}

test('run lengths are read into a window and written again, whatever they touch', () => {
  const cases = [() => false, () => true, (x, y) => x === 0 && y === 0, (x, y) => x === SIZE.width - 1 && y === SIZE.height - 1, (x) => x === 4 || x === 5];
  for (const mask of [...cases.map((holds) => maskOf(holds)), ...Array.from({ length: 50 }, randomMask)]) {
    const rle = toRuns(mask, SIZE);
    assert.deepEqual(rle.size, [SIZE.height, SIZE.width]);
    assert.equal(
      rle.counts.reduce((sum, run) => sum + run, 0),
      SIZE.width * SIZE.height,
    );
    assert.ok(
      rle.counts.every((run, index) => run > 0 || index === 0),
      'no empty run but the first',
    );
    assert.equal(area(rle), countPixels(mask));
    const window = readWindow(rle);
    if (!window) {
      assert.equal(countPixels(mask), 0);
      continue;
    }
    same(window, mask);
    assert.deepEqual(extentOf(window), usedBox(mask));
    assert.deepEqual(maskBox(rle), usedBox(mask));
    assert.deepEqual(toRuns(window, SIZE), rle);
    same(
      readWindow(rle, [2, 3, 9, 8]),
      maskOf((x, y) => x >= 2 && x < 9 && y >= 3 && y < 8 && at(mask, x, y)),
    );
  }
  // As `pycocotools.mask.encode` writes the middle four of 4 × 4 pixels.
  assert.deepEqual(readWindow({ size: [4, 4], counts: '52203' }), { x: 1, y: 1, width: 2, height: 2, pixels: new Uint8Array([1, 1, 1, 1]) });
});

test('a mask is moved, and cut by the edge of the image or by a box', () => {
  for (let round = 0; round < 50; round += 1) {
    const mask = randomMask();
    const rle = toRuns(mask, SIZE);
    const [dx, dy] = [Math.floor(random() * 40) - 20, Math.floor(random() * 30) - 15];
    const wanted = maskOf((x, y) => at(mask, x - dx, y - dy));
    const moved = shiftMask(rle, dx, dy);
    if (moved && area(moved) > 0) same(readWindow(moved), wanted);
    else assert.equal(countPixels(wanted), 0);
    const box = [random() * 10, random() * 8, 10 + random() * 12, 8 + random() * 8];
    const cut = maskOf((x, y) => x >= Math.floor(box[0]) && y >= Math.floor(box[1]) && x < Math.ceil(box[2]) && y < Math.ceil(box[3]) && at(mask, x, y));
    const cropped = cropMask(rle, box);
    if (cropped) same(readWindow(cropped), cut);
    else assert.equal(countPixels(cut), 0);
  }
  const rle = toRuns(
    maskOf((x, y) => x > 4 && x < 9 && y > 2 && y < 8),
    SIZE,
  );
  assert.equal(cropMask(rle, [5, 3, 9, 8]), rle, 'what loses nothing stays the same mask, whose contour is known');
  assert.equal(cropMask(rle, [9, 3, 15, 8]), null);
  assert.equal(shiftMask(rle, 0, SIZE.height), null);
  assert.equal(cropMask({ size: [17, 23], counts: [17 * 23] }, WHOLE), null);
});

test('a stroke sets every pixel whose centre is within its radius, and no other, in a window that grows with it', () => {
  const distance = (x, y, [ax, ay], [bx, by]) => {
    const length = (bx - ax) ** 2 + (by - ay) ** 2;
    const share = length ? Math.min(1, Math.max(0, ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length)) : 0;
    return Math.hypot(x - ax - share * (bx - ax), y - ay - share * (by - ay));
  };
  for (let round = 0; round < 200; round += 1) {
    const place = () => [random() * 40 - 8, random() * 30 - 6];
    const [a, b, radius] = [place(), place(), 0.6 + random() * 7];
    if (round % 4 === 0) b[0] = a[0];
    if (round % 4 === 1) b[1] = a[1];
    if (round % 8 === 2) b.splice(0, 2, ...a);
    const wanted = maskOf((x, y) => distance(x + 0.5, y + 0.5, a, b) <= radius);
    let [x1, y1, x2, y2] = strokeBox(a, b, radius);
    [x1, y1, x2, y2] = [Math.max(0, x1), Math.max(0, y1), Math.min(SIZE.width, x2), Math.min(SIZE.height, y2)];
    if (x1 >= x2 || y1 >= y2) {
      assert.equal(countPixels(wanted), 0);
      continue;
    }
    const window = widened(newWindow([5, 5, 6, 6]), [x1, y1, x2, y2], SIZE);
    paintStroke(window, a, b, radius, 1);
    same(window, wanted);
    // The eraser takes just that.
    const full = newWindow(WHOLE, 1);
    paintStroke(full, a, b, radius, 0);
    same(
      full,
      maskOf((x, y) => !at(wanted, x, y)),
    );
  }
});

test('a brush of one pixel paints the pixel it is on, and a line of it has no gap', () => {
  const window = newWindow(WHOLE);
  paintStroke(window, [4.5, 4.5], [4.5, 4.5], 0.5, 1);
  same(
    window,
    maskOf((x, y) => x === 4 && y === 4),
  );
  paintStroke(window, [4.5, 4.5], [19.5, 9.5], 0.5, 1);
  for (let x = 4; x < 20; x += 1) {
    assert.ok(
      [...Array(SIZE.height).keys()].some((y) => at(window, x, y)),
      `column ${x}`,
    );
  }
});

test('a window keeps what it has when it grows, within the image', () => {
  let window = newWindow([10, 8, 12, 10], 1);
  assert.equal(widened(window, [10, 8, 11, 9], SIZE), window);
  window = widened(window, [2, 9, 3, 10], SIZE);
  assert.deepEqual(extentOf(window), [0, 3, 17, 15]);
  assert.deepEqual(usedBox(window), [10, 8, 12, 10]);
  assert.equal(countPixels(moveWindow(window, [11, 0, 23, 9])), 1);
});

test('a polygon is filled by the even-odd rule', () => {
  for (let round = 0; round < 100; round += 1) {
    const points = Array.from({ length: 3 + (round % 5) }, () => [random() * 30 - 3, random() * 24 - 3]);
    const wanted = maskOf((x, y) => insidePolygon(points, x + 0.5, y + 0.5));
    const box = polygonBox(points, SIZE);
    if (!box) {
      assert.equal(countPixels(wanted), 0);
      continue;
    }
    const window = newWindow(box);
    fillPolygon(window, points, 1);
    same(window, wanted);
  }
});

test('holes are filled, bays and what is beyond the edge are not', () => {
  const ring = (x, y) => Math.abs(Math.hypot(x - 8, y - 8) - 5) < 1.2;
  const mask = readWindow(toRuns(maskOf(ring), SIZE));
  assert.equal(fillHoles(mask), true);
  same(
    mask,
    maskOf((x, y) => Math.hypot(x - 8, y - 8) < 6.2),
  );
  assert.equal(fillHoles(mask), false);
  const bay = maskOf((x, y) => ring(x, y) && !(y === 8 && x > 8));
  const before = rows(bay);
  assert.equal(fillHoles(bay), false);
  assert.equal(rows(bay), before);
  // A way out between two corners is none: the contour is closed there.
  const corner = maskOf((x, y) => ['0,1', '1,0', '1,2', '2,1'].includes(`${x - 5},${y - 5}`));
  assert.equal(fillHoles(corner), true);
  assert.equal(countPixels(corner), 5);
  // A half ring at the edge of the image holds nothing.
  assert.equal(fillHoles(maskOf((x, y) => Math.abs(Math.hypot(x, y - 8) - 5) < 1.2)), false);
});

test('a contour grows and shrinks by whole pixels, and a cell that is cut by the edge stays at it', () => {
  for (let round = 0; round < 30; round += 1) {
    const mask = randomMask();
    const pixels = 1 + (round % 3);
    const close = (holds) => (x, y) => {
      for (let column = 0; column < SIZE.width; column += 1)
        for (let row = 0; row < SIZE.height; row += 1) if (Math.hypot(x - column, y - row) <= pixels && holds(column, row)) return true;
      return false;
    };
    const grown = grow(readWindow(toRuns(mask, SIZE)), pixels, SIZE);
    same(grown, maskOf(close((x, y) => at(mask, x, y))));
    const isNear = close((x, y) => !at(mask, x, y));
    same(
      shrink(mask, pixels, SIZE),
      maskOf((x, y) => !isNear(x, y)),
    );
  }
  assert.equal(countPixels(shrink(newWindow(WHOLE, 1), 2, SIZE)), SIZE.width * SIZE.height);
  assert.equal(usedBox(shrink(newWindow([4, 4, 6, 9], 1), 1, SIZE)), null);
});

test('a line divides a mask where it was drawn', () => {
  const disc = maskOf((x, y) => Math.hypot(x - 11, y - 8) < 7);
  const [larger, smaller] = split(disc, [8, -1], [9, 18]);
  const cut = (x) => x < 9;
  assert.ok(countPixels(larger) > countPixels(smaller));
  assert.equal(countPixels(larger) + countPixels(smaller), countPixels(disc));
  assert.ok(usedBox(smaller)[2] <= 10 && usedBox(larger)[0] >= 8);
  same(union(larger, smaller), disc);
  const [left, right] = split(disc, [9, 20], [9, -5]).sort((a, b) => usedBox(a)[0] - usedBox(b)[0]);
  same(
    left,
    maskOf((x, y) => cut(x) && at(disc, x, y)),
  );
  same(
    right,
    maskOf((x, y) => !cut(x) && at(disc, x, y)),
  );
  // One that ends within the cell, misses it or has no length divides nothing.
  assert.equal(split(disc, [9, -1], [9, 8]), null);
  assert.equal(split(disc, [0, -1], [0, 18]), null);
  assert.equal(split(disc, [9, 9], [9, 9]), null);
  // The arm of a bent cell goes, and the other arm, which the line would meet further on, stays.
  const bent = maskOf((x, y) => y > 2 && y < 15 && x > 2 && x < 19 && !(y < 11 && x > 6 && x < 15));
  const [rest, arm] = split(bent, [1, 6], [9, 6]);
  same(
    arm,
    maskOf((x, y) => at(bent, x, y) && y < 6 && x < 9),
  );
  same(union(arm, rest), bent);
  // Two pieces that one mask has by mistake.
  const two = maskOf((x, y) => y > 4 && y < 9 && ((x > 2 && x < 7) || (x > 10 && x < 18)));
  const [big, small] = split(two, [9, 2], [9, 12]);
  assert.deepEqual(
    [usedBox(big), usedBox(small)],
    [
      [11, 5, 18, 9],
      [3, 5, 7, 9],
    ],
  );
});

test('two masks become one', () => {
  const [a, b] = [randomMask(), newWindow([15, 2, 20, 9], 1)];
  same(
    union(a, b),
    maskOf((x, y) => at(a, x, y) || at(b, x, y)),
  );
  same(union(newWindow([0, 0, 2, 2], 1), b), union(b, newWindow([0, 0, 2, 2], 1)));
});
