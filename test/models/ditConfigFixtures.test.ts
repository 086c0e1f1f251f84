/** Names, shapes and order of tensors against upstream's own state_dicts. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { readSafetensors } from '../../src/formats/safetensors/reader';
import { namedDitConfig, resolveDitConfig } from '../../src/models/dit/config';
import { ditParameters } from '../../src/models/dit/parameters';
import { parameterCount } from '../../src/models/parameters';
import { nodeFile } from '../../src/sources/node';
import { describeFixtures, fixturePath } from '../helpers/fixtures';

const read = (path: string): unknown => JSON.parse(readFileSync(fixturePath(path), 'utf8'));

describeFixtures('transformer tensors', () => {
  const listed = read('../specs/microdit-tensors.json') as Record<
    'MicroDiT_Tiny_2' | 'MicroDiT_XL_2',
    { buffers: Record<string, number[]>; parameters: Record<string, number[]> }
  >;
  it.each(['MicroDiT_Tiny_2', 'MicroDiT_XL_2'] as const)('%s: the list of every tensor', (arch) => {
    const ours = ditParameters(namedDitConfig(arch)).map(({ name, shape }) => [name, shape]);
    expect(ours).toEqual([
      ...Object.entries(listed[arch].buffers),
      ...Object.entries(listed[arch].parameters),
    ]);
  });

  it.each([
    ['dit/micro-a.weights', 'dit/micro-a.weights.json', 648_800],
    ['dit/micro-b.weights', 'dit/micro-b.weights.json', 1_907_584],
    ['demo/emoji-64/dit', 'demo/emoji-64/dit.json', undefined],
  ])('%s: the tensors of the file', async (file, config, count) => {
    const json = read(config) as { tensors?: Record<string, number[]> };
    const rows = ditParameters(resolveDitConfig(json).config);
    const { tensors } = await readSafetensors(await nodeFile(fixturePath(`${file}.safetensors`)));
    const inFile = [...tensors.values()].map(({ name, shape }) => [name, shape] as const);
    expect(new Map(rows.map(({ name, shape }) => [name, shape]))).toEqual(new Map(inFile));
    if (json.tensors)
      expect(rows.map(({ name, shape }) => [name, shape])).toEqual(Object.entries(json.tensors));
    if (count) expect(parameterCount(rows.filter(({ role }) => role !== 'buffer'))).toBe(count);
  });
});
