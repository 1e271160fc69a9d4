// Long recordings: one player of the browser for each track, because decoded they would fill the memory.

import { call, token } from './api.js';
import { el, span } from './dom.js';
import { save } from './save.js';

/**
 * @param {import('./player.js').Part[]} parts
 * @param {number} seconds
 * @param {AbortSignal} signal
 */
export function longTracks(parts, seconds, signal) {
  const why = `This recording is ${span(seconds)} long. Its tracks together would fill the memory, so each has a player of its own.`;
  return el('div', { class: 'tracks' }, el('p', { class: 'note' }, why), ...parts.map((part) => track(part, signal)));
}

/** @param {import('./player.js').Part} part @param {AbortSignal} signal */
function track(part, signal) {
  const problem = el('p', { class: 'problem', hidden: true });
  const complain = (/** @type {string} */ message) => {
    problem.textContent = message;
    problem.hidden = false;
  };
  const audio = el('audio', { controls: true, preload: 'none', 'aria-label': part.name });
  const row = el('div', { class: 'track', role: 'group', 'aria-label': part.name },
    el('div', { class: 'track-head' }, el('span', { class: 'track-name' }, part.name),
      save(part.file, 'Download', `Download ${part.name}`, complain)), problem);
  if (token.get() === null) {
    audio.src = part.audio;
    row.append(audio);
    return row;
  }
  // The element cannot send the token: the page fetches the track, and only when it is wanted.
  const load = el('button', { type: 'button', class: 'quiet small', 'aria-label': `Load ${part.name}` }, 'Load');
  load.addEventListener('click', async () => {
    load.disabled = true;
    load.textContent = 'Loading';
    try {
      const address = URL.createObjectURL(await (await call(part.audio, { signal })).blob());
      signal.addEventListener('abort', () => URL.revokeObjectURL(address));
      audio.src = address;
      load.replaceWith(audio);
      audio.focus();
    } catch (error) {
      if (signal.aborted) return;
      complain(/** @type {Error} */ (error).message);
      load.disabled = false;
      load.textContent = 'Load';
    }
  });
  row.append(load);
  return row;
}
