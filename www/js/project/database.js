/**
 * The browser's database (IndexedDB): opened, written in short slices so that no frame is late, read in batches. Knows
 * nothing of images; what a failure means for a person is said here once. Written without the package `idb`: the page is served
 * without a bundler, so its code would have to be copied into this repository; and it makes a promise of each request, while
 * here a slice of requests waits for its last one alone and a transaction that waits for a promise ends.
 */

const NAME = 'cytobox';
const VERSION = 1;
export const STORES = ['settings', 'images', 'annotations', 'results', 'files', 'detector'];

/** Milliseconds until a database that does not answer is said to be slow: after a crash a browser has much to put in order. */
const SLOW = 5000;
/** Milliseconds until it is given up. */
const PATIENCE = 120_000;
/** Milliseconds of copying values into the database at a time. */
const SLICE = 8;
/** Records that are read at a time. */
const BATCH = 64;

/** The database cannot be used, with a stable code and a sentence for people. */
export class Unavailable extends Error {
  /** @param {'none'|'newer'|'blocked'|'broken'|'lost'|'taken'} code @param {string} sentence */
  constructor(code, sentence) {
    super(sentence);
    this.code = code;
  }
}

/**
 * @param {Object} options
 * @param {IDBFactory} [options.factory] of a bucket; without it the page's own
 * @param {(error: Unavailable) => void} options.gone the browser or a newer page took the database away
 * @param {() => void} [options.slow] it takes long to open, and is still waited for
 * @param {() => void} [options.emptied] the browser found it damaged and threw away what was in it
 * @returns {Promise<IDBDatabase>}
 */
export function openDatabase({ factory, gone, slow = () => {}, emptied = () => {} }) {
  return new Promise((resolve, reject) => {
    let waiting = true;
    /** @param {() => void} run */
    const settle = (run) => {
      clearTimeout(timer);
      clearTimeout(hint);
      waiting = false;
      run();
    };
    /** @param {unknown} error */
    const refuse = (error) => settle(() => reject(error));
    const hint = setTimeout(slow, SLOW);
    const timer = setTimeout(() => refuse(new Unavailable('blocked', 'The browser’s storage does not respond.')), PATIENCE);
    /** @type {IDBOpenDBRequest} */
    let request;
    try {
      request = (factory ?? indexedDB).open(NAME, VERSION);
    } catch (error) {
      refuse(unavailable(error));
      return;
    }
    request.onupgradeneeded = (event) => {
      // Chromium alone tells.
      if (/** @type {any} */ (event).dataLoss === 'total') emptied();
      for (const store of STORES) if (!request.result.objectStoreNames.contains(store)) request.result.createObjectStore(store);
    };
    request.onblocked = () => refuse(new Unavailable('blocked', 'An older version of this page is open in another tab; close that tab, then reload this one.'));
    request.onerror = () => refuse(unavailable(request.error));
    request.onsuccess = () => {
      const database = request.result;
      const whole = STORES.every((store) => database.objectStoreNames.contains(store));
      if (!waiting || !whole) database.close();
      if (!whole) refuse(new Unavailable('broken', 'The saved project cannot be read: part of the database is missing.'));
      if (!waiting) return;
      database.onversionchange = () => {
        database.close();
        gone(new Unavailable('newer', 'A newer version of this page was opened in another tab; reload this one.'));
      };
      database.onclose = () => gone(new Unavailable('lost', 'The browser closed its storage, or the data of this page was deleted.'));
      settle(() => resolve(database));
    };
  });
}

/**
 * A second database in a bucket of its own, where the browser has such (the Storage Buckets API of Chromium). Chromium can
 * find a database damaged after it was killed in the middle of a write, and empties it then; of two whose records are written
 * one after the other, one is whole.
 * @param {(error: Unavailable) => void} gone
 * @returns {Promise<IDBDatabase|null>}
 */
export async function openCopy(gone) {
  try {
    const bucket = await /** @type {any} */ (navigator).storageBuckets?.open('copy', { durability: 'strict' });
    return bucket ? await openDatabase({ factory: bucket.indexedDB, gone }) : null;
  } catch {
    return null;
  }
}

/** Deletes the database, which is the way out of one that cannot be read. @returns {Promise<void>} */
export function deleteDatabase() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.deleteDatabase(NAME);
    request.onsuccess = () => resolve();
    request.onerror = () => reject(unavailable(request.error));
    request.onblocked = () => reject(new Unavailable('blocked', 'The saved project is open in another tab; close that tab.'));
  });
}

