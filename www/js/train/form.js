/** The training settings: few at first, the rest behind “More settings”. */
import { el } from '../ui/dom.js';
import { choices, choose, fromDetector } from './plan.js';
import { BATCH_SIZES, CLASS_LOSS_WEIGHTS, CROP_STEP, DETECTION_SCALES, NETWORK_SIDE } from '../shared/engine-limits.js';
import { store } from '../shared/page-state.js';

/** @type {Record<NonNullable<Choices['architecture']>, string>} */
const ARCHITECTURES = { maskrcnn_resnet_fpn: 'Mask R-CNN: masks', fasterrcnn_resnet_fpn: 'Faster R-CNN: boxes' };
/** @type {Record<Choices['backbone'], string>} */
const BACKBONES = { resnet18: 'ResNet-18, fastest', resnet34: 'ResNet-34', resnet50: 'ResNet-50', resnet101: 'ResNet-101, slowest' };
/** @type {Record<Choices['width'], string>} */
const WIDTHS = { narrow: '64 channels', medium: '128 channels', wide: '256, as torchvision' };
/** @type {Record<NonNullable<Choices['trainable']>, string>} */
const STAGES = { heads: 'heads only', '5+': 'stage 5 and heads', '4+': 'stages 4–5 and heads', '3+': 'stages 3–5 and heads', all: 'all layers' };
/** @type {Record<NonNullable<Choices['decay']>, string>} */
const DECAYS = { constant: 'constant', step: 'step', cosine: 'cosine' };
/** @type {Record<NonNullable<Choices['optimizer']>, string>} */
const OPTIMIZERS = { sgd: 'SGD with momentum', adamw: 'AdamW' };

/**
 * @typedef {import('./plan.js').Choices} Choices
 * @typedef {import('../engine/protocol.js').TrainConfig} Preset
 * @typedef {Extract<{[K in keyof Choices]: Choices[K] extends number|null ? K : never}[keyof Choices], string>} AmountKey
 * @typedef {Extract<{[K in keyof Choices]: Choices[K] extends boolean|null ? K : never}[keyof Choices], string>} ToggleKey
 * @typedef {Exclude<keyof Choices, AmountKey|ToggleKey|'anchors'>} ListKey
 */

/** @type {{refresh: (preset: Preset|null) => void}[]} */
const fields = [];
let serial = 0;

/**
 * @param {string} key the choice that it makes
 * @param {string} text @param {HTMLInputElement|HTMLSelectElement} input @param {string} [hint]
 */
function labelled(key, text, input, hint = '') {
  input.id ||= `train-field-${(serial += 1)}`;
  input.dataset.choice = key;
  if (hint) input.title = hint;
  return el('div', { class: 'field' }, el('label', { htmlFor: input.id }, text), input);
}

/** What is being typed stays. @param {HTMLInputElement} input @param {string} text */
function put(input, text) {
  if (document.activeElement !== input) input.value = text;
}

/**
 * A list of which one is chosen. `shown` says what stands there while the user chose nothing.
 * @param {ListKey} key @param {string} text @param {Record<string, string>} options @param {(preset: Preset|null) => string|null} [shown]
 */
function list(key, text, options, shown = () => null) {
  const input = el(
    'select',
    { onchange: () => choose({ [key]: input.value }) },
    ...Object.entries(options).map(([value, name]) => el('option', { value }, name)),
  );
  fields.push({
    refresh(preset) {
      const value = choices()[key] ?? shown(preset);
      if (value !== null) input.value = value;
    },
  });
  return labelled(key, text, input);
}

/**
 * A number; empty means the preset's, which stands there in grey.
 * @param {AmountKey} key @param {string} text
 * @param {{min: number, max: number, step: number|'any', shown: (preset: Preset) => number, hint?: string}} options
 */
function amount(key, text, { min, max, step, shown, hint = '' }) {
  const input = el('input', { type: 'number', min: String(min), max: String(max), step: String(step) });
  input.addEventListener('change', () => {
    const value = input.valueAsNumber;
    choose({ [key]: Number.isFinite(value) ? Math.min(Math.max(value, min), max) : null });
  });
  fields.push({
    refresh(preset) {
      const chosen = choices()[key];
      put(input, chosen === null ? '' : String(chosen));
      // The engine counts in 32 bits: 0.2 comes as 0.20000000298.
      input.placeholder = preset ? String(Number(shown(preset).toPrecision(6))) : '';
    },
  });
  return labelled(key, text, input, hint);
}

/** @param {ToggleKey} key @param {string} text @param {(preset: Preset) => boolean} shown */
function toggle(key, text, shown) {
  const input = el('input', { type: 'checkbox', onchange: () => choose({ [key]: input.checked }) });
  fields.push({
    refresh(preset) {
      input.checked = choices()[key] ?? (preset ? shown(preset) : true);
    },
  });
  return el('label', { class: 'check' }, input, text);
}

function startField() {
  const input = el(
    'select',
    { onchange: () => choose({ from: /** @type {Choices['from']} */ (input.value) }) },
    el('option', { value: 'detector' }, 'loaded detector'),
    el('option', { value: 'scratch' }, 'new network'),
  );
  fields.push({
    refresh() {
      input.options[0].disabled = store.state.model === null;
      input.value = fromDetector() ? 'detector' : 'scratch';
    },
  });
  return labelled('from', 'Start from', input);
}

