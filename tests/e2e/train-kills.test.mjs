// The browser is killed at random moments of a training: no annotation is lost, and it goes on from a checkpoint.
//
// The project promises 20 kills, which take a while:
//
//     CYTOBOX_KILLS=20 node --test tests/e2e/train-kills.test.mjs
//
// CYTOBOX_SEED draws other moments.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SLOW, engineReady, imagesListed } from './page.mjs';
import { openProfile, projectState, waitSaved } from './project.mjs';
import { IMAGES, chooseSmall, takeSamples, training, until } from './training.mjs';

const KILLS = Number(process.env.CYTOBOX_KILLS ?? 4);
const SEED = Number(process.env.CYTOBOX_SEED ?? 1);
/** Steps that the training has at least: enough that no kill comes after the last. */
const EPOCHS = 40 + 20 * KILLS;
/** Milliseconds between two checkpoints, and what a step and the way of its message may take on a busy machine. */
const CHECKPOINT = 1000;
const STEP = 4000;
/** The longest time from going on to a kill. */
const LONGEST = 8000;

/** Numbers of 0–1 that are the same each time (mulberry32). */
function chance(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Notes in Node, where no kill reaches it, when the page heard of which step and of which checkpoint. */
async function watch(page) {
  /** @type {{step: number, time: number}[]} */
  const steps = [];
  const seen = { steps, saved: 0 };
  page.on('console', (message) => {
    const [word, number] = message.text().split(' ');
    if (word === 'step') steps.push({ step: Number(number), time: Date.now() });
    if (word === 'saved') seen.saved = Math.max(seen.saved, Number(number));
  });
  await page.evaluate(() => {
    const { store } = globalThis.cytobox;
    let [last, saved] = [0, 0];
    store.watch((keys) => {
      const { training } = store.state;
      if (!keys.includes('training') || !training) return;
      if (training.last && training.last.step !== last) console.log(`step ${(last = training.last.step)}`);
      if (training.saved !== null && training.saved !== saved) console.log(`saved ${(saved = training.saved)}`);
    });
  });
  return seen;
}

test(`${KILLS} kills during a training lose no annotation, and it goes on to its end`, { timeout: SLOW + KILLS * 60_000 }, async () => {
  const random = chance(SEED);
  const profile = await openProfile();
  try {
    let { page } = await profile.open();
    await engineReady(page);
    await takeSamples(page);
    await chooseSmall(page, { epochs: EPOCHS, checkpoint: String(CHECKPOINT / 1000) });
    await waitSaved(page);
    const annotated = (await projectState(page)).images;
    let seen = await watch(page);
    await page.click('#train-start');
    await until(page, 'the first checkpoint', ({ saved }) => saved !== null);

    const lost = [];
    for (let kill = 1; kill <= KILLS; kill += 1) {
      await page.waitForTimeout(random() * LONGEST);
      assert.equal((await training(page))?.state, 'running', `kill ${kill} meets a training that runs`);
      const { steps, saved } = seen;
      await profile.kill();

      ({ page } = await profile.open());
      await engineReady(page);
      await imagesListed(page, IMAGES);
      assert.deepEqual((await projectState(page)).images, annotated, `kill ${kill}: images and annotations are all there`);
      assert.deepEqual(await page.evaluate(() => globalThis.cytobox.store.state.faults), []);
      await page.click('#tab-train');
      await page.waitForSelector('#train-resume:not([disabled])', { timeout: SLOW });
      seen = await watch(page);
      await page.click('#train-resume');
      const { from } = await until(page, 'going on', ({ from: start, steps: done }) => start !== null && done.some(({ step }) => step > start));
      assert.ok(from >= saved, `kill ${kill}: it goes on from step ${from}, although ${saved} was saved`);
      // What has to be done again was done within the time of one checkpoint; while one is written there are no steps.
      const again = steps.filter(({ step }) => step > from);
      const span = again.length ? again.at(-1).time - again[0].time : 0;
      assert.ok(span <= CHECKPOINT + STEP, `kill ${kill}: ${again.length} steps of ${span} ms are done again`);
      lost.push(again.length);
      const { steps: curve } = await training(page);
      assert.deepEqual(curve.map(({ step }) => step), [...new Set(curve.map(({ step }) => step))].sort((a, b) => a - b), 'no step is in the curves twice');
      assert.equal(curve[0].step, 1, 'the curves begin at the first step');
    }
    console.log(`steps that each kill took: ${lost.join(', ')}`);

    await page.click('#train-stop');
    await until(page, 'the end', ({ state }) => state === 'done');
    await waitSaved(page);
    // A kill right after the end finds the detector, and nothing to go on with.
    await profile.kill();
    ({ page } = await profile.open());
    await engineReady(page);
    await page.waitForFunction(() => document.getElementById('model-name').textContent === 'trained', null, { timeout: SLOW });
    await page.click('#tab-train');
    assert.ok(await page.isHidden('#train-interrupted'));
    assert.match(await page.innerText('#train-result'), /The new detector is in use/);
    const now = (await projectState(page)).images.map(({ name, annotations }) => ({ name, annotations }));
    assert.deepEqual(now, annotated.map(({ name, annotations }) => ({ name, annotations })));
  } finally {
    await profile.end();
  }
});
