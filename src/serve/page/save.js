// Links that save a file of the service.

import { call, token } from './api.js';
import { el } from './dom.js';

/**
 * A link that saves what is at `path`. Without a token the browser fetches it by itself, straight to disk, however large
 * it is. With one the page must fetch it, because a link cannot send the header.
 * @param {string} path
 * @param {string} text
 * @param {string} label
 * @param {(message: string) => void} onError
 */
export function save(path, text, label, onError) {
  const link = el('a', { class: 'button quiet small', href: path, download: '', 'aria-label': label }, text);
  link.addEventListener('click', async (/** @type {Event} */ event) => {
    if (token.get() === null) return;
    event.preventDefault();
    if (link.getAttribute('aria-busy') === 'true') return;
    link.setAttribute('aria-busy', 'true');
    try {
      const response = await call(path);
      const name = fileName(response.headers.get('Content-Disposition')) ?? 'download';
      give(await response.blob(), name);
    } catch (error) {
      onError(/** @type {Error} */ (error).message);
    }
    link.removeAttribute('aria-busy');
  });
  return link;
}

/** Hands a file to the user. @param {Blob} blob @param {string} name */
function give(blob, name) {
  const address = URL.createObjectURL(blob);
  el('a', { href: address, download: name }).click();
  // The browser reads it after this turn; a minute is ample.
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/**
 * The file name of a Content-Disposition: `filename*` of RFC 5987 before the plain `filename`.
 * @param {string|null} header
 * @returns {string|null}
 */
export function fileName(header) {
  if (header === null) return null;
  const coded = /;\s*filename\*\s*=\s*utf-8'[^']*'([^;\s]+)/i.exec(header);
  if (coded) {
    try {
      return decodeURIComponent(coded[1]);
    } catch {
      // Badly coded: the plain name is left.
    }
  }
  const plain = /;\s*filename\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s]+))/i.exec(header);
  return plain ? (plain[1]?.replace(/\\(.)/g, '$1') ?? plain[2]) : null;
}
