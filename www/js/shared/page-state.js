/**
 * shared/ is what all folders stand on: the state of the page, limits, checks of records, zip.
 *
 * The one state of the page. Modules read `store.state`, change it through `set` or `touch`, and draw themselves in
 * subscriptions. All changes up to the next frame are told at once; where no frames come, in a hidden tab, by a timer.
 */

/** Rounds of subscriptions that change the state again before the rest waits for the next frame. */
const ROUNDS = 4;
/** Milliseconds between two tellings in a hidden tab. */
const HIDDEN = 250;

/**
 * @typedef {Object} ImageEntry one image of the list
 * @property {number} id
 * @property {string} name stem, by which results are named
 * @property {{file: import('../engine/protocol.js').ChannelFile, blob: File}[]} files
 * @property {string[]} channels as its files name them; of an image by itself known when it is opened
 * @property {string[]} missing channels whose file is not there
 * @property {string[]} fill channels to be black on the user's word
 * @property {'ask'|'channels'|'slices'|'frames'} pages what the pages of its TIFF file are that does not say it; anything but `ask` on the user's word
 * @property {number} [z] the slice of its stack that the user chose, counted from 1; the middle one when absent
 * @property {number} [t] the time point, counted from 1; the first one when absent
 * @property {{code: string, sentence: string}|null} problem why nothing can be done with it as it is
 * @property {string[]} notes what is odd about it and hinders nothing
 * @property {string} failure why its last run failed
 * @property {import('../engine/protocol.js').Merge|null} merge the user's weights; null for the default
 * @property {'new'|'ready'|'queued'|'running'|'done'|'failed'|'problem'} state
 * @property {ImageBitmap|null} thumbnail
 * @property {{detections: import('../engine/protocol.js').ImageDetections, seconds: number, stale: boolean, detector?: string, rejected?: number[]}|null} result
 *   `rejected`: indices of detections that a person found wrong, which count nowhere; `detector`: the mark of the one that found them (detector-mark.js); `stale`: another one is loaded now, or other weights are chosen
 * @property {{width: number, height: number}|null} size pixels of the merged image, once they are known
 * @property {number} [orientation] EXIF's number of how a camera turned it, once it was opened
 * @property {Annotations|null} annotations what a person drew; null where nobody has. Written by annotations.js alone
 * @property {import('../project/project-records.js').FileRecord[]|null} absent the files that the browser had no room to keep; then `files` is empty
 *
 * @typedef {Object} Annotations never changed, only replaced: undo and saving compare them by identity
 * @property {boolean} verified a person looked at the whole image
 * @property {AnnotatedObject[]} objects
 * @property {IgnoredRegion[]} [ignored] where it is neither object nor background
 * @property {boolean} [incomplete] objects were left out whose place is not known
 *
 * @typedef {{box: [number, number, number, number], label?: string, reason: 'crowd'|'unreadable'}} IgnoredRegion
 *
 * @typedef {Object} AnnotatedObject
 * @property {[number, number, number, number]} box x1, y1, x2, y2 in pixels of the merged image, 0 ≤ x1 < x2 ≤ W
 * @property {string} label
 * @property {boolean} difficult hard even for a person; evaluation does not count it
 * @property {boolean} truncated cut by the edge of the image
 * @property {import('../engine/protocol.js').Rle|null} [mask]
 * @property {boolean} [proposed] a detector proposed the mask, and nobody has changed it
 *
 * @typedef {Object} Saving how far the project is in the browser's database
 * @property {'opening'|'on'|'off'} phase `off`: nothing is kept, `why` says why
 * @property {boolean} writing
 * @property {string} why what hinders it, as a sentence
 * @property {number} copying files of images, and the detector's, that are still being copied
 * @property {number} unkept images whose files there is no room for
 */

