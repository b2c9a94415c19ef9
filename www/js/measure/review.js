/** Accepting, relabelling and rejecting cells of any image: each call is one step of the history of annotations. */
import { announce, plural } from '../ui/dom.js';
import { commit, refused } from '../annotate/annotations.js';
import { clipBox, iou, touchesEdge } from '../canvas/geometry.js';
import { rejectedOf, store } from '../shared/page-state.js';

/**
 * @typedef {Pick<import('./cells.js').Row, 'image'|'kind'|'number'|'cell'>} Row
 * @typedef {import('../shared/page-state.js').ImageEntry} ImageEntry
 * @typedef {import('../shared/page-state.js').Annotations} Annotations
 */

/** An annotation that overlaps a detection as much was made of it. */
const SAME = 0.9;

/** @type {Annotations} */
const NOTHING = { verified: false, objects: [] };

/** The labels of accepted detections, by the annotations of their image. @type {WeakMap<object, Map<object, string|null>>} */
const accepted = new WeakMap();

/** The label that a detection was accepted with; null where it was not. @param {Row} row @returns {string|null} */
export function acceptedLabel({ image, kind, cell }) {
  if (kind === 'annotations' || !image.annotations) return null;
  let known = accepted.get(image.annotations);
  if (!known) accepted.set(image.annotations, (known = new Map()));
  const label = known.get(cell);
  if (label !== undefined) return label;
  const found = image.annotations.objects.find(({ box }) => iou(box, cell.box) > SAME)?.label ?? null;
  known.set(cell, found);
  return found;
}

/** @param {Row[]} rows @returns {Map<ImageEntry, Row[]>} */
function byImage(rows) {
  /** @type {Map<ImageEntry, Row[]>} */ const groups = new Map();
  for (const row of rows) {
    const own = groups.get(row.image);
    if (own) own.push(row);
    else groups.set(row.image, [row]);
  }
  return groups;
}

/**
 * Makes annotations of detections, with their own label or another; annotations get the other label.
 * @param {Row[]} rows @param {string|null} label null: as the detector says
 */
export function acceptRows(rows, label) {
  if (rows.length === 0 || refused()) return;
  /** @type {[ImageEntry, Annotations][]} */ const edits = [];
  for (const [image, own] of byImage(rows)) {
    const before = image.annotations ?? NOTHING;
    const size = image.size ?? image.result?.detections;
    if (!size) continue;
    const objects = [...before.objects];
    for (const { kind, number, cell } of own) {
      const at = kind === 'annotations' ? number : objects.findIndex(({ box }) => iou(box, cell.box) > SAME);
      const name = label ?? cell.label;
      if (at >= 0 && objects[at].label === name) continue;
      const box = clipBox(cell.box, size);
      if (at >= 0) objects[at] = { ...objects[at], label: name };
      else objects.push({ box, label: name, difficult: false, truncated: touchesEdge(box, size), ...(cell.mask ? { mask: cell.mask } : {}) });
    }
    edits.push([image, { ...before, objects }]);
  }
  const what = label ? `labelled ${label}` : 'accepted';
  commit(`${plural(rows.length, 'cell')} ${what}`, edits);
  announce(`${plural(rows.length, 'cell')} ${what}.`);
}

/** Takes cells out: detections count nowhere until they are restored, and what was accepted of them goes. @param {Row[]} rows */
export function rejectRows(rows) {
  if (rows.length === 0 || refused()) return;
  /** @type {[ImageEntry, Annotations][]} */ const edits = [];
  /** @type {[ImageEntry, number[]][]} */ const rejections = [];
  for (const [image, own] of byImage(rows)) {
    const before = image.annotations;
    if (before) {
      const isGone = (/** @type {import('../shared/page-state.js').AnnotatedObject} */ object) =>
        own.some(({ kind, cell }) => (kind === 'annotations' ? cell === object : iou(cell.box, object.box) > SAME));
      const objects = before.objects.filter((object) => !isGone(object));
      if (objects.length < before.objects.length) edits.push([image, { ...before, objects }]);
    }
    const numbers = own.filter(({ kind }) => kind === 'detections').map(({ number }) => number);
    if (numbers.length) rejections.push([image, [...new Set([...rejectedOf(image), ...numbers])].sort((a, b) => a - b)]);
  }
  const what = `${plural(rows.length, 'cell')} rejected`;
  commit(what, edits, { rejections });
  announce(`${what}.`);
}

/** How many detections are rejected. */
export function rejectedCount() {
  return store.state.images.reduce((sum, { result }) => sum + (result?.rejected?.length ?? 0), 0);
}

/** Makes all rejected detections count again. */
export function restoreRejected() {
  if (refused()) return;
  const count = rejectedCount();
  const images = store.state.images.filter(({ result }) => result?.rejected);
  commit(`${plural(count, 'cell')} restored`, [], { rejections: images.map((image) => [image, []]) });
  announce(`${plural(count, 'cell')} restored.`);
}
