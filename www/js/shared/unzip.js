/**
 * Reads a zip (PKWARE's APPNOTE): stored and deflated files, whose names, sizes and places are checked before a byte of
 * them is unpacked, and their sums when they are. A zip from a stranger may be made to hurt. Here and not in the engine, as a
 * project is larger than its memory: files that are stored stay slices of the zip on the disk.
 */
import { ARCHIVE_BYTES, ARCHIVE_FILES, ARCHIVE_NAME_BYTES } from './limits.js';
import { DEFLATED, STORED, crc32, crcOf } from './zip.js';

/** The zip cannot be used; the message says why, as a sentence. */
export class BadZip extends Error {}

/** Length of the directory's end, and of the longest comment behind it. */
const END = 22;
const COMMENT = 65_535;
/** Bytes of a file that is read at once. */
const SMALL = 1 << 16;
/** Bytes that programs put between the name and the content: times, owners. */
const EXTRA = 64;

/** @typedef {{name: string, method: number, crc: number, packed: number, size: number, at: number}} Entry */

/** @param {unknown} condition @param {string} sentence @returns {asserts condition} */
function demand(condition, sentence) {
  if (!condition) throw new BadZip(sentence);
}

/** @param {Blob} blob */
async function view(blob) {
  return new DataView(await blob.arrayBuffer());
}

export class Unzip {
  #blob;
  /** @type {Map<string, Entry>} files by name; folders are left out */ entries = new Map();

  /** @param {Blob} blob */
  constructor(blob) {
    this.#blob = blob;
  }

  /** Reads the directory. @param {Blob} blob */
  static async open(blob) {
    const zip = new Unzip(blob);
    await zip.#readDirectory();
    return zip;
  }

