/** The line under the canvas: what the image is, where the pointer is, and the zoom. */
import { byId } from '../ui/dom.js';
import { level } from '../shared/levels.js';
import { stackWords } from '../shared/stacks.js';
import { currentImage, store } from '../shared/page-state.js';

/** @param {import('./viewer.js').Viewer} viewer */
export function startStatus(viewer) {
  const zoom = byId('zoom-value');
  const place = byId('place');
  viewer.onview = () => {
    zoom.textContent = store.state.opened ? `${Math.round(viewer.view.scale * 100)} %` : '';
  };
  viewer.onpointer = (point) => {
    const { opened } = store.state;
    const inside = opened && point && point.x >= 0 && point.y >= 0 && point.x < opened.width && point.y < opened.height;
    place.textContent = inside ? `${Math.floor(point.x)}, ${Math.floor(point.y)}` : '';
  };
  byId('zoom-in').addEventListener('click', () => viewer.zoom(1.25));
  byId('zoom-out').addEventListener('click', () => viewer.zoom(0.8));
  byId('zoom-fit').addEventListener('click', () => viewer.move((view) => view.fit()));
  byId('zoom-one').addEventListener('click', () => viewer.move((view) => view.zoomTo(1)));

  store.subscribe(['opened', 'current', 'images', 'saving'], ({ opened, images, saving }) => {
    const image = currentImage();
    byId('empty').hidden = images.length > 0 || saving.phase === 'opening';
    byId('viewport').setAttribute('aria-label', image ? `Image ${image.name}` : 'Image view, empty');
    const facts = [];
    if (image) facts.push(image.name);
    if (opened) {
      const { bits, black, whiteLevel } = opened;
      const depth = bits === 8 ? '8 bit' : `${bits} bit, ${black ? `black = ${level(black, bits)}, ` : ''}white = ${level(whiteLevel, bits)}`;
      facts.push(`${opened.width} × ${opened.height}`, depth);
    }
    if (opened?.stack) facts.push(stackWords(opened.stack));
    if (image?.fill.length) facts.push(`${image.fill.join(', ')} filled with black`);
    byId('facts').textContent = facts.join(' · ');
    const warnings = byId('warnings');
    warnings.hidden = !opened?.warnings.length;
    warnings.textContent = opened?.warnings.join(' ') ?? '';
    for (const id of /** @type {const} */ (['zoom-in', 'zoom-out', 'zoom-fit', 'zoom-one'])) byId(id).disabled = !opened;
    viewer.onview();
  });
}
