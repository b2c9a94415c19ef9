/**
 * The bridge to one worker: requests with ids out, events in. A worker that has died, panicked or did not answer a
 * cancel is ended and never used again; the next request starts a new one.
 */

/** What the engine refused, with its stable code. */
export class Refused extends Error {
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

const policy = globalThis.trustedTypes?.createPolicy('cytobox', {
  createScriptURL(url) {
    if (url !== './js/engine/start-worker.js') throw new TypeError(`no script ${url}`);
    return url;
  },
});

export class Connection {
  /** @type {Worker|null} */ #worker = null;
  /** @type {PromiseWithResolvers<void>|null} */ #ready = null;
  /** @type {Map<number, {resolve: Function, reject: Function, progress?: Function, training?: Function}>} */ #pending = new Map();
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
    const ready = (this.#ready = withResolvers());
    ready.promise.catch(() => {});
    const url = './js/engine/start-worker.js';
    const worker = new Worker(policy ? policy.createScriptURL(url) : url, { type: 'module', name: this.#name });
    this.#worker = worker;
    const died = (sentence) => {
      if (this.#worker !== worker) return;
      this.end(sentence);
      this.#onDied(sentence);
    };
    worker.addEventListener('error', (event) => {
      event.preventDefault();
      died(event.message || 'The engine could not be loaded.');
    });
    worker.addEventListener('messageerror', () => died('A message of the engine could not be read.'));
    worker.addEventListener('message', ({ data }) => {
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
   * @param {import('./protocol.js').Command} command
   * @param {{progress?: (progress: import('./protocol.js').Progress) => void, training?: (event: any) => void,
   *   begun?: (id: number) => void, signal?: AbortSignal, transfer?: Transferable[]}} [options] `begun` is told the id by which
   *   other requests can speak of this one
   * @returns {Promise<import('./protocol.js').Outcome>}
   */
  async request(command, { progress, training, begun, signal, transfer = [] } = {}) {
    await this.listen();
    if (signal?.aborted) throw new Cancelled();
    const id = this.#next++;
    const { promise, resolve, reject } = withResolvers();
    this.#pending.set(id, { resolve, reject, progress, training });
    begun?.(id);
    this.#worker?.postMessage({ id, command }, transfer);
    const cancel = () => this.#cancel(id);
    signal?.addEventListener('abort', cancel, { once: true });
    try {
      return await promise;
    } finally {
      signal?.removeEventListener('abort', cancel);
    }
  }

  #cancel(id) {
    const worker = this.#worker;
    worker?.postMessage({ id: this.#next++, command: { type: 'cancel', request: id } });
    setTimeout(() => {
      const late = this.#pending.get(id);
      if (!late || this.#worker !== worker) return;
      this.#pending.delete(id);
      late.reject(new Cancelled());
      this.end('The engine was ended because it did not answer a cancel.');
    }, CANCEL_PATIENCE);
  }

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

/** `Promise.withResolvers`, which not every browser with WebGPU has. */
function withResolvers() {
  let resolve, reject;
  const promise = new Promise((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
