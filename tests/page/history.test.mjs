import assert from 'node:assert/strict';
import test from 'node:test';
import { History } from '../../www/js/annotate/history.js';

const fresh = () => new History((first, second) => `${first}+${second}`);

test('steps are taken back and again in their order, and a new step forgets those that were taken back', () => {
  const history = fresh();
  assert.deepEqual([history.undo(), history.redo(), history.last, history.next], [null, null, null, null]);
  for (const step of ['a', 'b', 'c']) history.push(step);
  assert.deepEqual([history.undo(), history.undo(), history.last, history.next], ['c', 'b', 'a', 'b']);
  assert.equal(history.redo(), 'b');
  history.push('d');
  assert.deepEqual([history.redo(), history.next, history.undo(), history.undo(), history.undo()], [null, null, 'd', 'b', 'a']);
});

test('steps of one key that follow each other quickly are one', (t) => {
  let now = 0;
  t.mock.method(performance, 'now', () => now);
  const history = fresh();
  for (const step of ['a', 'b', 'c']) {
    history.push(step, 'move 1');
    now += 999;
  }
  assert.equal(history.last, 'a+b+c');
  history.push('d', 'move 2');
  assert.equal(history.last, 'd');
  now += 1000;
  history.push('e', 'move 2');
  assert.deepEqual([history.undo(), history.undo(), history.undo(), history.undo()], ['e', 'd', 'a+b+c', null]);
});

test('a step without a key, after one that was taken back or done again, stays by itself', () => {
  const history = fresh();
  history.push('a');
  history.push('b');
  assert.equal(history.undo(), 'b');
  history.push('c', 'move');
  history.undo();
  history.redo();
  // What was done again is finished: the next push of the key begins anew.
  history.push('d', 'move');
  assert.deepEqual([history.undo(), history.undo(), history.undo()], ['d', 'c', 'a']);
  history.clear();
  assert.deepEqual([history.last, history.next], [null, null]);
});
