// What the page takes over from the engine's source, and how it is made.

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Declarations } from './rust-types.mjs';
import { graph } from './scripts.mjs';

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');

const INDEX = path.join(ROOT, 'www/index.html');

const NOTE = '// Made by tests/page/generate.mjs from the source of the engine; a test compares them. Do not edit.\n\n';

/** The vocabulary of src/protocol.rs and of all that it is made of. */
function protocol() {
  const declarations = new Declarations(path.join(ROOT, 'src'));
  declarations.declare('Event', 'protocol.rs');
  declarations.sending = true;
  declarations.declare('Request', 'protocol.rs');
  return `${NOTE}${declarations}\n\n${declarations.answers()}\n`;
}

/** Caps of src/limits.rs that the page's own readers keep as well. */
const LIMITS = ['FILE_BYTES', 'DETECTOR_BYTES', 'IMAGE_SIDE', 'CHANNELS', 'OBJECTS', 'LABEL_CHARS', 'CLASSES', 'TABLE_IMAGES'];

/** A cap with its reason, as `src/limits.rs` has it. @param {string} source @param {string} name */
function limit(source, name) {
  const [, docs, expression] = new RegExp(`((?:^/// .*\\n)+)pub const ${name}: \\w+ = ([\\d_]+(?: << \\d+)?);`, 'm').exec(source) ?? [];
  if (!expression) throw new Error(`src/limits.rs has no ${name} that can be read`);
  const [value, shift = 0] = expression.replaceAll('_', '').split(' << ').map(Number);
  const reason = docs
    .trim()
    .replaceAll('/// ', '')
    .replace(/\n/g, ' ')
    .replace(/\[(`\w+`)\]/g, '$1');
  return `/** ${reason} */\nexport const ${name} = ${value * 2 ** shift};\n`;
}

/** The characters that src/annotations/label.rs takes in no label, as a class of a regular expression. */
function forbidden() {
  const source = readFileSync(path.join(ROOT, 'src/annotations/label.rs'), 'utf8');
  const [, body] = /fn is_forbidden\(c: char\) -> bool \{([^]*?)\n\}/.exec(source) ?? [];
  const patterns = body?.match(/matches!\(c, [^)]*\)/g) ?? [];
  const rest = body?.replace(/matches!\(c, [^)]*\)/g, '').replace(/\|\||\s/g, '');
  if (rest !== 'c.is_control()') throw new Error(`src/annotations/label.rs forbids what cannot be read: ${rest}`);
  const ranges = patterns.join('|').match(/'\\u\{\w+\}'(?:\.\.='\\u\{\w+\}')?/g) ?? [];
  return `[\\p{Cc}${ranges.map((range) => range.replaceAll("'", '').replace('..=', '-')).join('')}]`;
}

function limits() {
  const source = readFileSync(path.join(ROOT, 'src/limits.rs'), 'utf8');
  const characters = `/** Characters that are invisible or turn the direction of text, which no label may have. */\nexport const FORBIDDEN_IN_LABELS = /${forbidden()}/u;\n`;
  return `${NOTE}${LIMITS.map((name) => limit(source, name)).join('')}${characters}`;
}

/** The elements of index.html that have an id, each with its kind. */
function elements() {
  const html = readFileSync(INDEX, 'utf8');
  const lines = [...html.matchAll(/<([a-z]+)\b[^>]*? id="([\w-]+)"/g)].map(
    ([, tag, id]) => `  '${id}': ${tag === 'filter' ? 'SVG' : 'HTML'}ElementTagNameMap['${tag}'];`,
  );
  return `${NOTE.replace('the source of the engine', 'index.html')}/** What has an id. */\nexport interface Elements {\n${lines.join('\n')}\n}\n`;
}

const PRELOADS = /(?: {4}<link rel="modulepreload" [^>]*>\n)*(?= {4}<script type="module" src="\.\/js\/app\/main\.js">)/;

/** index.html with all that its script imports, so that the browser asks for everything at once and not step by step. */
function preloads() {
  const imports = graph();
  const needed = new Set(['app/main.js']);
  for (const file of needed) for (const target of imports.get(file) ?? []) needed.add(target);
  needed.delete('app/main.js');
  const links = [...needed].sort().map((file) => `    <link rel="modulepreload" href="./js/${file}">\n`);
  const html = readFileSync(INDEX, 'utf8');
  if (!PRELOADS.test(html)) throw new Error('index.html does not load app/main.js');
  return html.replace(PRELOADS, links.join(''));
}

export const GENERATED = [
  { file: INDEX, make: preloads },
  { file: path.join(ROOT, 'www/types/elements.d.ts'), make: elements },
  { file: path.join(ROOT, 'www/types/protocol.d.ts'), make: protocol },
  { file: path.join(ROOT, 'www/js/shared/engine-limits.js'), make: limits },
];
