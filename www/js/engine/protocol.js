/**
 * The vocabulary between page and worker, as `src/protocol.rs` spells it. Only types and the few helpers that make
 * plain objects of what crosses the boundary live here.
 *
 * @typedef {'gpu'|'software'|'cpu'|'auto'} DeviceChoice
 * @typedef {{secureContext: boolean, webgpu: boolean, adapter: boolean, software: boolean, timestampQuery: boolean, name: string}} Probe
 * @typedef {{operator: string, error: number, passed: boolean}} SelfTest
 * @typedef {{kind: 'gpu'|'software'|'cpu', name: string, why: string, selfTest: SelfTest[]}} DeviceReport
 *
 * @typedef {Record<string, [number, number, number]>} Merge weight of each channel into red, green and blue
 * @typedef {{file: string, channel?: string|null}} ChannelFile a file and what it is to its image; no channel for an image by itself
 * @typedef {{code: string, sentence: string, remedy: {action: string, channels?: string[]}}} Problem
 * @typedef {{name: string, files: ChannelFile[], mask?: string|null, objectMasks?: string[], state: 'ready'|'needsFill'|'unusable', missing: string[],
 *   problems: Problem[]}} GroupedImage
 * @typedef {{images: GroupedImage[], annotations: string[], models: string[], projects: string[],
 *   ignored: {file: string, reason: string}[]}} Groups
 * @typedef {{name: string, files: (ChannelFile & {bytes: Uint8Array})[], fill: string[], merge: Merge|null,
 *   detectorMerge: Merge|null, pages: 'ask'|'channels', bitDepth?: number}} ImageInput
 * @typedef {{channel: string, rgba: Uint8Array}} LayerImage
 * @typedef {{width: number, height: number, rgba: Uint8Array}} Thumbnail
 * @typedef {{name: string, width: number, height: number, bits: number, fullScale: number, merge: Merge, filled: string[],
 *   orientation: number, warnings: string[], layers: LayerImage[], thumbnail: Thumbnail}} OpenedImage
 *
 * @typedef {{size: [number, number], counts: string|number[]}} Rle height and width, and COCO's run lengths
 * @typedef {{box: [number, number, number, number], label: string, score: number, mask?: Rle|null}} Detection
 * @typedef {{image: string, file: string, width: number, height: number, detections: Detection[], merge?: Merge|null,
 *   filled: string[], limit_reached?: number}} ImageDetections
 *
 * @typedef {{architecture: string, backbone: string, classes: string[], merge?: Merge|null, trained?: string|null,
 *   [key: string]: unknown}} DetectorConfig
 * @typedef {{loaded: string[], missing: string[], unexpected: string[], warnings: string[]}} LoadReport
 * @typedef {{name: string, parameters: number, config: DetectorConfig, load: LoadReport}} ModelReport
 *
 * @typedef {{sizes: number[][], aspectRatios: number[]}} AnchorSet
 * @typedef {{at70: number, at50: number, meanIou: number}} Fit
 * @typedef {{settings: any, config: DetectorConfig, classes: {label: string, images: number, cells: number}[],
 *   findings: {kind: string, image: string|null, object: number|null, sentence: string}[], validationImages: string[],
 *   withoutMask: number, anchors: {boxes: number, sides: number[], ratios: number[], fit: Fit, suggestion: [AnchorSet, Fit]|null},
 *   estimate: {parameters: number, memoryBytes: number, secondsPerStep: number, stepsPerEpoch: number, seconds: number}}} Preparation
 *
 * @typedef {{image: string, file: string, width: number, height: number, verified: boolean,
 *   objects: import('../shared/page-state.js').AnnotatedObject[], ignored?: import('../shared/page-state.js').IgnoredRegion[],
 *   incomplete?: boolean}} ImageAnnotations
 * @typedef {{annotations: ImageAnnotations[], imageLabels: {image: string, labels: string[]}[], withoutImage: string[],
 *   sources: string[], withoutImageSources: string[], unnumbered: string[], warnings: string[], rejected: string[]}} ReadAnnotations
 *
 * @typedef {'voc'|'coco'|'yolo'|'csv'|'jsonl'} Format
 * @typedef {'voc'|'coco'|'yolo'|'csv'|'masks'} AnnotationFormat
 * @typedef {{name: string, bytes: Uint8Array}} OutputFile
 * @typedef {{stage: string, done: number, total: number}} Progress
 * @typedef {{type: string, [key: string]: any}} Command
 * @typedef {any} Outcome the one that the command's documentation names, with its `type`
 */

/** All detections of an image down to this score are asked for; the slider filters above it without a new run. */
export const DETECT_SCORE = 0.05;

/** Maps cross the boundary as `Map` or as plain objects; the page knows plain objects only. */
export function plain(value) {
  return value instanceof Map ? Object.fromEntries(value) : value;
}

/** @param {DetectorConfig} config the names that a user counts by; index 0 is the background */
export function foregroundClasses(config) {
  return config.classes.filter((name, index) => !(index === 0 && name === '__background__'));
}
