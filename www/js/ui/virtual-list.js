/**
 * A list of any length of which only the rows on the screen exist. The container is one tab stop; arrow keys move the
 * active row, which screen readers follow by `aria-activedescendant`.
 */

/**
 * @template Item
 * @typedef {Object} Options
 * @property {number} rowHeight in CSS pixels at 100 %
 * @property {() => HTMLElement} create an empty row
 * @property {(row: HTMLElement, item: Item, index: number) => void} fill
 * @property {(item: Item) => number} key the same for the same thing
 * @property {(item: Item) => void} choose the active row has changed
 * @property {(item: Item|null) => void} [hover]
 * @property {(items: Item[]) => void} [visible] the rows on the screen have changed
 * @property {'option'|'row'} role
 */

/** @template Item */
export class VirtualList {
  /** @type {Item[]} */ #items = [];
  /** @type {number|null} */ #active = null;
  /** @type {Map<number, HTMLElement>} rows by key */ #rows = new Map();
  #container;
  #content;
  #options;
  #scheduled = false;
  /** Kept, because asking the container would lay the page out again. */
  #scrollTop = 0;
  #height = 0;

  /** @param {HTMLElement} container scrolls @param {Options<Item>} options */
  constructor(container, options) {
    this.#container = container;
    this.#options = options;
    this.#content = document.createElement('div');
    this.#content.className = 'rows';
    this.#content.setAttribute('role', options.role === 'row' ? 'rowgroup' : 'presentation');
    container.append(this.#content);
    container.addEventListener(
      'scroll',
      () => {
        this.#scrollTop = container.scrollTop;
        this.#schedule();
      },
      { passive: true },
    );
    container.addEventListener('keydown', (event) => this.#key(event));
    container.addEventListener('click', (event) => {
      const item = this.#itemOf(event.target);
      if (item) options.choose(item);
    });
    if (options.hover) {
      container.addEventListener('pointermove', (event) => options.hover?.(this.#itemOf(event.target)));
      container.addEventListener('pointerleave', () => options.hover?.(null));
    }
    new ResizeObserver(() => {
      this.#height = container.clientHeight;
      this.#schedule();
    }).observe(container);
  }

  /** @param {Item[]} items @param {number|null} active key of the active row */
  set(items, active) {
    this.#items = items;
    const moved = active !== this.#active;
    this.#active = active;
    const height = `${items.length * this.#options.rowHeight}px`;
    if (this.#content.style.height !== height) this.#content.style.height = height;
    if (moved) this.#reveal();
    this.#draw();
  }

  get length() {
    return this.#items.length;
  }

  #activeIndex() {
    return this.#items.findIndex((item) => this.#options.key(item) === this.#active);
  }

  #reveal() {
    const index = this.#activeIndex();
    if (index < 0) return;
    const { rowHeight } = this.#options;
    const top = index * rowHeight;
    // A sticky header takes part of the container.
    const head = this.#content.offsetTop;
    const { scrollTop, clientHeight } = this.#container;
    if (top < scrollTop) this.#container.scrollTop = top;
    else if (top + rowHeight > scrollTop + clientHeight - head) {
      this.#container.scrollTop = top + rowHeight - clientHeight + head;
    }
  }

  #schedule() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      this.#draw();
    });
  }

  #draw() {
    const { rowHeight, fill, key, role, visible } = this.#options;
    const first = Math.max(0, Math.floor(this.#scrollTop / rowHeight) - 2);
    const last = Math.min(this.#items.length, Math.ceil((this.#scrollTop + this.#height) / rowHeight) + 2);
    const shown = this.#items.slice(first, last);
    const keys = new Set(shown.map(key));
    for (const [old, row] of this.#rows) {
      if (keys.has(old)) continue;
      row.remove();
      this.#rows.delete(old);
    }
    let activeId = '';
    shown.forEach((item, offset) => {
      const index = first + offset;
      const id = key(item);
      const row = this.#rows.get(id) ?? this.#newRow(id);
      row.dataset.index = String(index);
      row.style.transform = `translateY(${index * rowHeight}px)`;
      row.setAttribute('aria-selected', String(id === this.#active));
      if (role === 'option') {
        row.setAttribute('aria-setsize', String(this.#items.length));
        row.setAttribute('aria-posinset', String(index + 1));
      } else {
        row.setAttribute('aria-rowindex', String(index + 2));
      }
      if (id === this.#active) activeId = row.id;
      fill(row, item, index);
    });
    if (activeId) this.#container.setAttribute('aria-activedescendant', activeId);
    else this.#container.removeAttribute('aria-activedescendant');
    visible?.(shown);
  }

  /** @param {number} id */
  #newRow(id) {
    const { create, role, rowHeight } = this.#options;
    const row = create();
    row.setAttribute('role', role);
    row.id = `${this.#container.id}-${id}`;
    row.style.height = `${rowHeight}px`;
    this.#rows.set(id, row);
    this.#content.append(row);
    return row;
  }

  /** @param {EventTarget|null} target @returns {Item|null} */
  #itemOf(target) {
    const row = /** @type {HTMLElement|null} */ (target instanceof Element ? target.closest('[data-index]') : null);
    return row ? (this.#items[Number(row.dataset.index)] ?? null) : null;
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.target !== this.#container || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(this.#container.clientHeight / this.#options.rowHeight) - 1);
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined || this.#items.length === 0) return;
    event.preventDefault();
    const now = this.#activeIndex();
    const next = now < 0 ? (step > 0 ? 0 : this.#items.length - 1) : now + step;
    this.#options.choose(this.#items[Math.min(Math.max(next, 0), this.#items.length - 1)]);
  }
}
