// Keyboard, names, contrast, narrow windows, and pictures of the page for a person to look at.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MODEL, SLOW, channelFiles, drop, engineReady, imagesListed, openPage, rowCount, screenshot, settled } from './page.mjs';

/** Runs in the page: what a screen reader could not name, and ids that are wrong. */
function findUnnamed() {
  const faults = [];
  const visible = (element) => element.checkVisibility({ visibilityProperty: true });
  const text = (ids) => ids.split(/\s+/).map((id) => document.getElementById(id)?.textContent ?? '').join(' ');
  for (const element of document.querySelectorAll('button, a[href], input, select, textarea, [role="listbox"], [role="grid"], [role="toolbar"], [role="group"], [role="application"], dialog, progress')) {
    if (!visible(element)) continue;
    const labelledBy = element.getAttribute('aria-labelledby');
    const name = element.getAttribute('aria-label') || (labelledBy && text(labelledBy)) || [...(element.labels ?? [])].map((label) => label.textContent).join(' ')
      || (element.matches('button, a') ? element.textContent : '');
    if (!name.trim()) faults.push(`no name: ${element.outerHTML.slice(0, 120)}`);
  }
  for (const attribute of ['aria-labelledby', 'aria-describedby', 'aria-controls', 'aria-activedescendant', 'for']) {
    for (const element of document.querySelectorAll(`[${attribute}]`)) {
      for (const id of element.getAttribute(attribute).split(/\s+/)) {
        if (!document.getElementById(id)) faults.push(`${attribute} names no element: ${id}`);
      }
    }
  }
  const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) faults.push(`id twice: ${id}`);
  for (const element of document.querySelectorAll('[aria-hidden="true"]')) {
    if (visible(element) && element.querySelector('button, input, a[href], [tabindex="0"]')) faults.push(`hidden from readers but focusable: ${element.id}`);
  }
  if (document.querySelectorAll('main').length !== 1 || document.querySelectorAll('h1').length !== 1) faults.push('one main and one h1');
  return faults;
}

/** Runs in the page: visible text with less than 4.5 : 1 to its ground (WCAG 2.2, 1.4.3). */
function findFaint() {
  const context = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (color) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = color;
    context.fillRect(0, 0, 1, 1);
    return context.getImageData(0, 0, 1, 1).data;
  };
  const luminance = (color) => {
    const [r, g, b] = [...rgba(color)].map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const { backgroundColor } = getComputedStyle(at);
      if (rgba(backgroundColor)[3] > 250) return backgroundColor;
    }
    return 'white';
  };
  const faults = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
    if (!own || !element.checkVisibility() || element.closest(':disabled, .visually-hidden, .skip, .curtain')) continue;
    const [a, b] = [luminance(getComputedStyle(element).color), luminance(ground(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) faults.push(`${ratio.toFixed(2)}: ${element.textContent.trim().slice(0, 40)}`);
  }
  return [...new Set(faults)];
}

async function check(page) {
  await settled(page);
  assert.deepEqual(await page.evaluate(findUnnamed), []);
  assert.deepEqual(await page.evaluate(findFaint), []);
}

test('every control has a name and every text is readable, light and dark', { timeout: SLOW }, async () => {
  for (const colorScheme of ['light', 'dark']) {
    const { page, done } = await openPage({ query: '?device=cpu', colorScheme, reducedMotion: 'reduce' });
    await engineReady(page);
    await check(page);
    await screenshot(page, `empty-${colorScheme}`);
    for (const button of ['#device', '#project', '#help']) {
      await page.click(button);
      await check(page);
      await screenshot(page, `${button.slice(1)}-${colorScheme}`);
      await page.keyboard.press('Escape');
      await page.waitForSelector('dialog', { state: 'detached' });
      assert.ok(await page.$eval(button, (element) => document.activeElement === element), 'the focus goes back');
    }
    await done();
  }
});

/** Presses Tab until the element has the focus. */
async function tabTo(page, selector) {
  for (let presses = 0; presses < 80; presses += 1) {
    await page.keyboard.press('Tab');
    if (await page.$eval(selector, (element) => document.activeElement === element)) {
      const ring = await page.$eval(selector, (element) => getComputedStyle(element).outlineStyle);
      assert.notEqual(ring, 'none', `the focus is seen on ${selector}`);
      return;
    }
  }
  assert.fail(`${selector} is not reached with Tab`);
}

