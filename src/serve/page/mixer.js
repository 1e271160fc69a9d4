// Tracks that play in sync: one clock, one start time, a fader for each track.
//
//   source (a new one each time) → fade of this run → track.input → track.fader → output → speakers

/**
 * @typedef {object} Track
 * @property {string} name
 * @property {boolean} isMixture
 * @property {AudioBuffer} buffer
 * @property {GainNode} input before the fader
 * @property {GainNode} fader
 * @property {boolean} mute
 * @property {boolean} solo
 * @property {number} volume of the slider, 0..1
 */

// Long enough that a change of gain makes no click, short enough to seem immediate.
const RAMP = 0.02;
// A start that lies a little ahead gives all sources the same first sample.
const AHEAD = 0.03;

/** Plays tracks together. */
export class Mixer {
  /** @param {number} sampleRate of the recording, so that nothing is resampled where the browser can run at it */
  constructor(sampleRate) {
    try {
      this.context = new AudioContext({ sampleRate });
    } catch {
      this.context = new AudioContext();
    }
    this.output = this.context.createGain();
    this.output.connect(this.context.destination);
    /** @type {Track[]} */
    this.tracks = [];
    this.offset = 0;
    this.startedAt = 0;
    /** @type {{sources: AudioBufferSourceNode[], fade: GainNode[]}|null} */
    this.run = null;
    this.onEnd = () => {};
  }

  /** @param {string} name @param {boolean} isMixture @param {AudioBuffer} buffer @returns {Track} */
  add(name, isMixture, buffer) {
    const [input, fader] = [this.context.createGain(), this.context.createGain()];
    input.connect(fader).connect(this.output);
    const track = { name, isMixture, buffer, input, fader, mute: isMixture, solo: false, volume: 1 };
    this.tracks.push(track);
    fader.gain.value = this.gainOf(track);
    return track;
  }

  get duration() {
    return this.tracks.reduce((longest, track) => Math.max(longest, track.buffer.duration), 0);
  }

  get playing() {
    return this.run !== null;
  }

  /** Where the recording is heard now, in seconds. */
  get position() {
    if (!this.run) return this.offset;
    return Math.min(this.duration, this.offset + Math.max(0, this.context.currentTime - this.startedAt));
  }

  /**
   * Whether a track sounds: as on a mixing desk, once any track is soloed only soloed ones do, muted or not.
   * @param {Track} track
   */
  sounds(track) {
    return this.tracks.some((one) => one.solo) ? track.solo : !track.mute;
  }

  /** The square makes the slider's middle sound like half as loud, and leaves 1 exactly 1. @param {Track} track */
  gainOf(track) {
    return this.sounds(track) ? track.volume ** 2 : 0;
  }

  /** Brings the faders to where switches and sliders are. */
  balance() {
    for (const track of this.tracks) {
      const { gain } = track.fader;
      // Nodes that no sound passes are not computed, and a ramp would wait in them until the next start.
      if (this.playing) ramp(gain, this.gainOf(track), this.context.currentTime);
      else set(gain, this.gainOf(track));
    }
  }

  async play() {
    if (this.run) return;
    // Browsers start a context only after a gesture, which calling this is.
    await this.context.resume();
    if (this.offset >= this.duration) this.offset = 0;
    this.start();
  }

  start() {
    const when = this.context.currentTime + AHEAD;
    const fade = this.tracks.map((track) => {
      const gain = this.context.createGain();
      gain.connect(track.input);
      return gain;
    });
    const sources = this.tracks.map((track, index) => {
      const source = this.context.createBufferSource();
      source.buffer = track.buffer;
      source.connect(fade[index]);
      source.start(when, this.offset);
      return source;
    });
    this.startedAt = when;
    const run = { sources, fade };
    this.run = run;
    // The mixture and its sources are equally long; the last to end is the end.
    let left = sources.length;
    for (const source of sources) {
      source.onended = () => {
        left -= 1;
        if (left > 0 || this.run !== run) return;
        this.run = null;
        this.offset = this.duration;
        for (const gain of fade) gain.disconnect();
        this.onEnd();
      };
    }
  }

  pause() {
    this.offset = this.position;
    this.stop();
  }

  /** Fades this run out. */
  stop() {
    if (!this.run) return;
    const { sources, fade } = this.run;
    this.run = null;
    const now = this.context.currentTime;
    for (const gain of fade) ramp(gain.gain, 0, now);
    for (const source of sources) source.stop(now + RAMP);
    setTimeout(() => fade.forEach((gain) => gain.disconnect()), 1000 * RAMP + 100);
  }

  /** @param {number} seconds */
  seek(seconds) {
    const { playing } = this;
    this.stop();
    this.offset = Math.min(Math.max(0, seconds), this.duration);
    if (playing && this.offset < this.duration) this.start();
  }

  close() {
    this.stop();
    this.tracks = [];
    this.context.close();
  }
}

/** @param {AudioParam} param @param {number} value */
function set(param, value) {
  param.cancelScheduledValues(0);
  param.value = value;
}

/** @param {AudioParam} param @param {number} value @param {number} now */
function ramp(param, value, now) {
  const from = param.value;
  param.cancelScheduledValues(now);
  param.setValueAtTime(from, now);
  param.linearRampToValueAtTime(value, now + RAMP);
}
