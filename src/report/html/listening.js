// Listening: the tracks of a section play together, and one transport serves them all.
//
// The sound stays with the browser's audio elements. A page that is opened as a file may not read the files beside it, so
// nothing else can play them. The elements have no common clock: the track that is heard leads, and the others follow it.
// Without this script every element has the browser's own controls.
(() => {
  'use strict';

  // A track that is more than NEAR seconds away from the one that leads comes back by its speed, beyond FAR by a jump.
  const NEAR = 0.01;
  const FAR = 0.3;
  // Of a distance, a track makes up HASTE times as much in a second. Where it is heard, its speed changes little.
  const HASTE = 5;
  const MOST = { heard: 0.1, silent: 0.5 };

  /** An element with attributes, listeners and children. */
  const el = (tag, attributes, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (typeof value === 'function') element.addEventListener(name, value);
      else element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  };

  const clamp = (value, least, most) => Math.min(Math.max(value, least), most);

  const clock = (seconds) => {
    const whole = Math.floor(seconds);
    return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
  };

  /** One track: its sound, its switches, and the playhead in its picture. */
  class Track {
    constructor(room, section, isFirst) {
      this.room = room;
      this.section = section;
      this.audio = room.querySelector('audio');
      this.audio.controls = false;
      this.failed = false;
      this.mute = !isFirst;
      this.solo = false;
      const label = room.querySelector('.label');
      const name = label.textContent;
      const toggle = (text, click) => el('button', {
        type: 'button', class: `toggle ${text.toLowerCase()}`, 'aria-label': `${text} ${name}`, click: () => { click(); section.balance(); },
      }, text);
      this.soloButton = toggle('Solo', () => section.choose(this));
      this.muteButton = toggle('Mute', () => { this.mute = !this.mute; this.solo = false; });
      const volume = el('input', {
        type: 'range', min: 0, max: 1, step: 0.05, value: 1, 'aria-label': `Volume of ${name}`,
        // The square makes the middle of the slider sound half as loud.
        input: () => { this.audio.volume = volume.value ** 2; },
      });
      const head = el('div', { class: 'track-head' });
      label.before(head);
      head.append(label, el('div', { class: 'switches' }, this.soloButton, this.muteButton, volume));
      this.audio.addEventListener('durationchange', () => section.show());
      this.audio.addEventListener('error', () => this.fail());
      // The browser or the system may stop a track.
      this.audio.addEventListener('pause', () => { if (!this.audio.ended) section.pause(); });
      this.draw();
    }

    /** A playhead over the images that span the recording. A click into them seeks. */
    draw() {
      const svg = this.room.querySelector('svg');
      const images = [...(svg?.querySelectorAll('image') ?? [])];
      const [first] = images;
      if (!first) return;
      const number = (image, name) => Number(image.getAttribute(name));
      const over = images.filter((image) => number(image, 'x') === number(first, 'x'));
      const last = over[over.length - 1];
      this.span = { start: number(first, 'x'), width: number(first, 'width') };
      this.playhead = document.createElementNS(svg.namespaceURI, 'line');
      this.playhead.setAttribute('class', 'playhead');
      this.playhead.setAttribute('y1', number(first, 'y'));
      this.playhead.setAttribute('y2', number(last, 'y') + number(last, 'height'));
      svg.append(this.playhead);
      svg.classList.add('seeks');
      svg.addEventListener('click', (event) => {
        const box = first.getBoundingClientRect();
        this.section.seek(clamp((event.clientX - box.left) / box.width, 0, 1) * this.section.duration);
      });
    }

    get duration() {
      return Number.isFinite(this.audio.duration) ? this.audio.duration : 0;
    }

    /** Whether it moves. A track that is shorter than another one ends before it. */
    get runs() {
      return !this.failed && !this.audio.paused && !this.audio.ended;
    }

    start(place) {
      if (this.failed || (this.duration && place >= this.duration)) return;
      this.audio.play().catch((cause) => { if (cause.name === 'NotAllowedError') this.section.pause(); });
    }

    follow(leader) {
      const late = leader.audio.currentTime - this.audio.currentTime;
      if (Math.abs(late) > FAR && !this.audio.seeking) this.audio.currentTime = leader.audio.currentTime;
      const most = this.audio.muted ? MOST.silent : MOST.heard;
      this.audio.playbackRate = Math.abs(late) > NEAR ? 1 + clamp(HASTE * late, -most, most) : 1;
    }

    fail() {
      if (this.failed) return;
      this.failed = true;
      this.room.append(el('p', { class: 'problem' }, 'This track cannot be played: its file is missing, or the browser cannot read it.'));
      this.section.show();
    }

    /** Shows the switches, and lets the track sound or not. */
    balance(sounds) {
      this.audio.muted = !sounds;
      this.room.classList.toggle('silent', !sounds);
      this.soloButton.setAttribute('aria-pressed', this.solo);
      this.muteButton.setAttribute('aria-pressed', this.mute);
    }

    showPlace(share) {
      if (!this.playhead) return;
      const x = this.span.start + clamp(share, 0, 1) * this.span.width;
      this.playhead.setAttribute('x1', x);
      this.playhead.setAttribute('x2', x);
    }
  }

  /** The tracks of one recording and their transport. */
  class Section {
    constructor(room) {
      this.room = room;
      this.playing = false;
      this.place = 0;
      this.button = el('button', { type: 'button', class: 'main', click: () => this.toggle() }, 'Play');
      this.slider = el('input', {
        type: 'range', min: 0, max: 0, step: 'any', value: 0, 'aria-label': 'Position',
        input: () => this.seek(Number(this.slider.value)), keydown: (event) => this.keys(event),
      });
      this.time = el('span', { class: 'time' });
      room.querySelector('.columns').before(el('div', { class: 'transport' }, this.button, this.slider, this.time));
      this.tracks = [];
      for (const track of room.querySelectorAll('.track')) this.tracks.push(new Track(track, this, !this.tracks.length));
      // A click makes the section a place of the keyboard, for the space bar.
      room.tabIndex = -1;
      room.addEventListener('keydown', (event) => {
        if (event.key !== ' ' || event.target.closest('button, audio')) return;
        event.preventDefault();
        this.toggle();
      });
      this.balance();
      this.show();
    }

    /** Loads what is needed to know how long the tracks are. */
    prepare() {
      for (const { audio } of this.tracks) audio.preload = 'metadata';
    }

    get duration() {
      return Math.max(0, ...this.tracks.map((track) => track.duration));
    }

    sounds(track) {
      return this.tracks.some((one) => one.solo) ? track.solo : !track.mute;
    }

    /** Only one track is alone: tracks are compared by going from one to the next. */
    choose(chosen) {
      for (const track of this.tracks) track.solo = track === chosen && !track.solo;
    }

    balance() {
      for (const track of this.tracks) track.balance(this.sounds(track));
    }

    toggle() {
      if (this.playing) this.pause();
      else this.play();
    }

    play() {
      for (const section of sections) if (section !== this) section.pause();
      if (this.place >= this.duration) this.seek(0);
      this.playing = true;
      for (const track of this.tracks) track.start(this.place);
      this.tick();
    }

    pause() {
      if (!this.playing) return;
      this.playing = false;
      for (const { audio } of this.tracks) audio.pause();
      // All at one place, so that they start there together.
      this.seek(this.place);
    }

    seek(seconds) {
      this.place = clamp(seconds, 0, this.duration);
      for (const track of this.tracks) {
        track.audio.currentTime = this.place;
        track.audio.playbackRate = 1;
        if (this.playing) track.start(this.place);
      }
      this.show();
    }

    /** A slider's own steps by keyboard would be a hundredth of the length. */
    keys(event) {
      const step = this.duration < 30 ? 0.5 : 5;
      const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -6, PageUp: 6 }[event.key];
      if (steps === undefined) return;
      event.preventDefault();
      this.seek(this.place + steps * step);
    }

    /** Keeps the tracks together while they play. */
    tick() {
      if (!this.playing) return;
      const running = this.tracks.filter((track) => track.runs);
      const leader = running.find((track) => this.sounds(track)) ?? running[0];
      if (leader) {
        leader.audio.playbackRate = 1;
        for (const track of running) if (track !== leader) track.follow(leader);
        this.place = leader.audio.currentTime;
        requestAnimationFrame(() => this.tick());
      } else {
        this.playing = false;
        this.place = this.duration;
      }
      this.show();
    }

    show() {
      const { place, duration } = this;
      const say = (element, text) => { if (element.textContent !== text) element.textContent = text; };
      say(this.button, this.playing ? 'Pause' : 'Play');
      say(this.time, `${clock(place)} / ${clock(duration)}`);
      this.slider.max = duration;
      this.slider.value = place;
      // Only once a second, or a screen reader on the slider would never be quiet.
      const spoken = `${clock(place)} of ${clock(duration)}`;
      if (this.slider.getAttribute('aria-valuetext') !== spoken) this.slider.setAttribute('aria-valuetext', spoken);
      for (const track of this.tracks ?? []) track.showPlace(duration ? place / duration : 0);
    }
  }

  const sections = [...document.querySelectorAll('section.listening')].map((room) => new Section(room));
  const near = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      sections.find((section) => section.room === target).prepare();
    }
  }, { rootMargin: '400px' });
  for (const { room } of sections) near.observe(room);
})();