test('from files to a download with the keyboard alone', { timeout: SLOW }, async () => {
  const { page, done } = await openPage({ query: '?device=cpu' });
  await engineReady(page);
  // With a listener that stays, the driver does not switch its hold on file choosers off and on between two of them.
  page.on('filechooser', () => {});
  const choose = async (keys, files) => {
    const [chooser] = await Promise.all([page.waitForEvent('filechooser'), page.keyboard.press(keys)]);
    await chooser.setFiles(files);
  };
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to the image');
  await choose('o', await channelFiles());
  await imagesListed(page, 1);
  await tabTo(page, 'aside [data-pick="model"]');
  await choose('Enter', MODEL);
  await page.waitForSelector('#detect:not([disabled])', { timeout: SLOW });
  await page.keyboard.press('Control+Enter');
  await page.waitForSelector('#images [data-state="done"]', { timeout: SLOW });

  await tabTo(page, '#score');
  const few = await rowCount(page);
  for (let i = 0; i < 20; i += 1) await page.keyboard.press('ArrowLeft');
  assert.equal(await page.inputValue('#score'), '0.5');
  assert.ok((await rowCount(page)) > few);

  await tabTo(page, '#detections');
  await page.keyboard.press('ArrowDown');
  await settled(page);
  await page.keyboard.press('ArrowDown');
  await settled(page);
  const active = await page.getAttribute('#detections', 'aria-activedescendant');
  assert.equal(await page.getAttribute(`#${active}`, 'aria-selected'), 'true');
  assert.equal(await page.getAttribute(`#${active}`, 'aria-rowindex'), '3');

  await page.focus('#viewport');
  const zoom = async () => {
    await settled(page);
    return page.textContent('#zoom-value');
  };
  const fitted = await zoom();
  await page.keyboard.press('+');
  assert.notEqual(await zoom(), fitted);
  await page.keyboard.press('1');
  assert.equal(await zoom(), '100 %');
  await page.keyboard.press('n');
  await settled(page);
  assert.notEqual(await page.getAttribute('#detections', 'aria-activedescendant'), active);
  await page.keyboard.press('0');
  assert.equal(await zoom(), fitted);
  await page.keyboard.press('Shift+Digit1');
  await settled(page);
  assert.equal(await page.getAttribute('#channels button', 'aria-pressed'), 'false');
  await page.keyboard.press('Shift+Digit1');
  await settled(page);
  await check(page);

  await page.keyboard.press('s');
  await page.waitForSelector('dialog');
  await check(page);
  await screenshot(page, 'download-light');
  await tabTo(page, 'dialog input[value="csv"]');
  await page.keyboard.press('Space');
  const [saved] = await Promise.all([page.waitForEvent('download'), page.keyboard.press('Enter')]);
  assert.match(saved.suggestedFilename(), /\.csv$/);
  await done();
});

test('the annotation panel and its dialogs have names and readable text', { timeout: SLOW }, async () => {
  for (const colorScheme of ['light', 'dark']) {
    const { page, done } = await openPage({ query: '?device=cpu', colorScheme, reducedMotion: 'reduce' });
    await drop(page, await channelFiles());
    await imagesListed(page, 1);
    await page.waitForSelector('#channels button');
    await tabTo(page, '#tab-results');
    await page.keyboard.press('ArrowRight');
    assert.ok(await page.$eval('#tab-annotate', (element) => document.activeElement === element), 'arrow keys go along the tabs');
    await page.focus('#viewport');
    await settled(page);
    await page.keyboard.press('Enter');
    await page.waitForSelector('#save-annotations:enabled');
    await check(page);
    for (const button of ['#add-label', '#save-annotations', '#class-chart', '[aria-label="Remove cell"]', '#help']) {
      await page.click(button);
      await page.waitForSelector('dialog');
      await check(page);
      await screenshot(page, `annotate-${button.replace(/\W+/g, '-')}-${colorScheme}`);
      await page.keyboard.press('Escape');
      await page.waitForSelector('dialog', { state: 'detached' });
    }
    await done();
  }
});

test('a small window scrolls in one column and loses nothing', { timeout: SLOW }, async () => {
  const { page, done } = await openPage({ query: '?device=cpu', viewport: { width: 640, height: 360 } });
  await drop(page, await channelFiles());
  await imagesListed(page, 1);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(wide <= 640, `nothing beyond the right edge: ${wide}`);
  for (const id of ['detect', 'images', 'score', 'detections', 'device']) {
    await page.locator(`#${id}`).scrollIntoViewIfNeeded();
    assert.ok(await page.isVisible(`#${id}`), id);
  }
  await screenshot(page, 'narrow-light');
  await done();
});
