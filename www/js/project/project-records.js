/**
 * A project as it is written down, in the database and in a project file alike, and the checks on the way back: what
 * comes from a disk or from another user is taken field by field, and nothing that is not understood.
 *
 * @typedef {{path: string, channel: string|null, size: number, modified: number}} FileRecord
 * @typedef {Object} ImageRecord
 * @property {string} name
 * @property {FileRecord[]} files
 * @property {string[]} channels
 * @property {string[]} missing
 * @property {string[]} fill
 * @property {'ask'|'channels'|'slices'|'frames'} pages
 * @property {number} [z]
 * @property {number} [t]
 * @property {{code: string, sentence: string}|null} problem
 * @property {string[]} notes
 * @property {import('../engine/protocol.js').Merge|null} merge
 * @property {{width: number, height: number}|null} size
 */
import { BadRecord, demand, isObject, label, list, number, text, whole } from '../shared/record-fields.js';
import * as limits from '../shared/limits.js';
import { runs } from '../shared/run-lengths.js';
import { readCurves, readEvaluation } from '../train/kept-training.js';

export { BadRecord };

/** What of the page's state belongs to the project, beside its images. */
export const SETTINGS = /** @type {const} */ ([
  'labels',
  'label',
  'score',
  'byClass',
  'guide',
  'proposing',
  'trainingSettings',
  'curves',
  'evaluation',
  'imageLabels',
  'bitDepth',
  'projection',
  'cellDiameter',
]);

/** Those so large that a change is told by identity: they are replaced, never changed in place. */
export const LARGE = new Set(['curves', 'evaluation', 'imageLabels']);

/** Problems that are of a moment, not of the image. */
const PASSING = new Set(['engine', 'io']);

/** @param {unknown} value @param {string} what */
const texts = (value, what) => list(value ?? [], what, limits.CHANNELS * 4, (one, name) => text(one, name));

/** @returns {[number, number, number, number]} @param {unknown} value @param {string} what */
function box(value, what) {
  demand(Array.isArray(value) && value.length === 4, `${what} is not a box of four numbers`);
  const [x1, y1, x2, y2] = value.map((one) => number(one, what, 0, limits.IMAGE_SIDE));
  demand(x1 < x2 && y1 < y2, `${what} is not a box: x2 and y2 must be greater than x1 and y1`);
  return [x1, y1, x2, y2];
}

const PAGES = /** @type {const} */ (['ask', 'channels', 'slices', 'frames']);
const PROJECTIONS = /** @type {const} */ (['plane', 'max', 'mean', 'sharpest']);

/** The slice and the time point, where they are there. @param {any} value @param {string} what @returns {{z?: number, t?: number}} */
function plane({ z, t }, what) {
  const at = (/** @type {unknown} */ one) => whole(one, `the plane of ${what}`, 1, limits.PLANES);
  return { ...(z === undefined || z === null ? {} : { z: at(z) }), ...(t === undefined || t === null ? {} : { t: at(t) }) };
}

/** @param {any} value @param {string} what @returns {{stack?: import('../engine/protocol.js').StackPlane}} */
function stack(value, what) {
  if (value === undefined || value === null) return {};
  demand(isObject(value), `the stack of ${what} cannot be read`);
  const [slices, frames] = [value.slices, value.frames].map((one) => whole(one, `the stack of ${what}`, 1, limits.PLANES));
  return { stack: { slices, frames, projection: projection(value.projection), ...plane(value, what) } };
}

/** @param {unknown} value */
function projection(value) {
  const found = PROJECTIONS.find((one) => one === value);
  demand(found !== undefined, 'the projection is not one that there is');
  return found;
}

/** @returns {import('../engine/protocol.js').Rle|null} @param {unknown} value @param {string} what */
function mask(value, what) {
  if (value === null || value === undefined) return null;
  demand(isObject(value) && Array.isArray(value.size) && value.size.length === 2, `${what} has a mask without a size`);
  const [height, width] = value.size.map((side) => whole(side, `${what}, size of its mask`, 1, limits.IMAGE_SIDE));
  const { counts } = value;
  demand((typeof counts === 'string' || Array.isArray(counts)) && counts.length <= limits.MASK_RUNS, `${what} has a mask that cannot be read`);
  const rle = /** @type {import('../engine/protocol.js').Rle} */ ({ size: [height, width], counts });
  let pixels = 0;
  for (const run of Array.from(runs(rle).counts)) pixels += whole(run, `${what}, a run of its mask`, 0, height * width);
  demand(pixels === height * width, `${what} has a mask that does not cover its image`);
  return rle;
}

