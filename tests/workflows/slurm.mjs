// Slurm on this machine alone: munge, the controller and one node, started by the test as its own user and ended with it. Neither systemd
// nor control groups are needed: processes are tracked by their parents (proctrack/linuxproc), and memory is accounted but not enforced.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { cpus, hostname, userInfo } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run, succeed, temporary } from './workflow.mjs';

/** Debian's daemons are where not every user searches. */
const PATH = [process.env.PATH, '/usr/sbin'].join(delimiter);

/** Starts the cluster; the environment in which its commands find it. */
export async function startSlurm(test) {
  const folder = await temporary(test);
  for (const name of ['state', 'spool']) await mkdir(join(folder, name));
  await writeFile(join(folder, 'munge.key'), randomBytes(1024), { mode: 0o600 });
  await writeFile(join(folder, 'slurm.conf'), await configuration(folder));
  // Snakemake's plugin takes SLURM_CONF from a job before it calls srun, as clusters have their settings in /etc.
  await mkdir(join(folder, 'bin'));
  const srun = (await succeed('sh', ['-c', 'command -v srun'], { env: { PATH } })).trim();
  await writeFile(join(folder, 'bin/srun'), `#!/bin/sh\nSLURM_CONF='${folder}/slurm.conf' exec '${srun}' "$@"\n`, { mode: 0o755 });
  const env = { PATH: [join(folder, 'bin'), PATH].join(delimiter), SLURM_CONF: join(folder, 'slurm.conf') };

  const file = (name) => `--${name}=${join(folder, `munge.${name.split('-')[0]}`)}`;
  const munge = ['--foreground', '--force', ...['key-file', 'socket', 'pid-file', 'seed-file'].map(file)];
  const daemons = [];
  test.after(() => stop(daemons));
  daemons.push(daemon('munged', munge, env));
  await until(() => run('munge', ['--no-input', '--socket', join(folder, 'munge.socket')], { env }).then(({ code }) => code === 0), daemons);
  daemons.push(daemon('slurmctld', ['-D'], env), daemon('slurmd', ['-D'], env));
  await until(() => run('sinfo', ['--noheader', '--format=%T'], { env }).then(({ output }) => output.trim() === 'idle'), daemons);
  return env;
}

/** What Slurm knows of its jobs, finished ones too: `comment` is Snakemake's name for what the job did. */
export async function jobs(env) {
  const { output } = await run('squeue', ['--states=all', '--noheader', '--sort=i', '--format=%i|%T|%k|%m|%l|%C'], { env });
  const fields = ['id', 'state', 'comment', 'memory', 'time', 'cores'];
  return output.trim().split('\n').map((line) => Object.fromEntries(line.split('|').map((value, i) => [fields[i], value.trim()])));
}

async function configuration(folder) {
  const user = userInfo().username;
  const node = hostname().split('.')[0];
  const [controller, daemon] = [await freePort(), await freePort()];
  return `ClusterName=one
SlurmctldHost=${node}(127.0.0.1)
SlurmUser=${user}
SlurmdUser=${user}
SlurmctldPort=${controller}
SlurmdPort=${daemon}
AuthType=auth/munge
AuthInfo=socket=${join(folder, 'munge.socket')}
StateSaveLocation=${join(folder, 'state')}
SlurmdSpoolDir=${join(folder, 'spool')}
SlurmctldPidFile=${join(folder, 'slurmctld.pid')}
SlurmdPidFile=${join(folder, 'slurmd.pid')}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
NodeName=${node} NodeAddr=127.0.0.1 CPUs=${cpus().length} RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
`;
}

function freePort() {
  return new Promise((done, failed) => {
    const server = createServer().on('error', failed);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });
}

function daemon(name, args, env) {
  const child = spawn(name, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'ignore', 'pipe'] });
  const it = { name, child, output: '', error: undefined };
  child.stderr.on('data', (data) => { it.output += data; });
  child.on('error', (error) => { it.error = error; });
  return it;
}

async function until(holds, daemons) {
  for (let tries = 0; tries < 600; tries++) {
    for (const { name, child, output, error } of daemons) {
      assert.ok(!error && child.exitCode === null, `${name} ended: ${error ?? output}`);
    }
    if (await holds()) return;
    await sleep(100);
  }
  assert.fail(`Slurm did not start:\n${daemons.map(({ name, output }) => `${name}:\n${output}`).join('\n')}`);
}

async function stop(daemons) {
  for (const { child } of daemons.toReversed()) {
    if (child.exitCode !== null || child.pid === undefined) continue;
    const ended = new Promise((done) => { child.on('exit', done); });
    child.kill('SIGTERM');
    if (await Promise.race([ended.then(() => true), sleep(5000, false)])) continue;
    child.kill('SIGKILL');
    await ended;
  }
}
