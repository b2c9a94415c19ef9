/** Two fingers on the canvas move and zoom the image, whatever the tool does with one. */

export class Pinch {
  /** Fingers that are down, where they were last. @type {Map<number, {x: number, y: number}>} */ #fingers = new Map();
  #region;
  #begin;
  #move;

  /**
   * @param {HTMLElement} region
   * @param {() => void} begin the drag of the first finger ends
   * @param {(change: (view: import('./view.js').View) => void) => void} move changes the view
   */
  constructor(region, begin, move) {
    this.#region = region;
    this.#begin = begin;
    this.#move = move;
    // Before the canvas hears of the second finger, which is not to start a drag.
    region.addEventListener('pointerdown', (event) => this.#down(event), { capture: true });
    region.addEventListener('pointermove', (event) => this.#moved(event));
    for (const end of /** @type {const} */ (['pointerup', 'pointercancel'])) {
      region.addEventListener(end, (event) => this.#fingers.delete(event.pointerId));
    }
  }

  get active() {
    return this.#fingers.size > 1;
  }

  /** @param {PointerEvent} event */
  #down(event) {
    if (event.pointerType !== 'touch') return;
    this.#fingers.set(event.pointerId, this.#place(event));
    if (this.active) this.#begin();
  }

  /** @param {PointerEvent} event */
  #moved(event) {
    if (!this.#fingers.has(event.pointerId)) return;
    const before = this.active ? this.#grip() : null;
    this.#fingers.set(event.pointerId, this.#place(event));
    if (!before) return;
    const now = this.#grip();
    this.#move((view) => {
      view.pan(now.x - before.x, now.y - before.y);
      view.zoomTo((view.scale * now.span) / before.span, now.x, now.y);
    });
  }

  /** @param {PointerEvent} event */
  #place(event) {
    const box = this.#region.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  /** Middle of the first two fingers, and how far they are apart. */
  #grip() {
    const [a, b] = this.#fingers.values();
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, span: Math.max(1, Math.hypot(a.x - b.x, a.y - b.y)) };
  }
}
