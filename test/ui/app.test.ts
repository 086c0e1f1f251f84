import { describe, expect, test } from 'vitest';
import type { ModelDescription } from '../../src/protocol/messages';
import { makeApp } from './makeApp';

const demo = { kind: 'bundle', base: 'http://x/models/' } as const;
const library = { kind: 'library' } as const;
const description: ModelDescription = {
  ...{
    source: demo,
    name: 'm',
    title: 'M',
    licence: '',
    imageSize: 64,
    weights: 'f16',
    weightChoice: 'auto',
  },
  ...{
    residency: 'resident',
    budget: 4e9,
    quantization: [],
    parameters: [],
    memory: [],
    plans: [],
    loadMs: 1,
  },
  defaults: { steps: 4, guidance: 3, prompts: ['fox'] },
};

describe('app', () => {
  test('loads the model whenever the engine gets ready, and not again without need', () => {
    const { sent, say, last, answer } = makeApp();
    const loads = () => sent.filter(({ type }) => type === 'loadModel').length;
    say({ type: 'state', state: { name: 'ready', rebuilt: 0 } });
    expect(last('loadModel')).toMatchObject({ source: demo, weights: 'auto' });
    expect(last('setBudget')).toBeUndefined();
    say({ type: 'state', state: { name: 'ready', rebuilt: 0 } });
    expect(loads()).toBe(1);
    say({ type: 'state', state: { name: 'device-lost', message: '', attempt: 1, attempts: 2 } });
    say({ type: 'state', state: { name: 'ready', rebuilt: 1 } });
    expect(loads()).toBe(2);
    // what is loaded comes back, whatever it was
    answer('loadModel', { ...description, source: library });
    say({ type: 'state', state: { name: 'device-lost', message: '', attempt: 1, attempts: 2 } });
    say({ type: 'state', state: { name: 'ready', rebuilt: 2 } });
    expect(last('loadModel')).toMatchObject({ source: library });
  });

  test('a model that was taken off does not come back by itself', () => {
    const { app, say, sent, answer } = makeApp();
    say({ type: 'state', state: { name: 'ready', rebuilt: 0 } });
    answer('loadModel', description);
    app.models.unload();
    answer('unloadModel', null);
    const before = sent.length;
    say({ type: 'state', state: { name: 'device-lost', message: '', attempt: 1, attempts: 2 } });
    say({ type: 'state', state: { name: 'ready', rebuilt: 1 } });
    expect(sent.slice(before).filter(({ type }) => type === 'loadModel')).toEqual([]);
  });

  test('makes nothing while another model waits to be loaded', () => {
    const { app, say, sent } = makeApp();
    say({ type: 'state', state: { name: 'ready', rebuilt: 0 } });
    say({ type: 'model', model: description });
    app.generate();
    const generations = () => sent.filter(({ type }) => type === 'generate').length;
    expect(generations()).toBe(1);
    say({ type: 'job', id: 40, job: { kind: 'loadModel', source: library }, phase: 'queued' });
    app.generate();
    expect(generations()).toBe(1);
  });

  test('makes nothing without a model or with a bad seed', () => {
    const { app, sent } = makeApp();
    app.generate();
    app.kept.getState().setDraft({ seed: 'x' });
    app.generate();
    expect(sent.map(({ type }) => type)).toEqual(['init']);
  });

  test('a file without settings is answered with a sentence', async () => {
    const { app, sent, say } = makeApp();
    const opened = app.openPicture(new File([Uint8Array.of(1)], 'cat.png'));
    await expect.poll(() => sent.at(-1)?.type).toBe('readPicture');
    say({ type: 'done', id: sent.at(-1)!.id, of: 'readPicture', value: null });
    await opened;
    expect(app.notices.store.getState().notices).toMatchObject([
      { tone: 'problem', text: expect.stringContaining('“cat.png” carries no settings') as string },
    ]);
  });
});
