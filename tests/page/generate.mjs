// Writes what the page takes over from the engine's source. `generated.test.mjs` says when that is needed.
// By hand: node tests/page/generate.mjs

import { writeFileSync } from 'node:fs';
import { GENERATED } from './generated.mjs';

for (const { file, make } of GENERATED) writeFileSync(file, make());
