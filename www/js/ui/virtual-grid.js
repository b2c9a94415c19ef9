/**
 * Tiles of one size in as many columns as there is room for, of which only those on the screen exist. One tab stop; arrow keys move
 * the active tile, which screen readers follow by `aria-activedescendant`.
 */

/**
 * @template Item
 * @typedef {Object} GridOptions
 * @property {number} width of a tile in CSS pixels
 * @property {number} height
 * @property {() => HTMLElement} create an empty tile
 * @property {(tile: HTMLElement, item: Item) => void} fill
 * @property {(item: Item) => number} key the same for the same thing
 * @property {(item: Item, event: MouseEvent|KeyboardEvent) => void} choose the active tile has changed
 * @property {(items: Item[]) => void} visible the tiles on the screen have changed
 */

/** Rows of tiles beyond the screen, above and below. */
const BEYOND = 1;

/** @template Item */
export class VirtualGrid {
  /** @type {Item[]} */ #items = [];
  /** @type {Map<number, HTMLElement>} by key */ #tiles = new Map();
  /** @type {number|null} */ #active = null;
  #container;
  #content;
  #options;
  #columns = 1;
  #scheduled = false;
  #height = 0;

  /** @param {HTMLElement} container scrolls @param {GridOptions<Item>} options */
  constructor(container, options) {
    this.#container = container;
    this.#options = options;
    this.#content = document.createElement('div');
    this.#content.className = 'tiles';
    this.#content.setAttribute('role', 'presentation');
    container.append(this.#content);
    container.addEventListener('scroll', () => this.redraw(), { passive: true });
    container.addEventListener('keydown', (event) => this.#key(event));
    container.addEventListener('click', (event) => {
      const item = this.itemOf(event.target);
      if (item) options.choose(item, event);
    });
    new ResizeObserver(() => {
      this.#height = container.clientHeight;
      this.#columns = Math.max(1, Math.floor(container.clientWidth / options.width));
      this.#layOut();
    }).observe(container);
  }

  /** @param {Item[]} items @param {number|null} active key of the active tile */
  set(items, active) {
    const moved = active !== null && active !== this.#active;
    [this.#items, this.#active] = [items, active];
    this.#layOut();
    if (moved) this.#reveal();
  }

  redraw() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      this.#draw();
    });
  }

  /** @param {EventTarget|null} target @returns {Item|null} */
  itemOf(target) {
    const tile = /** @type {HTMLElement|null} */ (target instanceof Element ? target.closest('[data-index]') : null);
    return tile ? (this.#items[Number(tile.dataset.index)] ?? null) : null;
  }

  #layOut() {
    const rows = Math.ceil(this.#items.length / this.#columns);
    this.#content.style.height = `${rows * this.#options.height}px`;
    this.redraw();
  }

  #draw() {
    const { width, height, fill, key, visible } = this.#options;
    const top = this.#container.scrollTop;
    const first = Math.max(0, Math.floor(top / height) - BEYOND) * this.#columns;
    const last = (Math.ceil((top + this.#height) / height) + BEYOND) * this.#columns;
    const shown = this.#height ? this.#items.slice(first, last) : [];
    const keys = new Set(shown.map(key));
    /** @type {HTMLElement[]} */ const free = [];
    for (const [old, tile] of this.#tiles) {
      if (keys.has(old)) continue;
      this.#tiles.delete(old);
      free.push(tile);
    }
    let activeId = '';
    shown.forEach((item, offset) => {
      const index = first + offset;
      const id = key(item);
      const tile = this.#tiles.get(id) ?? this.#newTile(id, free.pop());
      tile.dataset.index = String(index);
      tile.style.transform = `translate(${(index % this.#columns) * width}px, ${Math.floor(index / this.#columns) * height}px)`;
      tile.setAttribute('aria-setsize', String(this.#items.length));
      tile.setAttribute('aria-posinset', String(index + 1));
      tile.classList.toggle('active', id === this.#active);
      if (id === this.#active) activeId = tile.id;
      fill(tile, item);
    });
    for (const tile of free) tile.remove();
    if (activeId) this.#container.setAttribute('aria-activedescendant', activeId);
    else this.#container.removeAttribute('aria-activedescendant');
    visible(shown);
  }

  /** @param {number} id @param {HTMLElement} [free] one that is out of view */
  #newTile(id, free) {
    const tile = free ?? this.#options.create();
    if (!free) {
      tile.setAttribute('role', 'option');
      tile.style.width = `${this.#options.width}px`;
      tile.style.height = `${this.#options.height}px`;
      this.#content.append(tile);
    }
    tile.id = `${this.#container.id}-${id}`;
    this.#tiles.set(id, tile);
    return tile;
  }

  #reveal() {
    const index = this.#items.findIndex((item) => this.#options.key(item) === this.#active);
    if (index < 0) return;
    const top = Math.floor(index / this.#columns) * this.#options.height;
    const { scrollTop, clientHeight } = this.#container;
    if (top < scrollTop) this.#container.scrollTop = top;
    else if (top + this.#options.height > scrollTop + clientHeight) this.#container.scrollTop = top + this.#options.height - clientHeight;
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.target !== this.#container || event.ctrlKey || event.metaKey || event.altKey || this.#items.length === 0) return;
    const page = this.#columns * Math.max(1, Math.floor(this.#height / this.#options.height));
    const step = {
      ArrowRight: 1,
      ArrowLeft: -1,
      ArrowDown: this.#columns,
      ArrowUp: -this.#columns,
      PageDown: page,
      PageUp: -page,
      Home: -Infinity,
      End: Infinity,
    }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    const now = this.#items.findIndex((item) => this.#options.key(item) === this.#active);
    const next = now < 0 ? 0 : Math.min(Math.max(now + step, 0), this.#items.length - 1);
    this.#options.choose(this.#items[next], event);
  }
}