  async #readDirectory() {
    const blob = this.#blob;
    const tailAt = Math.max(0, blob.size - END - COMMENT);
    const tail = await view(blob.slice(tailAt));
    let end = tail.byteLength - END;
    // The end is where its comment fills the rest of the file exactly; a comment cannot pretend to be one.
    while (end >= 0 && !(tail.getUint32(end, true) === 0x06054b50 && end + END + tail.getUint16(end + 20, true) === tail.byteLength)) end -= 1;
    demand(end >= 0, 'This is not a zip file, or its end is missing.');
    const [disk, start, here, count] = [4, 6, 8, 10].map((field) => tail.getUint16(end + field, true));
    const [size, at] = [12, 16].map((field) => tail.getUint32(end + field, true));
    demand(disk === 0 && start === 0 && here === count, 'The zip is in several parts; join them first.');
    demand(count < 0xffff && at < 0xffffffff, `The zip is too large: at most ${(ARCHIVE_FILES - 1).toLocaleString('en')} files and 4 GiB can be read.`);
    demand(at + size <= tailAt + end, 'The zip is damaged: its directory is not where it says.');
    this.#readEntries(await view(blob.slice(at, at + size)), count, at);
  }

  /** @param {DataView} directory @param {number} count @param {number} limit where the files must end */
  #readEntries(directory, count, limit) {
    const decoder = new TextDecoder('utf-8', { fatal: true });
    const inUse = [];
    let total = 0;
    let at = 0;
    for (let i = 0; i < count; i += 1) {
      demand(at + 46 <= directory.byteLength && directory.getUint32(at, true) === 0x02014b50, 'The zip is damaged: its directory ends too early.');
      const [flags, method] = [8, 10].map((field) => directory.getUint16(at + field, true));
      const [crc, packed, size] = [16, 20, 24].map((field) => directory.getUint32(at + field, true));
      const [nameLength, extra, comment] = [28, 30, 32].map((field) => directory.getUint16(at + field, true));
      const place = directory.getUint32(at + 42, true);
      const next = at + 46 + nameLength + extra + comment;
      demand(next <= directory.byteLength, 'The zip is damaged: its directory ends too early.');
      demand(nameLength > 0 && nameLength <= ARCHIVE_NAME_BYTES, 'A file in the zip has an empty or overlong name.');
      let name;
      try {
        name = decoder.decode(new Uint8Array(directory.buffer, directory.byteOffset + at + 46, nameLength));
      } catch {
        throw new BadZip('A file in the zip has a name that is not UTF-8.');
      }
      at = next;
      demand(isSafe(name), `The zip contains an unsafe file path: ${JSON.stringify(name.slice(0, 80))}.`);
      if (name.endsWith('/')) continue;
      demand(!this.entries.has(name), `The zip contains two files named ${name}.`);
      demand((flags & 0x2041) === 0, `${name} is encrypted; remove the password first.`);
      demand(method === STORED || method === DEFLATED, `${name} uses an unsupported compression (method ${method}).`);
      demand(method === DEFLATED || packed === size, `The zip is damaged: ${name} has two sizes.`);
      demand(place + 30 + nameLength + packed <= limit, `The zip is damaged: ${name} ends too early.`);
      total += size;
      demand(total <= ARCHIVE_BYTES, 'The zip unpacks to more than 4 GiB.');
      inUse.push([place, place + 30 + nameLength + packed]);
      this.entries.set(name, { name, method, crc, packed, size, at: place });
    }
    // Bombs let many files share the same bytes.
    inUse.sort(([a], [b]) => a - b);
    for (let i = 1; i < inUse.length; i += 1) demand(inUse[i][0] >= inUse[i - 1][1], 'The zip is damaged: its files overlap.');
  }

  /**
   * The content of a file, unpacked and checked.
   * @param {string} name @param {number} limit bytes that it may have
   * @returns {Promise<Blob>}
   */
  async file(name, limit) {
    const entry = this.entries.get(name);
    if (!entry) throw new BadZip(`The zip has no ${name}.`);
    demand(entry.size <= limit, `${name} is too large: ${entry.size.toLocaleString('en')} bytes; the limit is ${limit.toLocaleString('en')}.`);
    // Small files come with their header in one reading; thousands of them would take minutes otherwise.
    const reach = 30 + new TextEncoder().encode(name).length + EXTRA + Math.min(entry.packed, SMALL);
    const head = await view(this.#blob.slice(entry.at, entry.at + reach));
    demand(head.byteLength >= 30 && head.getUint32(0, true) === 0x04034b50, `The zip is damaged: ${name} is not where its directory says.`);
    const skip = 30 + head.getUint16(26, true) + head.getUint16(28, true);
    const packed = this.#blob.slice(entry.at + skip, entry.at + skip + entry.packed);
    demand(packed.size === entry.packed, `The zip is damaged: ${name} ends too early.`);
    if (entry.method === DEFLATED) return inflate(packed, entry);
    const here = skip + entry.packed <= head.byteLength;
    const crc = here ? crc32(new Uint8Array(head.buffer, skip, entry.packed)) : await crcOf(packed);
    demand(crc === entry.crc, `The zip is damaged: the checksum of ${name} is wrong.`);
    return here ? new Blob([new Uint8Array(head.buffer, skip, entry.packed)]) : packed;
  }

  /** @param {string} name @param {number} limit */
  async text(name, limit) {
    return (await this.file(name, limit)).text();
  }
}

/** Relative, without a way up, and nothing that only some systems can hold. @param {string} name */
function isSafe(name) {
  return !/[\\\p{Cc}]/u.test(name) && !/^([/]|[a-z]:)/i.test(name) && !name.split('/').some((part) => part === '..' || part === '.');
}

/** No more is unpacked than the directory promises. @param {Blob} packed @param {Entry} entry */
async function inflate(packed, { name, size, crc }) {
  const parts = [];
  let length = 0;
  let sum = 0;
  try {
    const reader = packed.stream().pipeThrough(new DecompressionStream('deflate-raw')).getReader();
    for (let { value } = await reader.read(); value; { value } = await reader.read()) {
      length += value.length;
      if (length > size) {
        await reader.cancel();
        break;
      }
      sum = crc32(value, sum);
      parts.push(new Blob([value]));
    }
  } catch {
    throw new BadZip(`The zip is damaged: ${name} cannot be unpacked.`);
  }
  demand(length === size && sum === crc, `The zip is damaged: the checksum or size of ${name} is wrong.`);
  return new Blob(parts);
}
