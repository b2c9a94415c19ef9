/** The project's labels: their list in the panel, and adding, renaming and removing them. */
import { commit, nextLabel } from './annotations.js';
import { chooseLabel } from './annotate-tool.js';
import { colorOfNewLabel } from '../canvas/colors.js';
import { ask, byId, el, openDialog, plural } from '../ui/dom.js';
import { FORBIDDEN_IN_LABELS, LABEL_CHARS } from '../shared/engine-limits.js';
import { currentImage, store } from '../shared/page-state.js';

/** What is wrong with a name; empty where nothing is. @param {string} name */
function fault(name) {
  if (!name) return 'A label needs a name.';
  if ([...name].length > LABEL_CHARS) return `A label has at most ${LABEL_CHARS} characters.`;
  if (FORBIDDEN_IN_LABELS.test(name)) return 'The name contains an invisible character.';
  return '';
}

/** @param {string} name */
export function addLabel(name) {
  const { labels } = store.state;
  if (!labels.some((label) => label.name === name)) {
    commit(`Label ${name} added`, [], { labels: [...labels, { name, color: colorOfNewLabel(name, labels) }] });
  }
  store.set({ label: name });
}

/** Images with boxes of a label, and how many boxes. @param {string} name */
function uses(name) {
  const images = store.state.images.filter((image) => image.annotations?.objects.some(({ label }) => label === name));
  const boxes = images.reduce((sum, image) => sum + (countLabels(image.annotations).get(name) ?? 0), 0);
  return { images, boxes };
}

/**
 * Gives all boxes of a label another one. An empty one deletes them.
 * @param {import('../shared/page-state.js').ImageEntry[]} images @param {string} from @param {string} to @returns {[import('../shared/page-state.js').ImageEntry, import('../shared/page-state.js').Annotations][]}
 */
function relabelled(images, from, to) {
  return images.map((image) => {
    const annotations = image.annotations ?? { verified: false, objects: [] };
    const { objects, ignored } = annotations;
    /** @template {{label?: string}} T @param {T} one */
    const renamed = (one) => (one.label === from ? { ...one, label: to } : one);
    const changed = to ? objects.map(renamed) : objects.filter(({ label }) => label !== from);
    return [image, { ...annotations, objects: changed, ...(to && ignored ? { ignored: ignored.map(renamed) } : {}) }];
  });
}

/** Renames a label and all its boxes; a name that is there already takes them over. @param {string} from @param {string} to */
async function renameLabel(from, to) {
  if (from === to) return;
  const { labels, label } = store.state;
  const { images, boxes } = uses(from);
  const merges = labels.some(({ name }) => name === to);
  if (merges && boxes > 0) {
    const answer = await ask(`Rename ${from} to ${to}?`, `${to} already exists. ${plural(boxes, 'box', 'boxes')} of ${from} would become ${to}.`, [
      ['merge', 'Merge'],
      ['', 'Cancel'],
    ]);
    if (!answer) return;
  }
  const left = merges ? labels.filter(({ name }) => name !== from) : labels.map((one) => (one.name === from ? { ...one, name: to } : one));
  commit(`Label ${from} renamed to ${to}`, relabelled(images, from, to), { labels: left });
  if (label === from) store.set({ label: to });
}

/** @param {string} name */
async function removeLabel(name) {
  const { labels, label } = store.state;
  const { images, boxes } = uses(name);
  const left = labels.filter((one) => one.name !== name);
  let target = '';
  if (boxes > 0) {
    const answers = left.slice(0, 8).map((one) => /** @type {[string, string]} */ ([`=${one.name}`, `Relabel as ${one.name}`]));
    const sentence = `${plural(boxes, 'box', 'boxes')} in ${plural(images.length, 'image')} ${boxes === 1 ? 'has' : 'have'} this label.`;
    const answer = await ask(`Remove ${name}?`, sentence, [
      ...answers,
      ['', 'Cancel'],
      ['delete', `Delete ${boxes === 1 ? 'the box' : `all ${boxes.toLocaleString('en')}`}`],
    ]);
    if (!answer) return;
    target = answer.startsWith('=') ? answer.slice(1) : '';
  }
  commit(`Label ${name} removed`, relabelled(images, name, target), { labels: left, selectedBox: null });
  if (label === name) store.set({ label: target || (left[0]?.name ?? '') });
}

