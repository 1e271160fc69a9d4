// Elements, and words for numbers. Names and messages come from users: they become text here, never markup.

/**
 * Makes an element. Names with a hyphen, `class`, `for` and `role` are set as attributes, `on…` adds a listener,
 * anything else is a property.
 * @param {string} tag
 * @param {Record<string, any>} [given]
 * @param {...(Node|string|null|false|undefined)} children
 * @returns {any} the element; `any`, because a caller knows its tag
 */
export function el(tag, given = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value === null || value === undefined) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name.includes('-') || ['class', 'for', 'role', 'list'].includes(name)) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** The element of this id. @param {string} id @returns {any} */
export const byId = (id) => document.getElementById(id);

/**
 * Sets an element's text where it changed: an unchanged text keeps a selection, and screen readers quiet.
 * An empty text hides the element.
 * @param {HTMLElement} element
 * @param {string} text
 */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
  element.hidden = text === '';
}

let unique = 0;
/** An id that no other element has. */
export const newId = () => `x${++unique}`;

/**
 * Says a change to those who do not see it. Two changes at once are both said.
 * @param {string} text
 */
export function announce(text) {
  const region = byId('announcements');
  const line = el('p', {}, text);
  region.append(line);
  setTimeout(() => line.remove(), 5000);
}

/** "1 recording", "3 recordings" @param {number} count @param {string} word */
export const counted = (count, word) => `${count} ${word}${count === 1 ? '' : 's'}`;

/** "3.2 MB" @param {number} bytes */
export function size(bytes) {
  if (bytes === 1) return '1 byte';
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB'];
  const step = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, bytes)) / 3)));
  const value = bytes / 1000 ** step;
  return `${step && value < 100 ? value.toFixed(1) : Math.round(value)} ${units[step]}`;
}

/** A place in a recording: "2:05", "1:00:07" @param {number} seconds */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (/** @type {number} */ n) => String(n).padStart(2, '0');
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** A length of time: "3 s", "2 min 5 s", "1 h 12 min" @param {number} seconds */
export function span(seconds) {
  if (seconds < 9.95) return `${Number(seconds.toFixed(1))} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const both = (/** @type {string} */ large, /** @type {number} */ rest, /** @type {string} */ unit) => (rest ? `${large} ${rest} ${unit}` : large);
  if (whole < 3600) return both(`${Math.floor(whole / 60)} min`, whole % 60, 's');
  if (whole < 48 * 3600) return both(`${Math.floor(whole / 3600)} h`, Math.floor(whole / 60) % 60, 'min');
  return `${Math.round(whole / 86400)} days`;
}

/** A moment: the time of day, with the date if it is not today. @param {string} iso */
export function moment(iso) {
  const date = new Date(iso);
  const today = date.toDateString() === new Date().toDateString();
  const style = today ? { timeStyle: 'short' } : { dateStyle: 'medium', timeStyle: 'short' };
  return new Intl.DateTimeFormat('en-GB', /** @type {any} */ (style)).format(date);
}
