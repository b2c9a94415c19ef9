/**
 * app/ is what belongs to no single step: how the page is put together, its keys and tabs, and the next sensible step.
 *
 * Puts the page together. The way of the data: drop → images → canvas → detect → results → annotate → export.
 */
import { takeAnnotations } from '../annotate/read-annotation-files.js';
import { AnnotateTools } from '../annotate/annotate-tools.js';
import { startAnnotatePanel } from '../annotate/annotate-panel.js';
import { annotationLayer } from '../canvas/annotation-layer.js';
import { startMasks } from '../canvas/masks.js';
import { paintLayer } from '../canvas/paint-layer.js';
import { Viewer } from '../canvas/viewer.js';
import { startChannels } from '../images/channels.js';
import { detectCurrent, startDetect } from '../detect/detect.js';
import { startCellDiameter } from '../detect/cell-diameter.js';
import { startDevice } from '../engine/device.js';
import { byId } from '../ui/dom.js';
import { startGallery } from '../measure/gallery.js';
import { startReview } from '../review/review-panel.js';
import { startMeasure } from '../measure/measure-panel.js';
import { holdBack, startDrop } from '../images/drop.js';
import { connection as engine, ensure } from '../engine/engine.js';
import { startExport } from '../detect/download-results.js';
import { connection as images, startImages } from '../images/images.js';
import { startFirstModel } from '../engine/bundled-detector.js';
import { startKeys } from './keys.js';
import { startList } from '../images/list.js';
import { startModel } from '../engine/detector-panel.js';
import { detectionLayer, selectTool } from '../canvas/detection-layer.js';
import { keepModel, readable } from '../project/kept-files.js';
import { openProject, startProject } from '../project/project-panel.js';
import { startResults } from '../detect/results.js';
import { startModes } from './modes.js';
import { startNextStep } from './next-step.js';
import { startOrigin } from '../engine/detector-mark.js';
import { startMapping } from '../images/map-channels.js';
import { startStacks } from '../images/stacks.js';
import { startStatus } from '../canvas/status.js';
import { store } from '../shared/page-state.js';
import { startTabs } from './tabs.js';
import { startTheme } from '../ui/theme.js';
import { startTrain } from '../train/panel.js';

const viewer = new Viewer(byId('viewport'));
const annotateTools = new AnnotateTools(viewer);
viewer.addLayer(detectionLayer);
viewer.addLayer(annotationLayer);
viewer.addLayer(paintLayer);

startTheme();
startDevice();
startImages(readable);
startMasks(async (masks) => (await images.request({ type: 'outline', masks })).outlines);
startList(detectCurrent);
startChannels(viewer);
startStacks();
startMapping();
startStatus(viewer);
startModel();
startCellDiameter();
startResults(viewer);
startModes(viewer, { view: selectTool(viewer), annotate: annotateTools });
startAnnotatePanel(viewer);
startDetect();
startOrigin();
startTrain(keepModel);
startExport();
startMeasure();
startGallery();
startReview();
startNextStep();
startDrop({ takeAnnotations, openProject });
startKeys(annotateTools);
startProject();
holdBack(startTabs());
startFirstModel();
ensure().catch(() => {});

// Only the end-to-end tests speak to the workers and the state past the page.
if (new URLSearchParams(location.search).has('test')) {
  const connections = { engine, images };
  /** @param {keyof typeof connections} worker @param {import('../engine/protocol.js').Command} command */
  const send = (worker, command) => connections[worker].request(command);
  Object.assign(globalThis, { cytobox: { store, send } });
}
