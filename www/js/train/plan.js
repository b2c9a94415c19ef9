/**
 * What a run is to do: the user's choices as saved with the project, and the plan that the engine takes. The engine
 * knows the presets; what the user changed lies on top of them.
 */
import { store } from '../shared/page-state.js';

/**
 * @typedef {Object} Choices what the user chose; null where the preset decides
 * @property {'scratch'|'detector'|null} from null: the loaded detector, where there is one
 * @property {Required<ShapeOptions>['architecture']} architecture null: that of the detector to fine-tune
 * @property {NonNullable<ShapeOptions['backbone']>} backbone
 * @property {NonNullable<ShapeOptions['width']>} width
 * @property {'minutes'|'epochs'} unit
 * @property {number} amount
 * @property {Required<Overrides>['trainable']} trainable
 * @property {Required<Overrides>['optimizer']} optimizer
 * @property {number|null} rate
 * @property {number|null} warmup steps
 * @property {Required<Overrides>['decay']} decay
 * @property {number|null} clip 0 for none
 * @property {number|null} classWeight
 * @property {number|null} average 0 for none
 * @property {number|null} detectionScale
 * @property {number|null} batch
 * @property {number|null} crop 0 for whole images
 * @property {number|null} seed
 * @property {number|null} validation
 * @property {number|null} brightness
 * @property {boolean|null} turns
 * @property {boolean|null} flips
 * @property {boolean|null} scaled
 * @property {boolean|null} difficult
 * @property {boolean} proposed whether outlines that a detector proposed are learnt
 * @property {number|null} checkpoint seconds
 * @property {import('../engine/protocol.js').AnchorSet|null} anchors
 */

/**
 * @typedef {Object} TrainingSettings what is kept with the project
 * @property {Partial<Choices>} [choices]
 * @property {string} [name] of the detector that comes of it, without its ending
 * @property {import('./training.js').Running|null} [running]
 */

/** @typedef {import('../../types/protocol.d.ts').Overrides} Overrides */
/** @typedef {import('../../types/protocol.d.ts').ShapeOptions} ShapeOptions */

/** @type {Choices} */
export const DEFAULTS = {
  from: null,
  architecture: null,
  backbone: 'resnet18',
  width: 'medium',
  unit: 'minutes',
  amount: 20,
  trainable: null,
  optimizer: null,
  rate: null,
  warmup: null,
  decay: null,
  clip: null,
  classWeight: null,
  average: null,
  detectionScale: null,
  batch: null,
  crop: null,
  seed: null,
  validation: null,
  brightness: null,
  turns: null,
  flips: null,
  scaled: null,
  difficult: null,
  proposed: true,
  checkpoint: null,
  anchors: null,
};

/** @returns {Choices} */
export function choices() {
  return { ...DEFAULTS, ...store.state.trainingSettings.choices };
}

/** @param {Partial<Choices>} patch */
export function choose(patch) {
  const next = { ...store.state.trainingSettings.choices, ...patch };
  store.set({ trainingSettings: { ...store.state.trainingSettings, choices: next } });
}

/** Whether the run fine-tunes the loaded detector. @param {Choices} [chosen] */
export function fromDetector(chosen = choices()) {
  const { from } = chosen;
  return store.state.model !== null && from !== 'scratch';
}

/**
 * What the user chose as the engine takes it, which lays it on top of its preset.
 * @param {Choices} [chosen] @returns {import('../engine/protocol.js').Plan}
 */
export function planOf(chosen = choices()) {
  const { architecture, backbone, width, anchors } = chosen;
  const goesOn = fromDetector(chosen);
  /** @type {import('../engine/protocol.js').Plan['start']} */
  const start = goesOn ? { from: 'detector', architecture } : { from: 'scratch', shape: { architecture, backbone, width } };
  const amount = chosen.unit === 'epochs' ? Math.max(1, Math.round(chosen.amount)) : chosen.amount;
  const overrides = {
    budget: chosen.unit === 'epochs' ? { epochs: amount } : { minutes: amount },
    // A new network learns as a whole; the choice is not shown then.
    trainable: goesOn ? chosen.trainable : null,
    optimizer: chosen.optimizer,
    rate: chosen.rate,
    warmupSteps: chosen.warmup,
    decay: chosen.decay,
    gradientClip: chosen.clip,
    classLossWeight: chosen.classWeight,
    emaDecay: chosen.average,
    detectionScale: chosen.detectionScale,
    batchSize: chosen.batch,
    crop: chosen.crop,
    seed: chosen.seed,
    validationShare: chosen.validation,
    brightness: chosen.brightness,
    quarterTurns: chosen.turns,
    flips: chosen.flips,
    scales: chosen.scaled,
    useDifficult: chosen.difficult,
    checkpointSeconds: chosen.checkpoint,
  };
  return { start, settings: null, overrides, anchors };
}

/**
 * Images that can be trained on: with boxes, or seen by a person and found to be without cells.
 * @returns {import('../shared/page-state.js').ImageEntry[]}
 */
export function trainable() {
  return store.state.images.filter(({ annotations, problem }) => {
    return !problem && annotations && (annotations.objects.length > 0 || annotations.verified);
  });
}

/** @param {import('../shared/page-state.js').ImageEntry} image whose size is known @returns {import('../engine/protocol.js').ImageAnnotations} */
export function annotationsOf(image) {
  const { width, height } = /** @type {{width: number, height: number}} */ (image.size);
  return { image: image.name, file: '', width, height, verified: false, objects: [], ...image.annotations };
}

/** The annotations to learn from: outlines that a detector proposed only where they are wanted. @param {import('../shared/page-state.js').ImageEntry} image */
export function lessonOf(image) {
  const annotations = annotationsOf(image);
  if (choices().proposed) return annotations;
  const objects = image.annotations?.objects ?? [];
  return { ...annotations, objects: objects.map(({ mask, proposed, ...rest }) => ({ ...rest, ...(mask && !proposed ? { mask } : {}) })) };
}
