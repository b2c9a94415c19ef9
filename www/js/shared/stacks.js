/** What an image is of a stack, in words. */

const PROJECTIONS = { plane: '', max: 'maximum of ', mean: 'mean of ', sharpest: 'sharpest: ' };

/** `z 3/5, t 1/2`; `maximum of z 1–5`. @param {import('../engine/protocol.js').StackPlane} stack */
export function stackWords({ slices, frames, projection, z, t }) {
  const axis = (/** @type {string} */ name, /** @type {number|null|undefined} */ at, /** @type {number} */ count) =>
    count < 2 ? [] : [at ? `${name} ${at}/${count}` : `${name} 1–${count}`];
  return PROJECTIONS[projection] + [...axis('z', z, slices), ...axis('t', t, frames)].join(', ');
}
