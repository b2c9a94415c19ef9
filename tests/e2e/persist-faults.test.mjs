// What can go wrong with the saved project: no room, no database, broken records, hostile files. Each has its sentence.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deflateRawSync } from 'node:zlib';
import { SLOW, drop, imagesListed, screenshot } from './page.mjs';
import { annotate, annotations, emptyDatabase, openProfile, openRaw, pickProject, projectState, saveProject, takeBareSamples, takeSamples, waitSaved } from './project.mjs';

/** Runs a test with a profile of its own. */
function withProfile(name, run) {
  test(name, { timeout: SLOW }, async () => {
    const profile = await openProfile();
    try {
      await run(profile);
    } finally {
      await profile.end();
    }
  });
}

/**
 * Runs in the page before it: a database that is full at `globalThis.room` bytes of files, and takes nothing at all when
 * that is 0, as a full disk would. Chromium's own override of the quota is shown to the page but not enforced.
 */
function limitRoom() {
  globalThis.room = 1_500_000;
  let sizes = new Map();
  let before = { transaction: null, sizes };
  const { put } = IDBObjectStore.prototype;
  const { delete: remove, clear } = IDBObjectStore.prototype;
  IDBObjectStore.prototype.put = function (value, key) {
    const request = put.call(this, value, key);
    if (before.transaction !== this.transaction) before = { transaction: this.transaction, sizes: new Map(sizes) };
    if (this.name === 'files') sizes.set(key, value.file.size);
    const used = [...sizes.values()].reduce((sum, size) => sum + size, 0);
    if (used > globalThis.room) {
      sizes = before.sizes;
      Object.defineProperty(this.transaction, 'error', { value: new DOMException('full', 'QuotaExceededError') });
      this.transaction.abort();
    }
    return request;
  };
  IDBObjectStore.prototype.delete = function (key) {
    if (this.name === 'files') sizes.delete(key);
    return remove.call(this, key);
  };
  IDBObjectStore.prototype.clear = function () {
    if (this.name === 'files') sizes.clear();
    return clear.call(this);
  };
}

withProfile('without room the page says which files are not kept, and keeps what people made', async (profile) => {
  let { page } = await profile.open({ script: limitRoom });
  const count = await takeBareSamples(page);
  await page.waitForSelector('#unkept:not([hidden])');
  assert.match(await page.textContent('#unkept'), /no room .* files of \d images\. Their annotations and results are saved/);
  await screenshot(page, 'unkept-light');
  await annotate(page, count - 1, 12);
  await annotate(page, 0, 3);
  await waitSaved(page);
  const before = await projectState(page);
  await profile.kill();
  ({ page } = await profile.open());
  await imagesListed(page, count);
  const after = await projectState(page);
  assert.deepEqual(after.images.map(({ annotations: all }) => all), before.images.map(({ annotations: all }) => all));
  const absent = after.images.filter(({ problem }) => problem?.code === 'files-absent');
  assert.ok(absent.length > 0 && absent.length <= count - 2, `${absent.length} images have to be dropped again`);
  for (const index of [0, count - 1]) assert.equal(after.images[index].problem, null, 'files of annotated images are kept');
  assert.match(await page.textContent('#unkept'), /were not saved in this browser\. Drop them again/);
  await screenshot(page, 'absent-light');

  // Dropped again, they are the same images, with what was made of them.
  await page.evaluate(() => {
    const { store } = globalThis.cytobox;
    const image = store.state.images.find((one) => one.absent);
    image.annotations = { verified: true, objects: [{ box: [5, 5, 9, 9], label: 'Cell', difficult: false, truncated: false }] };
    store.touch('images');
  });
  await takeBareSamples(page);
  await page.waitForFunction(() => globalThis.cytobox.store.state.images.every(({ absent, problem }) => !absent && !problem));
  const again = await projectState(page);
  assert.equal(again.images.length, count);
  assert.equal(again.images.filter(({ annotations: all }) => all).length, 3);
  await waitSaved(page);
  assert.ok(await page.isHidden('#unkept'));
});

