// The form that makes separations.

import { announce, byId, counted, el } from './dom.js';
import { FileChooser } from './files.js';
import { OptionFields } from './options.js';

/** @typedef {import('./api.js').Model} Model */

// The methods that need no model, in a user's words.
/** @type {Record<string, {title: string, note: string}>} */
const METHODS = {
  nmf2d: {
    title: 'No model: find the sources',
    note: 'nmf2d finds instruments by the patterns that they repeat. For short recordings of a few instruments.',
  },
  denoise: {
    title: 'No model: take off musical noise',
    note: 'denoise takes off the single tones that other denoisers leave behind. Not for clicks, hum or traffic.',
  },
};

const FIELDS = ['format', 'sources', 'iterations', 'starts', 'seed'];

/** The form. */
export class SeparateForm {
  /**
   * @param {{uploads: import('./uploads.js').Uploads, schema: any, methods: string[]}} given
   */
  constructor({ uploads, schema, methods }) {
    this.uploads = uploads;
    this.methods = methods;
    /** @type {Model[]} */
    this.models = [];
    this.form = byId('separate');
    this.how = byId('how');
    this.go = byId('separate-go');
    this.chooser = new FileChooser({
      label: 'Choose or drop recordings',
      hint: 'WAV, FLAC, MP3, M4A, Ogg, AIFF or CAF',
      changed: () => this.showCount(),
    });
    byId('recordings').append(this.chooser.element);
    this.options = new OptionFields(schema, FIELDS);
    byId('separate-options').append(this.options.element);
    this.how.addEventListener('change', () => this.showChoice());
    this.form.addEventListener('submit', (/** @type {Event} */ event) => { event.preventDefault(); this.submit(); });
    this.showCount();
  }

  /** Offers these models, and keeps the choice where it is still there. @param {Model[]} models */
  offer(models) {
    const kept = this.how.value;
    this.models = models.filter((model) => !model.error);
    const ofModels = this.models.map((model) =>
      el('option', { value: `model ${model.name}` }, `${model.name} (${model.sources.join(', ')})`));
    const ofMethods = this.methods.map((name) => el('option', { value: `method ${name}` }, METHODS[name]?.title ?? `No model: ${name}`));
    this.how.replaceChildren(
      ...(ofModels.length ? [el('optgroup', { label: 'Models' }, ...ofModels)] : []),
      el('optgroup', { label: 'Without a model' }, ...ofMethods));
    if ([...this.how.options].some((option) => option.value === kept)) this.how.value = kept;
    const broken = models.filter((model) => model.error);
    byId('broken-models').replaceChildren(...broken.map((model) => el('li', {}, `${model.name} cannot be used: ${model.error}`)));
    byId('broken-models').hidden = broken.length === 0;
    this.showChoice();
  }

  /** Chooses a model, and moves to where recordings are chosen. @param {string} name */
  choose(name) {
    this.how.value = `model ${name}`;
    this.showChoice();
    this.how.focus();
  }

  /** The chosen model, or the chosen method. @returns {{model?: Model, method?: string}} */
  choice() {
    const [kind, ...rest] = this.how.value.split(' ');
    const name = rest.join(' ');
    return kind === 'model' ? { model: this.models.find((model) => model.name === name) } : { method: name };
  }

  showChoice() {
    const { model, method } = this.choice();
    this.options.showFor(model?.method ?? method ?? null);
    const rate = model ? `${Number((model.sample_rate / 1000).toFixed(3))} kHz` : '';
    byId('how-note').textContent = model
      ? `Separates into ${model.sources.join(', ')}. Method ${model.method}, ${rate}.`
      : METHODS[method ?? '']?.note ?? '';
  }

  /** A file whose job was refused, perhaps for its options. @param {File} file */
  takeBack(file) {
    this.chooser.add([file]);
    byId('tab-separate').click();
    this.how.focus();
  }

  showCount() {
    const count = this.chooser.files.length;
    this.go.textContent = count > 1 ? `Separate ${count} recordings` : 'Separate';
  }

  submit() {
    if (!this.chooser.files.length) return this.chooser.complain('Choose a recording first.');
    const options = this.options.read();
    if (options === null) return undefined;
    const { model, method } = this.choice();
    const inForce = JSON.stringify(model ? options : { method, ...options });
    const files = this.chooser.take();
    for (const file of files) {
      const form = () => {
        const data = new FormData();
        data.set('kind', 'separate');
        if (model) data.set('model', model.name);
        data.set('options', inForce);
        data.set('recording', file);
        return data;
      };
      this.uploads.add({ title: file.name, bytes: file.size, form, change: () => this.takeBack(file) });
    }
    announce(`Uploading ${counted(files.length, 'recording')}`);
    return undefined;
  }
}
