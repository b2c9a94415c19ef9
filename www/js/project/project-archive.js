/**
 * A project as one zip: `project.json` lists the images and the settings, `annotations/` and `results/` have a JSON file
 * an image, `images/` the files as they came, `detector/` the detector. Reading checks all of it before anything is used.
 */
import { emptyProject } from './show-project.js';
import { headOf, newId } from '../images/files.js';
import { readable, savedDetector } from './kept-files.js';
import * as limits from '../shared/limits.js';
import { BadRecord, SETTINGS, imageEntry, imageRecord, readAnnotations, readImage, readResult, readSetting, settingRecord } from './project-records.js';
import { store } from '../shared/page-state.js';
import { BadZip, Unzip } from '../shared/unzip.js';
import { Zip } from '../shared/zip.js';

const FORMAT = 'cytobox-project';
const VERSION = 1;
const LIST = 'project.json';
/** Images that are read at a time. */
const TOGETHER = 16;

/** @typedef {(done: number, total: number) => void} OnProgress */

/** A name that every zip program takes and that was not given yet. @param {string} path @param {Set<string>} given */
function entryName(path, given) {
  const parts = path
    .replace(/[\\\p{Cc}]/gu, '_')
    .split('/')
    .map((part) => (part === '.' || part === '..' || part === '' ? '_' : part));
  let name = parts.join('/');
  for (let n = 2; given.has(name); n += 1) name = `${parts.join('/')}.${n}`;
  given.add(name);
  return name;
}

/** @param {unknown} value */
const json = (value) => new TextEncoder().encode(JSON.stringify(value));

/**
 * Everything of the project, as it is now.
 * @param {OnProgress} onProgress
 * @returns {Promise<{blob: Blob, missing: string[]}>} `missing`: files that cannot be read any more
 */
export async function writeArchive(onProgress) {
  const { state } = store;
  const zip = new Zip();
  const given = new Set();
  /** @type {string[]} */
  const missing = [];
  const images = [];
  for (const [index, image] of state.images.entries()) {
    onProgress(index, state.images.length);
    const record = imageRecord(image);
    const files = [];
    for (const file of record.files) {
      const blob = image.files.find((one) => one.file.file === file.path)?.blob;
      const content = blob ? await readable(file.path, blob) : null;
      if (blob && !content) missing.push(file.path);
      const entry = content ? entryName(`images/${file.path}`, given) : null;
      if (entry && content) await zip.addBlob(entry, content);
      files.push({ ...file, entry });
    }
    /** @param {string} folder @param {unknown} value */
    const part = (folder, value) => {
      if (!value) return null;
      const entry = entryName(`${folder}/${image.name}.json`, given);
      zip.add(entry, json(value));
      return entry;
    };
    const [annotations, result] = [part('annotations', image.annotations), part('results', image.result)];
    images.push({ ...record, files, annotations, result });
  }
  // The bundled detector is on the other machine already.
  const detector = state.model ? (state.model.brought ? null : state.model.file) : savedDetector();
  const detectorEntry = detector ? entryName(`detector/${detector.name}`, given) : null;
  if (detector && detectorEntry) await zip.addBlob(detectorEntry, detector);
  const settings = Object.fromEntries(SETTINGS.map((name) => [name, settingRecord(name, state[name])]));
  const current = state.images.findIndex(({ id }) => id === state.current);
  const list = { format: FORMAT, version: VERSION, saved: new Date().toISOString(), settings, current, detector: detectorEntry, images };
  zip.add(LIST, json(list));
  onProgress(state.images.length, state.images.length);
  return { blob: zip.finish(), missing };
}

/**
 * @param {Blob} blob
 * @param {OnProgress} onProgress
 * @returns {Promise<import('./recovery.js').Project>}
 * @throws {BadZip} with a sentence; then nothing of it is to be used
 */
export async function readArchive(blob, onProgress) {
  try {
    const zip = await Unzip.open(blob);
    return await readList(zip, onProgress);
  } catch (error) {
    if (error instanceof BadRecord) throw new BadZip(`The project file is damaged: ${error.message}.`);
    throw error;
  }
}

