// What the tests of the saved project share: a profile that outlives its browser, and looks into the page's state.

import assert from 'node:assert/strict';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { expectNoOutsideRequests, launch } from './browser.mjs';
import { imagesListed, withoutDetector } from './page.mjs';
import { startServer } from './server.mjs';

/** A server and a browser profile that stay while browsers come and go. */
export async function openProfile() {
  const keep = await mkdtemp(path.join(os.tmpdir(), 'cytobox-profile-'));
  const server = await startServer();
  const uncaught = [];
  let browser = null;
  let guard = null;
  const tab = async ({ query = '?device=cpu&test', watchEmpty = false, script = null } = {}) => {
    const page = await browser.context.newPage();
    page.on('pageerror', (error) => uncaught.push(error.message));
    page.on('dialog', (dialog) => dialog.accept());
    if (watchEmpty) await page.addInitScript(watchEmptyPanel);
    if (script) await page.addInitScript(script);
    await page.goto(`${server.origin}/${withoutDetector(query)}`);
    await page.waitForFunction(() => document.getElementById('project-state').textContent !== 'opening …');
    return { page };
  };
  return {
    origin: server.origin,
    tab,
    open: async (options) => {
      browser = await launch({ keep, viewport: { width: 1280, height: 720 } });
      guard = await expectNoOutsideRequests(browser.context, server.origin);
      return tab(options);
    },
    kill: async () => {
      await browser.kill();
      browser = null;
    },
    /** Turns bits of what the killed browser has written of the page's database, or of the copy. */
    damage: async (which) => {
      const wanted = { database: /^IndexedDB\/.*\.(log|ldb)$/, copy: /^WebStorage\/\d+\/IndexedDB\/.*\.(log|ldb)$/ }[which];
      const folder = path.join(keep, 'Default');
      let damaged = 0;
      for (const name of await readdir(folder, { recursive: true })) {
        if (!wanted.test(name)) continue;
        const bytes = await readFile(path.join(folder, name));
        for (let at = bytes.length >> 2; at < bytes.length; at += 1 + (bytes.length >> 4)) bytes[at] ^= 0xff;
        await writeFile(path.join(folder, name), bytes);
        if (bytes.length > 0) damaged += 1;
      }
      assert.ok(damaged > 0, `nothing of the ${which} was found`);
    },
    end: async () => {
      await browser?.close();
      await server.close();
      await rm(keep, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
      guard?.check();
      assert.deepEqual(uncaught, [], 'uncaught errors of the page');
    },
  };
}

/** Runs in the page before it: notes whether the panel of an empty project was ever shown. */
function watchEmptyPanel() {
  globalThis.sawEmpty = false;
  const look = () => {
    const panel = document.getElementById('empty');
    if (panel && !panel.hidden) globalThis.sawEmpty = true;
  };
  new MutationObserver(look).observe(document, { subtree: true, childList: true, attributes: true });
}

/** Synthetic images, which need no data. Resolves to how many there are. */
export async function takeSamples(page) {
  await page.click('#samples');
  await imagesListed(page, 6);
  return 6;
}

/** The same images without the boxes that come with them, so that nothing in them is anybody's work. */
export async function takeBareSamples(page) {
  await page.evaluate(async () => {
    const { files } = await globalThis.cytobox.send('images', { type: 'samples', images: 6, seed: 1, side: 512 });
    const channels = new DataTransfer();
    for (const { name, bytes } of files) if (/_(red|green|blue|yellow)\.png$/.test(name)) channels.items.add(new File([bytes], name));
    const picker = document.getElementById('pick-files');
    picker.files = channels.files;
    picker.dispatchEvent(new Event('change'));
  });
  await imagesListed(page, 6);
  return 6;
}

/** Waits until the page says that everything is saved. */
export async function waitSaved(page) {
  await page.waitForFunction(() => document.getElementById('project-state').textContent === 'saved');
  // The word follows the state by a frame; what was changed just now is waited for too.
  await page.waitForTimeout(150);
  await page.waitForFunction(() => document.getElementById('project-state').textContent === 'saved');
}

/** Boxes `count` cells of an image, as the annotation tool would leave them. */
export function annotate(page, index, count) {
  return page.evaluate(([at, boxes]) => {
    const { store } = globalThis.cytobox;
    const objects = Array.from({ length: boxes }, (_, n) => ({ box: [n % 100, 1, (n % 100) + 20.25, 30], label: 'Cell', difficult: n % 7 === 0, truncated: false }));
    const ignored = [{ box: [1, 2, 30.5, 40], label: 'Cell', reason: 'crowd' }];
    store.state.images[at].annotations = { verified: true, objects, ignored, incomplete: true };
    store.touch('images');
  }, [index, count]);
}

export function annotations(page, index) {
  return page.evaluate((at) => globalThis.cytobox.store.state.images[at]?.annotations, index);
}

/** All that belongs to the project, without what is of the moment. */
export function projectState(page) {
  return page.evaluate(() => {
    const { images, labels, label, score, trainingSettings, current, projectId } = globalThis.cytobox.store.state;
    return {
      projectId, labels, label, score, trainingSettings,
      current: images.findIndex(({ id }) => id === current),
      images: images.map(({ name, files, channels, missing, fill, merge, annotations, result, problem }) => ({
        name, channels, missing, fill, merge, annotations, result, problem,
        files: files.map(({ file, blob }) => ({ path: file.file, channel: file.channel ?? null, name: blob.name, size: blob.size, modified: blob.lastModified })),
      })),
    };
  });
}

/** SHA-256 of every file of every image. */
export function digests(page) {
  return page.evaluate(async () => {
    const all = [];
    for (const image of globalThis.cytobox.store.state.images) {
      const sums = [];
      for (const { blob } of image.files) {
        const sum = new Uint8Array(await crypto.subtle.digest('SHA-256', await blob.arrayBuffer()));
        sums.push([...sum].map((byte) => byte.toString(16).padStart(2, '0')).join(''));
      }
      all.push(sums.join());
    }
    return all;
  });
}

/** Runs in the page: opens the database as it is, or in another version. */
export function openRaw(version) {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open('cytobox', version);
    request.onupgradeneeded = () => {};
    request.onsuccess = () => {
      request.result.close();
      resolve();
    };
    request.onerror = () => reject(request.error);
  });
}

/** Runs in another page of the origin: a database without anything in it takes the place of the one that is there. */
export function emptyDatabase() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.deleteDatabase('cytobox');
    request.onerror = () => reject(request.error);
    request.onsuccess = () => {
      const empty = indexedDB.open('cytobox', 1);
      empty.onerror = () => reject(empty.error);
      empty.onsuccess = () => {
        empty.result.close();
        resolve();
      };
    };
  });
}

/** Saves the project file. Resolves to its path and bytes. */
export async function saveProject(page) {
  await page.click('#project');
  const [saved] = await Promise.all([page.waitForEvent('download'), page.click('dialog button:has-text("Save project…")')]);
  assert.match(saved.suggestedFilename(), /^cytobox-\d{4}-\d\d-\d\d\.zip$/);
  const file = path.join(path.dirname(await saved.path()), 'project.zip');
  await saved.saveAs(file);
  return { path: file, bytes: await readFile(file) };
}

/** Chooses a project file through the picker. */
export function pickProject(page, buffer, name = 'project.zip') {
  return page.setInputFiles('#pick-project', { name, mimeType: 'application/zip', buffer });
}
