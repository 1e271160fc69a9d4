// Choosing recordings: a labelled file input inside an area that files and folders can be dropped on.

import { counted, el, newId, size } from './dom.js';

// The service knows formats by content, not by name. The list only keeps pictures out of the file chooser.
const ACCEPT = 'audio/*,.wav,.aif,.aiff,.caf,.flac,.ogg,.oga,.mp3,.m4a,.mp4';

/** A list of chosen files, with its drop area. */
export class FileChooser {
  /**
   * @param {{label: string, hint: string, compact?: boolean, changed?: () => void}} given
   */
  constructor({ label, hint, compact = false, changed = () => {} }) {
    /** @type {File[]} */
    this.files = [];
    this.changed = changed;
    const [id, problem] = [newId(), newId()];
    this.input = el('input', {
      type: 'file', id, multiple: true, accept: ACCEPT, class: 'unseen', 'aria-describedby': problem,
      onchange: () => { this.add([...this.input.files]); this.input.value = ''; },
    });
    // The text is the input's label, so a click anywhere in the area opens the file chooser.
    const area = el('label', { class: compact ? 'drop compact' : 'drop', for: id },
      el('span', { class: 'drop-title' }, label), el('span', { class: 'note' }, hint));
    this.list = el('ul', { class: 'files plain' });
    this.problem = el('p', { id: problem, class: 'problem-text', hidden: true });
    this.element = el('div', { class: 'chooser' }, this.input, area, this.problem, this.list);
    acceptDrops(area, (files) => this.add(files));
  }

  /** @param {File[]} files */
  add(files) {
    const known = (/** @type {File} */ file) =>
      this.files.some((one) => one.name === file.name && one.size === file.size && one.lastModified === file.lastModified);
    this.files.push(...files.filter((file) => !known(file)));
    this.show();
  }

  /** Takes the files out. @returns {File[]} */
  take() {
    const files = this.files;
    this.files = [];
    this.show();
    return files;
  }

  /** Says what is wrong, and moves there. @param {string} text */
  complain(text) {
    this.problem.textContent = text;
    this.problem.hidden = text === '';
    this.input.setAttribute('aria-invalid', String(text !== ''));
    if (text) this.input.focus();
  }

  show() {
    this.complain('');
    const rows = this.files.slice(0, 8).map((file) => el('li', {},
      el('span', { class: 'name' }, file.name), el('span', { class: 'note' }, size(file.size)),
      el('button', {
        type: 'button', class: 'quiet small', 'aria-label': `Remove ${file.name}`,
        onclick: () => {
          this.files = this.files.filter((one) => one !== file);
          this.show();
          this.input.focus();
        },
      }, 'Remove')));
    const rest = this.files.slice(8);
    if (rest.length) {
      const bytes = rest.reduce((sum, file) => sum + file.size, 0);
      rows.push(el('li', {}, el('span', { class: 'name' }, `and ${counted(rest.length, 'more file')}`),
        el('span', { class: 'note' }, size(bytes)),
        el('button', { type: 'button', class: 'quiet small', onclick: () => { this.take(); this.input.focus(); } }, 'Remove all')));
    }
    this.list.replaceChildren(...rows);
    this.changed();
  }
}

/** @param {HTMLElement} area @param {(files: File[]) => void} take */
function acceptDrops(area, take) {
  area.addEventListener('dragover', (event) => {
    event.preventDefault();
    area.classList.add('over');
  });
  area.addEventListener('dragleave', () => area.classList.remove('over'));
  area.addEventListener('drop', async (event) => {
    event.preventDefault();
    area.classList.remove('over');
    if (event.dataTransfer) take(await filesOf(event.dataTransfer));
  });
}

// A file that misses the area must not replace the page.
for (const type of ['dragover', 'drop']) window.addEventListener(type, (event) => event.preventDefault());

/**
 * The files of a drop, with those in dropped folders. Hidden files are left out.
 * @param {DataTransfer} transfer
 * @returns {Promise<File[]>}
 */
async function filesOf(transfer) {
  // The items must be taken before the first await: they are gone once the event is over.
  const plain = [...transfer.files];
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (entries.length < plain.length) return plain;
  const found = await Promise.all(entries.map((entry) => walk(/** @type {any} */ (entry))));
  return found.flat().filter((file) => !file.name.startsWith('.'));
}

/** @param {any} entry a FileSystemEntry @returns {Promise<File[]>} */
async function walk(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const files = [];
  // A reader hands out a folder in pieces; an empty one is the end.
  for (;;) {
    const piece = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!piece.length) return files;
    for (const one of piece) files.push(...await walk(one));
  }
}
