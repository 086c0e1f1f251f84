import { describe, expect, test } from 'vitest';
import { Graph } from '../../src/graph/graph';
import { planGraph } from '../../src/graph/plan';
import { plainProfile } from '../../src/graph/profile';
import { activation } from '../../src/ops/activation';
import { add, scale } from '../../src/ops/add';
import { linear } from '../../src/ops/linear';
import { assign, concatRows, reshape, sliceRows } from '../../src/ops/view';
import { checkEffect } from '../helpers/checkEffect';
import { checkOp } from '../helpers/checkOp';
import { normals } from '../helpers/compare';
import { useTestGpu } from '../helpers/device';

useTestGpu();

describe('view', () => {
  test('reshape', async () => {
    await checkOp({
      inputs: { x: { shape: [4, 6] } },
      build: (g, t) => activation(g, reshape(g, t['x']!, [2, 12]), 'silu'),
      wrt: ['x'],
      tolerance: 2e-6,
    });
  });

  for (const [rows, width, start, end] of [
    [6, 8, 2, 4],
    [5, 3, 1, 5],
    [7, 5, 0, 3],
  ] as const) {
    test(`rows ${start} to ${end} of [${rows}, ${width}]`, async () => {
      await checkOp({
        inputs: { x: { shape: [rows, width] } },
        build: (g, t) => activation(g, sliceRows(g, t['x']!, start, end), 'silu'),
        wrt: ['x'],
        tolerance: 2e-6,
      });
    });

    test(`a slice by itself, rows ${start} to ${end} of [${rows}, ${width}]`, async () => {
      await checkOp({
        inputs: { x: { shape: [rows, width] } },
        build: (g, t) => sliceRows(g, t['x']!, start, end),
        wrt: ['x'],
        tolerance: 0,
      });
    });
  }

  for (const width of [3, 8]) {
    test(`parts made in place and parts copied, width ${width}`, async () => {
      await checkOp({
        inputs: { a: { shape: [2, width] }, b: { shape: [3, width] } },
        build(g, t) {
          const made = scale(g, t['a']!, 2);
          // an input, a fresh value, the same value twice, and a view
          return concatRows(g, [t['b']!, made, made, sliceRows(g, t['b']!, 1, 2)]);
        },
        wrt: ['a', 'b'],
        tolerance: 1e-6,
      });
    });
  }

  test('rows of f16 weights', async () => {
    await checkOp({
      inputs: { x: { shape: [3, 8] }, w: { shape: [6, 8], dtype: 'f16' } },
      build: (g, t) => linear(g, t['x']!, sliceRows(g, t['w']!, 2, 5)),
      wrt: ['x'],
    });
  });

  test('assign: from a fresh value, from an input, and after a read', async () => {
    const graph = new Graph();
    const x = graph.input('x', [3, 5]);
    const before = graph.state('s:before', [3, 5]);
    graph.output('was', scale(graph, before, 1));
    assign(graph, graph.state('s:made', [3, 5]), activation(graph, x, 'silu'));
    assign(graph, graph.state('s:copied', [15]), x);
    assign(graph, before, add(graph, x, x));
    const given = { 's:before': normals(15, 1), 's:made': normals(15, 2), 's:copied': normals(15, 3) };
    const result = await checkEffect(graph, given, [{ x: normals(15, 4) }]);
    expect(result.outputs.get('was'), 'read before the assignment').toEqual(given['s:before']);
  });

  test('quantised weights: views keep the output channels, other kernels do not read them', () => {
    const g = new Graph();
    const w = g.quantized('group:w', [6, 4, 2], 6);
    const flat = reshape(g, w, [6, 8]);
    expect(flat.dtype).toBe('i8');
    expect(flat.scale).toBe(w.scale);
    expect(() => reshape(g, w, [8, 6])).toThrow(
      'reshape: int8 weights keep the first axis as their output channels: i8 [6, 4, 2] with 6 channels to [8, 6]',
    );
    const experts = g.quantized('group:experts', [2, 4, 6], 12);
    expect(() => reshape(g, experts, [2, 24])).toThrow('reshape: int8 weights keep the first axis');
    g.output('copy', concatRows(g, [flat, flat]));
    expect(() => planGraph(g, plainProfile)).toThrow(
      'copy: int8 values are read together with their scales: x i8 [6, 8]',
    );
  });

  test('wrong shapes are named', () => {
    const g = new Graph();
    const x = g.input('x', [4, 6]);
    expect(() => reshape(g, x, [5, 5])).toThrow('reshape: the number of elements stays: [4, 6] to [5, 5]');
    expect(() => sliceRows(g, x, 2, 5)).toThrow('sliceRows: 0 <= start < end <= rows: 2 to 5 of f32 [4, 6]');
    expect(() => concatRows(g, [x, g.input('y', [4, 5])])).toThrow(
      'concatRows: all axes but the first and the dtype agree: f32 [4, 6], f32 [4, 5]',
    );
    expect(() => assign(g, x, x)).toThrow(
      'assign: a state tensor takes a value of its size and dtype: f32 [4, 6], f32 [4, 6]',
    );
  });
});
