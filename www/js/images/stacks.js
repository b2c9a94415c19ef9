/** Stacks: which slice and time point of the current image is looked at and detected in, and what of the stacks of all images. */
import { announce, byId } from '../ui/dom.js';
import { isOfStack, openAgain } from './images.js';
import { stackWords } from '../shared/stacks.js';
import { busy, currentImage, store } from '../shared/page-state.js';

/** @param {import('../shared/page-state.js').ImageEntry} image */
function otherPlane(image) {
  if (image.result) image.result.stale = true;
  openAgain(image);
}

/**
 * Chooses another slice or time point of the current image; its detections stay, and count as outdated.
 * @param {'z'|'t'} axis @param {number} value counted from 1
 */
function choosePlane(axis, value) {
  const image = currentImage();
  const stack = store.state.opened?.stack;
  if (!image || !stack || busy() || store.state.readOnly) return draw();
  const last = axis === 'z' ? stack.slices : stack.frames;
  const wanted = Math.min(Math.max(value, 1), last);
  if (wanted === (image[axis] ?? stack[axis])) return;
  image[axis] = wanted;
  otherPlane(image);
  store.touch('images');
}

/** The slice or time point before or behind. @param {'z'|'t'} axis @param {number} step */
export function stepPlane(axis, step) {
  const shown = currentImage()?.[axis] ?? store.state.opened?.stack?.[axis];
  if (shown) choosePlane(axis, shown + step);
}

/** @param {string} projection */
function chooseProjection(projection) {
  const known = /** @type {const} */ (['plane', 'max', 'mean', 'sharpest']).find((one) => one === projection);
  if (!known || busy() || store.state.readOnly) return draw();
  store.set({ projection: known });
  for (const image of store.state.images) if (image.result?.detections.stack || isOfStack(image)) otherPlane(image);
  store.touch('images');
}

function draw() {
  const { opened, projection, readOnly } = store.state;
  const image = currentImage();
  const stack = opened?.stack ?? null;
  byId('stack-tools').hidden = !stack;
  if (!stack || !image) return;
  const locked = readOnly || Boolean(busy());
  byId('projection').value = projection;
  byId('projection').disabled = locked;
  const axes = /** @type {const} */ ([
    ['z', stack.slices],
    ['t', stack.frames],
  ]);
  for (const [axis, count] of axes) {
    const place = image[axis] ?? stack[axis];
    const slider = byId(`stack-${axis}`);
    byId(`stack-${axis}-row`).hidden = count < 2 || !stack[axis] || (axis === 'z' && projection !== 'plane');
    slider.max = String(count);
    slider.value = String(place ?? 1);
    slider.disabled = locked;
    byId(`stack-${axis}-value`).textContent = `${place ?? 1}/${count}`;
  }
  byId('stack-words').textContent = projection === 'plane' ? '' : stackWords(stack);
}

export function startStacks() {
  byId('projection').addEventListener('change', () => chooseProjection(byId('projection').value));
  for (const axis of /** @type {const} */ (['z', 't'])) {
    const slider = byId(`stack-${axis}`);
    slider.addEventListener('input', () => choosePlane(axis, Number(slider.value)));
    slider.addEventListener('change', () => announce(`${axis === 'z' ? 'Slice' : 'Time point'} ${slider.value}`));
  }
  store.subscribe(['opened', 'current', 'images', 'projection', 'job', 'readOnly'], draw);
}
