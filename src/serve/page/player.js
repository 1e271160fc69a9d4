// The player of a finished job: loads its tracks, and shows them one below the other.

import { call, jobPath } from './api.js';
import { announce, clock, el, newId, say } from './dom.js';
import { longTracks } from './long.js';
import { Mixer } from './mixer.js';
import { TrackRow } from './track.js';

/** @typedef {import('./api.js').Job} Job */
/** @typedef {{name: string, isMixture: boolean, audio: string, picture: string, file: string}} Part */

// Decoded samples are held in memory: four bytes each, for every channel of every track.
const MOST_SECONDS = 20 * 60;
const MOST_BYTES = 1.5e9;

/** The mixture and the sources of a job. @param {Job} job @returns {Part[]} */
export function partsOf(job) {
  const of = (/** @type {string[]} */ ...parts) => jobPath(job.id, ...parts);
  const mixture = {
    name: 'mixture', isMixture: true, audio: `${of('recording')}?format=wav`, picture: of('recording', 'spectrogram'), file: of('recording'),
  };
  const sources = (job.results ?? []).map(({ source }) => ({
    name: source, isMixture: false, audio: of('results', source), picture: of('results', source, 'spectrogram'), file: of('results', source),
  }));
  return [mixture, ...sources];
}

/** The player that is open. The tests listen to it. @type {Player|null} */
export let current = null;

/** A player inside an element. */
export class Player {
  /** @param {Job} job @param {HTMLElement} room */
  constructor(job, room) {
    this.job = job;
    this.stop = new AbortController();
    /** @type {Mixer|null} */
    this.mixer = null;
    /** @type {TrackRow[]} */
    this.rows = [];
    this.element = el('section', { class: 'player', 'aria-label': `Player of ${job.recording?.name ?? job.id}` });
    room.replaceChildren(this.element);
    current = this;
    const { seconds = 0, channels = 1, sample_rate: rate = 48_000 } = job.recording ?? {};
    const parts = partsOf(job);
    if (seconds > MOST_SECONDS || seconds * channels * rate * 4 * parts.length > MOST_BYTES) {
      this.element.append(longTracks(parts, seconds, this.stop.signal));
    } else {
      this.load(parts, rate).catch((error) => this.fail(error));
    }
  }

  /** @param {Error} error */
  fail(error) {
    if (!this.stop.signal.aborted) this.element.replaceChildren(el('p', { class: 'problem' }, error.message));
  }

  /** @param {Part[]} parts @param {number} rate */
  async load(parts, rate) {
    const status = el('p', { class: 'note' });
    const bar = el('progress', { max: parts.length, value: 0, 'aria-label': 'Loading of the tracks' });
    this.element.append(status, bar);
    const mixer = new Mixer(rate);
    this.mixer = mixer;
    const loaded = [];
    const problems = [];
    // One after the other: less memory at once, and connections stay free for the rest of the page.
    for (const [index, part] of parts.entries()) {
      say(status, `Loading ${index + 1} of ${parts.length}: ${part.name}`);
      bar.value = index;
      try {
        const buffer = await this.fetchTrack(part, mixer);
        if (this.stop.signal.aborted) return;
        mixer.add(part.name, part.isMixture, buffer);
        loaded.push(part);
      } catch (error) {
        if (this.stop.signal.aborted) return;
        // One track that is missing does not silence the others.
        problems.push(`${part.name}: ${/** @type {Error} */ (error).message}`);
      }
    }
    if (!loaded.length) throw new Error(problems.join(' '));
    this.show(loaded, mixer);
    for (const problem of problems) this.element.append(el('p', { class: 'problem' }, problem));
    announce(`Ready to play: ${loaded.map((part) => part.name).join(', ')}`);
    // One after the other again, and only now: sound comes before pictures.
    for (const row of this.rows) await row.loadPicture(this.stop.signal);
  }

  /** @param {Part} part @param {Mixer} mixer */
  async fetchTrack(part, mixer) {
    const response = await call(part.audio, { signal: this.stop.signal });
    const bytes = await response.arrayBuffer();
    return mixer.context.decodeAudioData(bytes).catch(() => {
      throw new Error('This browser cannot decode it. Download it to listen to it.');
    });
  }

