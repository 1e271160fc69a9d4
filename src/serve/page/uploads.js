// Uploads on their way to become jobs: a few at a time, patient while the queue is full.

import { ApiError, createJob, newKey } from './api.js';
import { announce, byId, el, say, size } from './dom.js';
import { sleep } from './events.js';

/** @typedef {import('./api.js').Job} Job */

// A browser opens six connections to a host. Three uploads leave some for everything else.
const AT_ONCE = 3;
// Waits after connections that broke, in seconds. The key makes it safe to send a job again.
const AFTER_BREAKS = [2, 5, 10];

/**
 * @typedef {object} Upload
 * @property {string} title
 * @property {number} bytes
 * @property {() => void} [change] lets the user change what was refused, where the form does not have it any more
 * @property {(accepted: boolean) => void} [settled] it became a job, or did not
 * @property {() => FormData} form small fields first, so that the service can refuse before it has read the files
 */

/** The list of uploads. */
export class Uploads {
  /** @param {(job: Job) => void} onJob @param {{max_upload_bytes?: number}} limits */
  constructor(onJob, limits) {
    this.onJob = onJob;
    this.limit = limits.max_upload_bytes ?? Infinity;
    this.list = byId('uploads');
    /** @type {(() => Promise<void>)[]} */
    this.waiting = [];
    this.running = 0;
    // Leaving the page would lose what is not sent yet.
    window.addEventListener('beforeunload', (event) => {
      if (this.running) event.preventDefault();
    });
  }

  /** @param {Upload} upload */
  add(upload) {
    const row = new Row(upload, () => this.start(row));
    this.list.append(row.element);
    if (upload.bytes > this.limit) {
      row.fail(`This is ${size(upload.bytes)}; the service takes at most ${size(this.limit)} at once.`, 413);
    } else {
      this.start(row);
    }
  }

  /** @param {Row} row */
  start(row) {
    row.wait();
    this.waiting.push(async () => {
      if (row.stop.signal.aborted) return;
      const job = await row.send();
      if (job) this.onJob(job);
    });
    this.next();
  }

  next() {
    while (this.running < AT_ONCE && this.waiting.length) {
      this.running += 1;
      const one = /** @type {() => Promise<void>} */ (this.waiting.shift());
      one().finally(() => { this.running -= 1; this.next(); });
    }
  }
}

/** The service's messages have no full stop. @param {string} text */
const sentence = (text) => (/[.!?]$/.test(text) ? text : `${text}.`);

/** One upload in the list. */
class Row {
  /** @param {Upload} upload @param {() => void} again */
  constructor(upload, again) {
    this.upload = upload;
    this.stop = new AbortController();
    // The key stays when the upload is repeated: if the service has the job already, it answers with it.
    this.key = newKey();
    this.bar = el('progress', { max: 1, value: 0, 'aria-label': `Upload of ${upload.title}` });
    this.status = el('p', { class: 'note' });
    this.error = el('p', { class: 'problem', hidden: true });
    this.again = el('button', { type: 'button', class: 'quiet small', hidden: true, 'aria-label': `Try again: ${upload.title}`, onclick: again }, 'Try again');
    this.change = el('button', {
      type: 'button', class: 'quiet small', hidden: true, 'aria-label': `Change: ${upload.title}`,
      onclick: () => { this.element.remove(); upload.change?.(); },
    }, 'Change');
    this.away = el('button', { type: 'button', class: 'quiet small', onclick: () => this.remove() });
    this.element = el('li', { class: 'card upload' },
      el('div', { class: 'card-head' }, el('h3', {}, upload.title), el('span', { class: 'note' }, size(upload.bytes))),
      this.bar, this.status, this.error, el('div', { class: 'row' }, this.again, this.change, this.away));
  }

  wait() {
    this.show(0, 'Waiting for other uploads', '');
  }

  /** @param {number} share @param {string} status @param {string} error */
  show(share, status, error) {
    this.bar.hidden = error !== '';
    this.bar.value = share;
    say(this.status, status);
    say(this.error, error);
    this.again.hidden = this.change.hidden = true;
    const away = error ? 'Remove' : 'Cancel';
    this.away.textContent = away;
    this.away.setAttribute('aria-label', `${away}: ${this.upload.title}`);
  }

  /** @param {string} message @param {number} status of the answer; 0: there was none */
  fail(message, status) {
    this.show(0, '', message);
    // What the service refused it would refuse again; anything else may have been bad luck.
    const refused = status >= 400 && status < 500 && status !== 401;
    this.again.hidden = refused;
    this.change.hidden = !refused || !this.upload.change;
    this.upload.settled?.(false);
    announce(`${this.upload.title}: ${message}`);
  }

  remove() {
    this.stop.abort();
    this.element.remove();
    this.upload.settled?.(false);
    announce(`${this.upload.title}: removed`);
  }

  /** @returns {Promise<Job|null>} */
  async send() {
    const { signal } = this.stop;
    let breaks = 0;
    while (!signal.aborted) {
      this.show(0, 'Uploading', '');
      try {
        const job = await createJob(this.upload.form(), this.key, (share) => {
          this.show(share, share < 1 ? `Uploading, ${Math.floor(share * 100)} %` : 'Uploaded; the service looks at it', '');
        }, signal);
        this.element.remove();
        this.upload.settled?.(true);
        return job;
      } catch (error) {
        if (signal.aborted) return null;
        const { status, message, retryAfter } = error instanceof ApiError ? error : new ApiError(0, String(error));
        const wait = status === 0 ? AFTER_BREAKS[breaks++] : status === 429 || status === 503 ? retryAfter : null;
        if (wait === null || wait === undefined) {
          this.fail(message, status);
          return null;
        }
        announce(`${this.upload.title}: ${message}`);
        // It keeps its place among those that are sent: the others would meet the same full queue.
        for (let left = Math.ceil(Math.max(1, wait)); left > 0 && !signal.aborted; left -= 1) {
          this.show(0, `${sentence(message)} Trying again in ${left} s.`, '');
          await sleep(1000, signal);
        }
      }
    }
    return null;
  }
}
