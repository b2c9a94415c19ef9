/** Measuring all images, one after another: what is measured already is not measured again, and one that cannot be read costs no other. */
import { announce, notify, plural } from '../ui/dom.js';
import { outgoingNames } from '../images/file-names.js';
import { measure } from '../images/images.js';
import { isMeasured, measureCells } from '../images/measured.js';
import { Cancelled } from '../engine/connection.js';
import { explain } from '../engine/engine.js';
import { imagesWith } from './cells.js';
import { store } from '../shared/page-state.js';

/** @typedef {import('../images/measured.js').Kind} Kind */

/** The run that is under way. @type {{done: number, total: number, image: string, abort: AbortController}|null} */
let run = null;
/** Why images could not be measured, by image; forgotten when they are measured. @type {WeakMap<object, string>} */
const problems = new WeakMap();

export function runningMeasurement() {
  return run;
}

/** Images with cells that were not measured as they are now. @param {Kind} kind */
export function openImages(kind) {
  return imagesWith(kind).filter((image) => !isMeasured(image, kind));
}

/** Why images could not be measured. @param {Kind} kind @returns {string[]} */
export function problemsOf(kind) {
  return openImages(kind).flatMap((image) => {
    const why = problems.get(image);
    return why ? [`${image.name}: ${why}`] : [];
  });
}

export function cancelMeasuring() {
  run?.abort.abort();
}

/** @param {Kind} kind @returns {Promise<void>} */
export async function measureAll(kind) {
  if (run) return;
  const images = openImages(kind);
  const own = (run = { done: 0, total: images.length, image: '', abort: new AbortController() });
  const started = performance.now();
  store.touch('measured');
  let failed = 0;
  try {
    await measure(images);
    const names = await outgoingNames(store.state.images);
    for (const image of images) {
      if (own.abort.signal.aborted) throw new Cancelled();
      own.image = image.name;
      store.touch('measured');
      const answer = await measureCells(image, kind, { names: names.get(image) ?? { name: image.name, stem: image.name }, signal: own.abort.signal });
      if (answer.problem) {
        problems.set(image, answer.problem);
        failed += 1;
      }
      own.done += 1;
    }
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    announce(`${plural(images.length - failed, 'image')} measured in ${seconds} s.`);
  } catch (error) {
    if (error instanceof Cancelled) announce('Measuring was cancelled; what was measured stays.');
    else notify(explain(error), { kind: 'error' });
  } finally {
    run = null;
    store.touch('measured');
  }
}
