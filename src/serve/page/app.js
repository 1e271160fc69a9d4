// Starts the page and joins its parts.

import { json, token, whenUnauthorized } from './api.js';
import { askToken } from './dialogs.js';
import { announce, byId, el, say, size, span } from './dom.js';
import { Jobs } from './jobs.js';
import * as player from './player.js';
import { SeparateForm } from './separate.js';
import { tabs } from './tabs.js';
import { TrainForm } from './train.js';
import { Uploads } from './uploads.js';

/** Loads what the page is made of, and shows it. */
async function start() {
  // The limits come first: where a token is needed, they ask for it, once.
  const limits = await json('v1/limits');
  const [options, listed] = await Promise.all([json('v1/options'), json('v1/models')]);

  const uploads = new Uploads((job) => jobs.add(job), limits);
  const separate = new SeparateForm({ uploads, schema: options.separation, methods: limits.methods_without_model });
  const train = new TrainForm({ uploads, schema: options.training });
  const show = tabs(byId('tab-separate'), byId('tab-train'));

  const offer = (/** @type {{models: import('./api.js').Model[]}} */ { models }) => {
    separate.offer(models);
    train.offer(models);
  };
  const jobs = new Jobs({
    onTrained: async (job) => {
      offer(await json('v1/models'));
      announce(`The model ${job.name} can be used now`);
    },
    onUse: async (model) => {
      offer(await json('v1/models'));
      show(byId('tab-separate'));
      separate.choose(model);
    },
  });
  offer(listed);
  await jobs.refresh();
  about(limits);
  byId('work').hidden = false;
}

/** @param {any} limits */
function about(limits) {
  const facts = [
    `partwise ${limits.version}`, `engine: ${limits.engine}`,
    `at most ${size(limits.max_upload_bytes)} and ${span(limits.max_recording_seconds)} a recording`,
    limits.keeps_for_seconds ? `results are kept for ${span(limits.keeps_for_seconds)}` : '',
  ];
  byId('about').replaceChildren(`${facts.filter(Boolean).join(' · ')} · `, el('a', { href: 'v1/docs' }, 'the API'));
  byId('about').hidden = false;
  byId('forget').hidden = token.get() === null;
}

byId('forget').addEventListener('click', () => {
  token.forget();
  location.reload();
});

whenUnauthorized(async (refused) => {
  if (refused) token.forget();
  return askToken(refused);
});

async function begin() {
  const trouble = byId('trouble');
  trouble.hidden = true;
  try {
    await start();
  } catch (error) {
    say(trouble.querySelector('p'), /** @type {Error} */ (error).message);
    trouble.hidden = false;
  }
}
// A fresh page is the simplest second try: no part of the first one is left.
byId('trouble').querySelector('button').addEventListener('click', () => location.reload());

// For tests: what is heard can be tapped at its nodes.
Object.defineProperty(window, 'partwise', { value: { get player() { return player.current; } } });

begin();