/** @param {any} error of `open` */
function unavailable(error) {
  if (typeof indexedDB === 'undefined' || indexedDB === null || error?.name === 'SecurityError' || error?.name === 'InvalidStateError') {
    return new Unavailable('none', 'This browser does not let the page store data, as in some private windows.');
  }
  if (error?.name === 'VersionError') {
    return new Unavailable('newer', 'The project in this browser was saved by a newer version of this page; reload the page.');
  }
  if (isQuota(error)) return new Unavailable('none', reasonOf(error));
  return new Unavailable('broken', `The browser cannot open its storage (${error?.message || error?.name || 'no reason given'}).`);
}

/** @param {any} error */
export function isQuota(error) {
  return error?.name === 'QuotaExceededError';
}

/** Why something was not saved, as a sentence. @param {any} error */
export function reasonOf(error) {
  if (error instanceof Unavailable) return error.message;
  if (isQuota(error)) return 'The browser’s storage for this page is full.';
  if (error?.name === 'DataCloneError') return 'Something in the project cannot be stored.';
  if (error?.name === 'NotReadableError' || error?.name === 'NotFoundError') return 'A file can no longer be read; it was changed or moved.';
  return `The browser could not write to its storage (${error?.message || error?.name || 'no reason given'}).`;
}

/** @typedef {{store: string, key?: IDBValidKey, value?: any}} Operation puts a value; without one deletes the key; without a key all */

/** @param {IDBTransaction} transaction @param {Operation} operation @returns {IDBRequest} */
function apply(transaction, { store, key, value }) {
  const target = transaction.objectStore(store);
  if (key === undefined) return target.clear();
  return value === undefined ? target.delete(key) : target.put(value, key);
}

/**
 * Does all of the operations or none of them; resolves when they are on the disk.
 * @param {IDBDatabase} database
 * @param {Operation[]} operations
 * @param {{writer?: string|null, hurry?: boolean, durability?: IDBTransactionDurability}} [options] `writer`: only as long as
 *   this is the tab that the database belongs to; `hurry`: hand over everything at once, because the page is about to go
 * @returns {Promise<void>}
 */
export function write(database, operations, { writer = null, hurry = false, durability = 'strict' } = {}) {
  return new Promise((resolve, reject) => {
    /** @type {unknown} */
    let failure = null;
    const stores = new Set(operations.map(({ store }) => store));
    if (writer) stores.add('settings');
    const transaction = database.transaction([...stores], 'readwrite', { durability });
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(failure ?? transaction.error ?? new DOMException('The transaction was aborted.', 'AbortError'));
    /** @param {unknown} error */
    const fail = (error) => {
      try {
        transaction.abort();
        failure = error;
      } catch {
        // It has ended already, with a reason of its own.
      }
    };
    let at = 0;
    const slice = () => {
      try {
        const until = performance.now() + SLICE;
        /** @type {IDBRequest|undefined} */
        let last;
        while (at < operations.length && (hurry || !last || performance.now() < until)) last = apply(transaction, operations[at++]);
        if (at < operations.length && last) last.onsuccess = slice;
        else transaction.commit?.();
      } catch (error) {
        fail(error);
      }
    };
    if (!writer || hurry) {
      slice();
      return;
    }
    const owner = transaction.objectStore('settings').get('writer');
    owner.onsuccess = () => {
      if (owner.result === writer) slice();
      else fail(new Unavailable('taken', 'Another tab has taken over the project.'));
    };
  });
}

/** @template T @param {IDBRequest<T>} request @returns {Promise<T>} */
function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = (event) => {
      event.preventDefault();
      reject(request.error);
    };
  });
}

/** @param {IDBDatabase} database @param {string} store @param {IDBValidKey[]} keys values in that order; undefined where there is none */
export function readSome(database, store, keys) {
  const source = database.transaction(store, 'readonly').objectStore(store);
  return Promise.all(keys.map((key) => settled(source.get(key))));
}

/**
 * All of a store, some records at a time, so that unpacking them holds up no frame.
 * @param {IDBDatabase} database @param {string} store
 * @returns {Promise<{entries: Map<IDBValidKey, any>, unreadable: IDBValidKey[]}>}
 */
export async function readAll(database, store) {
  const entries = new Map();
  /** @type {IDBValidKey[]} */
  const unreadable = [];
  const keys = await settled(database.transaction(store, 'readonly').objectStore(store).getAllKeys());
  for (let at = 0; at < keys.length; at += BATCH) {
    const part = keys.slice(at, at + BATCH);
    const source = database.transaction(store, 'readonly').objectStore(store);
    const values = await Promise.allSettled(part.map((key) => settled(source.get(key))));
    values.forEach((one, index) => {
      if (one.status === 'fulfilled') entries.set(part[index], one.value);
      else unreadable.push(part[index]);
    });
  }
  return { entries, unreadable };
}
