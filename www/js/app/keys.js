/** Shortcuts of the whole page, and the dialog that lists them. The canvas has its own keys while it has the focus. */
import { editKey } from '../annotate/annotate-tool.js';
import { redo, toggleVerified, undo } from '../annotate/annotations.js';
import { toggleNthChannel, toggleShown } from '../images/channels.js';
import { detectAll, detectCurrent } from '../detect/detect.js';
import { byId, el, openDialog } from '../ui/dom.js';
import { openDownload } from '../detect/download-results.js';
import { stepImage } from '../images/list.js';
import { stepPlane } from '../images/stacks.js';
import { toggleMode } from './modes.js';
import { setGuide } from './next-step.js';
import { store } from '../shared/page-state.js';

const KEY = 'cytobox.single-keys';

const PAGE = [
  ['A, D', 'previous, next image'],
  ['O', 'add files'],
  ['Ctrl+Enter', 'detect in this image'],
  ['Ctrl+Shift+Enter', 'detect in all images'],
  ['S', 'download'],
  ['E', 'inspect or annotate'],
  ['W', 'draw a new box'],
  ['Ctrl+Z', 'undo'],
  ['Ctrl+Shift+Z, Ctrl+Y', 'redo'],
  ['Y', 'accept the selected detection'],
  ['Shift+Y', 'accept all detections above the score threshold'],
  ['B, M, L', 'toggle boxes, masks, labels'],
  ['G', 'show annotations with the detections, and vice versa'],
  ['Shift+1 … Shift+8', 'toggle a channel'],
  [', and .', 'previous, next slice of a stack; with Shift, time point'],
  ['?', 'this list'],
];

const CANVAS = [
  ['wheel, + and −', 'zoom'],
  ['0', 'fit the image to the view'],
  ['1', '100 %'],
  ['arrow keys', 'pan; faster with Shift'],
  ['drag, or Space and drag', 'pan'],
  ['N, P', 'next, previous detection'],
  ['Shift+drag, Shift+click', 'select cells by a lasso, add or remove one'],
  ['Esc', 'clear the selection'],
];

const ANNOTATE = [
  ['drag', 'draw a box; inside the selected box, move it'],
  ['click', 'select the smallest box at that point'],
  ['Enter, N', 'a new box in the middle of the view'],
  ['Tab, Shift+Tab', 'next, previous box; after Esc, leave the canvas'],
  ['arrow keys', 'move the box by 1 px, with Shift by 10'],
  ['Alt+arrow keys', 'resize it at the lower right by 1 px, with Shift by 10'],
  ['1 … 9', 'label of this box and the next ones'],
  ['X', 'difficult'],
  ['Ctrl+D', 'duplicate'],
  ['Del', 'delete'],
  ['Space', 'mark the image as verified; hold and drag to pan'],
  ['Esc', 'cancel the drag, then clear the selection'],
];

const OUTLINES = [
  ['V', 'draw, move and resize boxes'],
  ['P, R', 'brush, eraser; Shift for the other one'],
  ['[ and ]', 'smaller, larger brush; or the wheel with Shift or Alt'],
  ['N, Esc', 'begin a new cell'],
  ['Ctrl+click', 'with the brush, select another cell'],
  ['T', 'polygon; Backspace removes a corner, Shift while closing cuts it out'],
  ['K', 'split a cell along a line'],
  ['J', 'merge the selected cell with another one'],
  ['arrow keys, Enter', 'move the tool by 1 px, with Shift by 10; lower and lift it'],
  ['U', 'remove the outline of the box, or propose one'],
  ['F', 'fill the holes of the outline'],
  ['> and <', 'grow and shrink it by 1 px'],
];

const GALLERY = [
  ['arrow keys', 'next, previous cell; with Shift select several'],
  ['Y', 'accept the selected cells'],
  ['Del', 'reject them'],
  ['1 … 9', 'accept them with that label'],
  ['Enter', 'open the cell in its image'],
  ['Ctrl+A', 'select all that are shown'],
];

const REVIEW = [
  ['arrow keys', 'next, previous cell, without an answer'],
  ['Enter, Y', 'accept the cell and go on'],
  ['Del', 'reject it and go on'],
  ['1 … 9', 'accept it with that label and go on'],
];

function singleKeys() {
  try {
    return localStorage.getItem(KEY) !== 'off';
  } catch {
    return true;
  }
}

