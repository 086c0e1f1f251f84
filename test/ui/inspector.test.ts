import { describe, expect, test } from 'vitest';
import type { TensorFacts, TensorStatistics } from '../../src/protocol/library';
import { filterTensors, Inspector, shapeText } from '../../src/ui/state/inspector';

const tensor = (name: string, shape = [3072, 1024], dtype = 'F32'): TensorFacts => ({
  ...{ name, dtype, shape, bytes: 4 },
});
const numbers: TensorStatistics = {
  ...{ count: 1, min: 0, max: 0, mean: 0, deviation: 0, zeros: 1, notFinite: 0, histogram: [1] },
};

/** A source whose answers the test gives. */
function source() {
  const asked: { what: string; give: (value: never) => void; refuse: (error: Error) => void }[] = [];
  const ask = <T>(what: string): Promise<T> =>
    new Promise((give, refuse) => asked.push({ what, give, refuse }));
  return {
    asked,
    inspector: new Inspector({
      tensors: (item) => ask(item),
      statistics: (item, name) => ask(`${item}/${name}`),
    }),
  };
}

describe('the tensors of a file', () => {
  test('are read on opening, statistics on choosing, each once', async () => {
    const { asked, inspector } = source();
    const opened = inspector.open('a');
    expect(inspector.store.getState()).toMatchObject({ item: 'a', tensors: { state: 'reading' } });
    asked[0]!.give([tensor('x')] as never);
    await opened;
    expect(inspector.store.getState().tensors).toEqual({ state: 'read', value: [tensor('x')] });
    const chosen = inspector.choose('x');
    expect(inspector.store.getState().statistics.get('x')).toEqual({ state: 'reading' });
    asked[1]!.give(numbers as never);
    await chosen;
    await inspector.choose('x');
    expect(asked.map(({ what }) => what)).toEqual(['a', 'a/x']);
    expect(inspector.store.getState()).toMatchObject({ chosen: 'x' });
    expect(inspector.store.getState().statistics.get('x')).toEqual({ state: 'read', value: numbers });
  });

  test('an answer that comes after another file was opened is dropped', async () => {
    const { asked, inspector } = source();
    const first = inspector.open('a');
    const second = inspector.open('b');
    asked[0]!.give([tensor('of a')] as never);
    await first;
    expect(inspector.store.getState().tensors.state).toBe('reading');
    asked[1]!.give([tensor('of b')] as never);
    await second;
    const choosing = inspector.choose('of b');
    inspector.close();
    asked[2]!.give(numbers as never);
    await choosing;
    expect(inspector.store.getState()).toMatchObject({ item: null, chosen: null });
    expect(inspector.store.getState().statistics.size).toBe(0);
  });

  test('what could not be read says why, and can be tried again', async () => {
    const { asked, inspector } = source();
    const opened = inspector.open('a');
    asked[0]!.give([tensor('x')] as never);
    await opened;
    const failing = inspector.choose('x');
    asked[1]!.refuse(new Error('the file is gone'));
    await failing;
    expect(inspector.store.getState().statistics.get('x')).toMatchObject({
      state: 'failed',
      error: { message: 'the file is gone' },
    });
    const again = inspector.choose('x');
    asked[2]!.give(numbers as never);
    await again;
    expect(inspector.store.getState().statistics.get('x')?.state).toBe('read');
  });
});

test('a filter takes every word, of name, type or shape', () => {
  const tensors = [
    tensor('blocks.3.attn.qkv'),
    tensor('blocks.3.norm', [1024]),
    tensor('pos_embed', [1], 'F16'),
  ];
  const names = (filter: string) => filterTensors(tensors, filter).map(({ name }) => name);
  expect(names('')).toHaveLength(3);
  expect(names('  BLOCKS.3 qkv ')).toEqual(['blocks.3.attn.qkv']);
  expect(names('3072x1024')).toEqual(['blocks.3.attn.qkv']);
  expect(names('3072 × 1024')).toEqual(['blocks.3.attn.qkv']);
  expect(names('f16')).toEqual(['pos_embed']);
  expect(names('nowhere')).toEqual([]);
  expect(shapeText([])).toBe('scalar');
});