/** @returns {import('../engine/protocol.js').Merge|null} @param {unknown} value @param {string} what */
function merge(value, what) {
  if (value === null || value === undefined) return null;
  demand(isObject(value) && Object.keys(value).length <= limits.CHANNELS, `${what} is not a table of weights`);
  const rows = Object.entries(value).map(([channel, weights]) => {
    demand(Array.isArray(weights) && weights.length === 3, `${what} does not have three weights for ${channel}`);
    return [text(channel, what), weights.map((weight) => number(weight, what, 0, limits.LARGEST_WEIGHT))];
  });
  return Object.fromEntries(rows);
}

/** @param {any} one @param {string} what */
function annotatedObject(one, what) {
  demand(isObject(one), `${what} is not an object`);
  const outline = mask(one.mask, what);
  return {
    box: box(one.box, what),
    label: label(one.label, `the label of ${what}`),
    difficult: one.difficult === true,
    truncated: one.truncated === true,
    ...(outline ? { mask: outline, ...(one.proposed === true ? { proposed: true } : {}) } : {}),
  };
}

/** @param {any} one @param {string} what @returns {import('../shared/page-state.js').IgnoredRegion} */
function ignoredRegion(one, what) {
  demand(isObject(one), `${what} is not an object`);
  demand(one.reason === 'crowd' || one.reason === 'unreadable', `${what} has an unknown reason`);
  const named = one.label !== null && one.label !== undefined;
  return { box: box(one.box, what), ...(named ? { label: label(one.label, `the label of ${what}`) } : {}), reason: one.reason };
}

/**
 * @param {any} value
 * @param {string} what
 * @param {((sentence: string) => void)|null} [leaveOut] told of each object that cannot be used; without it one such spoils all
 * @returns {import('../shared/page-state.js').Annotations}
 */
export function readAnnotations(value, what, leaveOut = null) {
  demand(isObject(value), `${what} are not annotations`);
  /** @template T @param {(one: any, what: string) => T} read @returns {(one: any, what: string) => T|null} */
  const orNull = (read) => (one, name) => {
    try {
      return read(one, name);
    } catch (error) {
      if (!leaveOut || !(error instanceof BadRecord)) throw error;
      leaveOut(error.message);
      return null;
    }
  };
  const objects = list(value.objects, what, limits.OBJECTS, orNull(annotatedObject)).filter((one) => one !== null);
  const ignored = list(value.ignored ?? [], `${what}, ignored region`, limits.OBJECTS, orNull(ignoredRegion)).filter((one) => one !== null);
  return {
    verified: value.verified === true,
    objects,
    ...(ignored.length ? { ignored } : {}),
    ...(value.incomplete === true ? { incomplete: true } : {}),
  };
}

/** @param {any} value @param {string} what @returns {NonNullable<import('../shared/page-state.js').ImageEntry['result']>} */
export function readResult(value, what) {
  demand(isObject(value) && isObject(value.detections), `${what} is not a result`);
  const found = value.detections;
  const detections = list(found.detections, what, limits.DETECTIONS, (one, name) => {
    demand(isObject(one), `${name} is not a detection`);
    /** @type {import('../engine/protocol.js').Detection} */
    const detection = { box: box(one.box, name), label: label(one.label, `the label of ${name}`), score: number(one.score, `the score of ${name}`, 0, 1) };
    const outline = mask(one.mask, name);
    if (outline) detection.mask = outline;
    return detection;
  });
  return {
    detections: {
      image: text(found.image, what),
      file: text(found.file, what),
      width: whole(found.width, what, 1, limits.IMAGE_SIDE),
      height: whole(found.height, what, 1, limits.IMAGE_SIDE),
      detections,
      merge: merge(found.merge, what),
      filled: texts(found.filled, what),
      ...stack(found.stack, what),
      ...(found.limit_reached === undefined || found.limit_reached === null ? {} : { limit_reached: whole(found.limit_reached, what, 1, limits.DETECTIONS) }),
    },
    seconds: number(value.seconds, what, 0),
    stale: value.stale === true,
    ...(value.detector === undefined ? {} : { detector: text(value.detector, what) }),
    ...(value.rejected === undefined
      ? {}
      : { rejected: list(value.rejected, what, limits.DETECTIONS, (one, name) => whole(one, name, 0, detections.length - 1)) }),
  };
}

/** @param {any} value @param {string} what @returns {FileRecord} */
function readFile(value, what) {
  demand(isObject(value), `${what} is not a file`);
  return {
    path: text(value.path, what),
    channel: value.channel === null || value.channel === undefined ? null : text(value.channel, what),
    size: whole(value.size, what, 0, Number.MAX_SAFE_INTEGER),
    modified: number(value.modified, what),
  };
}

