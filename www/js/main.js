/** Puts the page together. The way of the data: drop → images → canvas → detect → results → annotate → export. */
import { AnnotateTool } from './annotate.js';
import { startAnnotatePanel } from './annotate-panel.js';
import { annotationLayer } from './boxes.js';
import { Viewer } from './canvas.js';
import { startChannels } from './channels.js';
import { startDetect } from './detect.js';
import { startDevice } from './device.js';
import { byId } from './dom.js';
import { holdBack, startDrop } from './drop.js';
import { connection as engine, ensure } from './engine.js';
import { startExport } from './export.js';
import { connection as images, startImages } from './images.js';
import { startFirstModel } from './first-model.js';
import { startKeys } from './keys.js';
import { startList } from './list.js';
import { startModel } from './model.js';
import { detectionLayer, selectTool } from './overlay.js';
import { startProject } from './project.js';
import { startResults } from './results.js';
import { startModes } from './modes.js';
import { startNextStep } from './next-step.js';
import { startOrigin } from './origin.js';
import { startStatus } from './status.js';
import { store } from './store.js';
import { startTabs } from './tabs.js';
import { startTheme } from './theme.js';
import { startTrain } from './train.js';

const viewer = new Viewer(byId('viewport'));
const annotateTool = new AnnotateTool(viewer);
viewer.addLayer(detectionLayer);
viewer.addLayer(annotationLayer);

startTheme();
startDevice();
startImages();
startList();
startChannels(viewer);
startStatus(viewer);
startModel();
startResults(viewer);
startModes(viewer, { view: selectTool(viewer), annotate: annotateTool });
startAnnotatePanel(viewer);
startDetect();
startOrigin();
startTrain();
startExport();
startNextStep();
startDrop();
startKeys(annotateTool);
startProject();
holdBack(startTabs());
startFirstModel();
ensure().catch(() => {});

// Only the end-to-end tests speak to the workers and the state past the page.
if (new URLSearchParams(location.search).has('test')) {
  const connections = { engine, images };
  Object.assign(globalThis, { cytobox: { store, send: (worker, command) => connections[worker].request(command) } });
}
