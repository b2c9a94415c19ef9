import './dom.mjs';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { classStyle, colorOfNewLabel } from '../../www/js/canvas/colors.js';
import { store } from '../../www/js/shared/page-state.js';

/** The contrast of WCAG 2 between two colours. */
function contrast(one, other) {
  const luminance = (color) => {
    const short = color.length === 4 ? [...color.slice(1)].map((digit) => digit + digit) : color.slice(1).match(/../g);
    const [r, g, b] = short.map((part) => parseInt(part, 16) / 255).map((value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
}

test('seven classes have seven colours, the next ones other dashes, and letters on each can be read', () => {
  const styles = Array.from({ length: 28 }, (_, index) => classStyle(`class ${index}`));
  assert.equal(new Set(styles.slice(0, 7).map(({ color }) => color)).size, 7);
  assert.equal(new Set(styles.map(({ color, dash }) => `${color} ${dash}`)).size, 28);
  for (const { color, ink } of styles.slice(0, 7)) assert.ok(contrast(color, ink) >= 4.5, `${ink} on ${color}`);
});

test('the colours of classes are those that charts are drawn in, but for the last of each', () => {
  const rust = readFileSync(new URL('../../src/plot/mod.rs', import.meta.url), 'utf8');
  const charts = [...rust.matchAll(/RGBColor\((\d+), (\d+), (\d+)\)/g)].map(
    ([, ...parts]) => `#${parts.map((part) => Number(part).toString(16).padStart(2, '0')).join('')}`,
  );
  const page = Array.from({ length: 7 }, (_, index) => classStyle(`class ${index}`).color);
  // Yellow is not to be seen on white, and grey is no colour on a grey image.
  assert.deepEqual(
    page.filter((color) => !charts.includes(color)),
    ['#f0e442'],
  );
});

test('a new label gets the colour that its class has, unless another label took it while one is free', () => {
  const { color } = classStyle('class 1');
  assert.equal(colorOfNewLabel('class 1', []), color);
  const other = colorOfNewLabel('class 1', [{ color }]);
  assert.notEqual(other, color);
  const all = Array.from({ length: 7 }, (_, index) => ({ color: classStyle(`class ${index}`).color }));
  assert.equal(colorOfNewLabel('class 1', all), color);
});

test('the colour that the project gave a label comes first', () => {
  store.state.labels = [{ name: 'class 2', color: '#123456' }];
  assert.equal(classStyle('class 2').color, '#123456');
  store.state.labels = [];
});
