/** The project as a whole: whether it is saved, a new one, and its file, which carries everything to another machine. */
import { emptyProject } from './show-project.js';
import { readArchive, writeArchive } from './project-archive.js';
import { announce, byId, el, formatBytes, notify, openDialog, plural, sentenceOf } from '../ui/dom.js';
import { loadModel } from '../engine/engine.js';
import { save } from '../ui/save-file.js';
import { loadFirstModel } from '../engine/bundled-detector.js';
import { replaceProject } from './autosave.js';
import { leftInFile } from '../shared/left-in-file.js';
import { busy, store } from '../shared/page-state.js';
import { BadZip } from '../shared/unzip.js';

/**
 * The state in a word or two, and whether it is good. @returns {[string, 'ready'|'starting'|'failed']}
 * @param {import('../shared/page-state.js').State} state
 */
function stateOf({ saving, readOnly }) {
  if (readOnly) return ['read-only', 'starting'];
  if (saving.phase === 'opening') return ['opening …', 'starting'];
  if (saving.phase === 'off' || saving.why) return ['not saved', 'failed'];
  if (saving.writing || saving.copying > 0) return ['saving …', 'starting'];
  return ['saved', 'ready'];
}

/** The state in sentences. */
function explained() {
  const { saving, readOnly, faults, images } = store.state;
  const sentences = [];
  if (readOnly) sentences.push('The project is open in another tab. Here it is read-only.');
  else if (saving.phase === 'off') sentences.push(`Nothing is saved in this browser. ${saving.why} Save the project to a file before you close the page.`);
  else if (saving.why) sentences.push(`Not everything is saved. ${saving.why}`);
  else if (saving.copying > 0) sentences.push(`Still being copied into this browser: ${plural(saving.copying, 'file')}.`);
  else sentences.push('Everything is saved in this browser after each change and will be here when you reopen the page.');
  if (saving.unkept > 0) sentences.push(unkeptSentence(saving.unkept));
  const absent = images.filter((image) => image.absent).length;
  if (absent > 0) sentences.push(absentSentence(absent));
  return [...sentences, ...faults];
}

/** @param {number} count */
function unkeptSentence(count) {
  return `There is no room in this browser for the files of ${plural(count, 'image')}. Their annotations and results are saved; drop the files again next time.`;
}

/** @param {number} count */
function absentSentence(count) {
  return `The files of ${plural(count, 'image')} were not saved in this browser. Drop them again; their annotations and results are still here.`;
}

async function storageSentence() {
  const { usage, quota } = (await navigator.storage?.estimate?.().catch(() => null)) ?? {};
  if (!quota) return '';
  const lasting = await navigator.storage.persisted?.().catch(() => false);
  const kept = lasting ? 'The browser will not delete it on its own.' : 'If the disk runs full, the browser may delete it: save important projects to a file.';
  return `It uses ${formatBytes(usage ?? 0)} of the ${formatBytes(quota)} that the browser allows. ${kept}`;
}

function openPanel() {
  const { images, readOnly } = store.state;
  const sentences = explained();
  const room = el('p', { class: 'faint' });
  storageSentence().then((sentence) => (room.textContent = sentence));
  /** @param {string} label @param {() => void} run */
  const act = (label, run, disabled = false) =>
    el(
      'button',
      {
        type: 'button',
        disabled,
        onclick: () => {
          dialog.close();
          run();
        },
      },
      label,
    );
  const dialog = openDialog('Project', [
    ...sentences.slice(0, 50).map((sentence) => el('p', {}, sentence)),
    sentences.length > 50 ? el('p', {}, `and ${sentences.length - 50} more`) : null,
    room,
    el('p', { class: 'faint' }, 'The project file is one zip with the images, annotations, results, settings and the detector, unless it is the bundled one.'),
    el(
      'div',
      { class: 'actions' },
      act('New project…', askNew, readOnly),
      act('Open project…', () => byId('pick-project').click(), readOnly),
      act('Save project…', saveProject, images.length === 0),
    ),
  ]);
}

/** Why the project cannot be replaced just now, told; whether that is so. */
function hindered() {
  const sentence = store.state.readOnly ? 'This project is open in another tab; press Edit here first.' : busy();
  if (sentence) notify(sentence, { kind: 'error' });
  return sentence !== '';
}

/** What would go, in words. */
function content() {
  const { images } = store.state;
  const annotated = images.filter(({ annotations }) => annotations).length;
  const results = images.filter(({ result }) => result).length;
  return `${plural(images.length, 'image')}, ${annotated} of them annotated and ${results} with results`;
}

/**
 * Asks before the present project goes, where there is something in it, and offers its file first.
 * @param {string} title @param {string} sentence @param {string} yes
 * @returns {Promise<boolean>}
 */
