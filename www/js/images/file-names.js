/** How files that leave name an image: by its place below the folder that all images of the project lie in. */

/** @typedef {import('../shared/page-state.js').ImageEntry} ImageEntry */

/** @param {ImageEntry} image @returns {{path: string, channel: string|null}[]} */
function filesOf(image) {
  return image.absent ?? image.files.map(({ file }) => ({ path: file.file, channel: file.channel ?? null }));
}

/** The parts of a path; the last is the file. @param {string} path */
const partsOf = (path) => path.split(/[/\\]/).filter(Boolean);

/** How many folders all paths share. @param {string[][]} paths their parts */
function sharedFolders(paths) {
  let shared = paths.length ? paths[0].length - 1 : 0;
  for (const parts of paths) {
    let same = 0;
    while (same < Math.min(shared, parts.length - 1) && parts[same] === paths[0][same]) same += 1;
    shared = same;
  }
  return shared;
}

/**
 * The file that tables name for each image: its path below the folder of all images, so that one folder has plain names
 * and the same name in two folders is told apart. A set of channels goes by its merged image.
 * @param {ImageEntry[]} images all of the project
 * @returns {Map<ImageEntry, string>}
 */
export function fileNames(images) {
  const files = new Map(images.map((image) => [image, filesOf(image)]));
  const root = sharedFolders([...files.values()].flat().map(({ path }) => partsOf(path)));
  /** @param {string} path */
  const below = (path) => partsOf(path).slice(root).join('/');
  /** @param {ReturnType<typeof filesOf>} list */
  const isAlone = (list) => list.length === 1 && list[0].channel === null;
  const taken = new Set([...files.values()].filter(isAlone).map(([{ path }]) => below(path)));
  /** @param {ImageEntry} image */
  const nameOf = (image) => {
    const list = files.get(image) ?? [];
    const stem = image.name.split(/[/\\]/).pop() ?? '';
    if (list.length === 0) return `${image.name}.png`;
    const first = below(list[0].path);
    if (isAlone(list)) return first;
    const merged = [...partsOf(first).slice(0, -1), `${stem}.png`].join('/');
    // The merged image of a set has no file yet; where another image has that very name, a channel stands for the set.
    return taken.has(merged) ? first : merged;
  };
  return new Map(images.map((image) => [image, nameOf(image)]));
}
