/** Files of many images that leave together. */
import { save } from '../ui/save-file.js';
import { Zip } from '../shared/zip.js';

/** Files that are made one after another and leave together: one as it is, several in one zip. Nothing leaves before the last. */
export class Outgoing {
  /** @type {import('../engine/protocol.js').NamedBytes|null} */ #only = null;
  /** @type {Zip|null} */ #zip = null;

  /** @param {import('../engine/protocol.js').NamedBytes[]} files */
  async add(files) {
    for (const file of files) {
      if (!this.#only && !this.#zip) {
        this.#only = file;
        continue;
      }
      if (!this.#zip) {
        this.#zip = new Zip();
        if (this.#only) await this.#zip.addPacked(this.#only.name, this.#only.bytes);
        this.#only = null;
      }
      await this.#zip.addPacked(file.name, file.bytes);
    }
  }

  /** Gives them to the user. @param {string} archive name of the zip */
  save(archive) {
    if (this.#zip) save(archive, this.#zip.finish());
    else if (this.#only) save(this.#only.name, this.#only.bytes);
    else throw new Error('There is nothing to save in this format.');
  }
}

/**
 * Gives files to the user: one as it is, several in one zip.
 * @param {string} archive name of the zip @param {import('../engine/protocol.js').NamedBytes[]} files
 */
export async function saveAll(archive, files) {
  const outgoing = new Outgoing();
  await outgoing.add(files);
  outgoing.save(archive);
}
