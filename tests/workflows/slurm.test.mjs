// The Snakemake workflow on Slurm.

import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { jobs, startSlurm } from './slurm.mjs';
import { WORKFLOWS, digests, killedOnce, oneProcess, plate, settings, snakemake, temporary } from './workflow.mjs';

const LINUX = process.platform === 'linux' ? false : 'this machine has no Slurm';

test('on Slurm each shard is a job, a killed one gets more memory and time, and the results are those of one process', { skip: LINUX }, async (t) => {
  const folder = await temporary(t);
  const images = await plate(folder);
  const work = join(folder, 'work');
  const { script } = await killedOnce(folder, '2/4');
  await settings(work, { images, program: script, mem_mb: 700, runtime: 6 });
  const env = await startSlurm(t);

  const profile = join(WORKFLOWS, 'snakemake/profiles/slurm');
  // A cluster without accounts and accounting, and waits that are short.
  const args = ['--profile', profile, '--slurm-no-account', '--slurm-status-command', 'squeue'];
  args.push('--slurm-init-seconds-before-status-checks', '2', '--seconds-between-status-checks', '1', '--latency-wait', '5');
  const { code, output } = await snakemake(work, args, env);
  const seen = await jobs(env);
  assert.equal(code, 0, `${output}\n${JSON.stringify(seen, null, 1)}\n${code === 0 ? '' : await logs(join(work, '.snakemake/slurm_logs'))}`);
  assert.deepEqual(await digests(join(work, 'results/joined')), await oneProcess(images, join(folder, 'one')));

  const did = seen.map(({ state, comment, memory, time }) => `${comment} ${state} ${memory} ${time}`).sort();
  assert.deepEqual(did, [
    'rule_detect_wildcards_1 COMPLETED 700M 6:00',
    'rule_detect_wildcards_2 COMPLETED 1400M 12:00',
    'rule_detect_wildcards_2 FAILED 700M 6:00',
    'rule_detect_wildcards_3 COMPLETED 700M 6:00',
    'rule_detect_wildcards_4 COMPLETED 700M 6:00',
    'rule_join COMPLETED 700M 6:00',
    'rule_report COMPLETED 700M 6:00',
  ]);
});

/** What the jobs printed; Slurm's plugin keeps that of those which failed. */
async function logs(folder) {
  const names = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.log'));
  const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
  return names.map((name, i) => `${name}:\n${texts[i]}`).join('\n');
}
