// One job in the list.

import { confirm } from './dialogs.js';
import { counted, el, moment, newId, say, span } from './dom.js';
import { save } from './save.js';
import { jobPath } from './api.js';
import { Player } from './player.js';

/** @typedef {import('./api.js').Job} Job */

/** @type {Record<Job['state'], string>} */
const STATES = { queued: 'Queued', running: 'Running', done: 'Done', failed: 'Failed', cancelled: 'Cancelled' };
const FEW_WARNINGS = 2;

/** A card of the list. It is made once and then changed, so that the focus stays where it is. */
export class JobCard {
  /**
   * @param {Job} job
   * @param {{open: () => void, cancel: () => void, remove: () => void, use: () => void}} actions
   */
  constructor(job, { open, cancel, remove, use }) {
    this.job = job;
    const title = JobCard.title(job);
    const id = newId();
    const button = (/** @type {string} */ text, /** @type {() => void} */ onclick, kind = 'quiet') =>
      el('button', { type: 'button', class: `${kind} small`, 'aria-label': `${text}: ${title}`, onclick }, text);
    this.badge = el('span');
    this.facts = el('p', { class: 'note facts' });
    this.bar = el('progress', { max: 1, 'aria-label': `Progress of ${title}` });
    this.status = el('p', { class: 'note' });
    this.error = el('p', { class: 'problem' });
    this.warnings = el('div', { class: 'warnings' });
    this.opener = button('Listen', open, 'main');
    this.zip = save(jobPath(job.id, 'results'), 'Download all', `Download all: ${title}`, (message) => this.complain(message));
    this.user = button('Use this model', use, 'main');
    this.canceller = button('Cancel', cancel);
    this.remover = button('Delete', async () => {
      const ends = job.kind === 'train' ? 'The job and its recordings go. A model that it made stays.' : 'The recording and the results go from the service. This cannot be undone.';
      if (await confirm(`Delete ${title}?`, ends, 'Delete')) remove();
    }, 'aside');
    this.room = el('div');
    this.element = el('li', { class: 'card', tabIndex: -1, 'aria-labelledby': id },
      el('div', { class: 'card-head' }, el('h3', { id }, title), this.badge),
      this.facts, this.bar, this.status, this.error, this.warnings,
      el('div', { class: 'row' }, this.opener, this.zip, this.user, this.canceller, this.remover), this.room);
    this.element.card = this;
    /** @type {Player|null} */
    this.player = null;
    // A running job takes a moment to end.
    this.cancelling = false;
    this.showOpener();
    this.update(job);
  }

  /** @param {Job} job */
  static title(job) {
    return job.kind === 'train' ? `Model ${job.name ?? ''}` : job.recording?.name ?? job.id;
  }

  /** @param {Job} job */
  update(job) {
    this.job = job;
    const { state } = job;
    const active = state === 'queued' || state === 'running';
    this.element.dataset.state = state;
    this.badge.className = `badge ${state}`;
    say(this.badge, STATES[state]);
    say(this.facts, facts(job));
    this.bar.hidden = state !== 'running';
    this.bar.value = job.progress;
    say(this.status, this.cancelling && active ? 'Being cancelled' : status(job));
    say(this.error, job.error ?? '');
    this.showWarnings(job.warnings ?? []);
    const listen = state === 'done' && job.kind === 'separate' && (job.results ?? []).length > 0;
    // What disappears must not take the focus along.
    const left = this.canceller === document.activeElement && (!active || this.cancelling);
    this.opener.hidden = !listen;
    this.zip.hidden = !listen;
    this.user.hidden = !(state === 'done' && job.kind === 'train');
    this.canceller.hidden = !active || this.cancelling;
    this.remover.hidden = active;
    if (left) (active ? this.element : this.remover).focus();
    if (!listen) this.close();
  }

  /** @param {string[]} warnings */
  showWarnings(warnings) {
    if (this.warnings.childElementCount && this.shown === warnings.join('\n')) return;
    this.shown = warnings.join('\n');
    const list = el('ul', {}, ...warnings.map((text) => el('li', {}, text)));
    if (warnings.length > FEW_WARNINGS) {
      this.warnings.replaceChildren(el('details', {}, el('summary', {}, counted(warnings.length, 'warning')), list));
    } else {
      this.warnings.replaceChildren(...(warnings.length ? [list] : []));
    }
    this.warnings.hidden = warnings.length === 0;
  }

  /** A call that went wrong. @param {string} message */
  complain(message) {
    say(this.error, message);
  }

  showPlayer() {
    this.player = new Player(this.job, this.room);
    this.showOpener();
  }

  close() {
    if (!this.player) return;
    this.player.close();
    this.player = null;
    this.showOpener();
  }

  showOpener() {
    const open = this.player !== null;
    const text = open ? 'Close' : 'Listen';
    this.opener.className = open ? 'quiet small' : 'main small';
    this.opener.textContent = text;
    this.opener.setAttribute('aria-label', `${text}: ${JobCard.title(this.job)}`);
    this.opener.setAttribute('aria-expanded', String(open));
  }
}

/** What the job is of. @param {Job} job */
function facts(job) {
  const parts = [];
  if (job.kind === 'train') {
    parts.push(job.sources.map((source) => `${source.name} (${counted(source.recordings, 'recording')}, ${span(source.seconds)})`).join(', '));
  } else {
    if (job.recording) parts.push(span(job.recording.seconds));
    parts.push(job.model ?? job.options.method ?? '');
    if (job.results?.length) parts.push(job.results.map((result) => result.source).join(', '));
  }
  parts.push(moment(job.created));
  if (job.kind === 'separate' && job.results?.length && job.expires) parts.push(`kept until ${moment(job.expires)}`);
  return parts.filter(Boolean).join(' · ');
}

/** How far it is. @param {Job} job */
function status(job) {
  const left = job.eta_seconds === null ? '' : `about ${span(Math.max(1, Math.round(job.eta_seconds)))} left`;
  if (job.state === 'queued') {
    const place = job.position ? `${counted(job.position, 'job')} before it` : 'Next in the queue';
    return [place, left].filter(Boolean).join(', ');
  }
  if (job.state === 'running') return [`${Math.floor(job.progress * 100)} %`, left].filter(Boolean).join(', ');
  return '';
}
