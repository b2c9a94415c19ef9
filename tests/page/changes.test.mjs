import './dom.mjs';
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { Delta } from '../../www/js/project/changes-since-save.js';
import { store } from '../../www/js/shared/page-state.js';

const image = (id) => ({
  id,
  name: `image ${id}`,
  files: [],
  channels: [],
  missing: [],
  fill: [],
  problem: null,
  notes: [],
  failure: '',
  merge: null,
  state: 'new',
  thumbnail: null,
  result: null,
  size: null,
  annotations: null,
  absent: null,
});

/** The operations that are due, as `store key`, with `×` for what is deleted. */
const due = (delta) => delta.changes().operations.map(({ store: name, key, value }) => `${value === undefined ? '×' : ''}${name} ${key ?? '*'}`);

/** A database that has everything of the page. */
function saved() {
  const delta = new Delta('me');
  delta.changes().done();
  assert.deepEqual(due(delta), []);
  return delta;
}

beforeEach(() => Object.assign(store.state, { images: [image(1), image(2)], current: 1, projectId: 'p', label: '', evaluation: null }));

test('an empty database gets everything, once', () => {
  const delta = new Delta('me');
  const all = due(delta);
  for (const one of ['images 1', 'images 2', 'settings order', 'settings project', 'settings current', 'settings labels']) assert.ok(all.includes(one), one);
  assert.ok(!all.some((one) => /annotations|results/.test(one)));
  // What was handed over is still due until it is done.
  assert.deepEqual(due(delta), all);
  delta.changes().done();
  assert.deepEqual(due(delta), []);
});

test('only what was replaced is written: the annotations of one image, a result that has become stale, one setting', () => {
  const delta = saved();
  const [first, second] = store.state.images;
  first.annotations = { verified: false, objects: [] };
  assert.deepEqual(due(delta), ['annotations 1']);
  second.result = { detections: {}, seconds: 1, stale: false };
  delta.changes().done();
  second.result.stale = true;
  store.state.label = 'cell';
  assert.deepEqual(due(delta), ['results 2', 'settings label']);
  delta.changes().done();
  first.annotations = null;
  assert.deepEqual(due(delta), ['×annotations 1']);
});

test('an image that has gone takes all of its records along, and the order is written anew', () => {
  const delta = saved();
  store.state.images = [store.state.images[1]];
  assert.deepEqual(due(delta), ['×images 1', '×annotations 1', '×results 1', 'settings order']);
});

test('what belongs to another project is emptied with the first write, which says whose the database is', () => {
  const delta = saved();
  delta.startOver(['images', 'annotations']);
  assert.equal(delta.isForeign, true);
  const all = due(delta);
  assert.deepEqual(all.slice(0, 2), ['×images *', '×annotations *']);
  assert.ok(all.includes('settings writer') && all.includes('images 1'));
  delta.changes().done();
  assert.equal(delta.isForeign, false);
});

test('a write that was under way when another project came says nothing of it', () => {
  const delta = saved();
  store.state.images[0].annotations = { verified: true, objects: [] };
  const { done } = delta.changes();
  delta.startOver([]);
  const before = due(delta);
  done();
  assert.deepEqual(due(delta), before);
});
