/**
 * A mask that is being painted, pixel by pixel: the outline of it is traced only when the stroke ends. It is kept in tiles, so
 * that a change costs what it touches, however large the mask is.
 */

/** @typedef {import('./geometry.js').Box} Box of whole pixels here */
/** @typedef {{x: number, y: number, width: number, height: number, pixels: Uint8Array}} MaskPixels column by column, 0 or 1 */

const TILE = 512;
/** How much of the image is seen through the mask. */
const ALPHA = 0.38;

export class MaskPicture {
  /** @type {Map<string, {x: number, y: number, context: CanvasRenderingContext2D}>} */ #tiles = new Map();
  #style;
  /** A pixel of the mask as the bytes of an image have it. */ #color;

  /** @param {string} color any that CSS knows */
  constructor(color) {
    this.#style = color;
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = 1;
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    context.fillStyle = color;
    context.fillRect(0, 0, 1, 1);
    this.#color = new Uint32Array(context.getImageData(0, 0, 1, 1).data.buffer)[0];
  }

  /**
   * Shows what is there before the first stroke: by its outline where that is known, which takes a large mask a tenth of the time.
   * @param {MaskPixels} mask @param {Path2D|null} outline along the edges of pixels
   */
  start(mask, outline) {
    const { x, y, width, height } = mask;
    if (!outline) {
      this.update(mask, [x, y, x + width, y + height]);
      return;
    }
    for (let column = Math.floor(x / TILE); column * TILE < x + width; column += 1) {
      for (let row = Math.floor(y / TILE); row * TILE < y + height; row += 1) {
        const tile = this.#tile(column, row);
        tile.save();
        tile.translate(-column * TILE, -row * TILE);
        tile.fillStyle = this.#style;
        tile.fill(outline, 'evenodd');
        tile.restore();
      }
    }
  }

  /** Takes over the pixels of a box. @param {MaskPixels} mask @param {Box} box */
  update(mask, [x1, y1, x2, y2]) {
    for (let x = Math.floor(x1 / TILE); x * TILE < x2; x += 1) {
      for (let y = Math.floor(y1 / TILE); y * TILE < y2; y += 1) {
        const [left, top] = [Math.max(x1, x * TILE), Math.max(y1, y * TILE)];
        const [right, bottom] = [Math.min(x2, (x + 1) * TILE), Math.min(y2, (y + 1) * TILE)];
        this.#tile(x, y).putImageData(this.#read(mask, [left, top, right, bottom]), left - x * TILE, top - y * TILE);
      }
    }
  }

  /** @param {MaskPixels} mask @param {Box} box within one tile */
  #read({ x, y, width, height, pixels }, [left, top, right, bottom]) {
    const image = new ImageData(right - left, bottom - top);
    const colors = new Uint32Array(image.data.buffer);
    const [first, last] = [Math.max(top, y), Math.min(bottom, y + height)];
    for (let column = Math.max(left, x); column < Math.min(right, x + width); column += 1) {
      const start = (column - x) * height - y;
      for (let row = first; row < last; row += 1) {
        if (pixels[start + row]) colors[(row - top) * image.width + column - left] = this.#color;
      }
    }
    return image;
  }

  /** @param {number} x @param {number} y in tiles */
  #tile(x, y) {
    const key = `${x} ${y}`;
    const known = this.#tiles.get(key);
    if (known) return known.context;
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = TILE;
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    this.#tiles.set(key, { x: x * TILE, y: y * TILE, context });
    return context;
  }

  /** @param {CanvasRenderingContext2D} context @param {import('./view.js').View} view */
  draw(context, view) {
    context.save();
    context.globalAlpha = ALPHA;
    context.imageSmoothingEnabled = view.scale < 1;
    for (const { x, y, context: tile } of this.#tiles.values()) {
      // On whole pixels of the screen, so that no seam is seen between tiles.
      const [left, top] = view.toScreen(x, y).map(Math.round);
      const [right, bottom] = view.toScreen(x + TILE, y + TILE).map(Math.round);
      if (right < 0 || bottom < 0 || left > view.width || top > view.height) continue;
      context.drawImage(tile.canvas, left, top, right - left, bottom - top);
    }
    context.restore();
  }
}
