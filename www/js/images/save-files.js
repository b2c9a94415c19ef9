/** Files of many images that leave together. */
import { save } from '../ui/save-file.js';
import { Zip } from '../shared/zip.js';

/**
 * Gives files to the user: one as it is, several in one zip.
 * @param {string} archive name of the zip @param {import('../engine/protocol.js').NamedBytes[]} files
 */
export async function saveAll(archive, files) {
  const [only] = files;
  if (!only) throw new Error('There is nothing to save in this format.');
  if (files.length === 1) {
    save(only.name, only.bytes);
    return;
  }
  const zip = new Zip();
  for (const { name, bytes } of files) await zip.addPacked(name, bytes);
  save(archive, zip.finish());
}
