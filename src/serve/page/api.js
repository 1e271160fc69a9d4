// The calls of the service: addresses, the token, errors as one sentence.

/**
 * @typedef {{name: string, sources: string[], method: string, sample_rate: number, error: string|null}} Model
 * @typedef {{source: string, file: string, bytes: number}} Result
 * @typedef {{
 *   id: string, kind: 'separate'|'train', state: 'queued'|'running'|'done'|'failed'|'cancelled',
 *   model: string|null, options: Record<string, any>,
 *   recording: {name: string, bytes: number, seconds: number, channels: number, sample_rate: number}|null,
 *   sources: {name: string, recordings: number, seconds: number}[], name: string|null,
 *   created: string, started: string|null, ended: string|null,
 *   progress: number, position: number|null, eta_seconds: number|null,
 *   error: string|null, warnings: string[], results: Result[]|null, expires: string|null
 * }} Job
 */

/** A refusal of the service: its sentence, word for word. */
export class ApiError extends Error {
  /** @param {number} status @param {string} message @param {number|null} retryAfter seconds */
  constructor(status, message, retryAfter = null) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

// A token lives as long as the tab: sessionStorage is not shared with other tabs, and goes with this one.
const TOKEN = 'partwise-token';

export const token = {
  get: () => sessionStorage.getItem(TOKEN),
  /** @param {string} value */
  set: (value) => sessionStorage.setItem(TOKEN, value),
  forget: () => sessionStorage.removeItem(TOKEN),
};

/** @type {(refused: boolean) => Promise<string|null>} */
let askForToken = async () => null;
/** @type {Promise<string|null>|null} */
let asking = null;

/** Who is asked for a token. @param {(refused: boolean) => Promise<string|null>} ask */
export function whenUnauthorized(ask) {
  askForToken = ask;
}

/**
 * Asks for a token after a 401. Calls that are refused together ask once.
 * @param {string|null} used the token of the refused call
 * @returns {Promise<boolean>} whether to try again
 */
async function anotherToken(used) {
  if (token.get() !== used) return token.get() !== null;
  asking ??= askForToken(used !== null).finally(() => { asking = null; });
  const given = await asking;
  if (given === null) return false;
  token.set(given);
  return true;
}

/** @returns {Record<string, string>} */
const authorization = () => {
  const value = token.get();
  return value === null ? {} : { Authorization: `Bearer ${value}` };
};

/** @param {number} status @param {string} text @param {string|null} retryAfter @returns {ApiError} */
function refusal(status, text, retryAfter) {
  let message = '';
  try {
    message = JSON.parse(text).error.message;
  } catch {
    // Not the service's own answer, perhaps a proxy's.
  }
  const given = retryAfter === null ? NaN : Number(retryAfter);
  const wait = Number.isFinite(given) ? given : status === 429 || status === 503 ? 5 : null;
  return new ApiError(status, message || `The service answered with status ${status}.`, wait);
}

export const UNREACHABLE = 'The service does not answer.';

/**
 * One call. Asks for a token where one is needed, and repeats the call with it.
 * @param {string} path below the page's address, such as `v1/jobs`
 * @param {RequestInit} [given]
 * @returns {Promise<Response>} of status 2xx
 */
export async function call(path, given = {}) {
  const used = token.get();
  let response;
  try {
    response = await fetch(path, { ...given, headers: { ...authorization(), ...given.headers }, cache: 'no-store' });
  } catch (cause) {
    if (given.signal?.aborted) throw cause;
    throw new ApiError(0, UNREACHABLE);
  }
  if (response.ok) return response;
  if (response.status === 401 && (await anotherToken(used))) return call(path, given);
  throw refusal(response.status, await response.text(), response.headers.get('Retry-After'));
}

/** @param {string} path @param {RequestInit} [given] @returns {Promise<any>} */
export const json = async (path, given) => (await call(path, given)).json();

/** The address of a job or of a part of it. @param {string} id @param {...string} parts */
export const jobPath = (id, ...parts) => ['v1/jobs', id, ...parts].map((part, i) => (i ? encodeURIComponent(part) : part)).join('/');

/**
 * Creates a job. XMLHttpRequest, because fetch says nothing of the progress of an upload.
 * @param {FormData} form
 * @param {string} key the Idempotency-Key: a repeated call with it makes no second job
 * @param {(share: number) => void} onProgress
 * @param {AbortSignal} signal
 * @returns {Promise<Job>}
 */
export async function createJob(form, key, onProgress, signal) {
  const used = token.get();
  try {
    return JSON.parse(await send(form, key, onProgress, signal));
  } catch (error) {
    if (error instanceof ApiError && error.status === 401 && (await anotherToken(used))) {
      return createJob(form, key, onProgress, signal);
    }
    throw error;
  }
}

/**
 * @param {FormData} form @param {string} key @param {(share: number) => void} onProgress @param {AbortSignal} signal
 * @returns {Promise<string>} the answer's text
 */
function send(form, key, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', 'v1/jobs');
    request.setRequestHeader('Idempotency-Key', key);
    for (const [name, value] of Object.entries(authorization())) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => event.total && onProgress(event.loaded / event.total);
    request.onload = () => {
      if (request.status === 200 || request.status === 202) resolve(request.responseText);
      else reject(refusal(request.status, request.responseText, request.getResponseHeader('Retry-After')));
    };
    request.onerror = () => reject(new ApiError(0, 'The connection broke during the upload.'));
    request.onabort = () => reject(new DOMException('stopped', 'AbortError'));
    signal.addEventListener('abort', () => request.abort());
    request.send(form);
  });
}

/** A key that no other upload has. Not randomUUID: that is missing where the page comes by plain http. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