export const store = createStore({
  /** @type {ImageEntry[]} */ images: [],
  /** A bell and no value: rung when the annotations of an image have changed. */ annotations: null,
  /** Another: rung when masks on the canvas were traced. */ outlines: null,
  /** Another: rung when cells were measured. */ measured: null,
  /** Cells that are selected in the table, the plots, the gallery and on the canvas alike: detections and annotated objects. @type {Set<object>} */
  picked: new Set(),
  /** Files that belong to no image. @type {{file: string, reason: string}[]} */ ignored: [],
  /** What is being read just now, for the list's header. @type {string} */ reading: '',
  /** @type {number|null} */ current: null,
  /** The opened current image: bitmaps and facts. @type {import('../images/images.js').Opened|null} */ opened: null,
  /** @type {'all'|'problem'|'open'|'done'|'annotated'|'verified'} */ filter: 'all',

  /** @type {'starting'|'ready'|'restarting'|'failed'} */ engine: 'starting',
  /** @type {import('../engine/protocol.js').DeviceReport|null} */ device: null,
  /** What the page has to add to the device's reason, such as a crash. */ deviceNote: '',

  /** `brought`: it came with the page, so it is not the project's. @type {{file: File, report: import('../engine/protocol.js').ModelReport, brought: boolean}|null} */
  model: null,
  /** Name of the file being loaded. */ modelLoading: '',
  /** The download of the bundled detector. @type {{bytes: number, share: number}|null} */ fetching: null,
  /** @type {{name: string, sentence: string}|null} */ modelProblem: null,

  /** @type {import('../detect/detect.js').Job|null} */ job: null,

  /** The current training run, or the last one. @type {import('../train/training.js').Training|null} */ training: null,
  /** Why the last training ended early. */ trainingProblem: '',
  /** What the last training gave. @type {{file: File, best: [number, number]|null, steps: number, seconds: number}|null} */ trained: null,
  /** The last training run, saved with the project. @type {import('../train/kept-training.js').Curves|null} */ curves: null,
  /** How well the detector agrees with annotations; kept with the project. @type {import('../engine/protocol.js').Evaluation|null} */ evaluation: null,
  /** The user's training settings and the running training run; saved with the project. @type {import('../train/plan.js').TrainingSettings} */ trainingSettings:
    {},

  /** Detections below it are hidden and not downloaded. */ score: 0.7,
  /** Where the detector has a threshold for a class, it comes before the score; kept with the project. */ byClass: true,
  /** Classes that the user switched off on the canvas. @type {Set<string>} */ hiddenClasses: new Set(),
  /** Index into the current image's detections. @type {number|null} */ selected: null,
  /** @type {number|null} */ hovered: null,

  /** Channels switched off, for every image alike. @type {Set<string>} */ hiddenChannels: new Set(),
  /** Display range of each image, 0–1; never touches the data. @type {Map<number, [number, number]>} */ ranges: new Map(),
  show: { boxes: true, masks: true, labels: true, detections: true, annotations: true },

  /** What a drag on the canvas does: look, or draw. @type {'view'|'annotate'} */ mode: 'view',
  /** The open tab of the panel. @type {'results'|'annotate'|'train'|'measure'|'gallery'|'review'} */ tab: 'results',
  /** The project's labels, in the order of the number keys. @type {{name: string, color: string}[]} */ labels: [],
  /** The label that the next box gets. */ label: '',
  /** Boxes get outlines from the detector as they are drawn; kept with the project. */ proposing: true,
  /** The next sensible step is shown; kept with the project. */ guide: true,
  /** Index into the current image's annotated objects. @type {number|null} */ selectedBox: null,
  /** What a drag draws while annotating. @type {import('../annotate/choose-tool.js').DrawTool} */ drawTool: 'box',
  /** Diameter of the brush and the eraser in pixels of the image. */ brushSize: 16,
  /** What is odd about annotation files, and what of them could not be used.
   *  @type {{file: string, object: string, reason: string}[]} */
  remarks: [],
  /** Labels of whole images, by image, as a table of the Atlas gives them. @type {Map<string, string[]>} */ imageLabels: new Map(),
  /** Bits of the camera, for 16-bit images; null until one is there. Kept with the project. @type {number|null} */ bitDepth: null,
  /** How the slices of stacks become images, the same for all of them. Kept with the project. @type {'plane'|'max'|'mean'|'sharpest'} */
  projection: 'plane',
  /** √(width · height) of the cells in pixels of the images; null leaves it to the detector. Kept with the project. @type {number|null} */
  cellDiameter: null,
  /** Another tab edits this project; this one only looks. */ readOnly: false,
  /** Names this project for good, for instance to its training checkpoints; a new one has another. */ projectId: '',
  /** What of the saved project could not be read, as sentences. @type {string[]} */ faults: [],
  /** @type {Saving} */ saving: { phase: 'opening', writing: false, why: '', copying: 0, unkept: 0 },
});

/** @typedef {typeof store.state} State */

