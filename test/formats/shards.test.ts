/** Models in several files as one. */
import { describe, expect, test } from 'vitest';
import { readSafetensors } from '../../src/formats/safetensors/reader';
import { encodeSafetensors, floatTensor } from '../../src/formats/safetensors/writer';
import { joinTensorFiles, parseWeightMap, shardPlace } from '../../src/formats/shards';
import { findTensor, loadFloats, type TensorFile } from '../../src/formats/tensorFile';
import { memorySource } from '../../src/sources/memory';

const file = (name: string, values: Record<string, number[]>): Promise<TensorFile> => {
  const tensors = Object.entries(values).map(([key, list]) =>
    floatTensor(key, [list.length], Float32Array.from(list)),
  );
  return readSafetensors(memorySource(name, encodeSafetensors(tensors)));
};

describe('joinTensorFiles', () => {
  test('tensors of every file, with their values', async () => {
    const files = new Map([
      ['1.safetensors', await file('1', { a: [1, 2, 3] })],
      ['2.safetensors', await file('2', { b: [4], c: [5, 6] })],
    ]);
    const joined = joinTensorFiles('model', files, new Map([['b', '2.safetensors']]));
    expect([...joined.tensors.keys()]).toEqual(['a', 'b', 'c']);
    for (const [name, values] of [
      ['a', [1, 2, 3]],
      ['b', [4]],
      ['c', [5, 6]],
    ] as const) {
      expect([...(await loadFloats(joined.source, findTensor(joined, name)))], name).toEqual(values);
    }
    const first = files.get('1.safetensors')!.source.size;
    await expect(joined.source.read(first - 2, 4)).rejects.toThrow('must lie inside one of its files');
    expect(() => joinTensorFiles('model', files, new Map([['b', '1.safetensors']]))).toThrow(
      'model: tensor "b" must be in 1.safetensors: it is not',
    );
    const twice = new Map([...files, ['3', await file('3', { a: [1] })]] as const);
    expect(() => joinTensorFiles('model', twice)).toThrow('"a" is also in 3');
  });

  test('indices and names', () => {
    expect(parseWeightMap('i', { weight_map: { a: 'x.bin' } })).toEqual(new Map([['a', 'x.bin']]));
    expect(() => parseWeightMap('i', {})).toThrow('i: weight_map: must be an object: it is not');
    expect(() => parseWeightMap('i', { weight_map: { a: '../x' } })).toThrow(
      'must name a file beside: "../x"',
    );
    expect(shardPlace('model-00002-of-00010.safetensors')).toEqual({
      ...{ stem: 'model', number: 2, count: 10, extension: 'safetensors' },
    });
    expect(shardPlace('model.safetensors')).toBeNull();
  });
});
