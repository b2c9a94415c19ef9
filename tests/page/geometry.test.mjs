import assert from 'node:assert/strict';
import test from 'node:test';
import { boxArea, clipBox, iou, sameBox, shiftBox, touchesEdge } from '../../www/js/canvas/geometry.js';
import { runs } from '../../www/js/shared/run-lengths.js';
import { MAX_SCALE, View } from '../../www/js/canvas/view.js';

const SIZE = { width: 100, height: 50 };

test('a box is put in order and into the image, and is never thinner than a pixel', () => {
  assert.deepEqual(clipBox([30, 40, 10, 20], SIZE), [10, 20, 30, 40]);
  assert.deepEqual(clipBox([-5, -5, 200, 200], SIZE), [0, 0, 100, 50]);
  assert.deepEqual(clipBox([10.25, 10, 10.5, 10], SIZE), [10, 10, 11, 11]);
  assert.deepEqual(clipBox([100, 50, 100, 50], SIZE), [99, 49, 100, 50]);
  // Corners are 32-bit floats, as in the engine.
  assert.deepEqual(clipBox([0.1, 0.1, 9.9, 9.9], SIZE), [0.1, 0.1, 9.9, 9.9].map(Math.fround));
});

test('a box that is moved keeps its size and stays within the image', () => {
  assert.deepEqual(shiftBox([10, 10, 30, 20], 5, -3, SIZE), [15, 7, 35, 17]);
  assert.deepEqual(shiftBox([10, 10, 30, 20], 500, -500, SIZE), [80, 0, 100, 10]);
});

test('overlap, area, edges and equality', () => {
  assert.equal(boxArea([1, 2, 4, 6]), 12);
  assert.equal(iou([0, 0, 10, 10], [0, 0, 10, 10]), 1);
  assert.equal(iou([0, 0, 10, 10], [5, 0, 15, 10]), 50 / 150);
  assert.equal(iou([0, 0, 10, 10], [10, 0, 20, 10]), 0);
  assert.equal(touchesEdge([1, 1, 99, 49], SIZE), false);
  for (const box of [
    [0, 1, 9, 9],
    [1, 0, 9, 9],
    [1, 1, 100, 9],
    [1, 1, 9, 50],
  ])
    assert.equal(touchesEdge(box, SIZE), true);
  assert.equal(sameBox([1, 2, 3, 4], new Float32Array([1, 2, 3, 4])), true);
  assert.equal(sameBox([1, 2, 3, 4], [1, 2, 3, 5]), false);
});

test('the compressed text of pycocotools is read: counts from the third on are differences', () => {
  // As `pycocotools.mask.encode` writes the middle four of 4 × 4 pixels: 5, 2, 2, 2, 5.
  assert.deepEqual([...runs({ size: [4, 4], counts: '52203' }).counts], [5, 2, 2, 2, 5]);
});

test('a view zooms about a point, keeps within its bounds and finds its way back', () => {
  const view = new View();
  view.resize(416, 216);
  view.setImage(100, 50);
  assert.deepEqual([view.scale, view.offsetX, view.offsetY, view.fitted], [4, 8, 8, true]);
  const before = view.toImage(100, 60);
  view.zoomTo(8, 100, 60);
  assert.deepEqual(view.toImage(100, 60), before);
  assert.deepEqual(view.toScreen(...view.toImage(33, 44)), [33, 44]);
  view.zoomTo(1e9);
  assert.equal(view.scale, MAX_SCALE);
  view.fit();
  view.pan(1e6, 1e6);
  // A part of the image stays on the screen.
  assert.ok(view.offsetX < view.width && view.offsetY < view.height);
  assert.equal(view.fitted, false);
});
