// What the tests of the workflows share: a plate of synthetic images, one process's results for it, and Snakemake.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
export const WORKFLOWS = join(ROOT, 'workflows');
export const PROGRAM = resolve(process.env.CYTOBOX_PROGRAM ?? join(ROOT, 'target/release/cytobox'));
const SNAKEMAKE = process.env.SNAKEMAKE ?? 'snakemake';
/** Every kind of output: one file for all images, one an image, tables of measurements. */
export const FORMATS = ['jsonl', 'csv', 'coco', 'voc', 'yolo', 'measurements', 'labels', 'geojson', 'rois'];

/** Runs a program to its end: its exit code, and what it printed to either stream. */
export function run(program, args, { cwd, env = {}, timeout = 180_000 } = {}) {
  return new Promise((done, failed) => {
    const child = spawn(program, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'], timeout });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => { output += data; });
    child.on('error', failed);
    child.on('close', (code, signal) => done({ code: code ?? signal, output }));
  });
}

/** As `run`, for what must succeed. */
export async function succeed(program, args, options) {
  const { code, output } = await run(program, args, options);
  assert.equal(code, 0, `${program} ${args.join(' ')}\n${output}`);
  return output;
}

/** A folder that is removed after the test. */
export async function temporary(test) {
  const folder = await mkdtemp(join(tmpdir(), 'cytobox-workflow-'));
  test.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}

/** A plate of four wells with four fields each, of four channels; its folders have names that a shell would split or misread. */
export async function plate(folder) {
  const images = join(folder, 'plate 1');
  for (const [seed, well] of ['A01', 'A 02', "B01 (it's blurred)", 'Ölimmersion'].entries()) {
    await synth(join(images, well), 4, seed);
  }
  return images;
}

/** Images without the annotations that come with them: a plate has none. */
export async function synth(folder, count, seed) {
  await succeed(PROGRAM, ['synth', '--out', folder, '--images', `${count}`, '--seed', `${seed}`, '--width', '96', '--height', '96']);
  for (const name of await readdir(folder)) {
    if (name.endsWith('.xml') || name.endsWith('_mask.png')) await rm(join(folder, name));
  }
}

/** What one process writes for the images: the digests of its files. */
export async function oneProcess(images, out) {
  const args = ['detect', images, '--out', out, '--model', 'atlas', '--device', 'cpu', '--format', FORMATS.join()];
  await succeed(PROGRAM, args);
  return digests(out);
}

/** SHA-256 of every file below a folder, by its path there, without the marks that Snakemake leaves. */
export async function digests(folder) {
  const found = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = found.filter((entry) => entry.isFile() && entry.name !== '.snakemake_timestamp');
  const paths = files.map((entry) => join(entry.parentPath ?? entry.path, entry.name)).sort();
  const sums = {};
  for (const path of paths) sums[relative(folder, path)] = createHash('sha256').update(await readFile(path)).digest('hex');
  return sums;
}

/** The settings of a workflow, written where `snakemake` reads them. */
export async function settings(work, changes) {
  const config = {
    out: 'results', detector: 'atlas', formats: FORMATS, shards: 4, device: 'cpu', threads: 1, mem_mb: 600, runtime: 5, program: PROGRAM, ...changes,
  };
  await mkdir(work, { recursive: true });
  await writeFile(join(work, 'settings.yaml'), JSON.stringify(config));
}

/** Runs the workflow in a folder that has settings. */
export function snakemake(work, args, env = {}) {
  const words = ['--snakefile', join(WORKFLOWS, 'snakemake/Snakefile'), '--directory', work, '--configfile', join(work, 'settings.yaml'), '--show-failed-logs', ...args];
  const path = [dirname(SNAKEMAKE), env.PATH ?? process.env.PATH].join(delimiter);
  // Its caches are the test's own, so that nothing of another run is taken up.
  return run(SNAKEMAKE, words, { cwd: work, env: { ...env, PATH: path, XDG_CACHE_HOME: join(work, 'cache') } });
}

/** A program that is `cytobox`, but whose first attempt at a shard is killed when its first images are in the journal, of which `journal` then is a copy. */
export async function killedOnce(folder, shard) {
  const [script, journal] = [join(folder, 'killed-once'), join(folder, 'killed.jsonl')];
  await writeFile(script, `#!/bin/sh
case " $* " in *" --shard ${shard} "*) ;; *) exec '${PROGRAM}' "$@" ;; esac
[ -e '${journal}' ] && exec '${PROGRAM}' "$@"
for word; do
  [ "$last" = --out ] && out=$word
  last=$word
done
'${PROGRAM}' "$@" &
until [ "$(grep -c . "$out/cytobox-scan.jsonl" 2>/dev/null)" -ge 2 ] 2>/dev/null; do
  kill -0 $! || exit 1
  sleep 0.01
done
kill -KILL $!
wait $!
cp "$out/cytobox-scan.jsonl" '${journal}'
exit 137
`);
  await chmod(script, 0o755);
  return { script, journal };
}
