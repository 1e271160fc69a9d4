// The two questions that the page asks.

import { byId } from './dom.js';

/**
 * Asks before something is lost. The harmless answer has the focus.
 * @param {string} title
 * @param {string} text
 * @param {string} yes what the other button says
 * @returns {Promise<boolean>}
 */
export function confirm(title, text, yes) {
  const dialog = byId('confirm');
  dialog.querySelector('h2').textContent = title;
  dialog.querySelector('p').textContent = text;
  dialog.querySelector('[type=submit]').textContent = yes;
  return answer(dialog, () => 'yes').then((given) => given === 'yes');
}

/**
 * Asks for a token.
 * @param {boolean} refused whether the service did not accept the last one
 * @returns {Promise<string|null>} null: closed without one
 */
export function askToken(refused) {
  const dialog = byId('ask-token');
  const field = byId('token');
  field.value = '';
  byId('token-problem').hidden = !refused;
  // Spaces around it come from copying; a header could not carry them anyway.
  return answer(dialog, () => field.value.trim() || null);
}

/**
 * Shows a dialog until it is answered or closed.
 * @param {HTMLDialogElement} dialog
 * @param {() => string|null} read the answer; null: it stays open
 * @returns {Promise<string|null>}
 */
function answer(dialog, read) {
  return new Promise((resolve) => {
    /** @type {string|null} */
    let given = null;
    const form = /** @type {HTMLFormElement} */ (dialog.querySelector('form'));
    const no = dialog.querySelector('[value=no]');
    const submit = (/** @type {Event} */ event) => {
      event.preventDefault();
      given = read();
      if (given !== null) dialog.close();
    };
    const close = () => dialog.close();
    form.addEventListener('submit', submit);
    no?.addEventListener('click', close);
    dialog.addEventListener('close', () => {
      form.removeEventListener('submit', submit);
      no?.removeEventListener('click', close);
      resolve(given);
    }, { once: true });
    dialog.showModal();
  });
}
