// The vocabulary of src/protocol.rs as TypeScript declarations, read from the text of the Rust types and of what they say
// to serde. Whatever it does not understand is an error, not a guess.
// Write them: node tests/page/generate.mjs

import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';

const PRIMITIVES = { bool: 'boolean', String: 'string', str: 'string', char: 'string', ByteBuf: 'Uint8Array<ArrayBuffer>' };
for (const name of ['u8', 'u16', 'u32', 'u64', 'usize', 'i8', 'i16', 'i32', 'i64', 'isize', 'f32', 'f64']) PRIMITIVES[name] = 'number';

const WORDS = (name) =>
  name
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .split('_')
    .filter(Boolean);
const CAPITAL = (word) => word[0].toUpperCase() + word.slice(1);
const CASES = {
  camelCase: (name) =>
    WORDS(name)
      .map((word, index) => (index ? CAPITAL(word) : word))
      .join(''),
  snake_case: (name) => WORDS(name).join('_'),
  'kebab-case': (name) => WORDS(name).join('-'),
  lowercase: (name) => name.toLowerCase(),
};

/** Splits at commas that stand in no bracket. */
function parts(text) {
  const all = [];
  let depth = 0;
  let start = 0;
  for (let at = 0; at < text.length; at += 1) {
    const one = text[at];
    if (one === '"') at = text.indexOf('"', at + 1);
    else if ('<([{'.includes(one)) depth += 1;
    else if (')]}'.includes(one) || (one === '>' && text[at - 1] !== '-')) depth -= 1;
    else if (one === ',' && depth === 0) {
      all.push(text.slice(start, at));
      start = at + 1;
    }
  }
  return [...all, text.slice(start)].map((one) => one.trim()).filter(Boolean);
}

/** From an opening bracket to the one that closes it. */
function bracketed(text, open) {
  const close = { '{': '}', '(': ')', '[': ']', '<': '>' }[text[open]];
  let depth = 0;
  for (let at = open; at < text.length; at += 1) {
    if (text[at] === text[open]) depth += 1;
    if (text[at] === close) depth -= 1;
    if (depth === 0) return text.slice(open + 1, at);
  }
  throw new Error(`a ${text[open]} that nothing closes: ${text.slice(open, open + 60)}`);
}

/** What stands before a field, a variant or a type: its comment, and what it tells serde. */
function heading(text) {
  const docs = [];
  const serde = new Map();
  let rest = text.trim();
  for (;;) {
    const comment = /^\/\/(\/?)[^\S\n]?(.*)(?:\n\s*|$)/.exec(rest);
    if (comment) {
      if (comment[1]) docs.push(comment[2]);
      rest = rest.slice(comment[0].length);
    } else if (rest.startsWith('#[')) {
      const inside = bracketed(rest, 1);
      const told = /^serde\(([^]*)\)$/.exec(inside.trim());
      for (const one of told ? parts(told[1]) : []) {
        const [, name, value] = /^(\w+)(?:\s*=\s*"([^"]*)")?$/.exec(one) ?? [];
        if (!name) throw new Error(`what does serde(${one}) mean?`);
        serde.set(name, value ?? '');
      }
      rest = rest.slice(inside.length + 3).trim();
    } else {
      return { docs, serde, rest };
    }
  }
}

/** The Rust files of a library by path, without their tests; the programs that stand on it have types of their own. */
function sources(folder) {
  const files = readdirSync(folder, { recursive: true })
    .map((file) => String(file).split(path.sep).join('/'))
    .filter((file) => file.endsWith('.rs') && !file.startsWith('bin/'));
  return new Map(files.map((file) => [file, readFileSync(path.join(folder, file), 'utf8').split('\n#[cfg(test)]\nmod ')[0]]));
}

export class Declarations {
  #files;
  /** @type {Map<string, {text: string, name: string}>} by place and name */ #done = new Map();
  /** From now on a type only ever goes to the engine, so that what has a default may be left out. */ sending = false;

  /** @param {string} folder `src` */
  constructor(folder) {
    this.#files = sources(folder);
  }

