// The list of jobs, kept up to date.

import { call, jobPath, json } from './api.js';
import { JobCard } from './card.js';
import { announce, byId, say } from './dom.js';
import { follow, hasEnded, sleep } from './events.js';

/** @typedef {import('./api.js').Job} Job */

const PAGE = 50;
// One stream a tab: browsers allow six connections to a host in all their tabs together, and uploads need three.
// So the job that moves next is followed live, and the other active ones are asked for now and then.
const TICK_MS = 3000;
// Jobs of other tabs and of the API appear too, if later.
const TICKS_IDLE = 5;

/** The list. */
export class Jobs {
  /** @param {{onTrained: (job: Job) => Promise<void>, onUse: (model: string) => Promise<void>}} given */
  constructor({ onTrained, onUse }) {
    this.onTrained = onTrained;
    this.onUse = onUse;
    /** @type {Map<string, JobCard>} */
    this.cards = new Map();
    this.list = byId('job-list');
    /** Where older jobs go on. @type {string|null} */
    this.cursor = null;
    this.paged = false;
    // Jobs that were added or deleted after a list was asked for must survive its answer.
    this.changes = 0;
    /** @type {Map<string, number>} */
    this.added = new Map();
    /** @type {Set<string>} */
    this.deleted = new Set();
    /** @type {{id: string, stop: AbortController}|null} */
    this.live = null;
    /** @type {JobCard|null} */
    this.opened = null;
    byId('older').addEventListener('click', () => this.attempt(() => this.older()));
    document.addEventListener('visibilitychange', () => this.watch());
    this.poll();
  }

  /** Loads the newest jobs. */
  async refresh() {
    const asked = this.changes;
    const { jobs, next } = await json(`v1/jobs?limit=${PAGE}`);
    const here = new Set(jobs.map((/** @type {Job} */ job) => job.id));
    const oldest = next === null ? '' : jobs.at(-1)?.created ?? '';
    for (const [id, card] of this.cards) {
      const ours = (this.added.get(id) ?? 0) > asked;
      if (!here.has(id) && !ours && card.job.created >= oldest) this.drop(id);
    }
    if (!this.paged) this.cursor = next;
    for (const job of jobs) this.put(job);
    this.show();
  }

  async older() {
    if (this.cursor === null) return;
    this.paged = true;
    const { jobs, next } = await json(`v1/jobs?limit=${PAGE}&after=${encodeURIComponent(this.cursor)}`);
    this.cursor = next;
    for (const job of jobs) this.put(job);
    this.show();
    this.cards.get(jobs[0]?.id)?.element.querySelector('button')?.focus();
  }

  /** A job that was just made. @param {Job} job */
  add(job) {
    this.added.set(job.id, ++this.changes);
    this.put(job);
    this.show();
  }

  /** Shows a job as it now is. @param {Job} job */
  put(job) {
    if (this.deleted.has(job.id)) return;
    const known = this.cards.get(job.id);
    if (known) {
      const before = known.job;
      // A list may have been on its way while the stream was faster.
      if (hasEnded(before) && !hasEnded(job)) return;
      known.update(job);
      if (before.state !== job.state) this.changed(job);
      return;
    }
    const card = new JobCard(job, {
      open: () => this.open(card), cancel: () => this.cancel(card), remove: () => this.remove(card), use: () => this.attempt(() => this.onUse(card.job.name ?? '')),
    });
    this.cards.set(job.id, card);
    const newer = (/** @type {JobCard} */ one) => one.job.created > job.created || (one.job.created === job.created && one.job.id > job.id);
    const next = [...this.list.children].find((element) => !newer(/** @type {any} */ (element).card));
    this.list.insertBefore(card.element, next ?? null);
  }

  /** @param {Job} job whose state is another one now */
  changed(job) {
    const said = { queued: 'queued', running: 'started', done: 'done', failed: `failed. ${job.error ?? ''}`, cancelled: 'cancelled' };
    announce(`${JobCard.title(job)}: ${said[job.state]}`);
    if (job.kind === 'train' && job.state === 'done') this.attempt(() => this.onTrained(job));
  }

  /** @param {string} id */
  drop(id) {
    const card = this.cards.get(id);
    if (!card) return;
    if (this.opened === card) this.opened = null;
    card.close();
    card.element.remove();
    this.cards.delete(id);
  }

  show() {
    byId('no-jobs').hidden = this.cards.size > 0;
    byId('older').hidden = this.cursor === null;
    const active = this.active().length;
    document.title = active ? `(${active}) partwise` : 'partwise';
    this.watch();
  }

  /** Jobs that have not ended, the one that moves next first. @returns {Job[]} */
  active() {
    const jobs = [...this.cards.values()].map((card) => card.job).filter((job) => !hasEnded(job));
    const place = (/** @type {Job} */ job) => (job.state === 'running' ? -1 : job.position ?? Infinity);
    return jobs.sort((a, b) => place(a) - place(b) || (a.created < b.created ? -1 : 1));
  }

  /** Follows the job that moves next, and no other. A hidden page follows none. */
  watch() {
    const wanted = document.hidden ? null : this.active()[0]?.id ?? null;
    if (this.live?.id === wanted) return;
    this.live?.stop.abort();
    this.live = null;
    if (wanted === null) return;
    const stop = new AbortController();
    this.live = { id: wanted, stop };
    follow(wanted, (job) => {
      this.put(job);
      this.show();
    }, stop.signal).then(async () => {
      // Its end moves all others forward. If it is gone instead, asking again at once could go on forever.
      const card = this.cards.get(wanted);
      if (card && !hasEnded(card.job)) await sleep(TICK_MS, stop.signal);
      if (stop.signal.aborted) return;
      this.live = null;
      this.attempt(() => this.refresh());
    });
  }

  /** Asks for the list now and then: the stream tells of one job only. */
  async poll() {
    const never = new AbortController().signal;
    for (let tick = 1; ; tick += 1) {
      await sleep(TICK_MS, never);
      const untold = !document.hidden && this.active().length > (this.live ? 1 : 0);
      if (untold || tick % TICKS_IDLE === 0) await this.attempt(() => this.refresh());
    }
  }

  /** Does something that needs the service, and says above the list if it does not answer. @param {() => Promise<void>} what */
  async attempt(what) {
    try {
      await what();
      say(byId('jobs-problem'), '');
    } catch (error) {
      say(byId('jobs-problem'), /** @type {Error} */ (error).message);
    }
  }

  /** Opens the player of a job. One at a time: decoded recordings are large. @param {JobCard} card */
  open(card) {
    const was = this.opened;
    was?.close();
    this.opened = null;
    if (was === card) return;
    this.opened = card;
    card.showPlayer();
  }

  /** @param {JobCard} card */
  async cancel(card) {
    try {
      const job = await json(jobPath(card.job.id, 'cancel'), { method: 'POST' });
      card.cancelling = true;
      this.put(job);
      this.show();
    } catch (error) {
      card.complain(/** @type {Error} */ (error).message);
    }
  }

  /** @param {JobCard} card */
  async remove(card) {
    const next = /** @type {HTMLElement|null} */ (card.element.nextElementSibling ?? card.element.previousElementSibling);
    try {
      await call(jobPath(card.job.id), { method: 'DELETE' });
    } catch (error) {
      card.complain(/** @type {Error} */ (error).message);
      return;
    }
    this.deleted.add(card.job.id);
    announce(`${JobCard.title(card.job)}: deleted`);
    this.drop(card.job.id);
    this.show();
    // The focus was in what is gone.
    const target = next?.querySelector('button') ?? byId('jobs');
    target.focus();
  }
}
