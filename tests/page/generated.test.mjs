// What the page takes over from the engine's source is as it would be made anew.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { GENERATED } from './generated.mjs';
import { Declarations } from './rust-types.mjs';

for (const { file, make } of GENERATED) {
  test(`${path.basename(file)} is up to date (else: node tests/page/generate.mjs)`, () => {
    assert.equal(readFileSync(file, 'utf8'), make());
  });
}

/** The declarations of Rust text. */
function declared(text, name, sending = false) {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'cytobox-types-'));
  try {
    writeFileSync(path.join(folder, 'lib.rs'), text);
    const declarations = new Declarations(folder);
    declarations.sending = sending;
    declarations.declare(name, 'lib.rs');
    return String(declarations);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('structs and enums become what serde makes of them', () => {
  const text = `
/// A thing, or <two>.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Thing {
    /// Its name, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_name: Option<String>,
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
    pub pairs: Vec<(f64, [u32; 2])>,
    pub kind: Kind,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Kind {
    NoneAtAll,
    Some { first_one: u8 },
    Other(Box<Name>),
}

#[derive(Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);
`;
  assert.equal(
    declared(text, 'Thing'),
    `export type Kind =
  | { type: 'noneAtAll'; }
  | { type: 'some'; firstOne: number; }
  | { type: 'other'; } & Name;

export type Name = string;

/** A thing, or <two>. */
export interface Thing {
  /** Its name, if any. */
  fullName?: string | null;
  bytes: Uint8Array<ArrayBuffer>;
  pairs: [number, [number, number]][];
  kind: Kind;
}`,
  );
});

test('what has a default may be left out where it is only sent', () => {
  const text = '#[derive(Serialize)]\npub struct A {\n    #[serde(default)]\n    pub b: bool,\n    pub c: Option<u8>,\n}\n';
  assert.match(declared(text, 'A', true), /b\?: boolean;\n {2}c\?: number \| null;/);
  assert.match(declared(text, 'A'), /b: boolean;\n {2}c: number \| null;/);
});

test('what cannot be read is an error', () => {
  assert.throws(() => declared('pub struct A {\n    pub b: u8,\n}\n', 'A'), /written by hand/);
  assert.throws(() => declared('#[derive(Serialize)]\npub struct A {\n    pub b: Elsewhere,\n}\n', 'A'), /defined nowhere/);
  assert.throws(() => declared('#[derive(Serialize)]\npub struct A {\n    #[serde(with = "special")]\n    pub b: u8,\n}\n', 'A'), /written by hand/);
});
