/**
 * Colours of the classes: Okabe and Ito's set, told apart with every kind of colour blindness, the brightest first
 * because the image is dark. Beyond seven classes the lines are dashed as well.
 */
import { foregroundClasses } from '../engine/protocol.js';
import { store } from '../shared/page-state.js';

const OKABE_ITO = ['#e69f00', '#56b4e9', '#f0e442', '#cc79a7', '#009e73', '#d55e00', '#0072b2'];
const DASHES = [[], [6, 4], [2, 3], [8, 3, 2, 3]];

/** @type {Map<string, number>} */
const order = new Map();

/** @param {string} label */
function indexOf(label) {
  const known = order.get(label);
  if (known !== undefined) return known;
  const { model, labels } = store.state;
  for (const { name } of labels) if (!order.has(name)) order.set(name, order.size);
  if (model) for (const name of foregroundClasses(model.report.config)) if (!order.has(name)) order.set(name, order.size);
  if (!order.has(label)) order.set(label, order.size);
  return /** @type {number} */ (order.get(label));
}

/** @type {{labels: object[], colors: Map<string, string>}} */
let named = { labels: [], colors: new Map() };

/** The colour that the project gave a label. @param {string} label */
function givenColor(label) {
  const { labels } = store.state;
  if (named.labels !== labels) named = { labels, colors: new Map(labels.map(({ name, color }) => [name, color])) };
  return named.colors.get(label);
}

/** @typedef {{color: string, ink: string, dash: number[]}} Style */

/** @param {string} label @returns {Style} */
export function classStyle(label) {
  const index = indexOf(label);
  const color = givenColor(label) ?? OKABE_ITO[index % OKABE_ITO.length];
  return {
    color,
    ink: color === '#0072b2' ? '#fff' : '#000',
    dash: DASHES[Math.floor(index / OKABE_ITO.length) % DASHES.length],
  };
}

/**
 * The colour that the class has on the canvas already, unless another label took it while one is free.
 * @param {string} name @param {{color: string}[]} labels
 */
export function colorOfNewLabel(name, labels) {
  const { color } = classStyle(name);
  const taken = new Set(labels.map((label) => label.color));
  return taken.has(color) ? (OKABE_ITO.find((one) => !taken.has(one)) ?? color) : color;
}
