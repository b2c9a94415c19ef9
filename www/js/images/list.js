/** The list of images: thumbnails, states, the filter, and what was ignored. */
import { byId, el, plural } from '../ui/dom.js';
import { fillWithBlack, fixFor } from './problem-fixes.js';
import { wantThumbnails } from './images.js';
import { leftOutSummary, openLeftOut } from './left-out.js';
import { currentImage, select, shownDetections, store } from '../shared/page-state.js';
import { VirtualList } from '../ui/virtual-list.js';

/** @typedef {typeof store.state.filter} Filter */

/** @type {Record<Filter, (image: import('../shared/page-state.js').ImageEntry) => boolean>} */
const FILTERS = {
  all: () => true,
  problem: (image) => image.state === 'problem' || image.state === 'failed',
  open: (image) => !image.result,
  done: (image) => Boolean(image.result),
  annotated: (image) => Boolean(image.annotations),
  verified: (image) => Boolean(image.annotations?.verified),
};

/** @type {Record<Filter, string>} */
const FILTER_NAMES = { all: 'All', open: 'Open', done: 'Done', annotated: 'Annotated', verified: 'Verified', problem: 'Problems' };

/** Images that the filter lets through. */
export function listedImages() {
  return store.state.images.filter(FILTERS[store.state.filter]);
}

/** Goes along the list. @param {number} step */
export function stepImage(step) {
  const list = listedImages();
  if (list.length === 0) return;
  const now = list.findIndex((image) => image.id === store.state.current);
  select(list[now < 0 ? 0 : Math.min(Math.max(now + step, 0), list.length - 1)].id);
}

/** @param {import('../shared/page-state.js').ImageEntry} image */
function describe(image) {
  // The row says whose sentence it is already.
  const sentence = (image.problem?.sentence || image.failure).replace(`${image.name}: `, '');
  if (sentence) return sentence;
  if (image.result || image.annotations) {
    const parts = [];
    if (image.result) parts.push(plural(shownDetections(image).length, 'cell') + (image.result.stale ? ', outdated' : ''));
    if (image.annotations) parts.push(plural(image.annotations.objects.length, 'box', 'boxes') + (image.annotations.verified ? ' ✓' : ''));
    return parts.join(' · ');
  }
  return image.channels.length ? plural(image.channels.length, 'channel') : 'one file';
}

const STATE_NAMES = { new: 'new', ready: 'ready', queued: 'waiting', running: 'running', done: 'done', failed: 'failed', problem: 'problem' };

function createRow() {
  return el(
    'div',
    { class: 'image-row' },
    el('canvas', { width: 80, height: 80, 'aria-hidden': 'true' }),
    el('span', { class: 'name' }),
    el('span', { class: 'about' }),
    el('span', { class: 'state' }),
  );
}

/** The thumbnail on each row's canvas. @type {WeakMap<Element, ImageBitmap|null>} */
const drawn = new WeakMap();

/** @param {HTMLElement} row @param {import('../shared/page-state.js').ImageEntry} image */
function fillRow(row, image) {
  const [canvas, name, about, state] = /** @type {[HTMLCanvasElement, HTMLElement, HTMLElement, HTMLElement]} */ (/** @type {unknown} */ (row.children));
  put(name, image.name);
  put(about, describe(image));
  put(state, STATE_NAMES[image.state]);
  row.dataset.state = image.state;
  row.title = image.problem?.sentence || image.failure || [image.name, ...image.notes].join('\n');
  if (drawn.get(canvas) === image.thumbnail) return;
  drawn.set(canvas, image.thumbnail);
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  context.clearRect(0, 0, 80, 80);
  if (!image.thumbnail) return;
  const { width, height } = image.thumbnail;
  const side = Math.min(width, height);
  context.imageSmoothingQuality = 'high';
  context.drawImage(image.thumbnail, (width - side) / 2, (height - side) / 2, side, side, 0, 0, 80, 80);
}

/** @param {Element} element @param {string} text */
function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** @param {() => void} tryAgain detects in the current image once more */
export function startList(tryAgain) {
  const list = new VirtualList(byId('images'), {
    rowHeight: 52,
    role: 'option',
    create: createRow,
    fill: fillRow,
    key: (image) => image.id,
    choose: (image) => select(image.id),
    visible: (images) => wantThumbnails(images.map((image) => image.id)),
  });
  const filter = byId('filter');
  filter.addEventListener('change', () => store.set({ filter: /** @type {Filter} */ (filter.value) }));
  byId('ignored').addEventListener('click', openLeftOut);
  byId('fill-all').addEventListener('click', () => fillWithBlack(store.state.images));

  store.subscribe(['images', 'current', 'filter', 'score', 'reading', 'ignored', 'remarks'], (state) => {
    const { images, reading } = state;
    const listed = listedImages();
    list.set(listed, state.current);
    const problems = images.filter(FILTERS.problem);
    const fillable = problems.filter((image) => image.missing.length > image.fill.length);
    byId('reading').hidden = !reading;
    put(byId('reading'), reading);
    filter.value = state.filter;
    filter.disabled = images.length === 0;
    for (const option of filter.options) {
      const value = /** @type {Filter} */ (option.value);
      const count = images.filter(FILTERS[value]).length.toLocaleString('en');
      put(option, images.length ? `${FILTER_NAMES[value]}: ${count}` : FILTER_NAMES[value]);
    }
    byId('problems').hidden = problems.length === 0;
    put(byId('problem-count'), `${plural(problems.length, 'image')} with a problem`);
    byId('fill-all').hidden = fillable.length < 2;
    const leftOut = leftOutSummary();
    byId('ignored').hidden = !leftOut;
    put(byId('ignored'), `${leftOut}: details…`);
  });

  store.subscribe(['images', 'current'], () => {
    const image = currentImage();
    const panel = byId('problem');
    const sentence = image?.problem?.sentence || image?.failure;
    panel.hidden = !image || !sentence;
    if (!image || !sentence) return;
    put(byId('problem-sentence'), sentence);
    const fix = byId('fix');
    const { label, run, other } = fixFor(image, tryAgain);
    put(fix, label);
    fix.onclick = run;
    const second = byId('fix-otherwise');
    second.hidden = !other;
    put(second, other?.label ?? '');
    second.onclick = other?.run ?? null;
  });
}
