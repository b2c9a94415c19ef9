/**
 * How large the cells of these images are, for a detector that knows how large those are that it learnt from: images are
 * brought to that size. Empty, the detector decides.
 */
import { announce, byId, notify, plural } from '../ui/dom.js';
import { currentImage, shownDetections, store } from '../shared/page-state.js';
import { medianDiameter } from '../canvas/geometry.js';
import { DIAMETERS } from '../shared/limits.js';

/** The boxes to measure: those that people drew, in all images; without any, what is shown on this one. */
function measurable() {
  const drawn = store.state.images.flatMap(({ annotations }) => annotations?.objects.map(({ box }) => box) ?? []);
  if (drawn.length > 0) return { boxes: drawn, of: plural(drawn.length, 'annotated box', 'annotated boxes') };
  const image = currentImage();
  const shown = image ? shownDetections(image).map(({ detection }) => detection.box) : [];
  return { boxes: shown, of: plural(shown.length, 'detected cell') };
}

/** @param {number|null} diameter in pixels of the images; null leaves it to the detector */
function choose(diameter) {
  if (diameter === store.state.cellDiameter) return;
  store.set({ cellDiameter: diameter });
  // What was found at another size is not what would be found now.
  for (const { result } of store.state.images) if (result) result.stale = true;
  store.touch('images');
}

export function startCellDiameter() {
  const input = byId('cell-diameter');
  input.min = String(DIAMETERS[0]);
  input.max = String(DIAMETERS[1]);
  input.addEventListener('change', () => {
    const value = Number(input.value);
    if (input.value === '') choose(null);
    else if (value >= DIAMETERS[0] && value <= DIAMETERS[1]) choose(value);
    else {
      notify(`A cell diameter is a number of pixels from ${DIAMETERS[0]} to ${DIAMETERS[1]}.`, { kind: 'error' });
      input.value = store.state.cellDiameter === null ? '' : String(store.state.cellDiameter);
    }
  });
  byId('measure-diameter').addEventListener('click', () => {
    const { boxes, of } = measurable();
    if (boxes.length === 0) {
      notify('There is nothing to measure yet: draw a box round a typical cell, or detect cells first.');
      return;
    }
    choose(medianDiameter(boxes));
    announce(`Cell diameter ${store.state.cellDiameter} pixels, the median of ${of}.`);
  });
  store.subscribe(['model', 'cellDiameter', 'readOnly', 'job'], ({ model, cellDiameter, readOnly, job }) => {
    const own = model?.report.config.cell_diameter ?? null;
    byId('cell-diameter-row').hidden = own === null;
    if (document.activeElement !== input) input.value = cellDiameter === null ? '' : String(cellDiameter);
    for (const part of [input, byId('measure-diameter')]) part.disabled = readOnly || job !== null;
  });
}
