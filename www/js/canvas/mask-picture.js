/**
 * A mask that is being painted, pixel by pixel: the outline of it is traced only when the stroke ends. It is kept in tiles, so
 * that a change costs what it touches, however large the mask is.
 */

/** @typedef {import('./geometry.js').Box} Box of whole pixels here */
/** @typedef {{x: number, y: number, width: number, height: number, pixels: Uint8Array}} MaskPixels column by column, 0 or 1 */

const TILE = 512;
/** Opacity of the inside, through which the image is seen; the pixels at the edge are solid. */
const INSIDE = 0.35;

export class MaskPicture {
  /** @type {Map<string, {x: number, y: number, context: CanvasRenderingContext2D}>} */ #tiles = new Map();
  #style;
  /** A pixel inside the mask, and one at its edge, as the bytes of an image have it. */ #inside;
  #edge;

  /** @param {string} color any that CSS knows */
  constructor(color) {
    this.#style = color;
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = 1;
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    context.fillStyle = color;
    context.fillRect(0, 0, 1, 1);
    const { data } = context.getImageData(0, 0, 1, 1);
    this.#edge = new Uint32Array(data.buffer)[0];
    const [red, green, blue] = data;
    this.#inside = new Uint32Array(new Uint8Array([red, green, blue, Math.round(255 * INSIDE)]).buffer)[0];
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
        tile.fillStyle = tile.strokeStyle = this.#style;
        tile.clip(outline, 'evenodd');
        tile.globalAlpha = INSIDE;
        tile.fill(outline, 'evenodd');
        tile.globalAlpha = 1;
        // The half of the line that lies outside is clipped.
        tile.lineWidth = 2;
        tile.stroke(outline);
        tile.restore();
      }
    }
  }

  /** Takes over the pixels of a box that have changed. @param {MaskPixels} mask @param {Box} box */
  update(mask, box) {
    // Beside it, pixels may have come to the edge.
    const [x1, y1, x2, y2] = [Math.max(0, box[0] - 1), Math.max(0, box[1] - 1), box[2] + 1, box[3] + 1];
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
      const [hasLeft, hasRight] = [column > x, column < x + width - 1];
      for (let row = first; row < last; row += 1) {
        const at = start + row;
        if (!pixels[at]) continue;
        const isInside =
          hasLeft && pixels[at - height] && hasRight && pixels[at + height] && row > y && pixels[at - 1] && row < y + height - 1 && pixels[at + 1];
        colors[(row - top) * image.width + column - left] = isInside ? this.#inside : this.#edge;
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