function budgetField() {
  const input = el('input', { type: 'number', min: '1', max: '100000', step: '1', 'aria-label': 'Training length' });
  const unit = el(
    'select',
    { 'aria-label': 'Unit', onchange: () => choose({ unit: /** @type {Choices['unit']} */ (unit.value) }) },
    el('option', { value: 'minutes' }, 'minutes'),
    el('option', { value: 'epochs' }, 'epochs'),
  );
  input.addEventListener('change', () => {
    if (input.valueAsNumber > 0) choose({ amount: input.valueAsNumber });
  });
  fields.push({
    refresh() {
      put(input, String(choices().amount));
      unit.value = choices().unit;
    },
  });
  unit.dataset.choice = 'unit';
  const field = labelled('amount', 'Train for', input);
  field.append(unit);
  field.classList.add('budget');
  return field;
}

/** @returns {{form: HTMLElement, refresh: (preset: Preset|null) => void}} `refresh` takes the engine's settings, or null before they are known */
export function createForm() {
  const fresh = el('div', { class: 'train-form' }, list('backbone', 'Backbone', BACKBONES), list('width', 'Head width', WIDTHS));
  const stages = list('trainable', 'Trainable layers', STAGES, (preset) => preset?.trainable ?? null);
  fields.push({
    refresh() {
      fresh.hidden = fromDetector();
      stages.hidden = !fromDetector();
    },
  });
  const more = el(
    'details',
    {},
    el('summary', {}, 'More settings'),
    list('optimizer', 'Optimiser', OPTIMIZERS, (preset) => (preset ? (preset.optimizer.kind === 'sgd' ? 'sgd' : 'adamw') : null)),
    amount('rate', 'Learning rate', { min: 1e-6, max: 1, step: 'any', shown: (preset) => preset.schedule.base }),
    list('decay', 'Schedule', DECAYS, (preset) => preset?.schedule.decay.kind ?? null),
    amount('warmup', 'Warm-up, steps', {
      min: 0,
      max: 100000,
      step: 1,
      shown: (preset) => preset.schedule.warmup_steps,
      hint: 'Steps over which the learning rate rises',
    }),
    amount('clip', 'Gradient clipping', {
      min: 0,
      max: 1e6,
      step: 'any',
      shown: (preset) => preset.gradient_clip ?? 0,
      hint: 'Max. global gradient norm; 0 turns clipping off',
    }),
    amount('classWeight', 'Class loss weight', {
      min: CLASS_LOSS_WEIGHTS[0],
      max: CLASS_LOSS_WEIGHTS[1],
      step: 'any',
      shown: (preset) => preset.class_loss_weight,
      hint: 'Weight of an extra classification loss on cells only. Raise it when cells are found but misclassified',
    }),
    amount('average', 'EMA decay', {
      min: 0,
      max: 0.9999,
      step: 'any',
      shown: (preset) => preset.ema_decay,
      hint: 'Decay of the exponential moving average of the weights, which is validated and saved instead of the last step; 0 turns it off',
    }),
    amount('detectionScale', 'Detection scale', {
      min: DETECTION_SCALES[0],
      max: DETECTION_SCALES[1],
      step: 'any',
      shown: (preset) => preset.detection_scale,
      hint: 'Image size at detection relative to training. Crops and scale augmentation show the network larger cells than whole images do',
    }),
    amount('batch', 'Batch size', { min: BATCH_SIZES[0], max: BATCH_SIZES[1], step: 1, shown: (preset) => preset.batch_size }),
    amount('crop', 'Crop, px', {
      min: 0,
      max: NETWORK_SIDE,
      step: CROP_STEP,
      shown: (preset) => preset.augment.crop ?? 0,
      hint: 'Side of the square cut from each image; 0 uses whole images',
    }),
    amount('validation', 'Validation split', {
      min: 0,
      max: 0.9,
      step: 0.05,
      shown: (preset) => preset.validation_share,
      hint: 'Share of the images held out for validation',
    }),
    amount('seed', 'Seed', {
      min: 0,
      max: 2 ** 32,
      step: 1,
      shown: (preset) => preset.seed,
      hint: 'On the CPU, the same seed and number of epochs give the same detector. With minutes, the number of steps and the learning rate depend on the clock',
    }),
    amount('checkpoint', 'Checkpoint every, s', {
      min: 1,
      max: 60,
      step: 1,
      shown: (preset) => preset.checkpoint_seconds,
      hint: 'The most training time a closed tab or a crash can cost',
    }),
    el(
      'fieldset',
      {},
      el('legend', {}, 'Augmentation'),
      toggle('flips', 'flip', (preset) => preset.augment.flip_x),
      toggle('turns', 'rotate by 90°', (preset) => preset.augment.quarter_turns),
      toggle('scaled', 'scale', (preset) => preset.augment.scale[0] !== preset.augment.scale[1]),
      amount('brightness', 'brightness ±', { min: 0, max: 0.9, step: 0.05, shown: (preset) => preset.augment.brightness }),
    ),
    toggle('difficult', 'train on difficult cells too', (preset) => preset.use_difficult),
    toggle('proposed', 'train on proposed outlines too', () => true),
  );
  const form = el(
    'div',
    { class: 'train-form' },
    startField(),
    list('architecture', 'Architecture', ARCHITECTURES, () => (fromDetector() && store.state.model?.report.config.architecture) || 'maskrcnn_resnet_fpn'),
    fresh,
    stages,
    budgetField(),
    more,
  );
  return { form, refresh: (preset) => fields.forEach((field) => field.refresh(preset)) };
}
