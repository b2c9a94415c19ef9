// Nothing is lost: the project is there again after the browser was killed, in a second tab, and on another machine.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { MODEL, SLOW, channelFiles, drop, engineReady, imagesListed, loadModel, screenshot, settled, unzip } from './page.mjs';
import {
  annotate, annotations, digests, emptyDatabase, openProfile, projectState, saveProject, takeBareSamples, takeSamples, waitSaved,
} from './project.mjs';

/** An edit is on the disk after this many milliseconds. */
const SAVED_WITHIN = 300;

test('after a kill everything is there again, and the page is never shown as empty', { timeout: SLOW }, async () => {
  const profile = await openProfile();
  try {
    let { page } = await profile.open();
    await takeSamples(page);
    await waitSaved(page);
    const before = await digests(page);
    assert.equal(before.length > 0, true);
    await annotate(page, 0, 3);
    await annotate(page, 2, 40);
    await page.evaluate(() => {
      const { store } = globalThis.cytobox;
      const [, image, other] = store.state.images;
      const detections = { image: image.name, file: '', width: 256, height: 256, merge: null, filled: [],
        detections: [{ box: [1, 2, 30.5, 40], label: 'Cell', score: 0.93, mask: { size: [256, 256], counts: [257, 4, 256 * 256 - 261] } }] };
      image.result = { detections, seconds: 1.5, stale: false };
      image.state = 'done';
      other.merge = { red: [1, 0.5, 0] };
      store.set({ labels: [{ name: 'Cell', color: '#e69f00' }], label: 'Cell', score: 0.55, trainingSettings: { epochs: 7 }, current: other.id });
      store.touch('images');
    });
    const wanted = await projectState(page);
    await page.waitForTimeout(SAVED_WITHIN);
    await profile.kill();

    ({ page } = await profile.open({ watchEmpty: true }));
    await imagesListed(page, before.length);
    assert.deepEqual(await projectState(page), wanted);
    assert.deepEqual(await digests(page), before, 'the files are the same bytes');
    assert.equal(await page.evaluate(() => globalThis.sawEmpty), false, 'the empty page was not shown');
    await page.waitForFunction(() => /\d+ × \d+/.test(document.getElementById('facts').textContent));
    assert.equal(await page.textContent('#project-state'), 'saved');
    await screenshot(page, 'restored-light');
  } finally {
    await profile.end();
  }
});

test('20 kills at random moments lose no edit older than 300 ms', { timeout: SLOW }, async () => {
  const profile = await openProfile();
  try {
    let { page } = await profile.open();
    await takeSamples(page);
    await waitSaved(page);
    await annotate(page, 0, 200);
    let least = 200;
    let worst = 0;
    let restored = 0;
    for (let kill = 0; kill < 20; kill += 1) {
      /** @type {[number, number][]} */
      const edits = [];
      page.on('console', (message) => {
        const [word, count, time] = message.text().split(' ');
        if (word === 'edit') edits.push([Number(count), Number(time)]);
      });
      await page.evaluate(() => {
        const { store } = globalThis.cytobox;
        const [image] = store.state.images;
        const edit = () => {
          const objects = [...(image.annotations?.objects ?? [])];
          objects.push({ box: [1, 1, 20, 20], label: 'Cell', difficult: false, truncated: false });
          image.annotations = { verified: false, objects };
          store.touch('images');
          console.log(`edit ${objects.length} ${Date.now()}`);
          setTimeout(edit, 10 + Math.random() * 60);
        };
        edit();
      });
      await page.waitForTimeout(400 + Math.random() * 1200);
      const killed = Date.now();
      await profile.kill();
      ({ page } = await profile.open());
      await page.waitForFunction(() => document.getElementById('project-state').textContent !== 'opening …');
      const found = (await annotations(page, 0))?.objects.length ?? 0;
      const promised = edits.filter(([, time]) => time <= killed - SAVED_WITHIN).reduce((most, [count]) => Math.max(most, count), least);
      const lost = edits.filter(([count, time]) => count > found && time <= killed).map(([, time]) => killed - time);
      worst = Math.max(worst, ...lost);
      const { faults, images } = await page.evaluate(() => {
        const { state } = globalThis.cytobox.store;
        return { faults: state.faults, images: state.images.length };
      });
      const state = `${images} images, project ${await page.textContent('#project-state')}, ${JSON.stringify(faults)}`;
      assert.ok(found >= promised, `kill ${kill + 1}: ${found} objects, ${promised} were promised; ${state}`);
      assert.deepEqual(faults, []);
      if (/lost its database/.test(await page.textContent('#alerts'))) restored += 1;
      least = found;
    }
    console.log(`oldest edit that a kill took: ${worst} ms; databases that came back from their copy: ${restored}`);
  } finally {
    await profile.end();
  }
});