  /** @param {Part[]} parts @param {Mixer} mixer */
  show(parts, mixer) {
    const seekId = newId();
    this.button = el('button', { type: 'button', class: 'main play', onclick: () => this.toggle() }, 'Play');
    this.seek = el('input', {
      id: seekId, type: 'range', min: 0, max: mixer.duration, step: 'any', value: 0, 'aria-label': 'Position',
      oninput: () => this.jump(Number(this.seek.value)),
      onkeydown: (/** @type {KeyboardEvent} */ event) => this.keys(event),
    });
    this.time = el('span', { class: 'time' });
    this.rows = mixer.tracks.map((track, index) => new TrackRow(track, parts[index], {
      changed: () => this.rebalance(), seek: (share) => this.jump(share * mixer.duration),
    }));
    this.listen = { sources: this.compare('Sources', false), mixture: this.compare('Mixture', true) };
    this.element.replaceChildren(
      el('div', { class: 'transport' }, this.button, this.seek, this.time),
      el('div', { class: 'compare', role: 'group', 'aria-label': 'Listen to' },
        el('span', { class: 'note', 'aria-hidden': 'true' }, 'Listen to'), this.listen.sources, this.listen.mixture),
      ...this.rows.map((row) => row.element));
    mixer.onEnd = () => this.showState();
    this.rebalance();
    this.showState();
  }

  /** A switch between the sources and the mixture. @param {string} text @param {boolean} mixture */
  compare(text, mixture) {
    return el('button', {
      type: 'button', class: 'toggle', onclick: () => {
        for (const track of this.mixer?.tracks ?? []) {
          track.mute = track.isMixture !== mixture;
          track.solo = false;
        }
        this.rebalance();
      },
    }, text);
  }

  rebalance() {
    const { mixer, listen } = this;
    if (!mixer || !listen) return;
    mixer.balance();
    for (const row of this.rows) row.show(mixer.sounds(row.track));
    // Pressed where exactly this is heard; neither is after a change by hand.
    const heard = (/** @type {boolean} */ mixture) => mixer.tracks.every((track) => mixer.sounds(track) === (track.isMixture === mixture));
    listen.sources.setAttribute('aria-pressed', String(heard(false)));
    listen.mixture.setAttribute('aria-pressed', String(heard(true)));
  }

  async toggle() {
    if (!this.mixer) return;
    if (this.mixer.playing) this.mixer.pause();
    else await this.mixer.play();
    this.showState();
  }

  /** @param {number} seconds */
  jump(seconds) {
    this.mixer?.seek(seconds);
    this.showState();
  }

  /** A slider's own steps by keyboard would be a hundredth of the length. @param {KeyboardEvent} event */
  keys(event) {
    if (!this.mixer) return;
    const step = this.mixer.duration < 30 ? 0.5 : 5;
    const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -6, PageUp: 6 }[event.key];
    if (steps === undefined) return;
    event.preventDefault();
    this.jump(this.mixer.position + steps * step);
  }

  /** Shows whether it plays, and keeps the place moving while it does. */
  showState() {
    const { mixer } = this;
    if (!mixer || !this.button) return;
    say(this.button, mixer.playing ? 'Pause' : 'Play');
    this.showPlace();
    cancelAnimationFrame(this.frame ?? 0);
    if (mixer.playing) this.frame = requestAnimationFrame(() => this.showState());
  }

  showPlace() {
    const { mixer } = this;
    if (!mixer) return;
    const { position, duration } = mixer;
    this.seek.value = position;
    const text = `${clock(position)} of ${clock(duration)}`;
    // Only once a second, or a screen reader on the slider would never be quiet.
    if (this.seek.getAttribute('aria-valuetext') !== text) this.seek.setAttribute('aria-valuetext', text);
    say(this.time, `${clock(position)} / ${clock(duration)}`);
    for (const row of this.rows) row.showPlace(duration ? position / duration : 0);
  }

  close() {
    this.stop.abort();
    cancelAnimationFrame(this.frame ?? 0);
    this.mixer?.close();
    for (const row of this.rows) row.close();
    this.element.remove();
    if (current === this) current = null;
  }
}
