/** What annotation files say, put to the images: masks to their boxes, and nothing over a user's own work unasked. */
import { commit } from './annotations.js';
import { ask, plural } from '../ui/dom.js';
import { clipBox, iou } from '../canvas/geometry.js';
import { store } from '../shared/page-state.js';

/** @typedef {import('../shared/page-state.js').ImageEntry} ImageEntry */
/** @typedef {import('../shared/page-state.js').Annotations} Annotations */

/** A mask and a box that overlap as much are of the same cell. */
const SAME_CELL = 0.5;
/** What stands as it came out of a file, and may be replaced by a file. @type {WeakSet<object>} */
const imported = new WeakSet();

/** Whether these stand as they came out of a file. @param {object} annotations */
export function isImported(annotations) {
  return imported.has(annotations);
}

/**
 * Objects as the page keeps them, within the image.
 * @param {import('../engine/protocol.js').ImageAnnotations} found @param {ImageEntry} image
 */
function objectsOf(found, image) {
  const size = image.size ?? (found.width && found.height ? found : null);
  return found.objects.map(({ box, label, difficult, truncated, mask }) => {
    const inside = size ? clipBox(box, size) : /** @type {[number, number, number, number]} */ ([...box]);
    return { box: inside, label, difficult: Boolean(difficult), truncated: Boolean(truncated), ...(mask ? { mask } : {}) };
  });
}

/**
 * What annotations have beside their objects where a file holds something that is not an object.
 * @param {import('../engine/protocol.js').ImageAnnotations} found
 */
function leftOutOf({ ignored = [], incomplete = false }) {
  const regions = ignored.map(({ box, label, reason }) => ({ box: /** @type {typeof box} */ ([...box]), ...(label ? { label } : {}), reason }));
  return { ...(regions.length ? { ignored: regions } : {}), ...(incomplete ? { incomplete } : {}) };
}

/**
 * Boxes with the masks of a label image that came without any; null where one of its objects has no box.
 * @template {{objects: import('../shared/page-state.js').AnnotatedObject[]}} Boxes
 * @param {Boxes} boxes @param {{objects: import('../shared/page-state.js').AnnotatedObject[]}} masks
 * @returns {Boxes|null}
 */
export function withMasks(boxes, masks) {
  const bare = boxes.objects.length > 0 && boxes.objects.every(({ mask }) => !mask);
  if (!bare || masks.objects.length === 0 || !masks.objects.every(({ mask }) => mask)) return null;
  const objects = [...boxes.objects];
  const open = new Set(objects.keys());
  for (const { box, mask } of masks.objects) {
    let best = -1;
    let most = SAME_CELL;
    for (const index of open) {
      const overlap = iou(objects[index].box, box);
      if (overlap >= most) [best, most] = [index, overlap];
    }
    if (!open.delete(best)) return null;
    objects[best] = { ...objects[best], mask };
  }
  return { ...boxes, objects };
}

/**
 * Gives the images what was found, as one step that can be undone.
 * @param {{image: ImageEntry, found: import('../engine/protocol.js').ImageAnnotations, boxed: boolean}[]} found `boxed` where it is more
 *   than a label image
 */
export async function putAnnotations(found) {
  /** @type {[ImageEntry, Annotations][]} */
  const edits = [];
  /** @type {[ImageEntry, Annotations][]} */
  const conflicts = [];
  /** A user's boxes stay a user's when they get masks. @type {Set<object>} */
  const masked = new Set();
  for (const { image, found: one, boxed } of found) {
    const after = { verified: Boolean(one.verified), objects: objectsOf(one, image), ...leftOutOf(one) };
    const before = image.annotations;
    if (before && JSON.stringify(before) === JSON.stringify(after)) continue;
    const both = before && !boxed && withMasks(before, after);
    if (both) {
      masked.add(both);
      edits.push([image, both]);
      continue;
    }
    const free = !before || imported.has(before) || (before.objects.length === 0 && !before.verified);
    (free ? edits : conflicts).push([image, after]);
  }
  if (conflicts.length && !store.state.readOnly) {
    const some = conflicts
      .slice(0, 3)
      .map(([{ name }]) => name)
      .join(', ');
    const sentence = `${plural(conflicts.length, 'image')} (${some}${conflicts.length > 3 ? ', …' : ''}) ${conflicts.length === 1 ? 'has' : 'have'} annotations that differ from the files. Replacing them can be undone.`;
    const answer = await ask('Keep your annotations?', sentence, [
      ['keep', 'Keep mine'],
      ['replace', 'Replace them'],
    ]);
    if (answer === 'replace') edits.push(...conflicts);
  }
  for (const [image, after] of edits) if (!masked.has(after) || imported.has(image.annotations ?? after)) imported.add(after);
  if (edits.length === 0) return [];
  return commit(`Annotations of ${plural(edits.length, 'image')} read`, edits, { selectedBox: null }) ? edits : [];
}