function agreed(title, sentence, yes) {
  if (store.state.images.length === 0) return Promise.resolve(true);
  return new Promise((resolve) => {
    /** @param {boolean} answer */
    const done = (answer) => {
      resolve(answer);
      dialog.close();
    };
    const dialog = openDialog(title, [
      el('p', {}, sentence),
      el('p', {}, `It contains ${content()}. This cannot be undone.`),
      el(
        'div',
        { class: 'actions' },
        el('button', { type: 'button', onclick: () => saveProject() }, 'Save project file first'),
        el('button', { type: 'button', onclick: () => done(false) }, 'Cancel'),
        el('button', { type: 'button', class: 'primary', onclick: () => done(true) }, yes),
      ),
    ]);
    dialog.addEventListener('close', () => resolve(false));
  });
}

async function askNew() {
  if (hindered()) return;
  const yes = await agreed(
    'New project',
    'The current project is removed from the page and from this browser. The detector stays loaded.',
    'Start new project',
  );
  if (!yes || hindered()) return;
  await replaceProject(emptyProject());
  announce('New project.');
}

let writing = false;

async function saveProject() {
  if (writing) return;
  writing = true;
  const { images } = store.state;
  const safe = images.flatMap(({ annotations, result }) => [annotations, result]);
  try {
    const { blob, missing } = await writeArchive((done, total) => store.set({ reading: `Saving image ${Math.min(done + 1, total)} of ${total} …` }));
    save(`cytobox-${new Date().toISOString().slice(0, 10)}.zip`, blob);
    leftInFile(safe);
    if (missing.length) {
      notify(
        `${plural(missing.length, 'file')} can no longer be read and ${missing.length === 1 ? 'is' : 'are'} not in the project file: ${missing.slice(0, 3).join(', ')}${missing.length > 3 ? ' …' : ''}`,
        { kind: 'error' },
      );
    }
  } catch (error) {
    const why = error instanceof RangeError ? `${error.message} Save the images separately, and the results with Download.` : sentenceOf(error);
    notify(`The project file was not written. ${why}`, { kind: 'error' });
  } finally {
    writing = false;
    store.set({ reading: '' });
  }
}

/** Opens a project file; the current project is replaced only once the whole file is read and checked. @param {File} file */
export async function openProject(file) {
  if (hindered()) return;
  try {
    const project = await readArchive(file, (done, total) => store.set({ reading: `Opening image ${Math.min(done + 1, total)} of ${total} …` }));
    store.set({ reading: '' });
    const yes = await agreed('Open project', `${file.name} replaces the current project.`, 'Open it');
    if (!yes || hindered()) return;
    // One that is not the new project's must not be kept with it.
    if (project.detector || !store.state.model?.brought) store.set({ model: null });
    store.set({ modelProblem: null });
    await replaceProject(project);
    if (project.detector) await loadModel(project.detector);
    else if (!store.state.model) await loadFirstModel();
    announce(`${file.name} opened: ${plural(project.images.length, 'image')}.`);
  } catch (error) {
    const why = error instanceof BadZip ? error.message : `It cannot be read (${sentenceOf(error)}).`;
    notify(`${file.name} was not opened. ${why}`, { kind: 'error' });
  } finally {
    store.set({ reading: '' });
  }
}

export function startProject() {
  const button = byId('project');
  button.addEventListener('click', openPanel);
  const picker = byId('pick-project');
  picker.addEventListener('change', () => {
    const [file] = picker.files ?? [];
    picker.value = '';
    if (file) openProject(file);
  });
  let failing = '';
  store.subscribe(['saving', 'readOnly', 'images', 'faults'], (state) => {
    const [word, badge] = stateOf(state);
    byId('project-state').textContent = word;
    button.dataset.state = badge;
    const { saving, readOnly } = state;
    const note = byId('unkept');
    const absent = state.images.filter((image) => image.absent).length;
    note.hidden = saving.unkept + absent === 0;
    const sentence = saving.unkept ? unkeptSentence(saving.unkept) : absentSentence(absent);
    if (note.textContent !== sentence) note.textContent = sentence;
    // Said once for each reason, not at every try.
    const why = readOnly || saving.phase === 'opening' ? '' : saving.why;
    if (why && why !== failing) notify(`The project is not saved in this browser. ${why}`, { kind: 'error', action: { label: 'Project…', run: openPanel } });
    failing = why;
  });
  store.subscribe(['faults'], ({ faults }) => {
    if (faults.length)
      notify(`${plural(faults.length, 'saved record')} could not be read; the rest is here.`, { kind: 'error', action: { label: 'Show', run: openPanel } });
  });
}
