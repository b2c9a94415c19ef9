/** The detector on the page: its name and classes, how its file was read, and why a file does not fit. */
import { byId, el, formatBytes, openDialog } from '../ui/dom.js';
import { loadModel } from './engine.js';
import { foregroundClasses } from './protocol.js';
import { store } from '../shared/page-state.js';

const ARCHITECTURES = { maskrcnn_resnet_fpn: 'Mask R-CNN', fasterrcnn_resnet_fpn: 'Faster R-CNN' };
const DIALECTS = { torchvision: 'torchvision', torchvision_v2: 'torchvision v2', matterport: 'matterport Mask_RCNN' };

/** @param {import('./protocol.js').DetectorConfig} config */
function architecture(config) {
  const name = ARCHITECTURES[config.architecture] ?? config.architecture;
  const backbone = config.backbone.replace(/^resnet(\d+)$/i, 'ResNet-$1-FPN');
  return `${name}, ${backbone}`;
}

/** @param {string} title @param {string[]} list @param {string} hint */
function tensorList(title, list, hint) {
  if (list.length === 0) return null;
  const shown = list.slice(0, 200).join('\n') + (list.length > 200 ? `\n… and ${list.length - 200} more` : '');
  return el('details', {}, el('summary', {}, `${title}: ${list.length}`), el('p', {}, hint), el('pre', { tabIndex: 0 }, shown));
}

function openReport() {
  const { model } = store.state;
  if (!model) return;
  const { config, load, parameters } = model.report;
  const classes = foregroundClasses(config);
  const { loaded, missing, unexpected, warnings } = load;
  /** @type {[string, unknown][]} */
  const facts = [
    ['File', `${model.file.name}, ${formatBytes(model.file.size)}`],
    ['Architecture', architecture(config)],
    ['Conventions', DIALECTS[config.dialect] ?? config.dialect],
    ['Parameters', Number(parameters).toLocaleString('en')],
    ['Classes', classes.join(', ')],
    ['Cell diameter', config.cell_diameter ? `${config.cell_diameter} px of the network's input` : 'not stated'],
    ['Short side resized to', `${config.min_size ?? '?'} px, long side at most ${config.max_size ?? '?'} px`],
    ['Trained', config.trained || 'not stated'],
    ['Tensors loaded', loaded.length],
  ];
  openDialog(
    'Detector',
    [
      el('dl', {}, ...facts.flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, String(value))])),
      ...warnings.map((sentence) => el('p', { class: 'error' }, sentence)),
      missing.length + unexpected.length === 0 ? el('p', {}, 'All tensors were found; none are unused.') : null,
      tensorList('Missing tensors', missing, 'These are missing from the file or have a different shape; they were randomly initialised.'),
      tensorList('Unexpected tensors', unexpected, 'These are in the file but not used by the detector.'),
    ],
    { wide: true },
  );
}

export function startModel() {
  const picker = byId('pick-model');
  picker.addEventListener('change', () => {
    const [file] = picker.files ?? [];
    picker.value = '';
    if (file) loadModel(file);
  });
  for (const button of document.querySelectorAll('[data-pick="model"]')) button.addEventListener('click', () => picker.click());
  byId('model-report').addEventListener('click', openReport);

  store.subscribe(['fetching', 'model'], ({ fetching, model }) => {
    const bar = byId('model-progress');
    bar.hidden = !fetching || model !== null;
    bar.value = fetching?.share ?? 0;
  });
  store.subscribe(['model', 'modelLoading', 'modelProblem', 'fetching'], ({ model, modelLoading, modelProblem, fetching }) => {
    const coming = modelLoading || (fetching && !model && `the bundled detector${fetching.bytes ? ` (${formatBytes(fetching.bytes)})` : ''}`);
    const name = byId('model-name');
    const text = coming ? `Loading ${coming} …` : (model?.file.name.replace(/\.safetensors$/, '') ?? 'No detector yet');
    // Announced only when it has changed: the bar moves more often.
    if (name.textContent !== text) name.textContent = text;
    const about = byId('model-about');
    if (model) {
      const classes = foregroundClasses(model.report.config);
      const list = classes.length <= 4 ? classes.join(', ') : `${classes.length} classes`;
      about.textContent = `${architecture(model.report.config)}; ${list}`;
    } else {
      about.textContent = 'Drop a Mask R-CNN or Faster R-CNN file here (.safetensors, .pth, .h5), or choose one.';
    }
    byId('model-report').hidden = !model;
    const missing = model?.report.load.missing.length ?? 0;
    const sentence = modelProblem
      ? `${modelProblem.name} was not loaded. ${modelProblem.sentence}`
      : missing
        ? `${missing} tensors are missing from the file and were randomly initialised. Train the detector before using it.`
        : '';
    const problem = byId('model-problem');
    problem.hidden = !sentence;
    problem.textContent = sentence;
  });
}
