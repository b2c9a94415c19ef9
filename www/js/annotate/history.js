/** Steps that can be undone and done again, without end. What a step holds is its owner's business. */

/** Steps with the same key within this many milliseconds are one, such as a box pushed along with an arrow key. */
const PAUSE = 1000;

/**
 * @template Step
 * @typedef {{step: Step, key: string, time: number}} Entry
 */

/** @template Step */
export class History {
  /** @type {Entry<Step>[]} */ #done = [];
  /** @type {Entry<Step>[]} */ #undone = [];
  #join;

  /** @param {(first: Step, second: Step) => Step} join makes one step of two that follow each other */
  constructor(join) {
    this.#join = join;
  }

  /** @param {Step} step @param {string} [key] empty for a step by itself */
  push(step, key = '') {
    const time = performance.now();
    const last = this.#done.at(-1);
    const joins = key && last && last.key === key && this.#undone.length === 0 && time - last.time < PAUSE;
    if (joins) this.#done[this.#done.length - 1] = { step: this.#join(last.step, step), key, time };
    else this.#done.push({ step, key, time });
    this.#undone = [];
  }

  /** The step to take back. @returns {Step|null} */
  undo() {
    const entry = this.#done.pop();
    if (!entry) return null;
    this.#undone.push({ ...entry, key: '' });
    return entry.step;
  }

  /** The step to take again. @returns {Step|null} */
  redo() {
    const entry = this.#undone.pop();
    if (!entry) return null;
    this.#done.push(entry);
    return entry.step;
  }

  /** @returns {Step|null} */
  get last() {
    return this.#done.at(-1)?.step ?? null;
  }

  /** @returns {Step|null} */
  get next() {
    return this.#undone.at(-1)?.step ?? null;
  }

  clear() {
    this.#done = [];
    this.#undone = [];
  }
}
