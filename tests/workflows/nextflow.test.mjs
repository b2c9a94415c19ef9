// The Nextflow process without Nextflow: its command, with the values filled in that Nextflow would fill in, and the outputs it declares.

import assert from 'node:assert/strict';
import { mkdir, readFile, symlink } from 'node:fs/promises';
import { basename, delimiter, dirname, join } from 'node:path';
import { test } from 'node:test';
import { PROGRAM, WORKFLOWS, digests, oneProcess, plate, run, succeed, temporary, FORMATS } from './workflow.mjs';

/** The command between the section's triple quotes, as bash would get it. */
function command(text, section, values) {
  const script = text.slice(text.indexOf(`    ${section}:`)).match(/"""\n([\s\S]*?)"""/)[1];
  const filled = script.replace(/\$\{([^}]+)\}/g, (whole, name) => {
    assert.ok(name in values, `${whole} has no value here`);
    return values[name];
  });
  return filled.replaceAll('\\\\', '\\');
}

test('the command of the process runs, and writes what the process declares', async (t) => {
  assert.equal(basename(PROGRAM), 'cytobox');
  const folder = await temporary(t);
  const images = await plate(folder);
  const process_ = await readFile(join(WORKFLOWS, 'nf-core/cytobox/detect/main.nf'), 'utf8');
  const values = { images: 'images', prefix: 'plate1', model: '--model atlas', 'task.cpus': '2', args: `--device cpu --format ${FORMATS.join()}` };
  const env = { PATH: [dirname(PROGRAM), process.env.PATH].join(delimiter) };

  for (const section of ['script', 'stub']) {
    const work = join(folder, section);
    await mkdir(work);
    // Nextflow puts links to the inputs into the folder of the task.
    await symlink(images, join(work, 'images'));
    await succeed('bash', ['-euo', 'pipefail', '-c', command(process_, section, values)], { cwd: work, env });
    const written = Object.keys(await digests(join(work, 'plate1')));
    assert.ok(written.some((name) => name.startsWith('detections.')) && written.includes('measurements.csv'), written.join());
  }
  // The journals differ: each has the paths that it was given.
  const { 'cytobox-scan.jsonl': journal, ...results } = await digests(join(folder, 'script/plate1'));
  const { 'cytobox-scan.jsonl': other, ...expected } = await oneProcess(images, join(folder, 'one'));
  assert.ok(journal && other);
  assert.deepEqual(results, expected);

  const version = process_.match(/eval\("([^"]+)"\)/)[1];
  const { output } = await run('bash', ['-c', version], { env });
  assert.match(output, /^\d+\.\d+\.\d+\n$/);
});