withProfile('a full disk is said at once, and when there is room again everything is saved', async (profile) => {
  let { page } = await profile.open({ script: limitRoom });
  await page.evaluate(() => (globalThis.room = Infinity));
  await takeSamples(page);
  await waitSaved(page);
  await page.evaluate(() => (globalThis.room = 0));
  await annotate(page, 1, 2000);
  await page.waitForFunction(() => document.getElementById('project-state').textContent === 'not saved', null, { timeout: 30_000 });
  assert.match(await page.textContent('#alerts'), /not saved in this browser\. The browser’s storage for this page is full/);
  await screenshot(page, 'full-light');
  await page.evaluate(() => (globalThis.room = Infinity));
  await waitSaved(page);
  await profile.kill();
  ({ page } = await profile.open());
  assert.equal((await annotations(page, 1))?.objects.length, 2000);
});

withProfile('without a database the page works, says so, and warns before work is lost', async (profile) => {
  const broken = {
    'no database': () => Object.defineProperty(globalThis, 'indexedDB', { value: undefined }),
    'a private window': () => {
      IDBFactory.prototype.open = () => {
        throw new DOMException('A mutation operation was attempted on a database that did not allow mutations.', 'InvalidStateError');
      };
    },
  };
  let { page } = await profile.open();
  for (const [name, script] of Object.entries(broken)) {
    await page.close();
    ({ page } = await profile.tab({ script }));
    assert.equal(await page.textContent('#project-state'), 'not saved', name);
    assert.match(await page.textContent('#alerts'), /does not let the page store data/);
    await takeSamples(page);
    let asked = 0;
    page.on('dialog', () => (asked += 1));
    await page.click('#images');
    await page.reload();
    await page.waitForSelector('#empty:not([hidden])');
    assert.equal(asked, 0, 'nothing was made, so nothing is asked');
    await takeSamples(page);
    await page.click('#images');
    await annotate(page, 0, 2);
    await page.reload();
    await page.waitForSelector('#empty:not([hidden])');
    assert.equal(asked, 1, 'leaving would lose the annotations');
    await takeSamples(page);
    await page.click('#images');
    await annotate(page, 0, 2);
    await saveProject(page);
    await page.reload();
    await page.waitForSelector('#empty:not([hidden])');
    assert.equal(asked, 1, 'the project file has them');
  }
});

/** Runs in the page before it: the database opens, but takes its time. */
function openSlowly() {
  const open = IDBFactory.prototype.open;
  IDBFactory.prototype.open = function (...values) {
    const request = open.apply(this, values);
    const set = (handler) => request.addEventListener('success', (event) => setTimeout(() => handler.call(request, event), 11_000));
    Object.defineProperty(request, 'onsuccess', { set });
    return request;
  };
}

withProfile('a database that takes long to open is waited for', async (profile) => {
  let { page } = await profile.open();
  await takeSamples(page);
  await annotate(page, 0, 3);
  await waitSaved(page);
  const wanted = await projectState(page);
  await page.close();
  ({ page } = await profile.tab({ watchEmpty: true, script: openSlowly }));
  assert.match(await page.textContent('#notices'), /slow to answer/);
  assert.deepEqual(await projectState(page), wanted);
  assert.equal(await page.evaluate(() => globalThis.sawEmpty), false, 'the empty page was not shown');
});

withProfile('a newer database and one with a part missing are said, and a new project mends the latter', async (profile) => {
  // Elsewhere than in Chromium there is no copy to mend it from.
  const script = () => Reflect.deleteProperty(Navigator.prototype, 'storageBuckets');
  const { page } = await profile.open({ script });
  await takeSamples(page);
  await waitSaved(page);
  await page.evaluate(openRaw, 7);
  await page.waitForFunction(() => document.getElementById('project-state').textContent === 'not saved');
  assert.match(await page.textContent('#alerts'), /newer version of this page/);
  const { page: late } = await profile.tab();
  assert.match(await late.textContent('#alerts, #read-only'), /newer version|another tab/);
  await late.close();
  await page.reload();
  await page.waitForSelector('#empty:not([hidden])');
  assert.match(await page.textContent('#alerts'), /saved by a newer version/);
  await takeSamples(page);

  await page.goto(`${profile.origin}/style.css`);
  await page.evaluate(emptyDatabase);
  await page.goto(`${profile.origin}/?device=cpu&test&detector=none`);
  await page.waitForSelector('#empty:not([hidden])');
  assert.match(await page.textContent('#alerts'), /part of the database is missing/);
  await page.click('#project');
  await page.click('dialog button:has-text("New project…")');
  await takeSamples(page);
  await waitSaved(page);
  await page.reload();
  await imagesListed(page, 6);
});

