// The harness itself: WebGPU answers in a page and in its worker, the server sends what it must, and the guards can fail.

import assert from 'node:assert/strict';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { expectNoErrors, expectNoOutsideRequests, launch } from './browser.mjs';
import { servedHeaders, startServer } from './server.mjs';

// Doubles four numbers on the GPU: an adapter that answers but cannot compute would be caught.
const PROBE = `
export async function probe() {
  const adapter = await navigator.gpu?.requestAdapter();
  if (!adapter) return { adapter: false };
  const device = await adapter.requestDevice();
  const size = 16;
  const storage = device.createBuffer({ size, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC });
  const readable = device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  device.queue.writeBuffer(storage, 0, new Float32Array([1, 2, 3, 4]));
  const module = device.createShaderModule({ code:
    '@group(0) @binding(0) var<storage, read_write> v: array<f32>;' +
    '@compute @workgroup_size(4) fn main(@builtin(global_invocation_id) id: vec3u) { v[id.x] = 2 * v[id.x]; }' });
  const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module, entryPoint: 'main' } });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries: [{ binding: 0, resource: { buffer: storage } }] }));
  pass.dispatchWorkgroups(1);
  pass.end();
  encoder.copyBufferToBuffer(storage, 0, readable, 0, size);
  device.queue.submit([encoder.finish()]);
  await readable.mapAsync(GPUMapMode.READ);
  return {
    adapter: true,
    timestamps: adapter.features.has('timestamp-query'),
    doubled: [...new Float32Array(readable.getMappedRange())],
    secure: isSecureContext,
  };
}`;

const FILES = {
  'index.html': '<!doctype html><meta charset="utf-8"><title>probe</title><script type="module" src="main.js"></script>',
  'probe.js': PROBE,
  'main.js': `
    import { probe } from './probe.js';
    const worker = new Worker('worker.js', { type: 'module' });
    globalThis.inPage = probe();
    globalThis.inWorker = new Promise((resolve, reject) => {
      worker.onmessage = (event) => resolve(event.data);
      worker.onerror = (event) => reject(new Error(event.message));
    });
    globalThis.workerFetch = (url) => new Promise((resolve) => {
      worker.onmessage = (event) => resolve(event.data);
      worker.postMessage(url);
    });`,
  'worker.js': `
    import { probe } from './probe.js';
    onmessage = async (event) => postMessage(await fetch(event.data).then(() => 'answered', () => 'refused'));
    postMessage(await probe());`,
  'module.wasm': Buffer.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]),
  'secret.conf': 'not a type the page is made of',
};

let folder;
let server;

before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'cytobox-fixture-'));
  for (const [name, content] of Object.entries(FILES)) await writeFile(path.join(folder, name), content);
  await symlink(os.tmpdir(), path.join(folder, 'outside'));
  server = await startServer(folder);
});

after(async () => {
  await server?.close();
  if (folder) await rm(folder, { recursive: true });
});

/** A request with the path exactly as given: `fetch` would tidy `..` away before sending it. */
function raw(pathname, method = 'GET') {
  const { port } = new URL(server.origin);
  return new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port, path: pathname, method }, (response) => {
      let body = '';
      response.on('data', (chunk) => (body += chunk)).on('end', () => resolve({ status: response.statusCode, headers: response.headers, body }));
    })
      .on('error', reject)
      .end();
  });
}

test('the server sends the right types and the headers of Trunk.toml', async () => {
  const expected = { '/': 'text/html', '/main.js': 'text/javascript', '/module.wasm': 'application/wasm' };
  for (const [pathname, type] of Object.entries(expected)) {
    const { status, headers } = await raw(`${pathname}?query=1`);
    assert.equal(status, 200);
    assert.ok(headers['content-type'].startsWith(type), `${pathname} is ${headers['content-type']}`);
    for (const [name, value] of Object.entries(await servedHeaders())) assert.equal(headers[name.toLowerCase()], value);
  }
});

test('the server gives nothing outside its folder and no file of an unknown type', async () => {
  const paths = ['/../browser.mjs', '/%2e%2e/%2e%2e/etc/passwd', '/..%2f..%2fetc/passwd', '/outside/', '/%', '/%00', '/secret.conf', '/missing.js'];
  for (const pathname of paths) assert.equal((await raw(pathname)).status, 404, pathname);
  assert.equal((await raw('/', 'POST')).status, 405);
  assert.equal((await raw('/main.js', 'HEAD')).body, '');
});

test('the policy keeps scripts, connections and workers to the page\'s own server', async () => {
  const policy = (await servedHeaders())['Content-Security-Policy'].split('; ');
  assert.ok(policy.includes("default-src 'none'"));
  assert.ok(policy.includes("connect-src 'self'"));
  assert.ok(policy.includes("script-src 'self' 'wasm-unsafe-eval'"));
  assert.ok(!policy.join().includes('unsafe-inline'));
  assert.ok(!/https?:/.test(policy.join()));
});

test('WebGPU computes in a page and in its worker, under the policy', { timeout: 120_000 }, async () => {
  const browser = await launch();
  try {
    const guard = await expectNoOutsideRequests(browser.context, server.origin);
    const page = await browser.context.newPage();
    const errors = expectNoErrors(page);
    await page.goto(server.origin);
    const answer = { adapter: true, timestamps: true, doubled: [2, 4, 6, 8], secure: true };
    assert.deepEqual(await page.evaluate(() => globalThis.inPage), answer);
    assert.deepEqual(await page.evaluate(() => globalThis.inWorker), answer);
    errors.check();
    guard.check();
  } finally {
    await browser.close();
  }
});

test('a browser started without WebGPU has none', { timeout: 120_000 }, async () => {
  const browser = await launch({ webgpu: false });
  try {
    const page = await browser.context.newPage();
    await page.goto(server.origin);
    assert.deepEqual(await page.evaluate(() => globalThis.inPage), { adapter: false });
    assert.deepEqual(await page.evaluate(() => globalThis.inWorker), { adapter: false });
  } finally {
    await browser.close();
  }
});

test('the guards see a request to outside, from a page and from its worker', { timeout: 120_000 }, async () => {
  // Another port of this machine stands for "outside"; without a policy, so that only the guard is in the way.
  const outside = await startServer(folder, { headers: { 'Access-Control-Allow-Origin': '*' } });
  const open = await startServer(folder, { headers: {} });
  const browser = await launch();
  try {
    const guard = await expectNoOutsideRequests(browser.context, open.origin);
    const page = await browser.context.newPage();
    const errors = expectNoErrors(page);
    await page.goto(open.origin);
    await page.evaluate(() => globalThis.inWorker);
    assert.equal(await page.evaluate((url) => fetch(url).then(() => 'answered', () => 'refused'), `${outside.origin}/main.js`), 'refused');
    assert.equal(await page.evaluate((url) => globalThis.workerFetch(url), `${outside.origin}/probe.js`), 'refused');
    assert.deepEqual([...guard.outside], [`${outside.origin}/main.js`, `${outside.origin}/probe.js`]);
    assert.throws(() => guard.check(), /outside its own server/);
    assert.throws(() => errors.check(), /reported errors/);
  } finally {
    await browser.close();
    await open.close();
    await outside.close();
  }
});
