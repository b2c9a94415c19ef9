/** A score threshold for each class, chosen on what was evaluated, with what it costs; kept in the detector. */
import { el, notify } from '../ui/dom.js';
import { explain, loadModel } from '../engine/engine.js';
import { detectorMark } from '../engine/detector-mark.js';
import { connection as images } from '../images/images.js';
import { store } from '../shared/page-state.js';

/** @typedef {import('../engine/protocol.js').Evaluation} Evaluation */
/** @typedef {import('../../types/protocol.d.ts').Threshold} Threshold */

/** @param {number} value */
const share = (value) => value.toFixed(2);
/** @param {string} text */
const cell = (text) => el('td', { class: 'number' }, text);

/** The same detector with these thresholds; its results stay its results. @param {Record<string, number>} thresholds */
async function keep(thresholds) {
  const { model } = store.state;
  if (!model) return;
  const before = await detectorMark();
  const bytes = new Uint8Array(await model.file.arrayBuffer());
  const { files } = await images.request({ type: 'keepThresholds', name: model.file.name, bytes, thresholds }, { transfer: [bytes.buffer] });
  await loadModel(new File([files[0].bytes], model.file.name));
  if (store.state.modelProblem) return;
  const detector = await detectorMark();
  for (const image of store.state.images) {
    if (image.result?.detector === before) image.result = { ...image.result, detector, stale: false };
  }
  store.set({ byClass: true });
  store.touch('images', 'score');
}

/**
 * @param {Evaluation} evaluation
 * @returns {HTMLElement|null} null where the evaluation is of an earlier version, or no class is annotated
 */
export function thresholdSection(evaluation) {
  if (!Object.values(evaluation.per_class).some(({ kept }) => kept?.length)) return null;
  const { score, model } = store.state;
  const known = new Set(model?.report.config.classes.slice(1));
  /** @type {Record<string, number>} */ let thresholds = {};
  const goal = el(
    'select',
    { id: 'threshold-goal', 'aria-label': 'What thresholds are chosen for', onchange: () => choose() },
    el('option', { value: 'bestF1' }, 'best F1'),
    el('option', { value: 'precision' }, 'precision of at least'),
  );
  const least = el('input', {
    type: 'number',
    id: 'threshold-precision',
    min: '0',
    max: '1',
    step: '0.01',
    value: '0.95',
    'aria-label': 'Precision of at least',
    onchange: () => choose(),
  });
  const rows = el('tbody', {});
  const button = el('button', { type: 'button', id: 'keep-thresholds', onclick: () => apply() }, 'Keep in the detector');
  const state = el('p', { class: 'faint', role: 'status' });

  const choose = async () => {
    least.hidden = goal.value === 'bestF1';
    const wanted = least.hidden ? /** @type {const} */ ({ type: 'bestF1' }) : /** @type {const} */ ({ type: 'precision', least: least.valueAsNumber || 0 });
    try {
      const { chosen, before } = await images.request({ type: 'chooseThresholds', evaluation, goal: wanted, score });
      thresholds = Object.fromEntries(Object.entries(chosen).flatMap(([label, { score: own }]) => (known.has(label) ? [[label, own]] : [])));
      rows.replaceChildren(...Object.entries(before).map(([label, old]) => row(label, chosen[label], old)));
      button.disabled = Object.keys(thresholds).length === 0 || !model;
    } catch (error) {
      state.textContent = explain(error);
    }
  };
  const apply = async () => {
    button.disabled = true;
    try {
      await keep(thresholds);
      state.textContent = store.state.modelProblem
        ? store.state.modelProblem.sentence
        : 'Kept. The detector is the same otherwise; save the project, or download the detector, to keep its file.';
    } catch (error) {
      notify(explain(error), { kind: 'error' });
    }
    button.disabled = false;
  };
  choose();
  return el(
    'section',
    { 'aria-labelledby': 'thresholds-title' },
    el('h3', { id: 'thresholds-title' }, 'Score threshold per class'),
    el('div', { class: 'group' }, el('label', { class: 'group' }, 'Chosen for', goal), least, button),
    el(
      'table',
      { class: 'plain' },
      el(
        'thead',
        {},
        el(
          'tr',
          {},
          ...['Class', 'Threshold', 'Precision', 'Recall', 'F1', `Precision, recall at ${share(score)}`].map((name) => el('th', { scope: 'col' }, name)),
        ),
      ),
      rows,
    ),
    state,
  );
}

/** @param {string} label @param {Threshold|undefined} chosen @param {Threshold} before */
function row(label, chosen, before) {
  const own = chosen
    ? [chosen.score, chosen.precision, chosen.recall, chosen.f1].map((value) => cell(share(value)))
    : [el('td', { colSpan: 4 }, 'no threshold reaches it')];
  return el('tr', {}, el('th', { scope: 'row' }, label), ...own, cell(`${share(before.precision)}, ${share(before.recall)}`));
}
