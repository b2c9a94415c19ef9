// Imports between the folders of www/js run one way, so that each can be read without those above it.

import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { BUILT, SCRIPTS, circle, graph, importsOf } from './scripts.mjs';

/** What each folder may import beside itself, from the bottom up: nothing that comes after it. */
const MAY_IMPORT = {
  shared: [],
  ui: [],
  engine: ['shared', 'ui'],
  images: ['shared', 'ui', 'engine'],
  canvas: ['shared', 'ui', 'engine'],
  annotate: ['shared', 'ui', 'engine', 'images', 'canvas'],
  detect: ['shared', 'ui', 'engine', 'images', 'canvas'],
  measure: ['shared', 'ui', 'engine', 'images', 'canvas', 'annotate'],
  review: ['shared', 'ui', 'canvas', 'measure'],
  train: ['shared', 'ui', 'engine', 'images'],
  project: ['shared', 'ui', 'engine', 'images', 'annotate', 'train'],
  app: ['shared', 'ui', 'engine', 'images', 'canvas', 'annotate', 'detect', 'measure', 'review', 'train', 'project'],
};

const folderOf = (file) => file.split('/')[0];

/** Imports that the table does not allow, one a line. */
function forbidden(imports) {
  return [...imports].flatMap(([file, targets]) =>
    targets
      .filter((target) => target !== BUILT && folderOf(target) !== folderOf(file) && !MAY_IMPORT[folderOf(file)]?.includes(folderOf(target)))
      .map((target) => `${file} imports ${target}`),
  );
}

test('the table itself runs one way', () => {
  const order = Object.keys(MAY_IMPORT);
  for (const [folder, targets] of Object.entries(MAY_IMPORT)) {
    for (const target of targets) assert.ok(order.indexOf(target) >= 0 && order.indexOf(target) < order.indexOf(folder), `${folder} may not import ${target}`);
  }
});

test('every script lies in a folder of the table, and imports only what that folder may', () => {
  const imports = graph();
  assert.deepEqual([...new Set([...imports.keys()].map(folderOf))].sort(), Object.keys(MAY_IMPORT).sort());
  assert.deepEqual(forbidden(imports), []);
  // Each permission is needed: one that no script uses any more is taken out of the table.
  const used = new Set([...imports].flatMap(([file, targets]) => targets.map((target) => `${folderOf(file)} ${folderOf(target)}`)));
  const unused = Object.entries(MAY_IMPORT).flatMap(([folder, targets]) => targets.map((target) => `${folder} ${target}`).filter((pair) => !used.has(pair)));
  assert.deepEqual(unused, []);
});

test('what is imported is there, only the built worker lies outside, and no scripts import one another in a circle', () => {
  const imports = graph();
  for (const [file, targets] of imports) {
    for (const target of targets) assert.ok(target === BUILT || existsSync(path.join(SCRIPTS, target)), `${file} imports ${target}, which is not there`);
  }
  assert.equal(circle(imports), null);
});

test('the scripts that the browser tests and the benchmark name are there', () => {
  const tests = path.join(SCRIPTS, '../../tests');
  const files = ['e2e', 'bench/page'].flatMap((folder) =>
    readdirSync(path.join(tests, folder))
      .filter((name) => name.endsWith('.mjs'))
      .map((name) => path.join(tests, folder, name)),
  );
  const named = files.flatMap((file) => [...readFileSync(file, 'utf8').matchAll(/['"](?:\.|\*\*)\/js\/([\w/-]+\.js)['"]/g)].map(([, script]) => script));
  assert.ok(named.length > 5);
  for (const script of named) assert.ok(existsSync(path.join(SCRIPTS, script)), `${script} is not there`);
});

test('a forbidden import, a circle and an import over several lines are found', () => {
  assert.deepEqual(forbidden(new Map([['ui/dom.js', ['images/list.js']]])), ['ui/dom.js imports images/list.js']);
  assert.deepEqual(
    circle(
      new Map([
        ['a', ['b']],
        ['b', ['c']],
        ['c', ['b']],
      ]),
    ),
    ['b', 'c', 'b'],
  );
  const text =
    "/** @type {import('../app/main.js').X} */\nimport {\n  a,\n} from './view.js';\nexport { b } from '../ui/dom.js';\nimport '../shared/zip.js';\nawait import('./pinch.js');\n";
  assert.deepEqual(importsOf('canvas/x.js', text), ['canvas/view.js', 'ui/dom.js', 'shared/zip.js', 'canvas/pinch.js']);
});

test('each folder says at the top of one of its scripts what it is for', () => {
  const heads = [...graph().keys()].map((file) => [folderOf(file), readFileSync(path.join(SCRIPTS, file), 'utf8').split('\n')[1]]);
  for (const folder of Object.keys(MAY_IMPORT)) {
    assert.equal(heads.filter(([own, line]) => own === folder && line?.startsWith(` * ${folder}/ `)).length, 1, `${folder}/ has no line, or several`);
  }
});
