// The Snakemake workflow on this machine: the joined results are those of one process, whatever happened on the way.

import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { PROGRAM, digests, killedOnce, oneProcess, plate, run, settings, snakemake, synth, temporary } from './workflow.mjs';

test('shards, join and report give what one process writes, and more images cost only themselves', async (t) => {
  const folder = await temporary(t);
  const images = await plate(folder);
  const work = join(folder, 'work');
  const { script, journal } = await killedOnce(folder, '2/4');
  await settings(work, { images, program: script });

  const first = await snakemake(work, ['--cores', '2']);
  assert.equal(first.code, 0, first.output);
  assert.deepEqual(await digests(join(work, 'results/joined')), await oneProcess(images, join(folder, 'one')));
  assert.match(await readFile(join(work, 'results/report.html'), 'utf8'), /plate 1/);

  // The shard that was killed went on behind its finished images.
  const before = await readFile(journal, 'utf8');
  const after = await readFile(join(work, 'results/shards/2-of-4/cytobox-scan.jsonl'), 'utf8');
  const whole = before.slice(0, before.lastIndexOf('\n') + 1);
  assert.ok(whole.split('\n').length > 2 && after.startsWith(whole) && after.length > whole.length, `${before}\n---\n${after}`);

  const again = await snakemake(work, ['--cores', '2']);
  assert.match(again.output, /Nothing to be done/);

  await synth(join(images, 'A01'), 2, 9);
  const more = await snakemake(work, ['--cores', '2']);
  assert.equal(more.code, 0, more.output);
  assert.deepEqual(await digests(join(work, 'results/joined')), await oneProcess(images, join(folder, 'two')));
  const grown = await readFile(join(work, 'results/shards/2-of-4/cytobox-scan.jsonl'), 'utf8');
  assert.ok(grown.startsWith(after), 'the shard began again');
});

test('a shard with an unreadable image fails alone, and join names what is missing', async (t) => {
  const folder = await temporary(t);
  const images = await plate(folder);
  await writeFile(join(images, 'A01', 'broken.png'), 'not an image');
  const work = join(folder, 'work');
  await settings(work, { images, formats: ['jsonl'] });

  const failed = await snakemake(work, ['--cores', '2', '--keep-going']);
  assert.notEqual(failed.code, 0);
  const shards = [1, 2, 3, 4];
  const done = await Promise.all(shards.map((shard) => readFile(join(work, `results/shards/${shard}-of-4.done`)).then(() => true, () => false)));
  assert.equal(done.filter(Boolean).length, 3, failed.output);
  const log = await readFile(join(work, `results/logs/detect-${done.indexOf(false) + 1}-of-4.log`), 'utf8');
  assert.match(log, /broken\.png/);

  const join_ = await run(PROGRAM, ['join', ...shards.map((shard) => join(work, `results/shards/${shard}-of-4`)), '--out', join(folder, 'joined')]);
  assert.notEqual(join_.code, 0);
  assert.match(join_.output, /broken/);

  await rm(join(images, 'A01', 'broken.png'));
  const mended = await snakemake(work, ['--cores', '2']);
  assert.equal(mended.code, 0, mended.output);
});

test('settings that cannot be are refused before the first job', async (t) => {
  const folder = await temporary(t);
  const images = await plate(folder);
  for (const [changes, reason] of [
    [{ shards: 0 }, /shards.*minimum|0 is less than the minimum/s],
    [{ formats: ['xml'] }, /'xml' is not one of/],
    [{ shard: 8 }, /'shard' was unexpected/],
    [{ out: join(images, 'results') }, /inside of images/],
    [{ images: join(folder, 'gone') }, /Missing input files[\s\S]*gone/],
    [{ detector: join(folder, 'gone.safetensors') }, /Missing input files[\s\S]*gone\.safetensors/],
  ]) {
    const work = join(folder, 'work');
    await settings(work, { images, ...changes });
    const { code, output } = await snakemake(work, ['--dry-run']);
    assert.notEqual(code, 0, JSON.stringify(changes));
    assert.match(output, reason);
  }
});

test('only a detection on the GPU asks for one', async (t) => {
  const folder = await temporary(t);
  const images = await plate(folder);
  for (const [device, gpu] of [['gpu', 1], ['cpu', 0], ['auto', 0]]) {
    const work = join(folder, device);
    await settings(work, { images, device });
    const { code, output } = await snakemake(work, ['--dry-run']);
    assert.equal(code, 0, output);
    assert.equal(output.match(/resources:.* gpu=1\b/g)?.length ?? 0, 4 * gpu);
  }
});
