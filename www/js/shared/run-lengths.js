/**
 * COCO's run lengths (column by column, background first) as numbers. The engine reads them too; here they are read to check a
 * saved project, which must open where no worker starts, and to sort by area. What the two say of a mask is compared by tests.
 */

/** @param {import('../engine/protocol.js').Rle} rle @returns {{width: number, height: number, counts: ArrayLike<number>}} */
export function runs(rle) {
  const [height, width] = rle.size;
  return { width, height, counts: typeof rle.counts === 'string' ? fromCoco(rle.counts) : rle.counts };
}

/** The compressed string of pycocotools: six bits a character, each count from the third on as a difference. @param {string} text */
function fromCoco(text) {
  /** @type {number[]} */
  const counts = [];
  for (let at = 0; at < text.length;) {
    let value = 0;
    for (let shift = 0; ; shift += 5) {
      const bits = text.charCodeAt(at++) - 48;
      value |= (bits & 31) << shift;
      if (bits & 32) continue;
      if (bits & 16) value |= -1 << (shift + 5);
      break;
    }
    counts.push(counts.length > 2 ? value + counts[counts.length - 2] : value);
  }
  return counts;
}

/** Pixels of a mask. @param {import('../engine/protocol.js').Rle} rle */
export function area(rle) {
  const { counts } = runs(rle);
  let sum = 0;
  for (let i = 1; i < counts.length; i += 2) sum += counts[i];
  return sum;
}