test('20 kills while a cell is painted lose no stroke older than 300 ms', { timeout: SLOW }, async () => {
  const profile = await openProfile();
  try {
    let { page } = await profile.open();
    await takeBareSamples(page);
    await waitSaved(page);
    /** Masks of the cell, as runs, after each stroke of all that was painted. @type {string[]} */
    const masks = ['none'];
    let least = 0;
    let worst = 0;
    for (let kill = 0; kill < 20; kill += 1) {
      await waitSaved(page);
      /** Numbers of masks, each with the time of its stroke. @type {[number, number][]} */
      const strokes = [];
      page.on('console', (message) => {
        const [word, time, mask] = message.text().split(' ');
        if (word !== 'stroke') return;
        masks.push(mask);
        strokes.push([masks.length - 1, Number(time)]);
      });
      await page.evaluate(() => {
        const { store } = globalThis.cytobox;
        store.set({ current: store.state.images[0].id });
        let last = null;
        store.watch((keys) => {
          const mask = store.state.images[0]?.annotations?.objects[0]?.mask;
          if (!keys.includes('annotations') || !mask || mask === last) return;
          last = mask;
          console.log(`stroke ${Date.now()} ${mask.counts.join()}`);
        });
      });
      await page.waitForFunction(() => globalThis.cytobox.store.state.opened?.id === globalThis.cytobox.store.state.current);
      await page.click('#mode-annotate');
      await settled(page);
      await page.focus('#viewport');
      await page.keyboard.press('p');
      await page.evaluate(() => globalThis.cytobox.store.set({ brushSize: 24, selectedBox: globalThis.cytobox.store.state.images[0].annotations ? 0 : null }));
      const { x, y, width, height } = await page.locator('#viewport').boundingBox();
      const place = () => [x + width / 2 + (Math.random() - 0.5) * 300, y + height / 2 + (Math.random() - 0.5) * 300];
      let isOver = false;
      const hand = (async () => {
        while (!isOver) {
          await page.mouse.move(...place());
          await page.mouse.down();
          await page.mouse.move(...place(), { steps: 3 });
          await page.mouse.up();
        }
      })().catch(() => {});
      await page.waitForTimeout(400 + Math.random() * 1200);
      const killed = Date.now();
      await profile.kill();
      isOver = true;
      await hand;
      ({ page } = await profile.open());
      await page.waitForFunction(() => document.getElementById('project-state').textContent !== 'opening …');
      const all = (await annotations(page, 0))?.objects ?? [];
      assert.ok(all.length <= 1, `kill ${kill + 1}: ${all.length} cells; ${JSON.stringify(all.map(({ box }) => box))}`);
      const found = masks.lastIndexOf(all[0]?.mask.counts.join() ?? 'none');
      assert.ok(found >= 0, `kill ${kill + 1}: the cell is none that was painted`);
      const promised = strokes.filter(([, time]) => time <= killed - SAVED_WITHIN).reduce((most, [number]) => Math.max(most, number), least);
      const lost = strokes.filter(([number, time]) => number > found && time <= killed).map(([, time]) => killed - time);
      worst = Math.max(worst, ...lost);
      assert.ok(found >= promised, `kill ${kill + 1}: stroke ${found}, ${promised} was promised`);
      assert.deepEqual(await page.evaluate(() => globalThis.cytobox.store.state.faults), []);
      least = found;
    }
    assert.ok(least > 20, `${least} strokes in all`);
    console.log(`${least} strokes; the oldest that a kill took: ${worst} ms`);
  } finally {
    await profile.end();
  }
});