  /** Declares a type and all that it is made of. @param {string} name @param {string} file @returns {string} its name */
  declare(name, file) {
    const home = this.#home(name, file);
    const key = `${home} ${name}`;
    const known = this.#done.get(key);
    if (known) return known.name;
    const taken = [...this.#done.values()].some((one) => one.name === name);
    const own =
      taken || name in { Map: 1, Set: 1, Event: 1, File: 1, Object: 1 }
        ? `${CAPITAL(path.basename(home === 'lib.rs' ? 'cytobox' : home.replace(/\/mod\.rs$/, '').replace(/\.rs$/, '')))}${name}`
        : name;
    const entry = { name: own, text: '' };
    this.#done.set(key, entry);
    entry.text = this.#text(name, own, home);
    return own;
  }

  /** Which outcome answers which command, as the commands' comments promise it: “Done: [`Outcome::Files`]”. */
  answers() {
    const source = this.#files.get('protocol.rs');
    const found = /^pub enum Command /m.exec(source);
    const lines = parts(joined(bracketed(source, found.index + found[0].length))).map((one) => {
      const { docs, rest } = heading(one);
      const [name] = /^\w+/.exec(rest);
      const promised = [...restored(docs.join(' ')).matchAll(/[Dd]one: \[`Outcome::(\w+)`\]/g)].map(([, outcome]) => `'${CASES.camelCase(outcome)}'`);
      return `  ${CASES.camelCase(name)}: ${promised.join(' | ') || 'never'};`;
    });
    return `/** The outcome that ends each command. */\nexport interface Answers {\n${lines.join('\n')}\n}`;
  }

  /** All that was declared, in order of name. */
  toString() {
    return [...this.#done.values()]
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map(({ text }) => text)
      .join('\n\n');
  }

  /** The file that has the definition which a name means in another file. */
  #home(name, file) {
    const definition = new RegExp(`^(?:pub(?:\\([a-z]+\\))? )?(?:struct|enum|type) ${name}\\b`, 'm');
    if (definition.test(this.#files.get(file) ?? '')) return file;
    const all = [...this.#files].filter(([, text]) => definition.test(text)).map(([home]) => home);
    if (all.length <= 1) {
      if (all.length === 0) throw new Error(`${file} speaks of ${name}, which is defined nowhere`);
      return all[0];
    }
    const imported = [...(this.#files.get(file) ?? '').matchAll(/^(?:pub )?use ([^;]+);/gm)]
      .map(([, text]) => text.replace(/\s+/g, ' '))
      .filter((text) => new RegExp(`\\b${name}\\b`).test(text));
    const near = all.filter((home) => imported.some((text) => text.includes(`${path.basename(home.replace(/\/mod\.rs$/, ''), '.rs')}::`)));
    if (near.length !== 1) throw new Error(`${file} speaks of ${name}: is that the one of ${all.join(' or ')}?`);
    return near[0];
  }

  #text(name, own, file) {
    const source = this.#files.get(file);
    const found = new RegExp(`^(?:pub(?:\\([a-z]+\\))? )?(struct|enum|type) ${name}\\b`, 'm').exec(source);
    const { docs, serde } = heading(before(source, found.index));
    const rest = source.slice(found.index + found[0].length).trimStart();
    const comment = block(docs, '');
    if (found[1] === 'type') return `${comment}export type ${own} = ${this.type(/^=\s*([^;]+);/.exec(rest)[1], file)};`;
    if (serde.has('into')) return `${comment}export type ${own} = ${this.type(serde.get('into'), file)};`;
    if (!/#\[derive\([^)]*Serialize/.test(before(source, found.index))) throw new Error(`${name} of ${file} is written by hand`);
    if (found[1] === 'struct') return this.#struct(own, file, rest, serde, comment);
    return `${comment}export type ${own} =${this.#variants(file, bracketed(rest, 0), serde)};`;
  }

  #struct(own, file, rest, serde, comment) {
    if (rest.startsWith('('))
      return `${comment}export type ${own} = ${this.type(parts(bracketed(rest, 0)).map((one) => one.replace(/^pub(?:\([a-z]+\))? /, ''))[0], file)};`;
    const { fields, flat } = this.#fields(file, bracketed(rest, 0), serde.get('rename_all'), '  ');
    const body = `{\n${fields.join('\n')}\n}`;
    return flat.length ? `${comment}export type ${own} = ${[...flat, body].join(' & ')};` : `${comment}export interface ${own} ${body}`;
  }

  /** The fields of a struct or of a variant, and the types that are part of it as they are. */
  #fields(file, text, rename, indent) {
    const fields = [];
    const flat = [];
    for (const one of parts(joined(text))) {
      const { docs, serde, rest } = heading(one);
      if (serde.has('skip') || !rest) continue;
      const [, name, type] = /^(?:pub(?:\([a-z]+\))? )?(?:r#)?(\w+)\s*:\s*([^]+)$/.exec(rest) ?? [];
      if (!name) throw new Error(`${file}: is this a field? ${rest}`);
      if (serde.has('flatten')) {
        flat.push(this.type(type, file));
        continue;
      }
      const written = serde.get('rename') ?? (rename ? CASES[rename](name) : name);
      const bytes = serde.get('with') === 'serde_bytes';
      if (!bytes && (serde.has('with') || serde.has('serialize_with'))) throw new Error(`${file}: ${name} is written by hand`);
      const optional = serde.has('skip_serializing_if') || (this.sending && (serde.has('default') || /^Option</.test(type)));
      fields.push(`${block(docs, indent)}${indent}${written}${optional ? '?' : ''}: ${bytes ? 'Uint8Array<ArrayBuffer>' : this.type(type, file)};`);
    }
    return { fields, flat };
  }

  #variants(file, text, serde) {
    const tag = serde.get('tag');
    return parts(joined(text))
      .map((one) => {
        const { docs, serde: own, rest } = heading(one);
        const [, name] = /^(\w+)/.exec(rest);
        const written = own.get('rename') ?? (serde.has('rename_all') ? CASES[serde.get('rename_all')](name) : name);
        const content = rest.slice(name.length).trim();
        const fields = content.startsWith('{') ? this.#fields(file, bracketed(content, 0), serde.get('rename_all_fields'), '') : null;
        const inner = content.startsWith('(') ? this.type(parts(bracketed(content, 0))[0], file) : '';
        const inline = fields ? fields.fields.map((field) => field.replace(/\/\*\*[^]*?\*\/\s*/g, '')).join(' ') : '';
        if (serde.has('untagged')) return `\n${block(docs, '  ')}  | ${fields ? `{ ${inline} }` : inner}`;
        const whole = tag
          ? `{ ${tag}: '${written}'; ${inline} }`.replace(/\s+/g, ' ') + (inner ? ` & ${inner}` : '')
          : fields
            ? `{ ${written}: { ${inline} } }`
            : inner
              ? `{ ${written}: ${inner} }`
              : `'${written}'`;
        return `\n${block(docs, '  ')}  | ${whole}`;
      })
      .join('');
  }

  /** A Rust type in TypeScript. @param {string} text @param {string} file that says it @returns {string} */
  type(text, file) {
    const rust = text.trim().replace(/^&(?:'\w+ )?/, '');
    if (rust.startsWith('('))
      return `[${parts(bracketed(rust, 0))
        .map((one) => this.type(one, file))
        .join(', ')}]`;
    if (rust.startsWith('[')) {
      const [, inner, count] = /^\[([^]+);\s*(\d+)\]$/.exec(rust) ?? [];
      if (!inner) throw new Error(`${file}: how long is ${rust}?`);
      return `[${Array(Number(count)).fill(this.type(inner, file)).join(', ')}]`;
    }
    const [, name, inside] = /^(?:\w+::)*(\w+)(?:<([^]+)>)?$/.exec(rust) ?? [];
    if (!name) throw new Error(`${file}: what type is ${rust}?`);
    const inner = inside ? parts(inside) : [];
    if (name in PRIMITIVES) return PRIMITIVES[name];
    if (name === 'Option') return `${this.type(inner[0], file)} | null`;
    if (name === 'Box') return this.type(inner[0], file);
    if (name === 'Vec') return arrayOf(this.type(inner[0], file));
    if (rust === 'serde_json::Value' || name === 'Value') return 'unknown';
    if (name === 'Map' && inner.length === 2) return 'Record<string, unknown>';
    if (name === 'BTreeMap' || name === 'HashMap') return `Record<string, ${this.type(inner[1], file)}>`;
    return this.declare(name, file);
  }
}

const arrayOf = (type) => (/[|& ]/.test(type) && !/^\[/.test(type) ? `(${type})[]` : `${type}[]`);

/** Comments of one line each must not lose their line when a body is cut at commas inside them. */
function joined(text) {
  return text
    .replace(/^(\s*\/\/.*)$/gm, (line) => line.replace(/,/g, '\uE000').replace(/[<>(){}[\]"]/g, (one) => String.fromCharCode(0xe100 + one.charCodeAt(0))))
    .trim();
}

const restored = (line) => line.replace(/\uE000/g, ',').replace(/[\uE100-\uE1FF]/g, (one) => String.fromCharCode(one.charCodeAt(0) - 0xe100));

/** @param {string[]} docs @param {string} indent */
function block(docs, indent) {
  const lines = docs.map((line) =>
    restored(line)
      .replace(/\[(`[^`]*`)\]/g, '$1')
      .trimEnd(),
  );
  if (lines.length === 0) return '';
  if (lines.length === 1) return `${indent}/** ${lines[0]} */\n`;
  return `${indent}/**\n${lines.map((line) => `${indent} * ${line}`.trimEnd()).join('\n')}\n${indent} */\n`;
}

/** The comment and the attributes that stand right before a place. */
function before(source, at) {
  const lines = source.slice(0, at).split('\n').slice(0, -1);
  let first = lines.length;
  let depth = 0;
  while (first > 0) {
    const line = lines[first - 1];
    depth += (line.match(/[)\]]/g) ?? []).length - (line.match(/[([]/g) ?? []).length;
    if (depth === 0 && !/^\s*(\/\/\/|#\[|\)\]|\/\/)/.test(line)) break;
    if (line.trim() === '') break;
    first -= 1;
  }
  return lines.slice(first).join('\n');
}
