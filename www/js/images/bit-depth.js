/** What counts as full brightness in 16-bit images: one bit depth for the whole project, which no single image decides. */
import { store } from '../shared/page-state.js';

/** Images that are looked into to find it out, spread over the list. */
const SURVEYED = 32;

/** The bits that images ask for by themselves, 0 for 8-bit ones; by their files, which are replaced, never changed.
 *  @type {WeakMap<object, number>} */
const asked = new WeakMap();
/** @type {Promise<number|null>|null} */
let deciding = null;

/** @returns {number|null} as decided so far; what the detector was trained with comes first */
export function decidedDepth() {
  return store.state.model?.report.config.bit_depth ?? store.state.bitDepth;
}

/**
 * As decided, which is done once and kept with the project; null where no image has 16 bits.
 * @param {(image: import('../shared/page-state.js').ImageEntry) => Promise<number>} survey what one image asks for
 * @returns {Promise<number|null>}
 */
export async function bitDepth(survey) {
  const decided = decidedDepth();
  if (decided) return decided;
  deciding ??= decide(survey).finally(() => (deciding = null));
  return deciding;
}

/** @param {(image: import('../shared/page-state.js').ImageEntry) => Promise<number>} survey */
async function decide(survey) {
  const images = store.state.images.filter(({ problem, files }) => !problem && files.length > 0);
  const step = Math.max(1, Math.ceil(images.length / SURVEYED));
  const sample = images.filter((_, index) => index % step === 0);
  for (const image of sample) {
    if (asked.has(image.files)) continue;
    // What cannot be read is said when it is opened.
    asked.set(image.files, await survey(image).catch(() => 0));
  }
  const most = Math.max(0, ...sample.map(({ files }) => asked.get(files) ?? 0));
  if (most && !store.state.bitDepth) store.set({ bitDepth: most });
  return store.state.bitDepth;
}
