/**
 * The vocabulary between page and worker: the types are made of `src/protocol.rs`. Only they and the few helpers that
 * make plain objects of what crosses the boundary live here.
 *
 * @typedef {import('../../types/protocol.d.ts').DeviceChoice} DeviceChoice
 * @typedef {import('../../types/protocol.d.ts').Probe} Probe
 * @typedef {import('../../types/protocol.d.ts').DeviceReport} DeviceReport
 * @typedef {import('../../types/protocol.d.ts').Merge} Merge
 * @typedef {import('../../types/protocol.d.ts').ChannelFile} ChannelFile
 * @typedef {import('../../types/protocol.d.ts').Problem} Problem
 * @typedef {import('../../types/protocol.d.ts').Groups} Groups
 * @typedef {import('../../types/protocol.d.ts').Glance} Glance
 * @typedef {import('../../types/protocol.d.ts').Recognised} Recognised
 * @typedef {import('../../types/protocol.d.ts').ImageInput} ImageInput
 * @typedef {import('../../types/protocol.d.ts').OpenedImage} OpenedImage
 * @typedef {import('../../types/protocol.d.ts').StackPlane} StackPlane
 * @typedef {import('../../types/protocol.d.ts').StackRule} StackRule
 * @typedef {import('../../types/protocol.d.ts').Rle} Rle
 * @typedef {import('../../types/protocol.d.ts').Detection} Detection
 * @typedef {import('../../types/protocol.d.ts').ImageDetections} ImageDetections
 * @typedef {import('../../types/protocol.d.ts').DetectorConfig} DetectorConfig
 * @typedef {import('../../types/protocol.d.ts').ModelReport} ModelReport
 * @typedef {import('../../types/protocol.d.ts').AnchorSet} AnchorSet
 * @typedef {import('../../types/protocol.d.ts').Preparation} Preparation
 * @typedef {import('../../types/protocol.d.ts').TrainConfig} TrainConfig
 * @typedef {import('../../types/protocol.d.ts').TrainEvent} TrainEvent
 * @typedef {import('../../types/protocol.d.ts').Plan} Plan
 * @typedef {import('../../types/protocol.d.ts').Evaluation} Evaluation
 * @typedef {import('../../types/protocol.d.ts').ClassResult} ClassResult
 * @typedef {import('../../types/protocol.d.ts').Confusion} Confusion
 * @typedef {import('../../types/protocol.d.ts').ImageScore} ImageScore
 * @typedef {import('../../types/protocol.d.ts').Chart} Chart
 * @typedef {import('../../types/protocol.d.ts').Finding} Finding
 * @typedef {import('../../types/protocol.d.ts').ImageAnnotations} ImageAnnotations
 * @typedef {import('../../types/protocol.d.ts').Format} Format
 * @typedef {import('../../types/protocol.d.ts').AnnotationFormat} AnnotationFormat
 * @typedef {import('../../types/protocol.d.ts').NamedBytes} NamedBytes
 * @typedef {import('../../types/protocol.d.ts').MeasuredFormat} MeasuredFormat
 * @typedef {import('../../types/protocol.d.ts').PackedTable} PackedTable
 * @typedef {import('../../types/protocol.d.ts').MeasuredCells} MeasuredCells
 * @typedef {import('../../types/protocol.d.ts').Picture} Picture
 * @typedef {import('../../types/protocol.d.ts').Progress} Progress
 * @typedef {import('../../types/protocol.d.ts').Command} Command
 * @typedef {import('../../types/protocol.d.ts').Outcome} Outcome
 * @typedef {import('../../types/protocol.d.ts').ImageEntry} GroupedImage
 * @typedef {import('../../types/protocol.d.ts').Gathered} ReadAnnotations
 * @typedef {import('../../types/protocol.d.ts').ProtocolEvent|{type: 'panicked', sentence: string}} Message of a worker; one that panics says so before it ends
 */

/**
 * What ends a command well.
 * @template {Command} C
 * @typedef {Extract<Outcome, {type: import('../../types/protocol.d.ts').Answers[C['type']]}>} Answer
 */

/**
 * Maps cross the boundary as `Map` or as plain objects; the page knows plain objects only.
 * @template T @param {T} value @returns {T}
 */
export function plain(value) {
  return value instanceof Map ? /** @type {T} */ (Object.fromEntries(value)) : value;
}

/** @param {DetectorConfig} config the names that a user counts by; index 0 is the background, whatever it is called */
export function foregroundClasses(config) {
  return config.classes.slice(1);
}
