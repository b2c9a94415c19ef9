/** Inspect or annotate: which tool the canvas has, and which tab of the panel is open with it. */
import { pending } from '../canvas/annotation-layer.js';
import { announce, byId } from '../ui/dom.js';
import { store } from '../shared/page-state.js';

/** @typedef {'view'|'annotate'} Mode */
/** @typedef {'results'|'annotate'|'train'|'measure'|'gallery'|'review'} Tab */

/** @type {Tab[]} */
const TABS = ['results', 'annotate', 'train', 'measure', 'gallery', 'review'];
/** Those that go with either mode. @type {Tab[]} */
const WITH_BOTH = ['train', 'measure', 'gallery', 'review'];

/** @param {Mode} mode */
export function setMode(mode) {
  if (store.state.mode === mode) return;
  // The panel changes with the mode, except those that go with either.
  const tab = WITH_BOTH.includes(store.state.tab) ? store.state.tab : mode === 'annotate' ? 'annotate' : 'results';
  store.set({ mode, tab, selectedBox: null, hovered: null });
  announce(mode === 'annotate' ? 'Annotate: drag to draw a box.' : 'Inspect: drag to pan.');
}

export function toggleMode() {
  setMode(store.state.mode === 'view' ? 'annotate' : 'view');
}

/** @param {Tab} tab */
export function openTab(tab) {
  store.set({ tab });
  if (tab === 'annotate') setMode('annotate');
  if (tab === 'results') setMode('view');
}

/** @param {KeyboardEvent} event */
function tabKey(event) {
  const at = TABS.indexOf(store.state.tab);
  const next = { ArrowRight: at + 1, ArrowLeft: at + TABS.length - 1, Home: 0, End: TABS.length - 1 }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  const tab = TABS[next % TABS.length];
  openTab(tab);
  byId(`tab-${tab}`).focus();
}

/**
 * @param {import('../canvas/viewer.js').Viewer} viewer
 * @param {Record<Mode, import('../canvas/viewer.js').Tool>} tools
 */
export function startModes(viewer, tools) {
  for (const mode of /** @type {Mode[]} */ (['view', 'annotate'])) byId(`mode-${mode}`).addEventListener('click', () => setMode(mode));
  for (const tab of TABS) {
    byId(`tab-${tab}`).addEventListener('click', () => openTab(tab));
    byId(`tab-${tab}`).addEventListener('keydown', tabKey);
  }
  store.subscribe(['mode'], ({ mode }) => {
    Object.assign(pending, { hovered: null, draft: null, cross: null });
    viewer.setTool(tools[mode]);
    for (const one of /** @type {Mode[]} */ (['view', 'annotate'])) byId(`mode-${one}`).setAttribute('aria-pressed', String(one === mode));
    byId('show-annotations').hidden = mode !== 'view';
    byId('show-detections').hidden = mode !== 'annotate';
  });
  store.subscribe(['tab'], ({ tab }) => {
    // A table and a gallery want more room than a list.
    document.body.classList.toggle('roomy', tab === 'measure' || tab === 'gallery');
    for (const one of TABS) {
      const button = byId(`tab-${one}`);
      button.setAttribute('aria-selected', String(one === tab));
      button.tabIndex = one === tab ? 0 : -1;
      byId(`${one}-panel`).hidden = one !== tab;
    }
  });
  store.subscribe(['mode', 'current', 'images', 'annotations', 'labels', 'selectedBox', 'score', 'show', 'outlines'], () => viewer.redraw());
}