/** The list lies at the top, or in the one folder that a program put round it all. @param {Unzip} zip */
function folderOf(zip) {
  if (zip.entries.has(LIST)) return '';
  const found = [...zip.entries.keys()].filter((name) => /^[^/]+\/project\.json$/.test(name));
  if (found.length !== 1) throw new BadZip('This zip is not a cytobox project. If it contains images, unpack it and drop the folder.');
  return found[0].slice(0, -LIST.length);
}

/** @param {Unzip} zip @param {string} name @returns {Promise<any>} what the file says, before it is checked */
async function parsed(zip, name) {
  try {
    return JSON.parse(await zip.text(name, limits.JSON_BYTES));
  } catch (error) {
    if (error instanceof BadZip) throw error;
    throw new BadZip(`The project file is damaged: ${name} is not valid JSON.`);
  }
}

/** @param {Unzip} zip @param {OnProgress} onProgress */
async function readList(zip, onProgress) {
  const folder = folderOf(zip);
  const list = await parsed(zip, folder + LIST);
  if (list?.format !== FORMAT) throw new BadZip('This zip is not a cytobox project. If it contains images, unpack it and drop the folder.');
  if (list.version !== VERSION) throw new BadZip('This project was saved by a newer version of this page. Open it with that version.');
  if (!Array.isArray(list.images) || list.images.length > limits.IMAGES) throw new BadZip('The project file is damaged: it lists no images, or too many.');
  const project = emptyProject();
  for (const name of SETTINGS) if (list.settings?.[name] !== undefined) project.settings[name] = readSetting(name, list.settings[name]);
  // Its checkpoints are in the browser that it was running in.
  if (project.settings.trainingSettings) delete project.settings.trainingSettings.running;
  /** @param {unknown} name */
  const at = (name) => folder + (typeof name === 'string' ? name : '');
  const names = new Set();
  /** @param {any} value before it is checked @param {number} index */
  const readOne = async (value, index) => {
    const record = readImage(value, `image ${index + 1}`);
    if (names.has(record.name)) throw new BadRecord(`two images are named ${record.name}`);
    names.add(record.name);
    const files = await readFiles(zip, at, record, value.files, project.files);
    const image = imageEntry(newId(), record, files);
    if (value.annotations) image.annotations = readAnnotations(await parsed(zip, at(value.annotations)), `object of ${record.name}`);
    if (value.result) image.result = readResult(await parsed(zip, at(value.result)), `result of ${record.name}`);
    if (image.result && !image.problem) image.state = 'done';
    if (index === list.current) project.current = image.id;
    return image;
  };
  for (let first = 0; first < list.images.length; first += TOGETHER) {
    onProgress(first, list.images.length);
    /** @type {unknown[]} */
    const values = list.images.slice(first, first + TOGETHER);
    project.images.push(...(await Promise.all(values.map((value, index) => readOne(value, first + index)))));
  }
  if (list.detector) {
    const name = String(list.detector).split('/').pop() ?? 'detector';
    project.detector = new File([await zip.file(at(list.detector), limits.DETECTOR_BYTES)], name);
  }
  onProgress(list.images.length, list.images.length);
  return project;
}

/**
 * The files of one image; those that were not there when the project was saved have no entry.
 * @param {Unzip} zip
 * @param {(name: unknown) => string} at
 * @param {import('./project-records.js').ImageRecord} record
 * @param {any[]} listed
 * @param {Map<string, import('../images/files.js').KnownFile>} all files of the project; these are added
 */
async function readFiles(zip, at, record, listed, all) {
  const files = new Map();
  for (const [index, { path, size, modified }] of record.files.entries()) {
    const { entry } = listed[index];
    if (all.has(path)) throw new BadRecord(`two images have the file ${path}`);
    if (!entry) continue;
    const content = await zip.file(at(entry), limits.FILE_BYTES);
    if (content.size !== size) throw new BadRecord(`${path} does not have the size given in project.json`);
    const file = new File([content], path.split('/').pop() ?? path, { lastModified: modified });
    files.set(path, file);
    all.set(path, { file, head: await headOf(file) });
  }
  return files;
}
