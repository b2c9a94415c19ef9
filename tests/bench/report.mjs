// What the benchmark prints and writes.

import { isDense } from './page/dense.mjs';

const LAYERS = ['conv_forward', 'conv_forward_backward', 'cpu_forward'];
const MODELS = ['model_forward', 'model_step'];

const digits = (value) => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));
const mean = (values) => Math.exp(values.reduce((sum, v) => sum + Math.log(v), 0) / values.length);

/** The geometric mean over layers for each contender. */
function means(rows, figure) {
  const names = Object.keys(rows[0][figure]);
  return Object.fromEntries(names.map((name) => [name, mean(rows.map((row) => row[figure][name]))]));
}

/** What share of the peak the 3×3 layers of the comparison have. */
const shares = (report) => report.layers.filter(isDense).map((row) => row.conv_forward.cytobox / report.peak_gflops);

/** The same of larger images, each against the peak beside it. */
const largeShares = ({ dense }) => dense.layers.map(({ gflops, peak_gflops: peak }) => gflops / peak);

const rounded = (rates) => Object.fromEntries(Object.entries(rates).map(([k, v]) => [k, Number(v.toPrecision(4))]));

/** target/bench/browser.json: rates are in GFLOP/s, and `model` tells what the models' were made from. */
export function summary(report) {
  const { name, side, flops, seconds } = report.model;
  return {
    adapter: report.adapter,
    peak_gflops: Number(report.peak_gflops.toPrecision(4)),
    ...Object.fromEntries(LAYERS.map((figure) => [figure, rounded(means(report.layers, figure))])),
    ...Object.fromEntries(MODELS.map((figure) => [figure, rounded(report[figure])])),
    share_of_peak: rounded({ [`${report.side}`]: mean(shares(report)), [`${report.dense.side}`]: mean(largeShares(report)) }),
    model: { name, side, flops, seconds: Object.fromEntries(MODELS.map((figure) => [figure, rounded(seconds[figure])])) },
  };
}

/** One result, as it comes. */
export function line({ layer, figure, rates }) {
  const parts = Object.entries(rates).map(([name, value]) => `${name} ${digits(value)}`);
  return `${layer.padEnd(26)} ${figure.padEnd(22)} ${parts.join('  ')} GFLOP/s`;
}

function grid(title, names, rows) {
  const head = `${title.padEnd(30)}${names.map((name) => name.padStart(13)).join('')}`;
  const body = rows.map(([label, values]) =>
    `${label.padEnd(30)}${names.map((name) => digits(values[name]).padStart(13)).join('')}`);
  return [head, ...body].join('\n');
}

/** Everything, for people. */
export function table(report) {
  const parts = [`${report.adapter}: multiply-add peak ${digits(report.peak_gflops)} GFLOP/s`];
  for (const figure of LAYERS) {
    const rows = report.layers.map((row) => [row.layer, row[figure]]);
    rows.push(['geometric mean', means(report.layers, figure)]);
    parts.push(grid(`${figure} (GFLOP/s)`, Object.keys(rows[0][1]), rows));
  }
  const { name, side, seconds } = report.model;
  for (const figure of MODELS) {
    const rows = [[`${name} at ${side}²`, report[figure]], ['in seconds', seconds[figure]]];
    parts.push(grid(`${figure} (GFLOP/s)`, Object.keys(report[figure]), rows));
  }
  const { dense } = report;
  parts.push(
    grid(`3×3 layers of ${dense.side}²`, ['GFLOP/s', 'peak', '% of it'], dense.layers.map((row) => [
      row.layer,
      { 'GFLOP/s': row.gflops, peak: row.peak_gflops, '% of it': (row.gflops / row.peak_gflops) * 100 },
    ])),
  );
  const percent = (share) => `${Math.round(share * 100)} %`;
  const range = (all) => `${percent(mean(all))} (${percent(Math.min(...all))} to ${percent(Math.max(...all))})`;
  parts.push(
    `of the peak on 3×3 layers with 64 channels or more: ${range(shares(report))}; of images of ${dense.side}²: ${range(largeShares(report))}`,
  );
  const ratio = (figure, name) => {
    const values = means(report.layers, figure);
    return `${figure}: ${digits(values.cytobox / values[name])} × ${name}`;
  };
  parts.push(
    [
      ratio('conv_forward', 'ort_webgpu'),
      ratio('conv_forward', 'tfjs_webgpu'),
      ratio('conv_forward_backward', 'tfjs_webgpu'),
      ratio('cpu_forward', 'ort_wasm_1'),
    ].join('\n'),
  );
  return parts.join('\n\n');
}
