/** What a user can do about an image with a problem. */
import { announce, byId, plural } from '../ui/dom.js';
import { forget } from './images.js';
import { store } from '../shared/page-state.js';

/** @param {import('../shared/page-state.js').ImageEntry} image */
function absent(image) {
  return image.missing.filter((channel) => !image.fill.includes(channel));
}

/**
 * @param {import('../shared/page-state.js').ImageEntry} image @param {() => void} tryAgain detects in it once more
 * @returns {{label: string, run: () => void, other?: {label: string, run: () => void}}} `other`: a second way
 */
export function fixFor(image, tryAgain) {
  if (!image.problem) return { label: 'Try again', run: tryAgain };
  if (image.problem.code === 'pages-unknown') {
    const alike = store.state.images.filter(({ problem }) => problem?.code === 'pages-unknown');
    const all = alike.length > 1 ? ` in all ${alike.length} such images` : '';
    const as = (/** @type {'channels'|'slices'} */ what) => ({ label: `Use pages as ${what}${all}`, run: () => takePagesFor(what, alike) });
    return { ...as('channels'), other: as('slices') };
  }
  const missing = absent(image);
  if (missing.length === 0) return { label: image.absent ? 'Choose its files…' : 'Choose other files…', run: () => byId('pick-files').click() };
  return { label: `Fill ${missing.join(' and ')} with black`, run: () => fillWithBlack([image]) };
}

/**
 * Takes every page of a TIFF file that does not say what they are for a channel or a slice; it is kept with the image.
 * @param {'channels'|'slices'} what @param {import('../shared/page-state.js').ImageEntry[]} images
 */
function takePagesFor(what, images) {
  for (const image of images) {
    image.pages = what;
    image.problem = null;
    image.state = 'new';
    forget(image);
  }
  store.touch('images');
  announce(`The pages of ${plural(images.length, 'image')} are now used as ${what}.`);
}

/**
 * Makes missing channels black; it is kept with the image and written into its results.
 * @param {import('../shared/page-state.js').ImageEntry[]} images
 */
export function fillWithBlack(images) {
  let count = 0;
  for (const image of images) {
    const missing = absent(image);
    if (!image.problem || missing.length === 0) continue;
    image.fill = [...image.fill, ...missing];
    image.problem = null;
    image.state = 'new';
    forget(image);
    count += 1;
  }
  store.touch('images');
  announce(`Missing channels of ${plural(count, 'image')} are now filled with black.`);
}
