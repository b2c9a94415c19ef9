/** Training checkpoints, which the engine keeps in the browser's private files, one folder a project. */
import { CHECKPOINTS_FOLDER } from '../shared/engine-limits.js';

/** Deletes those of projects that are gone. @param {string} project the one that stays */
export async function forgetCheckpoints(project) {
  try {
    const root = await navigator.storage.getDirectory();
    const all = await root.getDirectoryHandle(CHECKPOINTS_FOLDER);
    for await (const name of all.keys()) if (name !== project) await all.removeEntry(name, { recursive: true });
  } catch {
    // There are none, or one is in use; the next new project takes it along.
  }
}
