/** index.json of datasets: the reference library's, and broken ones. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { FormatError } from '../../src/core/errors';
import { isMdsIndex, parseMdsIndex } from '../../src/formats/mds/datasetIndex';
import { describeFixtures, fixturePath } from '../helpers/fixtures';

const shard = {
  ...{ format: 'mds', version: 2, samples: 3, column_names: ['a', 'b'], column_encodings: ['str', 'int'] },
  ...{ compression: null, raw_data: { basename: 'shard.00000.mds', bytes: 10, hashes: {} }, zip_data: null },
};

describe('parseMdsIndex', () => {
  test('columns, samples, shards', () => {
    expect(parseMdsIndex('i', { version: 2, shards: [shard, { ...shard, samples: 1 }] })).toMatchObject({
      columns: [
        { name: 'a', encoding: 'str' },
        { name: 'b', encoding: 'int' },
      ],
      samples: 4,
      shards: [{ raw: { path: 'shard.00000.mds', bytes: 10 }, zip: null }, {}],
    });
    expect(parseMdsIndex('i', { version: 2, shards: [] })).toEqual({ columns: [], samples: 0, shards: [] });
    expect([isMdsIndex({ shards: 1 }), isMdsIndex({}), isMdsIndex(null)]).toEqual([true, false, false]);
  });

  test.each([
    [{ samples: -1 }, 'i: shards.0.samples: must be a whole number from 0: -1'],
    [{ format: 'json' }, 'i: shards.0.format: must be "mds": "json"'],
    [{ column_names: ['a'] }, 'i: shards.0.column_encodings: must be as many as the 1 names: 2'],
    [{ raw_data: null }, 'i: shards.0.raw_data: must be an object: null'],
    [{ compression: 7 }, 'i: shards.0.compression: must be a text or null: 7'],
    [{ raw_data: { basename: '../x', bytes: 1 } }, /must be relative/],
  ])('%j is refused', (changed, message) => {
    expect(() => parseMdsIndex('i', { version: 2, shards: [{ ...shard, ...changed }] })).toThrow(message);
  });
});

describeFixtures("datasets' indices as the reference library writes them", () => {
  const expected = JSON.parse(readFileSync(fixturePath('formats/mds/expected.json'), 'utf8')) as Record<
    string,
    { outcome: string; columns?: Record<string, string>; shards?: number[] }
  >;
  const read = (name: string): ReturnType<typeof parseMdsIndex> => {
    const path = fixturePath(`formats/mds/${name}/index.json`);
    return parseMdsIndex(name, JSON.parse(readFileSync(path, 'utf8')) as unknown);
  };
  const namesOf = (good: boolean): string[] =>
    Object.keys(expected).filter((name) => (expected[name]?.outcome === 'samples') === good);

  test.each(namesOf(true))('%s', (name) => {
    const { columns = {}, shards } = expected[name]!;
    const index = read(name);
    expect(Object.fromEntries(index.columns.map((column) => [column.name, column.encoding]))).toEqual(
      columns,
    );
    expect(index.shards.map(({ samples }) => samples)).toEqual(shards);
  });

  // Other bad sets are wrong inside their shards, which nobody looks into here.
  const badIndex =
    /^bad-(path|index-(list|no-shards|shards-null)|version|shard-version|format|encoding-count|samples-negative)/;
  test.each(namesOf(false).filter((name) => badIndex.test(name)))('%s is refused', (name) => {
    expect(() => read(name)).toThrow(FormatError);
  });
});