/** Asks for a name. @param {string} title @param {string} value @param {(name: string) => void} use */
function askName(title, value, use) {
  const input = el('input', { type: 'text', value, maxLength: LABEL_CHARS, required: true, 'aria-label': 'Name of the label', spellcheck: false });
  const problem = el('p', { class: 'error', role: 'alert' });
  /** @param {SubmitEvent} event */
  const submit = (event) => {
    event.preventDefault();
    const name = input.value.trim();
    problem.textContent = fault(name);
    if (problem.textContent) return;
    dialog.close();
    use(name);
  };
  const button = el('button', { type: 'submit', class: 'primary' }, value ? 'Rename' : 'Add');
  const dialog = openDialog(title, [el('form', { onsubmit: submit }, input, problem, el('div', { class: 'actions' }, button))]);
  input.focus();
  input.select();
}

export function openAddLabel() {
  askName('Add a label', '', addLabel);
}

function createRow() {
  const name = el('span', { class: 'label' });
  const choose = el(
    'button',
    { type: 'button', class: 'label-choice', onclick: () => chooseLabel(Number(row.dataset.index)) },
    el('kbd', {}),
    el('span', { class: 'swatch', 'aria-hidden': 'true' }),
    name,
    el('span', { class: 'number' }),
  );
  const named = () => row.dataset.label ?? '';
  const rename = el('button', { type: 'button', class: 'quiet', onclick: () => askName(`Rename ${named()}`, named(), (to) => renameLabel(named(), to)) }, '✎');
  const remove = el('button', { type: 'button', class: 'quiet', onclick: () => removeLabel(named()) }, '✕');
  const row = el('li', {}, choose, rename, remove);
  return row;
}

/**
 * @param {HTMLElement} row @param {number} index @param {{name: string, color: string}} label
 * @param {Map<string, number>} here boxes of the current image by label @param {Map<string, number>} all those of the project
 */
function fillRow(row, index, { name, color }, here, all) {
  const [choose, rename, remove] = /** @type {HTMLElement[]} */ ([...row.children]);
  const [key, swatch, text, count] = /** @type {HTMLElement[]} */ ([...choose.children]);
  row.dataset.index = String(index);
  row.dataset.label = name;
  key.textContent = index < 9 ? String(index + 1) : '';
  swatch.style.backgroundColor = color;
  text.textContent = name;
  count.textContent = `${(here.get(name) ?? 0).toLocaleString('en')} / ${(all.get(name) ?? 0).toLocaleString('en')}`;
  choose.title = `${name}: boxes in this image / in all images`;
  choose.setAttribute('aria-pressed', String(name === nextLabel()));
  rename.setAttribute('aria-label', `Rename ${name}`);
  remove.setAttribute('aria-label', `Remove ${name}`);
  rename.title = 'Rename';
  remove.title = 'Remove';
}

/** @type {WeakMap<object, Map<string, number>>} */
const counted = new WeakMap();

/**
 * Boxes by label of one set of annotations; counted once. @returns {Map<string, number>}
 * @param {import('../shared/page-state.js').Annotations|null} annotations
 */
export function countLabels(annotations) {
  if (!annotations) return new Map();
  const known = counted.get(annotations);
  if (known) return known;
  const counts = new Map();
  for (const { label } of annotations.objects) counts.set(label, (counts.get(label) ?? 0) + 1);
  counted.set(annotations, counts);
  return counts;
}

/** Boxes and images by label, over the whole project. */
export function countAll() {
  /** @type {Map<string, number>} */ const boxes = new Map();
  /** @type {Map<string, number>} */ const images = new Map();
  for (const image of store.state.images) {
    for (const [label, count] of countLabels(image.annotations)) {
      boxes.set(label, (boxes.get(label) ?? 0) + count);
      images.set(label, (images.get(label) ?? 0) + 1);
    }
  }
  return { boxes, images };
}

export function startLabels() {
  byId('add-label').addEventListener('click', openAddLabel);
  const list = byId('labels');
  store.subscribe(['labels', 'label', 'annotations', 'images', 'current', 'model', 'tab'], ({ labels, tab }) => {
    if (tab !== 'annotate') return;
    const here = countLabels(currentImage()?.annotations ?? null);
    const { boxes } = countAll();
    while (list.children.length > labels.length) list.lastElementChild?.remove();
    while (list.children.length < labels.length) list.append(createRow());
    labels.forEach((label, index) => fillRow(/** @type {HTMLElement} */ (list.children[index]), index, label, here, boxes));
    byId('labels-empty').hidden = labels.length > 0;
    byId('labels-empty').textContent = `The first box gets the label “${nextLabel()}”. Add your own labels, or rename it later.`;
  });
}