withProfile('records that are broken are left out and said; the rest is there and stays', async (profile) => {
  const { page } = await profile.open();
  const count = await takeSamples(page);
  await annotate(page, 0, 4);
  await annotate(page, 1, 4);
  await annotate(page, 2, 4);
  await waitSaved(page);
  await page.goto(`${profile.origin}/style.css`);
  await page.evaluate(() => new Promise((resolve, reject) => {
    const request = indexedDB.open('cytobox');
    request.onerror = reject;
    request.onsuccess = () => {
      const database = request.result;
      const transaction = database.transaction([...database.objectStoreNames], 'readwrite');
      const [images, annotations, results, settings, files] = ['images', 'annotations', 'results', 'settings', 'files'].map((name) => transaction.objectStore(name));
      images.getAllKeys().onsuccess = ({ target: { result: keys } }) => {
        annotations.put({ verified: 'yes', objects: 'none' }, keys[0]);
        annotations.put({ verified: true, objects: [
          { box: [1, 1, 9, 9], label: '<img src=x onerror=alert(1)>' }, { box: [9, 9, 1, 1], label: 'Cell' },
          { box: [1, NaN, 9, 9], label: 'Cell' }, { box: [1, 1, 9, 9], label: '' }, null,
        ] }, keys[1]);
        results.put(new Date(), keys[2]);
        images.put({ name: 7 }, keys[3]);
        images.put('nothing', 'a text for a key');
        images.put(null, 4711);
        files.put({ file: 'no file' }, 'nowhere.png');
        settings.put([{ name: 'Cell', color: 3 }], 'labels');
        settings.put('high', 'score');
        settings.put({ length: -1 }, 'order');
        settings.put(-5, 'current');
      };
      transaction.oncomplete = () => {
        database.close();
        resolve();
      };
      transaction.onabort = reject;
    };
  }));
  let alerted = false;
  page.on('dialog', () => (alerted = true));
  await page.goto(`${profile.origin}/?device=cpu&test&detector=none`);
  await imagesListed(page, count - 1);
  assert.match(await page.textContent('#alerts'), /saved records could not be read; the rest is here/);
  const state = await projectState(page);
  assert.equal(state.images[0].annotations, null);
  assert.deepEqual(state.images[1].annotations?.objects.map(({ label }) => label), ['<img src=x onerror=alert(1)>']);
  assert.equal(state.images[2].annotations?.objects.length, 4);
  assert.equal(state.score, 0.7);
  await page.click('#project');
  await screenshot(page, 'faults-light');
  assert.match(await page.textContent('dialog'), /is not a box/);
  await page.keyboard.press('Escape');
  await annotate(page, 0, 6);
  await waitSaved(page);
  await page.reload();
  await imagesListed(page, count - 1);
  assert.equal((await annotations(page, 0))?.objects.length, 6);
  assert.equal(alerted, false);
});

