/** Training checkpoints, which the engine keeps in the browser's private files, one folder a project. */

/** The folder of all training runs, as `src/web/file_store.rs` names it. */
const FOLDER = 'trainings';

/** Deletes those of projects that are gone. @param {string} project the one that stays */
export async function forgetCheckpoints(project) {
  try {
    const root = await navigator.storage.getDirectory();
    const all = await root.getDirectoryHandle(FOLDER);
    for await (const name of all.keys()) if (name !== project) await all.removeEntry(name, { recursive: true });
  } catch {
    // There are none, or one is in use; the next new project takes it along.
  }
}