/** @param {any} value @param {string} what @returns {ImageRecord} */
export function readImage(value, what) {
  demand(isObject(value), `${what} is not an image`);
  const { problem, size } = value;
  return {
    name: text(value.name, `the name of ${what}`),
    files: list(value.files, `the files of ${what}`, limits.CHANNELS * 4, readFile),
    channels: texts(value.channels, what),
    missing: texts(value.missing, what),
    fill: texts(value.fill, what),
    pages: PAGES.find((one) => one === value.pages) ?? 'ask',
    ...plane(value, what),
    problem: isObject(problem) ? { code: text(problem.code, what), sentence: text(problem.sentence, what, limits.SENTENCE_CHARS) } : null,
    notes: list(value.notes ?? [], what, limits.CHANNELS * 4, (one, name) => text(one, name, limits.SENTENCE_CHARS)),
    merge: merge(value.merge, `the weights of ${what}`),
    size: isObject(size) ? { width: whole(size.width, what, 1, limits.IMAGE_SIDE), height: whole(size.height, what, 1, limits.IMAGE_SIDE) } : null,
  };
}

/** @type {Record<typeof SETTINGS[number], (value: any) => any>} */
const SETTING_READERS = {
  labels: (value) =>
    list(value, 'the labels', limits.CLASSES, (one, what) => {
      demand(isObject(one), `${what} is not a label`);
      return { name: label(one.name, what), color: text(one.color, what, 64) };
    }),
  label: (value) => (value === '' ? '' : label(value, 'the last label')),
  score: (value) => number(value, 'the score', 0, 1),
  byClass: (value) => value !== false,
  guide: (value) => value !== false,
  proposing: (value) => value !== false,
  trainingSettings: (value) => {
    demand(isObject(value) && JSON.stringify(value).length <= limits.SETTINGS_CHARS, 'the training settings cannot be read');
    return value;
  },
  curves: (value) => (value === null ? null : readCurves(value)),
  evaluation: (value) => (value === null ? null : readEvaluation(value)),
  bitDepth: (value) => (value === null ? null : whole(value, 'the bit depth', limits.BIT_DEPTHS[0], limits.BIT_DEPTHS[1])),
  projection,
  cellDiameter: (value) => (value === null ? null : number(value, 'the cell diameter', limits.DIAMETERS[0], limits.DIAMETERS[1])),
  imageLabels: (value) =>
    new Map(
      list(value, 'the image labels', limits.TABLE_IMAGES, (one, what) => {
        demand(Array.isArray(one) && one.length === 2, `${what} is not an image with labels`);
        return [text(one[0], what), list(one[1], what, limits.CLASSES, label)];
      }),
    ),
};

/** A setting as it is written down. @param {typeof SETTINGS[number]} name @param {any} value */
export function settingRecord(name, value) {
  return name === 'imageLabels' ? [...value] : value;
}

/** @param {typeof SETTINGS[number]} name @param {any} value */
export function readSetting(name, value) {
  return SETTING_READERS[name](value);
}

/** @param {import('../shared/page-state.js').ImageEntry} image @returns {ImageRecord} */
export function imageRecord(image) {
  const { name, channels, missing, fill, pages, z, t, notes, merge, size, problem } = image;
  const files =
    image.absent ??
    image.files.map(({ file, blob }) => ({
      path: file.file,
      channel: file.channel ?? null,
      size: blob.size,
      modified: blob.lastModified,
    }));
  const lasting = problem && !image.absent && !PASSING.has(problem.code) ? problem : null;
  return { name, files, channels, missing, fill, pages, ...(z ? { z } : {}), ...(t ? { t } : {}), problem: lasting, notes, merge, size };
}

/**
 * @param {number} id
 * @param {ImageRecord} record
 * @param {Map<string, File>} files of the project, by path
 * @returns {import('../shared/page-state.js').ImageEntry}
 */
export function imageEntry(id, record, files) {
  const here = record.files.flatMap(({ path, channel }) => {
    const blob = files.get(path);
    return blob ? [{ file: { file: path, channel }, blob }] : [];
  });
  const absent = here.length < record.files.length || here.length === 0 ? record.files : null;
  const problem = absent
    ? { code: 'files-absent', sentence: 'Drop its files again: they were not saved in this browser. Its annotations and results are still here.' }
    : record.problem;
  return {
    ...record,
    id,
    files: absent ? [] : here,
    absent,
    problem,
    failure: '',
    state: problem ? 'problem' : 'new',
    thumbnail: null,
    annotations: null,
    result: null,
  };
}
