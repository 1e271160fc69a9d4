// One track of the player: its name, switches, volume, and picture.

import { call } from './api.js';
import { el, newId, say } from './dom.js';
import { save } from './save.js';

/** A row of the player. */
export class TrackRow {
  /**
   * @param {import('./mixer.js').Track} track
   * @param {import('./player.js').Part} part
   * @param {{changed: () => void, seek: (share: number) => void}} actions
   */
  constructor(track, part, { changed, seek }) {
    this.track = track;
    this.part = part;
    const { name } = track;
    const volume = newId();
    const toggle = (/** @type {string} */ text, /** @type {() => void} */ onclick) => el('button', {
      type: 'button', class: `toggle ${text.toLowerCase()}`, 'aria-label': `${text} ${name}`, onclick: () => { onclick(); changed(); },
    }, text);
    this.mute = toggle('Mute', () => {
      track.mute = !track.mute;
      // Who mutes a track does not want it soloed.
      if (track.mute) track.solo = false;
    });
    this.solo = toggle('Solo', () => { track.solo = !track.solo; });
    this.volume = el('input', {
      id: volume, type: 'range', min: 0, max: 100, step: 5, value: 100, 'aria-label': `Volume of ${name}`, 'aria-valuetext': '100 %',
      oninput: () => {
        track.volume = this.volume.value / 100;
        this.volume.setAttribute('aria-valuetext', `${this.volume.value} %`);
        changed();
      },
    });
    this.problem = el('p', { class: 'note', hidden: true });
    this.image = el('img', { alt: `Spectrogram of ${name}`, hidden: true, draggable: false });
    this.head = el('div', { class: 'playhead' });
    // A click seeks. By keyboard the position slider does the same for all tracks.
    this.picture = el('div', {
      class: 'picture', onclick: (/** @type {MouseEvent} */ event) => {
        const box = this.picture.getBoundingClientRect();
        seek((event.clientX - box.left) / box.width);
      },
    }, this.image, this.problem, this.head);
    this.element = el('div', { class: 'track', role: 'group', 'aria-label': name },
      el('div', { class: 'track-head' },
        el('span', { class: 'track-name' }, name),
        el('div', { class: 'row' }, this.mute, this.solo,
          el('label', { class: 'volume', for: volume }, el('span', { class: 'note', 'aria-hidden': 'true' }, 'Volume'), this.volume),
          save(part.file, 'Download', `Download ${name}`, (message) => say(this.problem, message)))),
      this.picture);
  }

  /** @param {boolean} sounds */
  show(sounds) {
    this.mute.setAttribute('aria-pressed', String(this.track.mute));
    this.solo.setAttribute('aria-pressed', String(this.track.solo));
    this.element.classList.toggle('silent', !sounds);
  }

  /** @param {number} share of the recording */
  showPlace(share) {
    this.head.style.left = `${100 * share}%`;
  }

  /** Fetched, not addressed: an image cannot send the token. @param {AbortSignal} signal */
  async loadPicture(signal) {
    try {
      const blob = await (await call(this.part.picture, { signal })).blob();
      if (signal.aborted) return;
      this.image.src = this.address = URL.createObjectURL(blob);
      await this.image.decode();
      this.image.hidden = false;
    } catch (error) {
      if (!signal.aborted) say(this.problem, `No picture: ${/** @type {Error} */ (error).message}`);
    }
  }

  close() {
    if (this.address) URL.revokeObjectURL(this.address);
  }
}
