// Fields for a few options of the library, made from its schemas; every other option is JSON.

import { el, newId } from './dom.js';

/**
 * @typedef {{description: string, values: string[], kind: 'integer'|'number'|'text', methods: string[]}} Option
 */

// What a field is called on the page. The names are the library's.
/** @type {Record<string, string>} */
const LABELS = {
  format: 'Format of the results',
  sources: 'Number of sources',
  method: 'Method',
  rank: 'Components of each source',
  iterations: 'Iterations',
  starts: 'Random starts',
  seed: 'Seed',
};

/**
 * The options of a schema by name. `x-methods` lists the methods that alone have an option.
 * @param {any} schema
 * @returns {Map<string, Option>}
 */
export function optionsOf(schema) {
  const found = new Map();
  for (const [name, property] of Object.entries(schema?.properties ?? {})) {
    const parts = [property, ...(property.anyOf ?? []), ...(property.oneOf ?? [])];
    const types = parts.flatMap((part) => part.type ?? []);
    const kind = types.includes('integer') ? 'integer' : types.includes('number') ? 'number' : 'text';
    const values = parts.flatMap((part) => part.enum ?? ('const' in part ? [part.const] : []));
    found.set(name, {
      description: property.description ?? '',
      values: values.filter((value) => typeof value === 'string'),
      kind,
      methods: property['x-methods'] ?? [],
    });
  }
  return found;
}

/** The fields of some options, and a field of JSON that is merged last. */
export class OptionFields {
  /** @param {any} schema @param {string[]} names */
  constructor(schema, names) {
    const known = optionsOf(schema);
    /** @type {{name: string, option: Option, input: any, element: HTMLElement}[]} */
    this.fields = names.filter((name) => known.has(name)).map((name) => field(name, /** @type {Option} */ (known.get(name))));
    const [id, note] = [newId(), newId()];
    this.json = el('textarea', { id, rows: 3, spellcheck: false, placeholder: '{"iterations": 100}', 'aria-describedby': note });
    this.note = el('p', { id: note, class: 'note' });
    this.complain('');
    const more = el('div', { class: 'field' }, el('label', { for: id }, 'More options, as JSON'), this.json, this.note);
    this.element = el('div', {}, ...this.fields.map((one) => one.element), more);
  }

  /** @param {string} name */
  input(name) {
    return this.fields.find((one) => one.name === name)?.input ?? null;
  }

  /** Shows the fields that this method has. @param {string|null} method */
  showFor(method) {
    for (const { option, element } of this.fields) {
      element.hidden = option.methods.length > 0 && !option.methods.includes(method ?? '');
    }
  }

  /**
   * The options that were given; an empty field means the default.
   * @returns {Record<string, any>|null} null: what was typed is no JSON object, and the field says so
   */
  read() {
    /** @type {Record<string, any>} */
    const options = {};
    for (const { name, option, input, element } of this.fields) {
      const text = input.value.trim();
      if (element.hidden || text === '') continue;
      // What is no number goes as it is: the service's sentence about it is better than one of this page.
      const number = Number(text);
      options[name] = option.kind === 'text' || !Number.isFinite(number) ? text : number;
    }
    const text = this.json.value.trim();
    this.complain('');
    if (text === '') return options;
    let more;
    try {
      more = JSON.parse(text);
    } catch (cause) {
      this.complain(`This is not JSON: ${/** @type {Error} */ (cause).message}`);
      return null;
    }
    if (typeof more !== 'object' || more === null || Array.isArray(more)) {
      this.complain('This must be a JSON object, such as {"seed": 3}.');
      return null;
    }
    return { ...options, ...more };
  }

  /** @param {string} problem */
  complain(problem) {
    this.note.className = problem ? 'problem-text' : 'note';
    this.note.textContent = problem || 'Any option of the library, by its name. These count more than the fields above.';
    this.json.setAttribute('aria-invalid', String(problem !== ''));
    if (!problem) return;
    this.json.closest('details')?.setAttribute('open', '');
    this.json.focus();
  }
}

/** @param {string} name @param {Option} option */
function field(name, option) {
  const [id, note] = [newId(), newId()];
  const common = { id, 'aria-describedby': note };
  const input = option.values.length
    ? el('select', common, el('option', { value: '' }, 'Default'), ...option.values.map((value) => el('option', { value }, value)))
    : el('input', {
      ...common, type: 'text', inputMode: option.kind === 'text' ? 'text' : 'decimal', placeholder: 'Default', autocomplete: 'off',
    });
  const element = el('div', { class: 'field' }, el('label', { for: id }, LABELS[name] ?? name), input,
    el('p', { id: note, class: 'note' }, option.description));
  return { name, option, input, element };
}
