// Tabs as the ARIA practices describe them: arrow keys move, only the chosen tab is in the order of Tab.

import { byId } from './dom.js';

/**
 * @param {...HTMLElement} all the tabs; each names its panel by aria-controls
 * @returns {(tab: HTMLElement) => void} shows a tab's panel
 */
export function tabs(...all) {
  const show = (/** @type {HTMLElement} */ chosen) => {
    for (const tab of all) {
      const on = tab === chosen;
      tab.setAttribute('aria-selected', String(on));
      tab.tabIndex = on ? 0 : -1;
      byId(tab.getAttribute('aria-controls') ?? '').hidden = !on;
    }
  };
  for (const [index, tab] of all.entries()) {
    tab.addEventListener('click', () => show(tab));
    tab.addEventListener('keydown', (event) => {
      const steps = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (steps === undefined) return;
      event.preventDefault();
      const next = all[(index + steps + all.length) % all.length];
      show(next);
      next.focus();
    });
  }
  return show;
}
