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

/** Numbers of the engine that the page keeps as well, by the file that has them. */
const NUMBERS = {
  'limits.rs': ['FILE_BYTES', 'DETECTOR_BYTES', 'IMAGE_SIDE', 'CHANNELS', 'OBJECTS', 'LABEL_CHARS', 'CLASSES', 'TABLE_IMAGES', 'NETWORK_SIDE', 'DETECTIONS'],
  'channels/sniff.rs': ['HEAD_BYTES'],
  'channels/depth.rs': ['DEPTHS'],
  'channels/merge.rs': ['LARGEST_WEIGHT'],
  'predict.rs': ['LOWEST_SCORE'],
  'train/config.rs': ['BATCH_SIZES', 'CLASS_LOSS_WEIGHTS', 'DETECTION_SCALES', 'CROP_STEP'],
  'web/file_store.rs': ['FOLDER'],
};

/** What says too little where the page has it. @type {Record<string, string>} */
const OTHER_NAMES = { FOLDER: 'CHECKPOINTS_FOLDER', DEPTHS: 'BIT_DEPTHS' };

/** A Rust expression in JavaScript. @param {string} expression */
function valueOf(expression) {
  if (/^"\w+"$/.test(expression)) return `'${expression.slice(1, -1)}'`;
  const range = /^([\d._]+)\.\.=([\d._]+)$/.exec(expression);
  if (range) return `[${Number(range[1])}, ${Number(range[2])}]`;
  const [value, shift = 0] = expression.replaceAll('_', '').split(' << ').map(Number);
  if (!Number.isFinite(value * 2 ** shift)) throw new Error(`what is ${expression}?`);
  return String(value * 2 ** shift);
}

/** A number with its reason, a text, or the two ends of a range, as the engine has it. @param {string} file @param {string} name */
function number(file, name) {
  const source = readFileSync(path.join(ROOT, 'src', file), 'utf8');
  const pattern = `((?:^/// .*\\n)+)(?:pub(?:\\([a-z]+\\))? )?const ${name}: [\\w<&>]+ = ([^;]+);`;
  const [, docs, expression] = new RegExp(pattern, 'm').exec(source) ?? [];
  if (!expression) throw new Error(`src/${file} has no ${name} that can be read`);
  const reason = docs
    .trim()
    .replaceAll('/// ', '')
    .replace(/\n/g, ' ')
    .replace(/\[(`\w+`)\]/g, '$1');
  return `/** ${reason} */\nexport const ${OTHER_NAMES[name] ?? name} = ${valueOf(expression)};\n`;
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
  const numbers = Object.entries(NUMBERS).flatMap(([file, names]) => names.map((name) => number(file, name)));
  const characters = `/** Characters that are invisible or turn the direction of text, which no label may have. */\nexport const FORBIDDEN_IN_LABELS = /${forbidden()}/u;\n`;
  return `${NOTE}${numbers.join('')}${characters}`;
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
