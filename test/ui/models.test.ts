import { describe, expect, test } from 'vitest';
import type { DroppedFile } from '../../src/protocol/messages';
import { gatherFiles } from '../../src/ui/collectFiles';
import { isOf, isPicture } from '../../src/ui/models';
import { item, library, part, plan } from './libraryParts';
import { makeApp } from './makeApp';

const file = (name: string, type = ''): File => new File([Uint8Array.of(1)], name, { type });
const dropped = (path: string): DroppedFile => ({ path, file: file(path) });
const dit = item('dit.pt', { parts: [part('dit', { words: 'MicroDiT_XL_2 for 512 px' })] });

describe('taking files', () => {
  test('a single picture gives its settings back, a second file makes both library files', async () => {
    const { app, last, opened } = makeApp();
    await app.models.take(gatherFiles([file('cat.png', 'image/png')]));
    await expect.poll(() => last('readPicture')).toMatchObject({ name: 'cat.png' });
    expect(last('addFiles')).toBeUndefined();
    expect(opened).toEqual([]);

    void app.models.take(gatherFiles([file('cat.png'), file('dit.pt')]));
    await expect.poll(() => last('addFiles')?.files.map(({ path }) => path)).toEqual(['cat.png', 'dit.pt']);
    expect(opened).toEqual(['models']);
    expect(isPicture({ name: 'A.PNG', type: '' })).toBe(true);
    expect(isPicture({ name: 'a.jpg', type: 'image/jpeg' })).toBe(false);
  });

  test('says what was understood, and what is still missing', async () => {
    const { app, say, answer, notes } = makeApp();
    const added = app.models.addFiles([dropped('dit.pt')]);
    expect(app.models.intake.getState()).toEqual({ finding: null, reading: 1, arrivals: 0 });
    const missing = [{ role: 'vae', words: 'An autoencoder with 4 latent channels.', where: 'x' }] as const;
    const chosen = { ...library().chosen, dit: { item: dit.id, part: 0 } };
    say({ type: 'library', library: library({ items: [dit], chosen, missing }) });
    answer('addFiles', [dit]);
    await added;
    expect(notes()).toEqual([
      '“dit.pt” is MicroDiT_XL_2 for 512 px. Still missing: an autoencoder with 4 latent channels.',
    ]);
    expect(app.models.intake.getState()).toEqual({ finding: null, reading: 0, arrivals: 1 });
  });

  test('offers to load what is complete and fits', async () => {
    const { app, say, answer, last } = makeApp();
    const chosen = { ...library().chosen, dit: { item: dit.id, part: 0 } };
    const offered = async (fit: 'resident' | 'none') => {
      const added = app.models.addFiles([dropped('dit.pt')]);
      const plans = [plan('f16', { fit }), plan('int8', { fit })];
      say({ type: 'library', library: library({ items: [dit], chosen, plans }) });
      answer('addFiles', [dit]);
      await added;
      return app.notices.store.getState().notices.at(-1)?.action;
    };
    expect(await offered('none')).toBeNull();
    (await offered('resident'))?.run();
    expect(last('loadModel')).toMatchObject({ source: { kind: 'library' }, weights: 'auto' });
  });

  test('nothing is taken where nothing can be computed', async () => {
    const { app, say, last, notes } = makeApp();
    say({ type: 'state', state: { name: 'no-webgpu', secure: true } });
    await app.models.take(gatherFiles([file('dit.pt')]));
    expect(last('addFiles')).toBeUndefined();
    expect(notes()).toEqual([expect.stringContaining('graphics chip')]);
  });

  test('an answer that does not come is told', async () => {
    const { app, fail, notes } = makeApp();
    const added = app.models.addFiles([dropped('dit.pt')]);
    fail('addFiles', 'internal');
    await added;
    expect(notes()).toEqual(['The files were not taken.']);
    expect(app.models.intake.getState().reading).toBe(0);
  });
});

