/** Upstream's stages and the models by size. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { resolveDitConfig } from '../../src/models/dit/config';
import { ditParameters, trainedParameters } from '../../src/models/dit/parameters';
import { parameterCount } from '../../src/models/parameters';
import { modelSizes, sizeConfig, stageConfig, stageNames } from '../../src/train/presets';

describe("upstream's stages", () => {
  test.each([
    ['256-pretrain', 0.75, 32, 1, -0.6, 1.2, 2.4e-4, 0.25, '250000ba', 256, '2500ba', '2500ba', 5],
    ['256-finetune', 0, 32, 1, -0.6, 1.2, 8e-5, 0.25, '280000ba', 64, '0ba', '2500ba', 5],
    ['512-pretrain', 0.75, 64, 2, 0, 0.6, 8e-5, 0.5, '50000ba', 32, '500ba', '2500ba', 4],
    ['512-finetune', 0, 64, 2, 0, 0.6, 8e-5, 0.5, '55000ba', 16, '0ba', '500ba', 4],
  ] as const)('%s', (name, mask, latents, scale, mean, std, lr, clip, length, micro, warmup, save, sets) => {
    const config = stageConfig(name);
    expect(config.model).toEqual({
      arch: 'MicroDiT_XL_2',
      input_size: latents,
      pos_interp_scale: scale,
    });
    expect(config.train).toMatchObject({
      ...{ mask_ratio: mask, p_mean: mean, p_std: std, lr, clip_norm: clip, max_duration: length },
      ...{ microbatch: micro, batch: 2048, betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.1 },
    });
    expect(config.train.schedule).toMatchObject(
      name === '256-pretrain'
        ? { kind: 'cosine', warmup, alpha: 0.33, t_max: '1dur' }
        : { kind: 'constant', warmup, alpha: 1 },
    );
    expect(config.save).toMatchObject({ every: save, keep: 1 });
    expect(config.eval).toEqual({ every: save, batch: 1024 });
    expect(config.data.train).toHaveLength(sets);
    expect(config.data.eval).toEqual(['coco2014']);
    expect(config.data.caption_drop).toBe(0.1);
    expect(config.seed).toBe(18);
    expect(resolveDitConfig(config.model).config.input_size).toBe(latents);
  });

  test('averages of the 512 px stages, as their files ask', () => {
    expect(stageNames.map((name) => stageConfig(name).train.ema)).toEqual([
      null,
      null,
      { smoothing: 0.99975, start: '25000ba', every: '1ba' },
      { smoothing: 0.9975, start: '1000ba', every: '1ba' },
    ]);
  });

  test('how each begins', () => {
    expect(stageNames.map((name) => stageConfig(name).start)).toMatchObject([
      { weights_only: false, ignore: [] },
      { weights_only: false, strict: true },
      { weights_only: true, strict: false, ignore: ['state/model/dit.pos_embed'] },
      { weights_only: false, strict: false },
    ]);
    expect(stageConfig('512-finetune').start.ignore).toEqual(stageConfig('256-finetune').start.ignore);
  });
});

describe('sizes', () => {
  const count = (size: (typeof modelSizes)[number]): number =>
    parameterCount(trainedParameters(sizeConfig(size)));

  test("the published models' parameters, to the last", () => {
    expect(count('MicroDiT_Tiny_2')).toBe(200_692_752);
    expect(count('MicroDiT_XL_2')).toBe(1_165_442_320);
  });

  test("Nano is the bundled model's", () => {
    const bundled = JSON.parse(readFileSync('public/models/emoji-64/dit.json', 'utf8')) as unknown;
    expect(sizeConfig('Nano')).toEqual(resolveDitConfig(bundled).config);
  });

  test('Micro has about 6 M parameters, Mini about 25 M', () => {
    expect(count('Micro')).toBe(5_952_528);
    expect(count('Mini')).toBe(25_329_232);
    expect(parameterCount(ditParameters(sizeConfig('Micro')))).toBe(5_952_528 + 256 * 128 + 16);
  });

  test('each is larger than the one before', () => {
    const counts = modelSizes.map(count);
    expect(counts).toEqual([...counts].sort((a, b) => a - b));
  });

  test.each(modelSizes)('%s fits other data', (size) => {
    const config = sizeConfig(size, { input_size: 64, in_channels: 16, pos_interp_scale: 2 });
    expect(config).toMatchObject({ input_size: 64, in_channels: 16, pos_interp_scale: 2 });
    expect(config.depth).toBe(sizeConfig(size).depth);
  });
});
