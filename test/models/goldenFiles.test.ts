/** The project's own model files: the bundled demo and the golden transformer are what the code takes them for. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readBundle } from '../../src/formats/bundle';
import { readSafetensors } from '../../src/formats/safetensors/reader';
import { ditLayout, resolveDitConfig } from '../../src/models/dit/config';
import { ditParameters } from '../../src/models/dit/parameters';
import { parameterCount } from '../../src/models/parameters';
import { loadTokenizer } from '../../src/models/text/tokenizer';
import { parseKlConfig, parseTextConfig } from '../../src/protocol/schemas';
import { cpuGenerator } from '../../src/random/cpuGenerator';
import { cudaGenerator } from '../../src/random/cudaGenerator';
import { torchRandn } from '../../src/random/torchRandn';
import { nodeFolder } from '../../src/sources/node';
import { goldenPath, openGolden } from '../helpers/golden';

/** Largest absolute difference. */
function worst(values: ArrayLike<number>, expected: readonly number[]): number {
  return Math.max(...expected.map((value, i) => Math.abs(value - (values[i] ?? NaN))));
}

describe('the bundled demo', () => {
  const open = async () => readBundle(await nodeFolder('public/models/emoji-64'));

  it('holds the tensors that its configurations ask for', async () => {
    const bundle = await open();
    const { config, notes } = resolveDitConfig(bundle.dit.config, bundle.dit.configName);
    expect(notes).toEqual([]);
    const rows = ditParameters(config);
    const { tensors } = await readSafetensors(bundle.dit.file);
    expect(new Map([...tensors.values()].map(({ name, shape }) => [name, shape]))).toEqual(
      new Map(rows.map(({ name, shape }) => [name, shape])),
    );
    expect(parameterCount(rows)).toBeGreaterThan(1.8e6);
    const { latent, image_size } = bundle.manifest;
    const vae = parseKlConfig(bundle.vae.configName, bundle.vae.config).config;
    expect([config.input_size, config.in_channels]).toEqual([latent.size, latent.channels]);
    expect([vae.latent_channels, vae.scaling_factor]).toEqual([latent.channels, latent.scaling_factor]);
    expect(image_size).toBe(latent.size * 2 ** (vae.block_out_channels.length - 1));
    const text = parseTextConfig(bundle.text.configName, bundle.text.config).config;
    expect([text.context, text.width]).toEqual([bundle.manifest.text.context, config.caption_channels]);
  });

  it('turns prompts into the ids of its golden samples', async () => {
    const { text, manifest } = await open();
    const tokenizer = loadTokenizer(text.tokenizerName, text.tokenizer, manifest.text);
    const golden = await openGolden('emoji-64.samples');
    const prompts = golden.json('prompts') as string[];
    expect(prompts.flatMap((prompt) => [...tokenizer.tokenize(prompt).ids])).toEqual([
      ...(await golden.ints('input_ids')),
    ]);
    expect(golden.shape('image_8')).toEqual([prompts.length, 3, 64, 64]);
  });

  it('has the noise of a torch generator', async () => {
    const golden = await openGolden('emoji-64.samples');
    const noise = [...(await golden.floats('noise'))];
    expect(worst(torchRandn({ rng: 'cpu', seed: 7n, count: 8 * 1024 }), noise)).toBeLessThan(4e-6);
  });
});

describe('golden files', () => {
  it('micro-a: weights fit the configuration in the file', async () => {
    const weights = await openGolden('micro-a.weights');
    const { config } = resolveDitConfig(weights.json('config'));
    for (const { name, shape } of ditParameters(config)) expect(weights.shape(name)).toEqual(shape);
    expect(weights.file.tensors.size).toBe(ditParameters(config).length);
    const forward = await openGolden('micro-a.forward');
    const { tokens, patchValues } = ditLayout(config);
    expect(forward.shape('act.final_layer')).toEqual([2, tokens, patchValues]);
  });

  it('rng: random numbers', () => {
    const rng = JSON.parse(readFileSync(goldenPath('rng.json'), 'utf8')) as {
      cuda: {
        seed: string;
        shape: number[];
        offset: string;
        max_threads: number | null;
        first: number[];
        last: number[];
      }[];
      cpu: { kind: string; seed: string; n: number; values?: number[]; first?: number[] }[];
    };
    for (const { seed, shape, offset, max_threads, first, last } of rng.cuda) {
      const cap = max_threads === null ? {} : { maxThreads: max_threads };
      const generator = cudaGenerator(BigInt(seed), { offset: BigInt(offset), ...cap });
      const values = generator.randn(shape.reduce((product, extent) => product * extent, 1));
      expect(worst(values, first)).toBeLessThan(4e-6);
      expect(worst(values.slice(-last.length), last)).toBeLessThan(4e-6);
    }
    for (const { kind, seed, n, values, first } of rng.cpu) {
      if (kind !== 'randn') continue;
      expect(worst(cpuGenerator(BigInt(seed)).randn(n), values ?? first ?? [])).toBeLessThan(4e-6);
    }
  });
});
