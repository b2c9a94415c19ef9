/** The badge: which device runs, and why. */
import { byId, el, openDialog } from '../ui/dom.js';
import { connection, retry, useDevice } from './engine.js';
import { store } from '../shared/page-state.js';

const KINDS = { gpu: 'GPU', software: 'Software GPU', cpu: 'CPU' };
/** @type {Record<typeof store.state.engine, string>} */
const STATES = { ready: '', starting: 'starting …', restarting: 'restarting …', failed: 'stopped' };

function openReport() {
  const { device, deviceNote, engine } = store.state;
  const rows = (device?.selfTest ?? []).map(({ operator, error, passed }) =>
    el(
      'tr',
      {},
      el('th', { scope: 'row' }, operator),
      el('td', { class: 'number' }, Number(error).toExponential(1)),
      el('td', {}, passed ? 'passed' : 'failed'),
    ),
  );
  const head = ['Operator', 'Max. relative error', 'Result'].map((name) => el('th', { scope: 'col' }, name));
  /** @param {string} label @param {() => void} run */
  const act = (label, run) =>
    el(
      'button',
      {
        type: 'button',
        onclick: () => {
          dialog.close();
          run();
        },
      },
      label,
    );
  const dialog = openDialog('Device', [
    el('p', { class: 'strong' }, device ? `${KINDS[device.kind]}: ${device.name}` : 'No device is running.'),
    device ? el('p', {}, device.why) : null,
    deviceNote ? el('p', {}, deviceNote) : null,
    rows.length ? el('h3', {}, 'Start-up self-test against known results') : null,
    rows.length ? el('table', { class: 'plain' }, el('thead', {}, el('tr', {}, ...head)), el('tbody', {}, ...rows)) : null,
    connection.version ? el('p', { class: 'faint' }, `Engine ${connection.version}`) : null,
    el(
      'div',
      { class: 'actions' },
      engine === 'failed' ? act('Try again', retry) : null,
      device?.kind === 'cpu' ? act('Try the GPU', () => useDevice('auto')) : act('Use the CPU', () => useDevice('cpu')),
    ),
  ]);
}

export function startDevice() {
  const badge = byId('device');
  badge.addEventListener('click', openReport);
  store.subscribe(['engine', 'device', 'deviceNote'], ({ engine, device, deviceNote }) => {
    const name = device ? KINDS[device.kind] : 'Engine';
    byId('device-name').textContent = engine === 'ready' ? name : `${name} ${STATES[engine]}`;
    badge.dataset.state = engine;
    badge.title = [device?.name, device?.why, deviceNote].filter(Boolean).join('. ') || 'The engine is starting';
  });
}
