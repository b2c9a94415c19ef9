/**
 * What a run is to do: the user's choices as saved with the project, and the plan that the engine takes. The engine
 * knows the presets; what the user changed lies on top of them.
 */
import { store } from '../shared/page-state.js';

/**
 * @typedef {Object} Choices what the user chose; null where the preset decides
 * @property {'scratch'|'detector'|null} from null: the loaded detector, where there is one
 * @property {'maskrcnn_resnet_fpn'|'fasterrcnn_resnet_fpn'|null} architecture null: that of the detector to fine-tune
 * @property {'resnet18'|'resnet34'|'resnet50'|'resnet101'} backbone
 * @property {'narrow'|'medium'|'wide'} width
 * @property {'minutes'|'epochs'} unit
 * @property {number} amount
 * @property {import('../engine/protocol.js').TrainConfig['trainable']|null} trainable
 * @property {'sgd'|'adamw'|null} optimizer
 * @property {number|null} rate
 * @property {number|null} warmup steps
 * @property {'constant'|'step'|'cosine'|null} decay
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
 * @property {number|null} checkpoint seconds
 * @property {import('../engine/protocol.js').AnchorSet|null} anchors
 */

/**
 * @typedef {Object} TrainingSettings what is kept with the project
 * @property {Partial<Choices>} [choices]
 * @property {string} [name] of the detector that comes of it, without its ending
 * @property {import('./training.js').Running|null} [running]
 */

/** @typedef {import('../engine/protocol.js').TrainConfig} TrainConfig */

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
  checkpoint: null,
  anchors: null,
};

/** Channels of the pyramid and of the box head; the widest are torchvision's. */
const WIDTHS = {
  narrow: { fpnChannels: 64, representation: 128 },
  medium: { fpnChannels: 128, representation: 512 },
  wide: { fpnChannels: 256, representation: 1024 },
};

/** @type {Record<'sgd'|'adamw', TrainConfig['optimizer']>} */
const OPTIMIZERS = {
  sgd: { kind: 'sgd', momentum: 0.9, weight_decay: 1e-4 },
  adamw: { kind: 'adam_w', beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.05 },
};

/** The numbers of the presets' own. @type {Record<'constant'|'step'|'cosine', TrainConfig['schedule']['decay']>} */
const DECAYS = {
  constant: { kind: 'constant' },
  step: { kind: 'step', shares: [0.6, 0.85], gamma: 0.1 },
  cosine: { kind: 'cosine', end: 0.01 },
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

/** The plan without settings, for which the engine answers with its preset. @param {Choices} [chosen] @returns {import('../engine/protocol.js').Plan} */
export function barePlan(chosen = choices()) {
  const { architecture, backbone, width, anchors } = chosen;
  /** @type {import('../engine/protocol.js').Plan['start']} */
  const start = fromDetector(chosen) ? { from: 'detector', architecture } : { from: 'scratch', shape: { architecture, backbone, ...WIDTHS[width] } };
  return { start, settings: null, anchors };
}

/** The preset with everything that the user changed. @param {TrainConfig} preset @param {Choices} [chosen] @returns {TrainConfig} */
export function settingsOn(preset, chosen = choices()) {
  const {
    trainable,
    optimizer,
    rate,
    warmup,
    decay,
    clip,
    classWeight,
    average,
    detectionScale,
    batch,
    crop,
    seed,
    validation,
    brightness,
    turns,
    flips,
    scaled,
    difficult,
    checkpoint,
  } = chosen;
  /** @template T @param {T|null} value @param {T} otherwise */
  const or = (value, otherwise) => value ?? otherwise;
  const amount = chosen.unit === 'epochs' ? Math.max(1, Math.round(chosen.amount)) : chosen.amount;
  return {
    ...preset,
    budget: chosen.unit === 'epochs' ? { epochs: amount } : { minutes: amount },
    seed: or(seed, preset.seed),
    batch_size: or(batch, preset.batch_size),
    // Batch norms train only where every stage does; without them the stage is the user's.
    trainable: preset.norm ? preset.trainable : or(trainable, preset.trainable),
    optimizer: optimizer ? OPTIMIZERS[optimizer] : preset.optimizer,
    schedule: {
      ...preset.schedule,
      base: or(rate, preset.schedule.base),
      warmup_steps: or(warmup, preset.schedule.warmup_steps),
      decay: decay && decay !== preset.schedule.decay.kind ? DECAYS[decay] : preset.schedule.decay,
    },
    gradient_clip: clip === null ? preset.gradient_clip : clip || null,
    class_loss_weight: or(classWeight, preset.class_loss_weight),
    ema_decay: or(average, preset.ema_decay),
    detection_scale: or(detectionScale, preset.detection_scale),
    validation_share: or(validation, preset.validation_share),
    checkpoint_seconds: or(checkpoint, preset.checkpoint_seconds),
    use_difficult: or(difficult, preset.use_difficult),
    augment: {
      ...preset.augment,
      crop: crop === null ? preset.augment.crop : crop || null,
      brightness: or(brightness, preset.augment.brightness),
      quarter_turns: or(turns, preset.augment.quarter_turns),
      flip_x: or(flips, preset.augment.flip_x),
      flip_y: or(flips, preset.augment.flip_y),
      scale: scaled === false ? [1, 1] : preset.augment.scale,
    },
  };
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
