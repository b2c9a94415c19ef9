/** Work that has left the page in a file: closing the page loses nothing of it, whatever becomes of the database. */

/** Annotations and results; others may have come out of a file. @type {WeakSet<object>} */
const outside = new WeakSet();

/** Notes that these are safe in a file. @param {(object|null)[]} things */
export function leftInFile(things) {
  for (const thing of things) if (thing) outside.add(thing);
}

/** @param {object} thing */
export function isInFile(thing) {
  return outside.has(thing);
}
