// The page checks a saved project itself, as it must open where no worker starts. The engine has the same cases, in
// `src/annotations/mod.rs`: what one takes and the other refuses would be lost or stop a run.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { BadRecord, readAnnotations } from '../../www/js/project/project-records.js';
import { area } from '../../www/js/shared/run-lengths.js';
import { LABEL_CHARS } from '../../www/js/shared/engine-limits.js';

const CASES = JSON.parse(readFileSync(new URL('records.json', import.meta.url), 'utf8'));

test('the page takes the annotated objects that the engine takes, and says the same of them', () => {
  for (const { ok, object, label = object.label, area: pixels } of CASES) {
    const text = JSON.stringify(object);
    const read = () => readAnnotations({ objects: [object] }, 'object').objects[0];
    if (!ok) {
      assert.throws(read, BadRecord, text);
      continue;
    }
    const found = read();
    assert.equal(found.label, label, text);
    assert.deepEqual(found.box, object.box, text);
    if (pixels !== undefined) assert.equal(area(found.mask), pixels, text);
  }
});

test('the longest label is taken, counted in characters', () => {
  const read = (label) => readAnnotations({ objects: [{ box: [0, 0, 4, 4], label }] }, 'object');
  assert.equal(read('𝛼'.repeat(LABEL_CHARS)).objects.length, 1);
  assert.throws(() => read('𝛼'.repeat(LABEL_CHARS + 1)), BadRecord);
});
