// The form that trains a model.

import { announce, byId, counted, el, newId } from './dom.js';
import { FileChooser } from './files.js';
import { OptionFields } from './options.js';

/** @typedef {import('./api.js').Model} Model */

const FIELDS = ['method', 'rank', 'iterations', 'seed'];
// Averaged models learn a background from each recording, so one source is enough for them.
const ENOUGH_ALONE = 'averaged';

/** The form. */
export class TrainForm {
  /** @param {{uploads: import('./uploads.js').Uploads, schema: any}} given */
  constructor({ uploads, schema }) {
    this.uploads = uploads;
    /** @type {Model[]} */
    this.models = [];
    /** @type {SourceFields[]} */
    this.sources = [];
    /** Names of models whose recordings are on their way. @type {Set<string>} */
    this.sending = new Set();
    this.form = byId('train');
    this.name = byId('model-name');
    this.replace = byId('replace');
    this.options = new OptionFields(schema, FIELDS);
    byId('train-options').append(this.options.element);
    this.options.input('method')?.addEventListener('change', () => this.showMethod());
    this.name.addEventListener('input', () => this.showName(''));
    byId('add-source').addEventListener('click', () => this.addSource().name.focus());
    this.form.addEventListener('submit', (/** @type {Event} */ event) => { event.preventDefault(); this.submit(); });
    this.addSource();
    this.addSource();
    this.showMethod();
  }

  get method() {
    return this.options.input('method')?.value || 'nmf';
  }

  get least() {
    return this.method === ENOUGH_ALONE ? 1 : 2;
  }

  /** @param {Model[]} models */
  offer(models) {
    this.models = models;
    this.showName('');
  }

  showMethod() {
    this.options.showFor(this.method);
    this.number();
  }

  addSource() {
    const source = new SourceFields(() => {
      this.sources = this.sources.filter((one) => one !== source);
      source.element.remove();
      this.number();
      byId('add-source').focus();
    });
    this.sources.push(source);
    byId('train-sources').append(source.element);
    this.number();
    return source;
  }

  number() {
    this.sources.forEach((source, index) => source.number(index + 1, this.sources.length > this.least));
  }

  /** Says what is wrong with the name, and offers to replace a model. @param {string} problem */
  showName(problem) {
    const note = byId('model-name-note');
    note.className = problem ? 'problem-text' : 'note';
    note.textContent = problem || 'Letters, digits, “.”, “_” and “-”';
    this.name.setAttribute('aria-invalid', String(problem !== ''));
    byId('replace-row').hidden = !this.taken();
    if (problem) this.name.focus();
  }

  taken() {
    return this.models.some((model) => model.name === this.name.value.trim());
  }

  /** The first thing that is wrong is said where it is, and has the focus. @returns {boolean} */
  check() {
    const name = this.name.value.trim();
    if (!name) return this.showName('Give the model a name.'), false;
    if (!/^[A-Za-z0-9._-]+$/.test(name)) return this.showName('Use letters, digits, “.”, “_” and “-” only.'), false;
    if (this.sending.has(name)) return this.showName('The recordings of a model of this name are being uploaded.'), false;
    if (this.taken() && !this.replace.checked) return this.showName('There is a model of this name. Choose another name, or replace it.'), false;
    const names = new Set();
    for (const source of this.sources) {
      if (!source.check(names)) return false;
      names.add(source.name.value.trim());
    }
    return true;
  }

  submit() {
    if (!this.check()) return;
    const options = this.options.read();
    if (options === null) return;
    const name = this.name.value.trim();
    const replace = this.taken() && this.replace.checked;
    const sources = this.sources.map((source) => ({ name: source.name.value.trim(), files: [...source.chooser.files] }));
    const form = () => {
      const data = new FormData();
      data.set('kind', 'train');
      data.set('name', name);
      if (replace) data.set('replace', 'true');
      data.set('options', JSON.stringify(options));
      for (const source of sources) for (const file of source.files) data.append(`source:${source.name}`, file);
      return data;
    };
    // The form keeps everything until the service has accepted it, so that a refused option can be changed.
    const settled = (/** @type {boolean} */ accepted) => {
      this.sending.delete(name);
      if (accepted && this.name.value.trim() === name) this.clear();
    };
    this.sending.add(name);
    const files = sources.flatMap((source) => source.files);
    this.uploads.add({ title: `Model ${name}`, bytes: files.reduce((sum, file) => sum + file.size, 0), form, settled });
    announce(`Uploading ${counted(files.length, 'recording')} for the model ${name}`);
  }

  clear() {
    this.name.value = '';
    this.replace.checked = false;
    this.showName('');
    for (const source of this.sources) source.chooser.take();
  }
}

/** A source: its name and its recordings. */
class SourceFields {
  /** @param {() => void} remove */
  constructor(remove) {
    const [id, problem] = [newId(), newId()];
    this.legend = el('legend');
    this.name = el('input', {
      type: 'text', id, autocomplete: 'off', spellcheck: false, maxLength: 100, 'aria-describedby': problem,
      oninput: () => this.complain(''),
    });
    this.problem = el('p', { id: problem, class: 'problem-text', hidden: true });
    this.chooser = new FileChooser({ label: 'Recordings of it alone', hint: 'Choose, or drop files or a folder here', compact: true });
    this.away = el('button', { type: 'button', class: 'quiet small', onclick: remove }, 'Remove');
    this.element = el('fieldset', { class: 'source' }, this.legend,
      el('div', { class: 'field' }, el('label', { for: id }, 'Name'), el('div', { class: 'row' }, this.name, this.away), this.problem),
      this.chooser.element);
  }

  /** @param {number} place @param {boolean} removable */
  number(place, removable) {
    this.legend.textContent = `Source ${place}`;
    this.name.placeholder = ['such as speech', 'such as piano'][place - 1] ?? '';
    this.away.hidden = !removable;
    this.away.setAttribute('aria-label', `Remove source ${place}`);
  }

  /** @param {string} problem */
  complain(problem) {
    this.problem.textContent = problem;
    this.problem.hidden = problem === '';
    this.name.setAttribute('aria-invalid', String(problem !== ''));
    if (problem) this.name.focus();
  }

  /** @param {Set<string>} others @returns {boolean} */
  check(others) {
    const name = this.name.value.trim();
    if (!name) return this.complain('Give the source a name.'), false;
    if (others.has(name)) return this.complain('Another source has this name.'), false;
    if (!this.chooser.files.length) return this.chooser.complain('Choose recordings of this source.'), false;
    return true;
  }
}
