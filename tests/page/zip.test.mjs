import assert from 'node:assert/strict';
import test from 'node:test';
import { Unzip } from '../../www/js/shared/unzip.js';
import { Zip } from '../../www/js/shared/zip.js';

const bytes = (text) => new TextEncoder().encode(text);

test('what is written comes back, and text is packed where that makes it smaller', async () => {
  const long = '<object>cell</object>\n'.repeat(500);
  const zip = new Zip();
  await zip.addPacked('plateA/ü.xml', bytes(long));
  await zip.addPacked('short.txt', bytes('a'));
  await zip.addPacked('empty.txt', bytes(''));
  zip.add('stored.png', bytes(long));
  await zip.addBlob('blob.bin', new Blob([long]));
  const back = await Unzip.open(zip.finish());
  assert.deepEqual([...back.entries.keys()], ['plateA/ü.xml', 'short.txt', 'empty.txt', 'stored.png', 'blob.bin']);
  for (const name of ['plateA/ü.xml', 'stored.png', 'blob.bin']) assert.equal(await back.text(name, 1 << 20), long, name);
  assert.equal(await back.text('short.txt', 9), 'a');
  assert.equal(await back.text('empty.txt', 9), '');
  const packed = [...back.entries.values()].map((entry) => entry.packed < entry.size);
  assert.deepEqual(packed, [true, false, false, false, false]);
});
