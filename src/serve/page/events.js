// Server-sent events by fetch: EventSource cannot send the header with the token.

import { ApiError, call, jobPath } from './api.js';

/** @typedef {import('./api.js').Job} Job */

const FINAL = ['done', 'failed', 'cancelled'];
/** @param {Job} job */
export const hasEnded = (job) => FINAL.includes(job.state);

/**
 * Events of a stream, as they come.
 * @param {ReadableStream<Uint8Array>} body
 * @returns {AsyncGenerator<{name: string, data: string}>}
 */
export async function* readEvents(body) {
  const reader = body.getReader();
  const text = new TextDecoder();
  let rest = '';
  let name = 'message';
  let data = [];
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += text.decode(value, { stream: true });
    // A carriage return at the end may be half of a line's end: it waits for what follows.
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '') {
        if (data.length) yield { name, data: data.join('\n') };
        [name, data] = ['message', []];
        continue;
      }
      const [, field, content] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
      if (field === 'event') name = content;
      if (field === 'data') data.push(content);
    }
  }
}

/** @param {number} ms @param {AbortSignal} signal */
export const sleep = (ms, signal) => new Promise((resolve) => {
  const timer = setTimeout(resolve, ms);
  signal.addEventListener('abort', () => { clearTimeout(timer); resolve(undefined); });
});

/**
 * Follows a job until it ends or is gone, and connects again where the stream breaks.
 * @param {string} id
 * @param {(job: Job) => void} onJob
 * @param {AbortSignal} signal
 */
export async function follow(id, onJob, signal) {
  for (let wait = 500; !signal.aborted; wait = Math.min(wait * 2, 10_000)) {
    try {
      const response = await call(jobPath(id, 'events'), { signal, headers: { Accept: 'text/event-stream' } });
      if (!response.body) return;
      for await (const { name, data } of readEvents(response.body)) {
        if (name !== 'job') continue;
        const job = JSON.parse(data);
        onJob(job);
        if (hasEnded(job)) return;
        wait = 500;
      }
    } catch (error) {
      if (signal.aborted) return;
      // Gone, or not ours: nothing more will come. Anything else may pass.
      if (error instanceof ApiError && [401, 403, 404].includes(error.status)) return;
    }
    await sleep(wait, signal);
  }
}
