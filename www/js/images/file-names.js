/** Images by their names and files, as the image worker knows them, and the file that stands for each in what leaves the page. */
import { connection } from './images.js';

/** @typedef {import('../shared/page-state.js').ImageEntry} ImageEntry */

/** @param {ImageEntry[]} images those of which the files are not here among them @returns {import('../../types/protocol.d.ts').ImageInfo[]} */
export function imageInfos(images) {
  return images.map(({ name, size, files, absent }) => {
    const paths = absent?.map(({ path }) => path) ?? files.map(({ file }) => file.file);
    return { name, width: size?.width ?? 0, height: size?.height ?? 0, files: paths };
  });
}

/**
 * What each image is called where it leaves: the file that tables name, and the stem of files of its own.
 * @param {ImageEntry[]} images all of the project, as their folders tell them apart
 * @returns {Promise<Map<ImageEntry, {name: string, stem: string}>>}
 */
export async function outgoingNames(images) {
  const { names, stems } = await connection.request({ type: 'nameFiles', images: imageInfos(images) });
  return new Map(images.map((image, index) => [image, { name: names[index], stem: stems[index] }]));
}