/** A zip made by hand; each file may say other things than are true. */
function zipOf(files) {
  const parts = [];
  const directory = [];
  let at = 0;
  for (const { name, content = '', method = 0, flags = 0x800, crc, packed, size, place } of files) {
    const path = Buffer.from(name);
    const bytes = Buffer.from(content);
    const data = method === 8 ? deflateRawSync(bytes) : bytes;
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(flags, 2);
    common.writeUInt16LE(method, 4);
    common.writeUInt32LE(crc ?? crc32(bytes), 10);
    common.writeUInt32LE(packed ?? data.length, 14);
    common.writeUInt32LE(size ?? bytes.length, 18);
    common.writeUInt16LE(path.length, 22);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(place ?? at, 10);
    directory.push(Buffer.from('504b01021400', 'hex'), common, tail, path);
    const local = Buffer.concat([Buffer.from('504b0304', 'hex'), common, path, data]);
    parts.push(local);
    at += local.length;
  }
  const list = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(files.length, 8);
  end.writeUInt16LE(files.length, 10);
  end.writeUInt32LE(list.length, 12);
  end.writeUInt32LE(at, 16);
  return Buffer.concat([...parts, list, end]);
}

function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

/** project.json with this in it. */
function list(change = {}) {
  const images = [{ name: 'a', files: [{ path: 'a.png', channel: null, size: 3, modified: 0, entry: 'images/a.png' }], annotations: 'annotations/a.json', result: null }];
  return JSON.stringify({ format: 'cytobox-project', version: 1, settings: {}, current: 0, detector: null, images, ...change });
}

function project({ json = list(), annotation = '{"verified":false,"objects":[]}', image = {}, more = [] } = {}) {
  return zipOf([
    { name: 'project.json', content: json },
    { name: 'annotations/a.json', content: annotation },
    { name: 'images/a.png', content: 'abc', ...image },
    ...more,
  ]);
}

const object = (change) => JSON.stringify({ verified: false, objects: [{ box: [1, 1, 9, 9], label: 'Cell', difficult: false, truncated: false, ...change }] });
const oneImage = (change) => list({ images: [{ ...JSON.parse(list()).images[0], ...change }] });

/** @type {[string, Buffer, RegExp][]} */
const HOSTILE = [
  ['no zip at all', Buffer.from('not a zip'), /not a zip file/],
  ['empty', Buffer.alloc(0), /not a zip file/],
  ['no project', zipOf([{ name: 'a.txt', content: 'hello' }]), /not a cytobox project/],
  ['another format', project({ json: '{"format":"other"}' }), /not a cytobox project/],
  ['null', project({ json: 'null' }), /not a cytobox project/],
  ['a newer version', project({ json: list({ version: 2 }) }), /newer version/],
  ['no JSON', project({ json: '{' }), /is not valid JSON/],
  ['images no list', project({ json: list({ images: { length: 1e9 } }) }), /lists no images/],
  ['a wrong sum', project({ image: { crc: 1 } }), /checksum of images\/a\.png is wrong/],
  ['two sizes', project({ image: { size: 30 } }), /two sizes/],
  ['a path upward', project({ more: [{ name: '../../evil.sh' }] }), /unsafe file path/],
  ['an absolute path', project({ more: [{ name: '/etc/passwd' }] }), /unsafe file path/],
  ['a drive', project({ more: [{ name: 'C:evil' }] }), /unsafe file path/],
  ['a backslash', project({ more: [{ name: 'a\\..\\b' }] }), /unsafe file path/],
  ['a NUL', project({ more: [{ name: 'a\0.png' }] }), /unsafe file path/],
  ['a name twice', project({ more: [{ name: 'images/a.png', content: 'abc' }] }), /two files named/],
  ['encrypted', project({ image: { flags: 0x801 } }), /encrypted/],
  ['another packing', project({ image: { method: 12 } }), /method 12/],
  ['an endless promise', project({ image: { method: 8, size: 0xfffffffe } }), /4 GiB|too large/],
  ['more than promised', project({ image: { method: 8, content: Buffer.alloc(50_000_000), size: 3 } }), /checksum or size/],
  ['less than promised', project({ image: { method: 8, content: 'abc', size: 4 } }), /checksum or size/],
  ['no deflate', zipOf([{ name: 'project.json', content: list(), method: 0 }, { name: 'annotations/a.json', content: '{}' }, { name: 'images/a.png', content: 'abc', method: 8, packed: 2 }]), /cannot be unpacked|checksum or size/],
  ['overlapping files', project({ more: [{ name: 'b', content: 'abc', place: 0 }] }), /overlap/],
  ['a place beyond', project({ image: { place: 0x7fffffff } }), /ends too early/],
  ['a missing file', project({ json: oneImage({ annotations: 'annotations/b.json' }) }), /has no annotations\/b\.json/],
  ['a wrong size', project({ json: oneImage({ files: [{ path: 'a.png', size: 4, modified: 0, entry: 'images/a.png' }] }) }), /does not have the size/],
  ['names twice', project({ json: list({ images: [...JSON.parse(list()).images, ...JSON.parse(list()).images] }) }), /two images are named/],
  ['a box upside down', project({ annotation: object({ box: [9, 9, 1, 1] }) }), /is not a box/],
  ['a box of texts', project({ annotation: object({ box: ['1', '1', '9', '9'] }) }), /not a valid number/],
  ['a box beyond', project({ annotation: object({ box: [1, 1, 9, 1e300] }) }), /not a valid number/],
  ['an invisible label', project({ annotation: object({ label: 'a\u202eb' }) }), /not a valid label/],
  ['a long label', project({ annotation: object({ label: 'x'.repeat(129) }) }), /not a valid label/],
  ['a huge mask', project({ annotation: object({ mask: { size: [1e9, 1e9], counts: [1] } }) }), /not a valid number/],
  ['a mask of nonsense', project({ annotation: object({ mask: { size: [9, 9], counts: '<b>' } }) }), /mask/],
  ['many objects', project({ annotation: `{"objects":[${'0,'.repeat(10_000)}0]}` }), /the limit is 10000/],
  ['prototype', project({ json: list().replace('"settings":{}', '"settings":{"__proto__":{"label":"x"},"score":"high"}') }), /score/],
  ['no settings', project({ json: list({ settings: { trainingSettings: [] } }) }), /training settings/],
  ['no curves', project({ json: list({ settings: { curves: { steps: [{ step: 1, epoch: 'x', total: 1, losses: {} }], validations: [] } } }) }), /training steps/],
  ['curves without end', project({ json: list({ settings: { curves: { steps: Array(5000).fill(0), validations: [] } } }) }), /the limit is 1000/],
  ['no evaluation', project({ json: list({ settings: { evaluation: { class_agnostic: {}, measure: '<b>' } } }) }), /the evaluation/],
];