test('a database that the browser finds damaged comes back from its copy', { timeout: SLOW }, async () => {
  const profile = await openProfile();
  const isWhole = (page) => page.waitForFunction(() => document.getElementById('model-report').hidden === false
    && globalThis.cytobox.store.state.images.every(({ absent, problem }) => !absent && !problem), null, { timeout: 60_000 });
  const work = async (page) => {
    const { projectId, labels, label, images } = await projectState(page);
    return { projectId, labels, label, images: images.map(({ name, annotations: all }) => [name, all]) };
  };
  try {
    let { page } = await profile.open();
    await engineReady(page);
    const count = await takeBareSamples(page);
    await loadModel(page);
    await annotate(page, 0, 40);
    await page.evaluate(() => globalThis.cytobox.store.set({ labels: [{ name: 'Cell', color: '#e69f00' }], label: 'Cell' }));
    await waitSaved(page);
    const first = await work(page);
    const bytes = await digests(page);
    await profile.kill();
    await profile.damage('database');

    ({ page } = await profile.open({ watchEmpty: true }));
    await imagesListed(page, count);
    assert.match(await page.textContent('#alerts'), /lost its database.*were restored to their state of/);
    assert.deepEqual(await work(page), first);
    assert.equal(await page.evaluate(() => globalThis.sawEmpty), false, 'the empty page was not shown');
    assert.match(await page.textContent('#unkept'), /files of 6 images were not saved.*Drop them again/);
    await screenshot(page, 'lost-database-light');
    await takeBareSamples(page);
    await isWhole(page);
    await annotate(page, 1, 5);
    await waitSaved(page);
    const second = await work(page);
    await profile.kill();

    // Everything is in the new database, which is believed again; a damaged copy is made anew and not spoken of.
    await profile.damage('copy');
    ({ page } = await profile.open());
    await imagesListed(page, count);
    await isWhole(page);
    assert.deepEqual(await work(page), second);
    assert.deepEqual(await digests(page), bytes);
    assert.equal(await page.textContent('#alerts'), '');
    await waitSaved(page);
    await profile.kill();
    await profile.damage('database');
    ({ page } = await profile.open());
    await imagesListed(page, count);
    assert.deepEqual(await work(page), second);
    await page.waitForFunction(() => !document.getElementById('model-report').hidden, null, { timeout: 60_000 });

    // A database with a part missing is made anew from the copy as well.
    await waitSaved(page);
    await page.goto(`${profile.origin}/style.css`);
    await page.evaluate(emptyDatabase);
    await page.goto(`${profile.origin}/?device=cpu&test&detector=none`);
    await imagesListed(page, count);
    assert.deepEqual(await work(page), second);
  } finally {
    await profile.end();
  }
});

test('a project file carries everything to another machine', { timeout: SLOW }, async () => {
  const [one, other] = [await openProfile(), await openProfile()];
  try {
    const { page } = await one.open();
    await engineReady(page);
    const files = await channelFiles();
    await drop(page, files);
    await imagesListed(page, 1);
    await loadModel(page);
    await annotate(page, 0, 25);
    await page.evaluate(() => {
      globalThis.cytobox.store.set({ labels: [{ name: 'Ядро', color: '#56b4e9' }], label: 'Ядро', trainingSettings: { seed: 3 } });
    });
    await settled(page);
    const wanted = await projectState(page);
    const zip = await saveProject(page);
    const inside = unzip(zip.bytes);
    for (const file of files) assert.ok(inside.get(`images/${path.basename(file)}`)?.equals(await readFile(file)), `${file} is in the zip as it came`);
    assert.ok(inside.get(`detector/${path.basename(MODEL)}`)?.equals(await readFile(MODEL)));

    const { page: there } = await other.open();
    await engineReady(there);
    await drop(there, [zip.path]);
    await imagesListed(there, 1);
    await there.waitForFunction(() => !document.getElementById('model-report').hidden, null, { timeout: 60_000 });
    const { projectId, ...found } = await projectState(there);
    const { projectId: before, ...rest } = wanted;
    assert.deepEqual(found, rest);
    assert.notEqual(projectId, before, 'an opened project is another one');
    await waitSaved(there);
    await other.kill();
    const { page: again } = await other.open();
    await imagesListed(again, 1);
    assert.deepEqual(await digests(again), await digests(page));
    await again.waitForFunction(() => !document.getElementById('model-report').hidden, null, { timeout: 60_000 });
  } finally {
    await one.end();
    await other.end();
  }
});

