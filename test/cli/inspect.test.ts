/** `tabdit inspect`: what it says of weights, bundles, configurations, pictures, and of files that are bad. */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { expect, describe, test } from 'vitest';
import { encodePng } from '../../src/formats/png/png';
import { describeFixtures, fixturePath } from '../helpers/fixtures';
import { goldenPath } from '../helpers/golden';
import { tabdit, tabditJson, temporaryFolder } from './run';

interface TensorJson {
  name: string;
  dtype: string;
  shape: number[];
  first?: (number | string)[];
  first_exact?: string[];
  sum?: number | string;
  sha256?: string;
}
interface FileJson {
  path: string;
  format: string;
  kind: string;
  config: Record<string, unknown> | null;
  parameters: number;
  tensors: TensorJson[];
  parts?: FileJson[];
  settings?: unknown;
  picture?: object;
  plan?: { image: { macs: number; macs_per_evaluation: number; memory: { weights: number; total: number } } };
  error?: { code: string; message: string };
}
const inspect = (...args: readonly string[]): FileJson[] =>
  tabditJson<{ files: FileJson[] }>('inspect', ...args).files;

describe('inspect', () => {
  const temporary = temporaryFolder();

  test('weights: kind, config, parameters, values, sums and hashes of tensors', () => {
    const path = goldenPath('micro-a.weights.safetensors');
    const [file] = inspect(path, '--sha256', '--values', '3');
    expect(file).toMatchObject({ path, format: 'safetensors', kind: 'dit', parameters: 648800 });
    expect(file?.config).toMatchObject({ dim: 64, depth: 4, num_experts: 4, patch_mixer_dim: 48 });
    const mask = file?.tensors.find(({ name }) => name === 'mask_token');
    const zeros = createHash('sha256').update(new Uint8Array(32)).digest('hex');
    expect(mask).toEqual({
      name: 'mask_token',
      dtype: 'F16',
      shape: [1, 1, 16],
      first: [0, 0, 0],
      sum: 0,
      sha256: zeros,
    });
    expect(file?.tensors).toHaveLength(114);
  });

  test('one bad file does not stop the others', () => {
    const bad = temporary('bad.safetensors');
    writeFileSync(bad, readFileSync(goldenPath('micro-a.forward.safetensors')).subarray(0, 5000));
    const good = goldenPath('micro-a.forward.safetensors');
    const ended = tabdit('inspect', bad, good, '--json');
    expect(ended.status).toBe(1);
    const { files } = JSON.parse(ended.stdout) as { files: FileJson[] };
    expect(files[0]).toMatchObject({ path: bad, error: { code: 'format' } });
    expect(files[1]).toMatchObject({ path: good, kind: 'tensors' });
    const text = tabdit('inspect', bad, good);
    expect(text.status).toBe(1);
    expect(text.stderr).toMatch(/^tabdit: .*bad\.safetensors: safetensors: .*\n$/);
    expect(text.stdout).toContain('kind');
  });

  test('a bundle with its cost', () => {
    const [bundle] = inspect('public/models/emoji-64', '--plan');
    expect(bundle).toMatchObject({ format: 'bundle', kind: 'bundle', config: { name: 'emoji-64' } });
    expect(bundle?.parts?.map(({ kind }) => kind)).toEqual(['dit', 'autoencoder-kl', 'clip-text']);
    expect(bundle?.parts?.[0]?.parameters).toBe(1827600);
    const image = bundle?.plan?.image;
    expect(image?.macs).toBeGreaterThan(31 * (image?.macs_per_evaluation ?? Infinity));
    expect(image?.memory.total).toBeGreaterThan(image?.memory.weights ?? Infinity);
  });

  test('configurations and pictures', async () => {
    const config = temporary('xl.json');
    writeFileSync(config, JSON.stringify({ arch: 'MicroDiT_XL_2', qkv_multiplier: 3 }));
    const picture = temporary('picture.png');
    const settings = { program: 'tabdit', prompt: 'a cat' };
    const data = new Uint8Array(2 * 3 * 3).fill(7);
    writeFileSync(picture, await encodePng({ width: 2, height: 3, channels: 3, data }, settings));
    const [xl, png, tokenizer] = inspect(config, picture, 'public/tokenizers/clip/tokenizer.json');
    expect(xl).toMatchObject({ kind: 'dit-config', config: { dim: 1024, depth: 28 } });
    expect(JSON.stringify(xl)).toContain('fields that are not known and not used: qkv_multiplier');
    expect(png).toMatchObject({
      format: 'png',
      kind: 'picture',
      picture: { width: 2, height: 3, channels: 3 },
      settings,
    });
    expect(tokenizer).toMatchObject({
      kind: 'tokenizer',
      config: { vocab: 49408, merges: 48894, context: 77 },
    });
  });
});

describeFixtures('inspect on files of the reference libraries', () => {
  interface Expected {
    outcome: string;
    tensors?: (Omit<TensorJson, 'name'> & { path: string })[];
  }

  test.each(['safetensors', 'torch'])('%s', (folder) => {
    const expected = JSON.parse(
      readFileSync(fixturePath(`formats/${folder}/expected.json`), 'utf8'),
    ) as Record<string, Expected>;
    const names = Object.keys(expected);
    const paths = names.map((name) => fixturePath(`formats/${folder}/${name}`));
    const ended = tabdit('inspect', ...paths, '--json', '--sha256', '--values', '8');
    expect(ended.status).toBe(1);
    const { files } = JSON.parse(ended.stdout) as { files: FileJson[] };
    names.forEach((name, index) => {
      const { outcome, tensors = [] } = expected[name]!;
      const file = files[index]!;
      if (file.error) {
        expect(outcome, `${name}: ${file.error.message}`).toContain('refused');
        return;
      }
      expect(outcome, name).toContain('tensors');
      if (outcome !== 'tensors') return;
      const found = new Map(file.tensors.map((tensor) => [tensor.name, tensor]));
      expect([...found.keys()].sort(), name).toEqual(tensors.map(({ path }) => path).sort());
      for (const { path, dtype, shape, first, first_exact, sha256 } of tensors) {
        expect(found.get(path), `${name}: ${path}`).toMatchObject({
          dtype,
          shape,
          first,
          sha256,
          ...(first_exact ? { first_exact } : {}),
        });
      }
    });
  });
});