/** @template {object} S @param {S} state */
export function createStore(state) {
  /** @type {Set<{keys: Set<keyof S>, run: (state: S) => void}>} */
  const subscriptions = new Set();
  /** @type {Set<keyof S>} */
  let changed = new Set();
  let flushing = false;
  /** @type {((keys: (keyof S)[]) => void)[]} */
  const watchers = [];

  function schedule() {
    if (document.hidden) setTimeout(flush, HIDDEN);
    else requestAnimationFrame(flush);
  }

  function flush() {
    flushing = true;
    for (let round = 0; changed.size > 0 && round < ROUNDS; round += 1) notifySubscribers();
    flushing = false;
    if (changed.size > 0) schedule();
  }

  function notifySubscribers() {
    const keys = changed;
    changed = new Set();
    for (const { keys: wanted, run } of [...subscriptions]) {
      for (const key of keys) {
        if (wanted.has(key)) {
          run(state);
          break;
        }
      }
    }
  }

  // A frame that was asked for does not come once the tab is hidden.
  document.addEventListener('visibilitychange', () => {
    if (changed.size > 0) schedule();
  });

  return {
    state,
    /** Replaces values. @param {Partial<S>} patch */
    set(patch) {
      Object.assign(state, patch);
      this.touch(.../** @type {(keyof S)[]} */ (Object.keys(patch)));
    },
    /** Tells that something inside these values has changed. @param {...keyof S} keys */
    touch(...keys) {
      const waiting = changed.size > 0 || flushing;
      for (const key of keys) changed.add(key);
      for (const run of watchers) run(keys);
      if (!waiting && changed.size > 0) schedule();
    },
    /** Runs at every change at once, before anything is drawn. @param {(keys: (keyof S)[]) => void} run */
    watch(run) {
      watchers.push(run);
    },
    /** Runs now and after every change of one of the keys. @param {(keyof S)[]} keys @param {(state: S) => void} run */
    subscribe(keys, run) {
      const subscription = { keys: new Set(keys), run };
      subscriptions.add(subscription);
      run(state);
      return () => subscriptions.delete(subscription);
    },
  };
}

/** @returns {ImageEntry|null} */
export function currentImage() {
  const { images, current } = store.state;
  return current === null ? null : (images.find((image) => image.id === current) ?? null);
}

/** @type {WeakMap<object, Set<number>>} */
const rejections = new WeakMap();

/** Numbers of the detections that a person rejected. @param {ImageEntry|null} image @returns {Set<number>} */
export function rejectedOf(image) {
  const result = image?.result;
  if (!result?.rejected) return NONE;
  const known = rejections.get(result) ?? new Set(result.rejected);
  rejections.set(result, known);
  return known;
}

/** @type {Set<number>} */
const NONE = new Set();

/** The thresholds of the detector's classes, where it has some and they are not switched off. @returns {Record<string, number>|null} */
export function classThresholds() {
  const { byClass, model } = store.state;
  return (byClass && model?.report.config.class_score_thresh) || null;
}

/** From which score a detection of a class counts. @param {string} label */
export function thresholdOf(label) {
  const thresholds = classThresholds();
  return thresholds && Object.hasOwn(thresholds, label) ? thresholds[label] : store.state.score;
}

/** Detections of an image that the slider lets through and nobody rejected, with their index. @param {ImageEntry|null} image */
export function shownDetections(image) {
  const all = image?.result?.detections.detections ?? [];
  const rejected = rejectedOf(image);
  /** @type {{detection: import('../engine/protocol.js').Detection, index: number}[]} */
  const shown = [];
  all.forEach((detection, index) => {
    if (detection.score >= thresholdOf(detection.label) && !rejected.has(index)) shown.push({ detection, index });
  });
  return shown;
}

/**
 * Whether cells may be missing from what is shown because the detector reached its limit. The limit leaves out the lowest
 * scores, so where the slider hides a detection, all above it are there.
 * @param {ImageEntry|null} image
 */
export function isLimited(image) {
  const found = image?.result?.detections;
  return found?.limit_reached !== undefined && found.detections.every(({ score, label }) => score >= thresholdOf(label));
}

/** Makes an image the current one; its selection starts empty. @param {number|null} id */
export function select(id) {
  if (id === store.state.current) return;
  store.set({ current: id, opened: null, selected: null, hovered: null, selectedBox: null });
}

/** What is going on that must not be interrupted, as a sentence; empty when nothing is. */
export function busy() {
  const { job, training } = store.state;
  if (job) return 'Images are being processed; wait or cancel first.';
  if (training && training.state !== 'done') return 'A training run is in progress; wait, or finish or cancel it first.';
  return '';
}