withProfile('hostile project files are refused with a sentence, and change nothing', async (profile) => {
  const { page } = await profile.open();
  await takeSamples(page);
  await annotate(page, 0, 3);
  await waitSaved(page);
  const before = await projectState(page);
  const good = await saveProject(page);
  /** @type {[string, Buffer, RegExp][]} */
  const cut = [];
  for (let n = 1; n < 40; n += 1) {
    cut.push([`cut at ${n} of 40`, good.bytes.subarray(0, Math.floor((good.bytes.length * n) / 40)), /\S/]);
  }
  for (let n = 0; n < 40; n += 1) {
    const bytes = Buffer.from(good.bytes);
    bytes[Math.floor((bytes.length * (n + 0.37)) / 40)] ^= 0x10;
    cut.push([`a bit turned at ${n} of 40`, bytes, /\S/]);
  }
  for (const [name, bytes, sentence] of [...HOSTILE, ...cut]) {
    await page.evaluate(() => document.getElementById('alerts').replaceChildren());
    const start = Date.now();
    await pickProject(page, bytes, 'evil.zip');
    await page.waitForFunction(() => document.getElementById('alerts').textContent.includes('was not opened') || document.querySelector('dialog'), null, { timeout: 30_000 })
      .catch(() => assert.fail(`${name}: no answer`));
    const said = await page.textContent('#alerts');
    assert.equal(await page.locator('dialog').count(), 0, `${name} was accepted`);
    assert.match(said, sentence, name);
    assert.ok(Date.now() - start < 5000, `${name} took ${Date.now() - start} ms`);
  }
  assert.deepEqual(await projectState(page), before);

  // The plain one of the same making opens: it was not refused for its making.
  await pickProject(page, project(), 'good.zip');
  await page.click('dialog button:has-text("Open it")');
  await imagesListed(page, 1);
  await waitSaved(page);
});
