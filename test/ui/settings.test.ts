import { describe, expect, test } from 'vitest';
import type { PictureSettings } from '../../src/protocol/generate';
import type { JobDescription, ModelDescription } from '../../src/protocol/messages';
import { parsePictureSettings } from '../../src/protocol/pictureSettings';
import { initialEngineView, type EngineView, type Job } from '../../src/ui/state/engineView';
import { initialKept } from '../../src/ui/state/kept';
import {
  draftFrom,
  generateProblem,
  randomSeed,
  restoreDoubt,
  settingsOf,
  valuesOf,
} from '../../src/ui/state/settings';

const model: ModelDescription = {
  source: { kind: 'bundle', base: 'http://x/' },
  name: 'emoji-64',
  title: 'Emoji',
  licence: '',
  imageSize: 64,
  weights: 'f16',
  weightChoice: 'auto',
  residency: 'resident',
  budget: 4e9,
  quantization: [],
  defaults: { steps: 16, guidance: 3, prompts: ['grinning face', 'panda'] },
  parameters: [],
  memory: [],
  plans: [],
  loadMs: 1,
};
const picture: PictureSettings = {
  program: 'tabdit',
  model: 'emoji-64',
  prompt: 'panda',
  steps: 16,
  guidance: 4.5,
  seed: '99',
  noiseLayout: 'cpu',
  index: 1,
  count: 3,
};

describe('fields and settings', () => {
  test('untouched fields follow the model, and 30 steps and guidance 5 without one', () => {
    expect(valuesOf(initialKept.draft, model)).toEqual({ prompt: 'grinning face', steps: 16, guidance: 3 });
    expect(valuesOf(initialKept.draft, null)).toEqual({ prompt: '', steps: 30, guidance: 5 });
    expect(valuesOf({ ...initialKept.draft, prompt: '', steps: 2 }, model)).toMatchObject({
      prompt: '',
      steps: 2,
    });
  });

  test('a picture taken over makes itself again', () => {
    const draft = draftFrom(picture, initialKept.draft, model);
    expect(draft).toMatchObject({ steps: null, guidance: 4.5, count: 3 });
    expect(settingsOf(draft, model)).toEqual({
      prompts: ['panda', 'panda', 'panda'],
      steps: 16,
      guidance: 4.5,
      seed: '99',
      noiseLayout: 'cpu',
    });
  });

  test('what cannot be brought back is said', () => {
    expect(restoreDoubt(picture, model)).toBeNull();
    expect(restoreDoubt({ ...picture, model: 'xl' }, model)).toContain('“xl”');
    expect(restoreDoubt({ ...picture, count: 40 }, model)).toContain('batch of 40');
    expect(draftFrom({ ...picture, count: 40 }, initialKept.draft, model).count).toBe(16);
  });

  test('drawn seeds have 32 bits', () => {
    expect(randomSeed(() => 0)).toBe('0');
    expect(randomSeed(() => 1 - 2 ** -33)).toBe('4294967295');
  });
});

describe('why nothing can be made', () => {
  const ready: EngineView = { ...initialEngineView, state: { name: 'ready', rebuilt: 0 }, model };
  const job = (description: JobDescription): Job => ({
    ...{ id: 1, job: description, phase: 'queued', progress: null, sigmas: [], preview: null, load: null },
  });
  const load = job({ kind: 'loadModel', source: { kind: 'library' } });

  test('no device, no model, another model on its way, a bad seed', () => {
    expect(generateProblem(ready, '7')).toBe('');
    expect(generateProblem(initialEngineView, '7')).toContain('graphics chip');
    expect(generateProblem({ ...ready, model: null }, '7')).toBe('No model is loaded');
    expect(generateProblem({ ...ready, model: null, jobs: [load] }, '7')).toBe('The model is being loaded');
    expect(generateProblem({ ...ready, jobs: [load] }, '7')).toBe('Another model is to be loaded');
    expect(generateProblem({ ...ready, jobs: [job({ kind: 'unloadModel' })] }, '7')).toBe(
      'The model is being taken off',
    );
    expect(generateProblem(ready, 'x')).toBe('The seed is not a number');
  });
});

test('settings from a file are checked, not trusted', () => {
  expect(parsePictureSettings({ ...picture, extra: 1 })).toEqual(picture);
  for (const change of [
    { program: 'other' },
    { steps: 1 },
    { steps: 2.5 },
    { guidance: Infinity },
    { seed: '1; rm' },
    { prompt: 'x'.repeat(5000) },
    { noiseLayout: 'mps' },
    { index: -1 },
    { count: undefined },
  ]) {
    expect(parsePictureSettings({ ...picture, ...change }), JSON.stringify(change)).toBeNull();
  }
  for (const value of [null, 3, 'text', [], {}]) expect(parsePictureSettings(value)).toBeNull();
});