test('a new project is asked for, clears everything, and stays cleared', { timeout: SLOW }, async () => {
  const profile = await openProfile();
  try {
    const { page } = await profile.open();
    await takeSamples(page);
    await annotate(page, 0, 2);
    await waitSaved(page);
    const { projectId } = await projectState(page);
    await page.click('#project');
    await page.click('dialog button:has-text("New project…")');
    await page.click('dialog button:has-text("Cancel")');
    assert.equal((await projectState(page)).images.length > 0, true, 'cancelled');
    await page.click('#project');
    await page.click('dialog button:has-text("New project…")');
    await screenshot(page, 'new-project-light');
    await page.click('dialog button:has-text("Start new project")');
    await page.waitForSelector('#empty:not([hidden])');
    await waitSaved(page);
    const now = await projectState(page);
    assert.notEqual(now.projectId, projectId);
    await page.reload();
    await page.waitForSelector('#empty:not([hidden])');
    assert.deepEqual(await projectState(page), now);
  } finally {
    await profile.end();
  }
});

test('two tabs: one edits, the other looks on, takes over, and follows', { timeout: SLOW }, async () => {
  const profile = await openProfile();
  try {
    const { page: first } = await profile.open();
    await takeSamples(first);
    await annotate(first, 0, 2);
    await waitSaved(first);
    const { page: second } = await profile.tab();
    await second.waitForSelector('#read-only:not([hidden])');
    assert.match(await second.textContent('#read-only'), /open in another tab/);
    assert.equal((await annotations(second, 0))?.objects.length, 2);
    await screenshot(second, 'second-tab-light');
    await annotate(first, 0, 5);

    await second.click('#edit-here');
    await second.waitForSelector('#read-only', { state: 'hidden' });
    assert.equal((await annotations(second, 0))?.objects.length, 5, 'what the first tab had just changed is there');
    await first.waitForSelector('#read-only:not([hidden])');
    await annotate(second, 0, 9);
    await waitSaved(second);
    // What a tab without the project changes goes nowhere.
    await annotate(first, 0, 1);
    await first.waitForTimeout(500);

    await second.close();
    await first.waitForSelector('#read-only', { state: 'hidden' });
    assert.equal((await annotations(first, 0))?.objects.length, 9, 'read again from the database');
    await annotate(first, 0, 10);
    await waitSaved(first);
    await first.reload();
    await first.waitForFunction(() => globalThis.cytobox?.store.state.images.length > 0);
    assert.equal((await annotations(first, 0))?.objects.length, 10);
  } finally {
    await profile.end();
  }
});

test('a tab that does not answer loses the project, and cannot write into it later', { timeout: SLOW }, async () => {
  const profile = await openProfile();
  try {
    const { page: first } = await profile.open();
    await takeSamples(first);
    await annotate(first, 0, 2);
    await waitSaved(first);
    const { page: second } = await profile.tab();
    await second.waitForSelector('#read-only:not([hidden])');
    const stuck = first.evaluate(() => {
      const until = performance.now() + 6000;
      while (performance.now() < until);
      const { store } = globalThis.cytobox;
      store.state.images[0].annotations = { verified: true, objects: [] };
      store.touch('images');
    });
    await second.click('#edit-here');
    await second.waitForSelector('#read-only', { state: 'hidden', timeout: 8000 });
    await annotate(second, 0, 7);
    await waitSaved(second);
    await stuck;
    await first.waitForSelector('#read-only:not([hidden])');
    await second.waitForTimeout(1000);
    await second.reload();
    await second.waitForFunction(() => globalThis.cytobox?.store.state.images.length > 0);
    const stored = await second.evaluate(() => globalThis.cytobox.store.state.images[0].annotations);
    assert.equal(stored.objects.length, 7);
  } finally {
    await profile.end();
  }
});
