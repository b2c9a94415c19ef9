/**
 * Two tabs, one project: the tab that holds the lock edits, the others look on. A tab that wants to edit asks; the
 * other one saves, steps back and answers; one that does not answer has its lock taken away.
 */
import { announce, byId, notify } from '../ui/dom.js';
import { flush, openSaved, startAutosave } from '../project/autosave.js';
import { busy, store } from '../shared/page-state.js';

const LOCK = 'cytobox-project';
/** Milliseconds that the other tab has to save and answer. */
const PATIENCE = 3000;
/** Milliseconds that the page before this one in the same tab has to let go of the lock. */
const RELOAD = 200;

const channel = typeof BroadcastChannel === 'undefined' ? null : new BroadcastChannel(LOCK);
/** This tab, to the others. */
const me = Math.random().toString(36).slice(2);
/** The tab that this one has just handed the project to. */
let handedOver = false;
/** @type {AbortController|null} */
let waiting = null;
/** @type {((answer: {type: string, sentence?: string}) => void)|null} */
let answered = null;

/**
 * Asks for the lock and holds it until the tab is closed or the lock is taken away.
 * @param {LockOptions} options
 * @returns {Promise<boolean>} whether it was given
 */
function hold(options) {
  return new Promise((resolve) => {
    let held = false;
    navigator.locks
      .request(LOCK, options, (lock) => {
        held = lock !== null;
        resolve(held);
        return held ? new Promise(() => {}) : undefined;
      })
      .catch(() => {
        // Taken away from this tab, or no longer waited for.
        if (held) stepBack();
        else resolve(false);
      });
  });
}

/** The project belongs to another tab now. */
function stepBack() {
  const expected = handedOver;
  handedOver = false;
  if (!expected) {
    if (store.state.readOnly) return;
    store.set({ readOnly: true });
    notify('This project was taken over by another tab. Here it is read-only.', { kind: 'error' });
  }
  if (navigator.locks) follow(queue());
}

/** Waits for the lock until `waiting` is aborted. */
function queue() {
  if (!navigator.locks) return Promise.resolve(true);
  waiting = new AbortController();
  return hold({ signal: waiting.signal });
}

/** Goes on editing when the tab that edits now is closed. @param {Promise<boolean>} lock */
async function follow(lock) {
  if (!(await lock)) return;
  await edit();
  notify('The other tab was closed; you can edit the project here now.');
}

/** Whether another tab has the lock, and not only the page that was in this tab before. */
async function isTaken() {
  await new Promise((resolve) => setTimeout(resolve, RELOAD));
  const { held = [] } = await navigator.locks.query();
  return held.some(({ name }) => name === LOCK);
}

/** Reads what the other tab saved last, and continues from there. */
async function edit() {
  waiting?.abort();
  waiting = null;
  await openSaved(true);
}

/** Asks the other tab for the project. */
async function takeOver() {
  const button = byId('edit-here');
  button.disabled = true;
  const answer = await new Promise((resolve) => {
    answered = resolve;
    channel?.postMessage({ type: 'ask', from: me });
    setTimeout(() => resolve({ type: 'silent' }), PATIENCE);
  });
  answered = null;
  button.disabled = false;
  if (answer.type === 'busy') {
    notify(`The other tab kept the project: ${answer.sentence}`, { kind: 'error' });
    return;
  }
  if (!navigator.locks || (await hold({ steal: true }))) {
    await edit();
    announce('You can edit the project here now.');
    byId('viewport').focus();
  }
}

/** @param {MessageEvent} event */
async function onMessage({ data }) {
  if (data.type === 'ask' && !store.state.readOnly) {
    const sentence = busy();
    if (sentence) {
      channel?.postMessage({ type: 'busy', to: data.from, sentence });
      return;
    }
    await flush();
    handedOver = true;
    store.set({ readOnly: true });
    channel?.postMessage({ type: 'given', to: data.from });
  } else if (data.to === me) {
    answered?.(data);
  }
}

/** Opens the project, to edit it where no other tab does. */
export async function startTabs() {
  startAutosave(stepBack);
  channel?.addEventListener('message', onMessage);
  byId('edit-here').addEventListener('click', takeOver);
  store.subscribe(['readOnly'], ({ readOnly }) => {
    byId('read-only').hidden = !readOnly;
  });
  // Without locks, as on an insecure address, the database still lets only the last tab write.
  const lock = queue();
  const first = await Promise.race([lock, ...(navigator.locks ? [isTaken().then((taken) => (taken ? false : lock))] : [])]);
  if (!first) {
    store.set({ readOnly: true });
    announce(byId('read-only-why').textContent);
  }
  await openSaved(first);
  if (!first) follow(lock);
}
