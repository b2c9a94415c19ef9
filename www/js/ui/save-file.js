/** Files that leave the page. */
import { announce, el } from './dom.js';

/** @type {Record<string, string>} */
const TYPES = { json: 'application/json', xml: 'application/xml', png: 'image/png', zip: 'application/zip', csv: 'text/csv', html: 'text/html' };

/** Gives a file to the user. @param {string} name @param {Blob|Uint8Array<ArrayBuffer>} content */
export function save(name, content) {
  const blob = content instanceof Blob ? content : new Blob([content], { type: TYPES[name.split('.').pop() ?? ''] ?? 'text/plain' });
  const url = URL.createObjectURL(blob);
  const link = el('a', { href: url, download: name });
  link.click();
  // The browser reads the blob after the click; a minute is more than it needs.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
  announce(`${name} downloaded.`);
}