describe('the library', () => {
  test('a removal can be undone: the file comes back with what says what it is, and nothing else', async () => {
    const { app, say, answer, last, sent, notes } = makeApp();
    const vae = item('sd/vae/model.safetensors', { parts: [part('vae')] });
    const config = item('sd/vae/config.json', { kind: 'config' });
    const other = item('sd/vae/other.json', { kind: 'config' });
    const files = [vae.path, config.path, other.path, 'sd/unet/config.json'].map(dropped);
    const added = app.models.addFiles(files);
    answer('addFiles', [vae, config, other]);
    await added;
    const removed = app.models.remove(vae);
    // `other` was removed before
    say({ type: 'library', library: library({ items: [config] }) });
    answer('removeItem', null);
    await removed;
    expect(notes().at(-1)).toContain('“model.safetensors” is out of the library');
    app.notices.store.getState().notices.at(-1)?.action?.run();
    const again = last('addFiles')!;
    expect(again.files.map(({ path }) => path)).toEqual([vae.path, config.path, other.path]);
    const removals = () => sent.flatMap((message) => (message.type === 'removeItem' ? [message.item] : []));
    expect(removals()).toEqual([vae.id]);
    answer('addFiles', [{ ...vae, id: 'vae again' }, config, { ...other, id: 'other again' }]);
    await expect.poll(removals).toEqual([vae.id, 'other again']);
  });

  test('files of an item: itself, its archive or folder, its numbered parts', () => {
    expect(isOf('a/dit.pt', 'a/dit.pt')).toBe(true);
    expect(isOf('a/bundle/dit.pt', 'a/bundle')).toBe(true);
    expect(isOf('all.zip', 'all.zip/vae/model.safetensors')).toBe(true);
    expect(isOf('a/model-00002-of-00003.safetensors', 'a/model.safetensors')).toBe(true);
    expect(isOf('a/model-00002-of-00003.bin', 'a/model.safetensors')).toBe(false);
    expect(isOf('a/dit.pt.bak', 'a/dit.pt')).toBe(false);
  });

  test('closing the tensors of a file that goes', async () => {
    const { app, answer } = makeApp();
    void app.models.inspector.open(dit.id);
    const removed = app.models.remove(dit);
    answer('removeItem', null);
    await removed;
    expect(app.models.inspector.store.getState().item).toBeNull();
  });
});

describe('the budget', () => {
  test('is sent one at a time, the newest last, and again when the engine gets ready', async () => {
    const { app, say, answer, sent } = makeApp();
    const budgets = () => sent.flatMap((message) => (message.type === 'setBudget' ? [message.bytes] : []));
    for (const bytes of [1e9, 2e9, 3e9]) app.models.setBudget(bytes);
    expect(budgets()).toEqual([1e9]);
    answer('setBudget', null);
    await expect.poll(budgets).toEqual([1e9, 3e9]);
    answer('setBudget', null);
    expect(app.kept.getState().loading.budget).toBe(3e9);
    await Promise.resolve();
    say({ type: 'state', state: { name: 'ready', rebuilt: 0 } });
    await expect.poll(budgets).toEqual([1e9, 3e9, 3e9]);
    // before the model, which is loaded with it
    const types = sent.map(({ type }) => type);
    expect(types.lastIndexOf('setBudget')).toBeLessThan(types.lastIndexOf('loadModel'));
  });

  test('goes back to what the adapter suggests', async () => {
    const { app, say, last, answer } = makeApp();
    const adapter = {
      ...{ words: '', vendor: '', architecture: '', device: '', description: '', software: false },
      ...{ features: [], limits: {}, usedFeatures: [], usedLimits: {}, defaultBudget: 6e9 },
    };
    say({ type: 'adapter', adapter });
    app.models.setBudget(2e9);
    answer('setBudget', null);
    await new Promise((resolve) => setTimeout(resolve));
    app.models.setBudget(null);
    expect(app.kept.getState().loading.budget).toBeNull();
    expect(last('setBudget')?.bytes).toBe(6e9);
  });
});

describe('loading', () => {
  test('a failure before the engine took it on is told; after that it stands in the panel', async () => {
    const { app, say, fail, last, notes } = makeApp();
    app.models.loadChosen();
    fail('loadModel', 'not-found');
    await expect.poll(notes).toEqual(['The model was not loaded.']);
    app.models.loadChosen();
    const { id, source } = last('loadModel')!;
    say({ type: 'job', id, job: { kind: 'loadModel', source }, phase: 'queued' });
    fail('loadModel', 'limit');
    await Promise.resolve();
    expect(notes()).toHaveLength(1);
    expect(app.engine.getState().errors.loadModel?.error.code).toBe('limit');
  });

  test('trying again asks for what failed', () => {
    const { app, say, last } = makeApp();
    say({ type: 'state', state: { name: 'ready', rebuilt: 0 } });
    expect(last('loadModel')?.source.kind).toBe('bundle');
    app.models.loadChosen();
    const { id, source } = last('loadModel')!;
    say({ type: 'job', id, job: { kind: 'loadModel', source }, phase: 'running' });
    app.models.loadAgain();
    expect(last('loadModel')).toMatchObject({ source: { kind: 'library' } });
    expect(last('loadModel')?.id).not.toBe(id);
  });
});
