/**
 * Writes a zip (PKWARE's APPNOTE, version 2.0), under 4 GiB and 65,535 files. Here and not in the engine, whose memory ends long
 * before a project does: the parts are blobs, which the browser may keep on the disk. So all zips of the page are written here.
 */
import { ARCHIVE_BYTES, ARCHIVE_FILES } from './limits.js';

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c;
});

/** The two methods of keeping a file that are written and read. */
export const STORED = 0;
export const DEFLATED = 8;

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

  /** Adds a file as it is, for one that is compressed already. @param {string} name @param {Uint8Array<ArrayBuffer>} bytes */
  add(name, bytes) {
    this.#put(name, new Blob([bytes]), { method: STORED, crc: crc32(bytes), size: bytes.length });
  }

  /** Adds a file compressed, where that makes it smaller. @param {string} name @param {Uint8Array<ArrayBuffer>} bytes */
  async addPacked(name, bytes) {
    const packed = await new Response(new Blob([bytes]).stream().pipeThrough(new CompressionStream('deflate-raw'))).blob();
    if (packed.size < bytes.length) this.#put(name, packed, { method: DEFLATED, crc: crc32(bytes), size: bytes.length });
    else this.add(name, bytes);
  }

  /** Adds a file that is not read into memory as a whole. @param {string} name @param {Blob} blob */
  async addBlob(name, blob) {
    this.#put(name, blob, { method: STORED, crc: await crcOf(blob), size: blob.size });
  }

  /** @param {string} name @param {Blob} blob @param {{method: number, crc: number, size: number}} content before it was packed */
  #put(name, blob, { method, crc, size }) {
    const path = new TextEncoder().encode(name);
    // Version 2.0, names in UTF-8, 1 January 1980.
    /** @type {[number, 2|4][]} */
    const common = [
      [20, 2],
      [0x0800, 2],
      [method, 2],
      [0, 2],
      [0x21, 2],
      [crc, 4],
      [blob.size, 4],
      [size, 4],
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
