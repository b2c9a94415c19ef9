/**
 * The bridge to one worker: requests with ids out, events in. A worker that has died, panicked or did not answer a
 * cancel is ended and never used again; the next request starts a new one.
 */

/** What the engine refused, with its stable code. */
export class Refused extends Error {
  /** @param {string} code @param {string} sentence */
  constructor(code, sentence) {
    super(sentence);
    this.code = code;
  }
}

/** The request was cancelled. */
export class Cancelled extends Error {
  constructor() {
    super('cancelled');
  }
}

/** The worker ended in the middle of the request. */
export class WorkerDied extends Error {}

/** How long a cancelled request may take to answer before its worker is ended, in milliseconds. */
const CANCEL_PATIENCE = 3000;

/**
 * Trusted types, which not every browser has, and the checker does not know.
 * @type {{createPolicy: (name: string, rules: {createScriptURL: (url: string) => string}) => {createScriptURL: (url: string) => string}}|undefined}
 */
const trustedTypes = Reflect.get(globalThis, 'trustedTypes');
const policy = trustedTypes?.createPolicy('cytobox', {
  createScriptURL(url) {
    if (url !== './js/engine/start-worker.js') throw new TypeError(`no script ${url}`);
    return url;
  },
});

/**
 * @typedef {Object} Listeners
 * @property {(progress: import('./protocol.js').Progress) => void} [progress]
 * @property {(event: import('./protocol.js').TrainEvent) => void} [training]
 *
 * @typedef {Listeners & {resolve: (outcome: import('./protocol.js').Outcome) => void, reject: (error: Error) => void}} Pending
 *
 * @typedef {Listeners & {begun?: (id: number) => void, signal?: AbortSignal, transfer?: Transferable[]}} RequestOptions `begun` is told
 *   the id by which other requests can speak of this one
 */

export class Connection {
  /** @type {Worker|null} */ #worker = null;
  /** @type {PromiseWithResolvers<void>|null} */ #ready = null;
  /** @type {Map<number, Pending>} */ #pending = new Map();
  #next = 1;
  #name;
  #onDied;
  /** The engine's version, once a worker has said it. */
  version = '';

  /**
   * @param {string} name for messages
   * @param {(sentence: string) => void} onDied called once for each worker that died by itself
   */
  constructor(name, onDied) {
    this.#name = name;
    this.#onDied = onDied;
  }

  get alive() {
    return this.#worker !== null;
  }

  /** Starts a worker if there is none, and resolves when it listens. @returns {Promise<void>} */
  listen() {
    if (this.#ready) return this.#ready.promise;
    /** @type {PromiseWithResolvers<void>} */
    const ready = (this.#ready = withResolvers());
    ready.promise.catch(() => {});
    const url = './js/engine/start-worker.js';
    const worker = new Worker(policy ? policy.createScriptURL(url) : url, { type: 'module', name: this.#name });
    this.#worker = worker;
    /** @param {string} sentence */
    const died = (sentence) => {
      if (this.#worker !== worker) return;
      this.end(sentence);
      this.#onDied(sentence);
    };
    worker.addEventListener('error', (event) => {
      event.preventDefault();
      died(event.message || 'The engine could not be loaded.');
    });
    worker.addEventListener('messageerror', () => died('A message from the engine could not be read.'));
    worker.addEventListener('message', (/** @type {MessageEvent<import('./protocol.js').Message>} */ { data }) => {
      if (this.#worker !== worker) return;
      if (data.type === 'ready') {
        this.version = data.version;
        ready.resolve();
      } else if (data.type === 'panicked') {
        died(data.sentence);
      } else {
        this.#receive(data);
      }
    });
    return ready.promise;
  }

  /** Ends the worker; what was asked of it fails with `WorkerDied`. @param {string} sentence */
  end(sentence) {
    this.#worker?.terminate();
    this.#worker = null;
    this.#ready?.reject(new WorkerDied(sentence));
    this.#ready = null;
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject } of pending) reject(new WorkerDied(sentence));
  }

  /**
   * @template {import('./protocol.js').Command} C
   * @param {C} command
   * @param {RequestOptions} [options]
   * @returns {Promise<import('./protocol.js').Answer<C>>}
   */
  async request(command, { progress, training, begun, signal, transfer = [] } = {}) {
    await this.listen();
    if (signal?.aborted) throw new Cancelled();
    const id = this.#next++;
    /** @type {PromiseWithResolvers<import('./protocol.js').Outcome>} */
    const { promise, resolve, reject } = withResolvers();
    this.#pending.set(id, { resolve, reject, progress, training });
    begun?.(id);
    this.#worker?.postMessage({ id, command }, transfer);
    const cancel = () => this.#cancel(id);
    signal?.addEventListener('abort', cancel, { once: true });
    try {
      return /** @type {import('./protocol.js').Answer<C>} */ (await promise);
    } finally {
      signal?.removeEventListener('abort', cancel);
    }
  }

  /** @param {number} id */
  #cancel(id) {
    const worker = this.#worker;
    worker?.postMessage({ id: this.#next++, command: { type: 'cancel', request: id } });
    setTimeout(() => {
      const late = this.#pending.get(id);
      if (!late || this.#worker !== worker) return;
      this.#pending.delete(id);
      late.reject(new Cancelled());
      this.end('The engine was stopped because it did not respond to Cancel.');
    }, CANCEL_PATIENCE);
  }

  /** @param {Exclude<import('./protocol.js').Message, {type: 'ready'|'panicked'}>} event */
  #receive(event) {
    const pending = this.#pending.get(event.id);
    if (!pending) return;
    if (event.type === 'progress') {
      pending.progress?.(event.progress);
      return;
    }
    if (event.type === 'training') {
      pending.training?.(event.event);
      return;
    }
    this.#pending.delete(event.id);
    if (event.type === 'done') pending.resolve(event.outcome);
    else if (event.type === 'cancelled') pending.reject(new Cancelled());
    else pending.reject(new Refused(event.code, event.sentence));
  }
}

/** `Promise.withResolvers`, which not every browser with WebGPU has. @template T @returns {PromiseWithResolvers<T>} */
function withResolvers() {
  const all = /** @type {PromiseWithResolvers<T>} */ ({});
  all.promise = new Promise((resolve, reject) => Object.assign(all, { resolve, reject }));
  return all;
}
