/** A run's settings: defaults, rules, and the table that describes them. */
import { describe, expect, test } from 'vitest';
import { parseDuration } from '../../src/protocol/duration';
import { ditJsonSchema } from '../../src/protocol/schemas';
import { parseTrainConfig, trainConfigIssue } from '../../src/protocol/trainConfig';
import { trainFields, valueAt } from '../../src/protocol/trainFields';

/** Dotted paths of everything in settings that is not an object. */
function leaves(value: unknown, path = ''): string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [path];
  return Object.entries(value).flatMap(([key, inner]) => leaves(inner, path ? `${path}.${key}` : key));
}

describe('durations', () => {
  test('a number and a unit', () => {
    expect(parseDuration('2500ba')).toEqual({ value: 2500, unit: 'ba' });
    expect(parseDuration(' 3ep ')).toEqual({ value: 3, unit: 'ep' });
    expect(parseDuration('1e6sp')).toEqual({ value: 1e6, unit: 'sp' });
    expect(parseDuration('0.5dur')).toEqual({ value: 0.5, unit: 'dur' });
    expect(parseDuration('1dur')).toEqual({ value: 1, unit: 'dur' });
  });

  test.each(['', 'ba', '2500', '2.5ba', '-1ba', '1.5dur', '10tok', '3 ba', '1e400sp', '5BA', 'Infinityba'])(
    '%j is none',
    (text) => expect(parseDuration(text)).toBeNull(),
  );
});

describe('settings', () => {
  test("nothing at all is upstream's first stage", () => {
    const config = parseTrainConfig({});
    expect(config.seed).toBe(18);
    expect(config.model).toEqual({ arch: 'MicroDiT_XL_2' });
    expect(config.train).toMatchObject({
      ...{ batch: 2048, max_duration: '250000ba', mask_ratio: 0.75, p_mean: -0.6, p_std: 1.2 },
      ...{ lr: 2.4e-4, betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.1, clip_norm: 0.25, ema: null },
      schedule: { kind: 'cosine', warmup: '2500ba', alpha: 0.33, t_max: '1dur', composer_lag: true },
    });
    expect(config.data.caption_drop).toBe(0.1);
    expect(config.save).toMatchObject({ every: '2500ba', keep: 1 });
    expect(config.eval).toEqual({ every: '2500ba', batch: 1024 });
  });

  test('defaults of two runs share nothing', () => {
    const first = parseTrainConfig({});
    first.data.train.push('mine');
    first.train.betas[0] = 0;
    expect(parseTrainConfig({}).data.train).not.toContain('mine');
    expect(parseTrainConfig({}).train.betas[0]).toBe(0.9);
  });

  test.each([
    [{ train: { lr: 'fast' } }, 'train.lr: expected number, received string: "fast"'],
    [{ train: { mask_ratio: 1 } }, 'train.mask_ratio: '],
    [{ train: { microbatch: 'many' } }, 'train.microbatch: '],
    [{ train: { microbatch: 0 } }, 'train.microbatch: '],
    [{ train: { max_duration: 250 } }, 'train.max_duration: must be a number with a unit: ba (batches)'],
    [{ train: { max_duration: '0ba' } }, 'train.max_duration: must be above zero'],
    [{ train: { schedule: { warmup: '5 minutes' } } }, 'train.schedule.warmup: must be a number with a unit'],
    [{ train: { optimizer: 'Adafactor' } }, 'train.optimizer: must be "AdamW": "Adafactor"'],
    [{ train: { betas: [0.9] } }, 'train.betas: '],
    [{ train: { ema: { smoothing: 1 } } }, 'train.ema.smoothing: '],
    [{ save: { keep: 0 } }, 'save.keep: must be -1 (all) or from 1: 0'],
    [{ train: { learning_rate: 1 } }, 'learning_rate'],
    [{ model: { dims: 5 } }, 'dims'],
    [{ seed: 0.5 }, 'seed: '],
    ['text', 'the file: '],
  ])('%j is refused', (json, message) => {
    expect(() => parseTrainConfig(json, 'run')).toThrow(message);
    expect(() => parseTrainConfig(json, 'run')).toThrow(/^run: /);
    expect(trainConfigIssue(json)?.text).toContain(message);
  });

  test('no issue where nothing is wrong', () => expect(trainConfigIssue({ seed: 1 })).toBeNull());
});

describe('the table of settings', () => {
  const paths = trainFields.map(({ path }) => path);

  test('has every setting once, and nothing else', () => {
    const whole = parseTrainConfig({ train: { ema: {} } });
    const expected = [
      ...leaves(whole).filter((path) => !path.startsWith('model.')),
      ...Object.keys(ditJsonSchema.shape).map((key) => `model.${key}`),
      'train.ema',
    ];
    expect([...paths].sort()).toEqual([...expected].sort());
  });

  test('shows the default that is used', () => {
    const config = parseTrainConfig({});
    for (const { path, default: shown } of trainFields) {
      if (path.startsWith('train.ema.')) continue;
      expect(shown, path).toEqual(valueAt(config, path) ?? null);
    }
    expect(trainFields.find(({ path }) => path === 'train.ema.smoothing')?.default).toBe(0.99975);
    expect(trainFields.find(({ path }) => path === 'model.arch')?.default).toBe('MicroDiT_XL_2');
  });

  test('says each in one sentence', () => {
    for (const { meaning, label, path } of trainFields) {
      expect(meaning, path).toMatch(/^[A-Z].{10,140}\.$/);
      expect(label.length, path).toBeGreaterThan(2);
    }
    expect(new Set(trainFields.map(({ label }) => label)).size).toBe(trainFields.length);
  });

  test('durations are called so', () => {
    for (const { path, unit, default: shown } of trainFields) {
      const isDuration = typeof shown === 'string' && parseDuration(shown) !== null;
      expect(unit === 'duration', path).toBe(isDuration);
    }
  });
});
