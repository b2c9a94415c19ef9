// Starts Chromium with WebGPU on the software adapter and watches that a page asks nobody but its own server.

import assert from 'node:assert/strict';
import { mkdtemp, readlink, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { chromium } from 'playwright-core';

const FLAGS = [
  '--no-sandbox',
  '--disable-dev-shm-usage',
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--disable-quic',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
];

/** The browser to drive: $CHROME (`cargo xtask test` sets it), or Debian's Chromium. */
const BROWSER = process.env.CHROME ?? '/usr/bin/chromium';

/**
 * Starts the browser with a new, empty profile, or with the folder `keep` as one that stays. `webgpu: false` starts one
 * that has no GPU to offer. Resolves to `{ context, close, kill }`: `context` is Playwright's, `close` ends the browser and
 * removes a new profile, `kill` ends the browser's process at once, as a crash of the machine would.
 */
export async function launch({ webgpu = true, args = [], keep = null, ...options } = {}) {
  const profile = keep ?? (await mkdtemp(path.join(os.tmpdir(), 'cytobox-e2e-')));
  const gpu = webgpu ? [] : ['--disable-gpu', '--disable-features=WebGPU'];
  const flags = webgpu ? FLAGS : FLAGS.filter((flag) => !flag.includes('webgpu'));
  const remove = () => keep === null && rm(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  try {
    const context = await chromium.launchPersistentContext(profile, {
      executablePath: BROWSER,
      headless: false, // Playwright's own headless switches turn the GPU off; `--headless=new` keeps it.
      args: ['--headless=new', ...flags, ...gpu, ...args],
      acceptDownloads: true,
      ...options,
    });
    return {
      context,
      close: async () => {
        await context.close();
        await remove();
      },
      kill: async () => {
        // The lock of the profile is a link that names host and process.
        const pid = Number((await readlink(path.join(profile, 'SingletonLock'))).split('-').pop());
        const closed = new Promise((resolve) => context.once('close', resolve));
        process.kill(pid, 'SIGKILL');
        await closed;
      },
    };
  } catch (error) {
    await remove();
    throw error;
  }
}

/**
 * Records every request of the context that leaves `origin`, and refuses it. Call it before the first page is opened,
 * and `.check()` at the end: it fails the test with the list of what was asked for.
 */
export async function expectNoOutsideRequests(context, origin) {
  const outside = new Set(); // A refused request is seen twice: by the route and by the event.
  const inside = (url) => /^(blob|data|about|chrome-error):/.test(url) || new URL(url).origin === origin;
  await context.route(
    (url) => !inside(url.href),
    (route) => {
      outside.add(route.request().url());
      return route.abort('blockedbyclient');
    },
  );
  context.on('request', (request) => {
    if (!inside(request.url())) outside.add(request.url());
  });
  return { outside, check: () => assert.deepEqual([...outside], [], 'the page asked for something outside its own server') };
}

/** Collects what a page complains about: uncaught errors and console errors. `.check()` fails if there was any. */
export function expectNoErrors(page) {
  const errors = [];
  page.on('pageerror', (error) => errors.push(`uncaught: ${error.message}`));
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(`console: ${message.text()} (${message.location().url})`);
  });
  return { errors, check: () => assert.deepEqual(errors, [], 'the page reported errors') };
}
