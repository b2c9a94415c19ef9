/** Where the image lies on the screen: `screen = image * scale + offset`, in CSS pixels. Pure arithmetic. */

/** CSS pixels per image pixel. */
export const MAX_SCALE = 64;
/** Part of the image that stays on the screen however far it is pushed, in CSS pixels. */
const MARGIN = 48;

export class View {
  scale = 1;
  offsetX = 0;
  offsetY = 0;
  width = 0;
  height = 0;
  imageWidth = 0;
  imageHeight = 0;
  /** Whether the image fills the view, and stays that way when the view is resized. */
  fitted = true;

  /** @param {number} width @param {number} height of the view, in CSS pixels */
  resize(width, height) {
    const dx = (width - this.width) / 2;
    const dy = (height - this.height) / 2;
    this.width = width;
    this.height = height;
    if (this.fitted) this.fit();
    else this.pan(dx, dy);
  }

  /** @param {number} width @param {number} height of the image, in pixels */
  setImage(width, height) {
    const same = width === this.imageWidth && height === this.imageHeight;
    this.imageWidth = width;
    this.imageHeight = height;
    if (!same || this.fitted) this.fit();
  }

  get fitScale() {
    if (!this.imageWidth || !this.width) return 1;
    const scale = Math.min((this.width - 16) / this.imageWidth, (this.height - 16) / this.imageHeight);
    return Math.min(Math.max(scale, 1e-3), MAX_SCALE);
  }

  fit() {
    this.scale = this.fitScale;
    this.offsetX = (this.width - this.imageWidth * this.scale) / 2;
    this.offsetY = (this.height - this.imageHeight * this.scale) / 2;
    this.fitted = true;
  }

  /** Zooms so that the point under (x, y) stays where it is. @param {number} scale @param {number} x @param {number} y */
  zoomTo(scale, x = this.width / 2, y = this.height / 2) {
    const next = Math.min(Math.max(scale, Math.min(this.fitScale, 1) / 4), MAX_SCALE);
    const ratio = next / this.scale;
    this.offsetX = x - (x - this.offsetX) * ratio;
    this.offsetY = y - (y - this.offsetY) * ratio;
    this.scale = next;
    this.fitted = false;
    this.#keepOnScreen();
  }

  /** @param {number} dx @param {number} dy in CSS pixels */
  pan(dx, dy) {
    this.offsetX += dx;
    this.offsetY += dy;
    this.fitted = false;
    this.#keepOnScreen();
  }

  /** Brings a box of the image into view where it is not. @param {[number, number, number, number]} box */
  reveal([x1, y1, x2, y2]) {
    const [left, top] = this.toScreen(x1, y1);
    const [right, bottom] = this.toScreen(x2, y2);
    if (left >= 0 && top >= 0 && right <= this.width && bottom <= this.height) return;
    this.pan(this.width / 2 - (left + right) / 2, this.height / 2 - (top + bottom) / 2);
  }

  /** @returns {[number, number]} @param {number} x @param {number} y */
  toScreen(x, y) {
    return [x * this.scale + this.offsetX, y * this.scale + this.offsetY];
  }

  /** @returns {[number, number]} @param {number} x @param {number} y */
  toImage(x, y) {
    return [(x - this.offsetX) / this.scale, (y - this.offsetY) / this.scale];
  }

  #keepOnScreen() {
    const w = this.imageWidth * this.scale;
    const h = this.imageHeight * this.scale;
    this.offsetX = Math.min(Math.max(this.offsetX, MARGIN - w), this.width - MARGIN);
    this.offsetY = Math.min(Math.max(this.offsetY, MARGIN - h), this.height - MARGIN);
  }
}