/** @param {string[][]} list */
function rows(list) {
  return el('dl', { class: 'keys' }, ...list.flatMap(([keys, what]) => [el('dt', {}, keys), el('dd', {}, what)]));
}

export function openShortcuts() {
  const input = el('input', {
    type: 'checkbox',
    checked: singleKeys(),
    onchange() {
      try {
        localStorage.setItem(KEY, input.checked ? 'on' : 'off');
      } catch {
        // Not kept, then.
      }
    },
  });
  const guide = el('input', { type: 'checkbox', checked: store.state.guide, onchange: () => setGuide(guide.checked) });
  openDialog('Keyboard shortcuts', [
    el('h3', {}, 'Everywhere'),
    rows(PAGE),
    el('h3', {}, 'On the canvas, when focused'),
    rows(CANVAS),
    el('h3', {}, 'While annotating'),
    rows(ANNOTATE),
    el('h3', {}, 'Outlines, while annotating'),
    rows(OUTLINES),
    el('h3', {}, 'In the gallery, when focused'),
    rows(GALLERY),
    el('h3', {}, 'In the review, when focused'),
    rows(REVIEW),
    el('label', { class: 'check' }, input, 'Single-letter shortcuts outside the canvas'),
    el('label', { class: 'check' }, guide, 'Show the next step below the toolbar'),
  ]);
}

/** By their place: with Shift they write other characters on every keyboard. @type {Record<string, number>} */
const PLANE_KEYS = { Comma: -1, Period: 1 };

/** @type {Record<string, () => void>} */
const SINGLE = {
  a: () => stepImage(-1),
  d: () => stepImage(1),
  o: () => byId('pick-files').click(),
  s: () => store.state.images.length && openDownload(),
  b: () => toggleShown('boxes'),
  m: () => toggleShown('masks'),
  l: () => toggleShown('labels'),
  e: toggleMode,
  g: () => toggleShown(store.state.mode === 'view' ? 'annotations' : 'detections'),
};

/** Undo and redo, as every program has them. @param {KeyboardEvent} event @returns {boolean} whether it was one */
function travelKey(event) {
  if (!(event.ctrlKey || event.metaKey) || event.altKey) return false;
  const key = event.key.toLowerCase();
  if (key === 'z' && !event.shiftKey) undo();
  else if (key === 'z' || key === 'y') redo();
  else return false;
  return true;
}

/** Keys for the boxes that work outside the canvas too; on a button the space bar presses it. @param {KeyboardEvent} event */
function annotateKey(event) {
  if (store.state.mode !== 'annotate') return event.key.toLowerCase() === 'y' && editKey(event);
  if (event.key === ' ' && !event.ctrlKey && event.target instanceof Element && !event.target.closest('button, input, summary, a, #viewport')) {
    toggleVerified();
    return true;
  }
  return editKey(event);
}

/** @param {EventTarget|null} target */
function inField(target) {
  return target instanceof HTMLElement && target.matches('input:not([type="checkbox"], [type="radio"], [type="range"]), select, textarea');
}

/** @param {import('../annotate/annotate-tools.js').AnnotateTools} annotateTools */
export function startKeys(annotateTools) {
  SINGLE.w = () => {
    if (store.state.mode === 'view') toggleMode();
    byId('viewport').focus();
    annotateTools.arm();
  };
  byId('help').addEventListener('click', openShortcuts);
  document.addEventListener('keydown', (event) => {
    if (event.defaultPrevented || inField(event.target) || document.querySelector('dialog[open]')) return;
    if ((event.ctrlKey || event.metaKey) && event.key === 'Enter') {
      if (event.shiftKey) detectAll();
      else detectCurrent();
      event.preventDefault();
      return;
    }
    if (travelKey(event) || (singleKeys() && annotateKey(event))) {
      event.preventDefault();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || (event.repeat && !'ad'.includes(event.key) && !PLANE_KEYS[event.code])) return;
    if (event.key === '?') {
      openShortcuts();
    } else if (!singleKeys()) {
      return;
    } else if (PLANE_KEYS[event.code]) {
      stepPlane(event.shiftKey ? 't' : 'z', PLANE_KEYS[event.code]);
    } else if (event.shiftKey && /^Digit[1-8]$/.test(event.code)) {
      toggleNthChannel(Number(event.code.slice(5)) - 1);
    } else if (!event.shiftKey && SINGLE[event.key]) {
      SINGLE[event.key]();
    } else {
      return;
    }
    event.preventDefault();
  });
}
