/** Puts a project on the page in the place of the one that is there. */
import { forgetHistory } from '../annotate/annotations.js';
import { known, takeId } from '../images/files.js';
import { forget } from '../images/images.js';
import { SETTINGS } from './project-records.js';
import { store } from '../shared/page-state.js';

const DEFAULTS = structuredClone(Object.fromEntries(SETTINGS.map((name) => [name, store.state[name]])));

/** A random name for a project. */
export function newProjectId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** @returns {import('./recovery.js').Project} */
export function emptyProject() {
  return { id: newProjectId(), settings: {}, images: [], current: null, lastId: 0, files: new Map(), detector: null, faults: [] };
}

/** @param {import('./recovery.js').Project} project */
export function adopt(project) {
  const before = store.state.images;
  takeId(project.lastId);
  known.clear();
  for (const { files } of project.images) {
    for (const { file } of files) {
      const one = project.files.get(file.file);
      if (one) known.set(file.file, one);
    }
  }
  store.set({
    ...structuredClone(DEFAULTS),
    ...project.settings,
    projectId: project.id,
    images: project.images,
    ignored: [],
    current: project.current ?? project.images[0]?.id ?? null,
    opened: null,
    selected: null,
    selectedBox: null,
    hovered: null,
    remarks: [],
    training: null,
    trainingProblem: '',
    trained: null,
    ranges: new Map(),
    filter: 'all',
  });
  for (const image of before) forget(image);
  forgetHistory();
}
