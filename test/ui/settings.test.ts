import { describe, expect, test } from 'vitest';
import type { PictureSettings } from '../../src/protocol/generate';
import type { ModelDescription } from '../../src/protocol/messages';
import { parsePictureSettings } from '../../src/protocol/pictureSettings';
import { initialKept } from '../../src/ui/state/kept';
import { draftFrom, randomSeed, restoreDoubt, settingsOf, valuesOf } from '../../src/ui/state/settings';

const model: ModelDescription = {
  base: 'http://x/',
  name: 'emoji-64',
  title: 'Emoji',
  licence: '',
  imageSize: 64,
  weights: 'f16',
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
    const draft = draftFrom(picture, { ...initialKept.draft, weights: 'f32' }, model);
    expect(draft).toMatchObject({ steps: null, guidance: 4.5, weights: 'f32', count: 3 });
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
