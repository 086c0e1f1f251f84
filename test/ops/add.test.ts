import { describe, expect, test } from 'vitest';
import { Graph } from '../../src/graph/graph';
import { accumulate, add, scale } from '../../src/ops/add';
import { checkEffect } from '../helpers/checkEffect';
import { checkOp } from '../helpers/checkOp';
import { normals } from '../helpers/compare';
import { useTestGpu } from '../helpers/device';

useTestGpu();

describe('add', () => {
  const cases: [a: readonly number[], b: readonly number[]][] = [
    [[1], [1]],
    [
      [3, 5],
      [3, 5],
    ],
    [[3, 4, 8], [8]],
    [
      [3, 4, 7],
      [4, 7],
    ],
    [[300, 20], [1]],
  ];
  for (const [a, b] of cases) {
    test(`[${a.join(', ')}] + [${b.join(', ')}]`, async () => {
      await checkOp({
        inputs: { a: { shape: a }, b: { shape: b } },
        build: (g, t) => add(g, t['a']!, t['b']!, { alpha: 0.5, beta: -2 }),
        wrt: ['a', 'b'],
        tolerance: 2e-6,
      });
    });
  }

  test('scale', async () => {
    for (const count of [7, 64]) {
      await checkOp({
        inputs: { x: { shape: [count] } },
        build: (g, t) => scale(g, t['x']!, 0.3),
        wrt: ['x'],
        tolerance: 1e-6,
      });
    }
  });

  test('accumulate adds to state, run after run', async () => {
    for (const shape of [[5], [16, 20]]) {
      const graph = new Graph();
      const count = shape.reduce((a, b) => a * b, 1);
      accumulate(graph, graph.state('grads:w', shape), graph.input('x', shape));
      const inputs = [{ x: normals(count, 2) }, { x: normals(count, 3) }];
      await checkEffect(graph, { 'grads:w': normals(count, 1) }, inputs);
    }
  });

  test('wrong shapes are named', () => {
    const g = new Graph();
    const x = g.input('x', [2, 3]);
    const y = g.input('y', [4]);
    expect(() => add(g, x, y)).toThrow('add: b repeats evenly along a: a f32 [2, 3], b f32 [4]');
    expect(() => accumulate(g, g.state('s:s', [5]), x)).toThrow(
      'accumulate: state and value have as many elements: f32 [5], f32 [2, 3]',
    );
  });
});
