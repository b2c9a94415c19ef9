/**
 * The worker's first script: takes the module that this browser understands. The one with relaxed SIMD multiplies and
 * adds in one instruction; the other is the same program without it.
 */
import init from '../../worker.js';

/** A module of one function that has the instruction `f32x4.relaxed_madd`. */
const RELAXED = new Uint8Array([
  0x00,
  0x61,
  0x73,
  0x6d,
  0x01,
  0x00,
  0x00,
  0x00, // "\0asm", version 1
  0x01,
  0x05,
  0x01,
  0x60,
  0x00,
  0x01,
  0x7b, // a type: nothing in, v128 out
  0x03,
  0x02,
  0x01,
  0x00, // a function of it
  0x0a,
  0x13,
  0x01,
  0x11,
  0x00, // its body, without locals
  0x41,
  0x00,
  0xfd,
  0x11,
  0x41,
  0x00,
  0xfd,
  0x11,
  0x41,
  0x00,
  0xfd,
  0x11, // three times i32.const 0, i32x4.splat
  0xfd,
  0x85,
  0x02,
  0x0b, // f32x4.relaxed_madd, end
]);

const module = WebAssembly.validate(RELAXED) ? '../../worker_bg.wasm' : '../../worker_plain_bg.wasm';
await init({ module_or_path: new URL(module, import.meta.url) });
