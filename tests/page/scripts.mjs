// The page's scripts and what each imports, read from their text.

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** `www/js`. */
export const SCRIPTS = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../www/js');

/** What wasm-bindgen and Trunk put beside the folder `js`. */
export const BUILT = '../worker.js';

const STATEMENT = /^(?:import|export)\s(?:[^'"`;]*?\sfrom\s+)?['"]([^'"]+)['"]/gm;
const DYNAMIC = /\bimport\(\s*['"]([^'"]+)['"]\s*\)/g;

/** The scripts that one imports at run time, as paths from `www/js`; what comments say of types does not count. */
export function importsOf(file, text = readFileSync(path.join(SCRIPTS, file), 'utf8')) {
  const code = text.replace(/\/\*[^]*?\*\//g, '');
  const names = [...code.matchAll(STATEMENT), ...code.matchAll(DYNAMIC)].map(([, name]) => name);
  return names.map((name) => (name.startsWith('.') ? path.posix.join(path.posix.dirname(file), name) : name));
}

/** All scripts with what each imports. @returns {Map<string, string[]>} */
export function graph() {
  const files = readdirSync(SCRIPTS, { recursive: true })
    .map((file) => file.split(path.sep).join('/'))
    .filter((file) => file.endsWith('.js'));
  return new Map(files.sort().map((file) => [file, importsOf(file)]));
}

/** The first circle of imports that is found, as a list of scripts; null where there is none. @param {Map<string, string[]>} imports */
export function circle(imports) {
  const done = new Set();
  const visit = (file, trail) => {
    if (trail.includes(file)) return [...trail.slice(trail.indexOf(file)), file];
    if (done.has(file)) return null;
    for (const next of imports.get(file) ?? []) {
      const found = visit(next, [...trail, file]);
      if (found) return found;
    }
    done.add(file);
    return null;
  };
  for (const file of imports.keys()) {
    const found = visit(file, []);
    if (found) return found;
  }
  return null;
}
