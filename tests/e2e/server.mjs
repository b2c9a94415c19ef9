// A small static server for the built page, on the loopback address only. It sends the headers that `trunk serve`
// sends: both take them from `[serve.headers]` in Trunk.toml.
// By hand: node tests/e2e/server.mjs [FOLDER] [PORT]

import { createReadStream } from 'node:fs';
import { readFile, realpath, stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const CHECKOUT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');

/** Where `cargo xtask build` leaves the page. */
export const DIST = process.env.CYTOBOX_DIST ?? path.join(process.env.CARGO_TARGET_DIR ?? path.join(CHECKOUT, 'target'), 'dist');

const MIME_TYPES = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.ico': 'image/x-icon',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.mjs': 'text/javascript; charset=utf-8',
  '.png': 'image/png',
  '.safetensors': 'application/octet-stream',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
  '.wasm': 'application/wasm',
  '.webmanifest': 'application/manifest+json',
};

/** The table `[serve.headers]` of Trunk.toml: one `"Name" = "value"` a line, up to the next table. */
export async function servedHeaders(file = path.join(CHECKOUT, 'Trunk.toml')) {
  const lines = (await readFile(file, 'utf8')).split(/\r?\n/);
  const start = lines.indexOf('[serve.headers]');
  if (start < 0) throw new Error(`${file} has no table [serve.headers]`);
  const headers = {};
  for (const line of lines.slice(start + 1)) {
    if (line.startsWith('[')) break;
    const entry = /^"([A-Za-z-]+)" = "([^"\\]*)"$/.exec(line.trim());
    if (entry) headers[entry[1]] = entry[2];
    else if (line.trim() && !line.startsWith('#')) throw new Error(`${file}: cannot read this header: ${line}`);
  }
  if (!headers['Content-Security-Policy']) throw new Error(`${file} sets no Content-Security-Policy`);
  return headers;
}

/** The file a URL path names inside `root`, or null: nothing outside `root`, not even through a link. */
async function resolveInside(root, urlPath) {
  let decoded;
  try {
    decoded = decodeURIComponent(urlPath);
  } catch {
    return null;
  }
  if (decoded.includes('\0') || decoded.includes('\\')) return null;
  const asked = path.join(root, decoded.endsWith('/') ? `${decoded}index.html` : decoded);
  try {
    const file = await realpath(asked);
    if (!file.startsWith(root + path.sep) || !(await stat(file)).isFile()) return null;
    return file;
  } catch {
    return null;
  }
}

/**
 * Serves `folder` on 127.0.0.1. `headers` defaults to what `trunk serve` sends; `port` 0 takes a free one.
 * Resolves to `{ origin, close }`; `close` also ends open connections.
 */
export async function startServer(folder = DIST, { headers, port = 0 } = {}) {
  let root;
  try {
    root = await realpath(folder);
  } catch {
    throw new Error(`nothing to serve at ${folder}: run \`cargo xtask build\` first`);
  }
  const always = headers ?? (await servedHeaders());

  const server = createServer(async (request, response) => {
    for (const [name, value] of Object.entries(always)) response.setHeader(name, value);
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405, { Allow: 'GET, HEAD' }).end();
      return;
    }
    const file = await resolveInside(root, request.url.split(/[?#]/, 1)[0]);
    const type = file && MIME_TYPES[path.extname(file).toLowerCase()];
    if (!type) {
      // A type that is not in the list is refused: a file nobody planned to serve is a mistake in the build.
      response.writeHead(404, { 'Content-Type': 'text/plain; charset=utf-8' }).end('not found\n');
      return;
    }
    response.writeHead(200, { 'Content-Type': type, 'Content-Length': (await stat(file)).size });
    if (request.method === 'HEAD') response.end();
    else createReadStream(file).on('error', () => response.destroy()).pipe(response);
  });

  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  };
}

if (process.argv[1] && path.resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const { origin } = await startServer(process.argv[2], { port: Number(process.argv[3] ?? 8080) });
  console.log(`${origin}/`);
}
