/**
 * A zip without compression (PKWARE's APPNOTE, version 2.0), for files that are compressed already. The parts are
 * blobs, so that the browser may keep them on the disk. Under 4 GiB and 65,535 files. The engine writes zips as well, but holds
 * them in its memory, which ends long before a project does.
 */
import { ARCHIVE_BYTES, ARCHIVE_FILES } from './limits.js';

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c;
});

/** Parts that make one whole. */
const PARTS = 384;
/** Bytes that are summed up at a time, so that no frame is late. */
const SLICE = 4 << 20;

/** @param {Uint8Array} bytes @param {number} [before] the sum of what came before them */
export function crc32(bytes, before = 0) {
  let crc = ~before;
  for (let i = 0; i < bytes.length; i++) crc = TABLE[(crc ^ bytes[i]) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** The sum of a blob, of which only a slice is in memory. @param {Blob} blob */
export async function crcOf(blob) {
  let crc = 0;
  for (let at = 0; at < blob.size; at += SLICE) {
    crc = crc32(new Uint8Array(await blob.slice(at, at + SLICE).arrayBuffer()), crc);
  }
  return crc;
}

/** Little-endian fields of 2 or 4 bytes. @param {...[number, 2|4]} list */
function fields(...list) {
  const view = new DataView(new ArrayBuffer(list.reduce((sum, [, size]) => sum + size, 0)));
  let at = 0;
  for (const [value, size] of list) {
    if (size === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += size;
  }
  return new Uint8Array(view.buffer);
}

export class Zip {
  /** Wholes of many files each; a blob of tens of thousands of parts would hold up the page. @type {Blob[]} */ #wholes = [];
  /** @type {BlobPart[]} */ #parts = [];
  /** @type {Uint8Array<ArrayBuffer>[]} */ #directory = [];
  #at = 0;
  #directorySize = 0;

  /** @param {string} name @param {Uint8Array<ArrayBuffer>} bytes */
  add(name, bytes) {
    this.#put(name, new Blob([bytes]), crc32(bytes));
  }

  /** Adds a file that is not read into memory as a whole. @param {string} name @param {Blob} blob */
  async addBlob(name, blob) {
    this.#put(name, blob, await crcOf(blob));
  }

  /** @param {string} name @param {Blob} blob @param {number} crc */
  #put(name, blob, crc) {
    const path = new TextEncoder().encode(name);
    // Version 2.0, names in UTF-8, stored, 1 January 1980.
    /** @type {[number, 2|4][]} */
    const common = [
      [20, 2],
      [0x0800, 2],
      [0, 2],
      [0, 2],
      [0x21, 2],
      [crc, 4],
      [blob.size, 4],
      [blob.size, 4],
      [path.length, 2],
      [0, 2],
    ];
    const head = fields([0x04034b50, 4], ...common);
    const entry = fields([0x02014b50, 4], [20, 2], ...common, [0, 2], [0, 2], [0, 2], [0, 4], [this.#at, 4]);
    const after = this.#at + head.length + path.length + blob.size;
    if (this.#directory.length / 2 >= ARCHIVE_FILES || after + this.#directorySize + entry.length + path.length + 22 > ARCHIVE_BYTES) {
      throw new RangeError('This exceeds the limits of a zip file: 4 GiB and 65,535 files.');
    }
    this.#directory.push(entry, path);
    this.#directorySize += entry.length + path.length;
    this.#parts.push(head, path, blob);
    if (this.#parts.length >= PARTS) this.#wholes.push(new Blob(this.#parts.splice(0)));
    this.#at = after;
  }

  /** @returns {Blob} */
  finish() {
    const count = this.#directory.length / 2;
    const end = fields([0x06054b50, 4], [0, 2], [0, 2], [count, 2], [count, 2], [this.#directorySize, 4], [this.#at, 4], [0, 2]);
    return new Blob([...this.#wholes, ...this.#parts, ...this.#directory, end], { type: 'application/zip' });
  }
}
