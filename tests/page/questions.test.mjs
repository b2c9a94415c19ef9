// What the page asks about detections, and what it leaves alone.

import assert from 'node:assert/strict';
import test from 'node:test';
import { doubtsOf } from '../../www/js/review/questions.js';

const box = (x, y = 0, side = 10) => [x, y, x + side, y + side];
const threshold = () => 0.7;
const asked = (detections, of = threshold) => doubtsOf(detections, of).map(({ number }) => number);

test('the nearer to the threshold, the more in doubt; what is sure either way is not asked', () => {
  const scores = [0.99, 0.9, 0.72, 0.69, 0.5, 0.3];
  const detections = scores.map((score, at) => ({ label: 'cell', score, box: box(20 * at) }));
  assert.deepEqual(asked(detections), [1, 2, 3, 4]);
  const doubts = doubtsOf(detections, threshold);
  assert.deepEqual(
    [...doubts].sort((a, b) => b.worth - a.worth).map(({ number }) => number),
    [3, 2, 4, 1],
  );
  assert.match(doubts[1].reason, /score 0\.72, threshold 0\.70/);
  assert.match(doubts[2].reason, /score 0\.69, threshold/);
  // A threshold of its own for each class.
  assert.deepEqual(
    asked(detections, () => 0.2),
    [2, 3, 4, 5],
  );
});

test('two labels for one cell are one question', () => {
  const detections = [
    { label: 'nucleoli', score: 0.98, box: box(0) },
    { label: 'not_nucleoli', score: 0.6, box: box(1) },
    { label: 'nucleoli', score: 0.4, box: box(0, 1) },
  ];
  const doubts = doubtsOf(detections, threshold);
  assert.deepEqual(
    doubts.map(({ number, reason }) => [number, reason]),
    [[0, 'nucleoli 0.98 or not_nucleoli 0.60']],
  );
});

test('cells on top of one another and outlines that fill little of their box are asked', () => {
  const crowd = [
    { label: 'cell', score: 0.99, box: box(0) },
    { label: 'cell', score: 0.98, box: box(5) },
    { label: 'cell', score: 0.97, box: box(40) },
    { label: 'cell', score: 0.99, box: box(80), mask: { size: [10, 100], counts: [800, 10, 190] } },
  ];
  const doubts = doubtsOf(crowd, threshold);
  assert.deepEqual(
    doubts.map(({ number }) => number),
    [0, 3],
  );
  assert.match(doubts[0].reason, /overlaps another cell by 33 %/);
  assert.match(doubts[1].reason, /fills 10 % of the box/);
});
