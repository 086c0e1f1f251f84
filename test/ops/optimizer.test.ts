import { describe, expect, test } from 'vitest';
import { Graph } from '../../src/graph/graph';
import { adamW, clipScale, emaUpdate, packHyper, squareSum, zero } from '../../src/ops/optimizer';
import { concatRows } from '../../src/ops/view';
import { checkEffect } from '../helpers/checkEffect';
import { checkOp } from '../helpers/checkOp';
import { normals } from '../helpers/compare';
import { useTestGpu } from '../helpers/device';

useTestGpu();

const settings = { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.1 };

describe('squareSum', () => {
  for (const count of [1, 7, 1024, 16384, 16385, 50000]) {
    test(`${count} elements`, async () => {
      await checkOp({
        inputs: { x: { shape: [count] } },
        build: (g, t) => squareSum(g, t['x']!),
        tolerance: 1e-6,
      });
    });
  }

  test('many tensors, summed in one buffer', async () => {
    await checkOp({
      inputs: { a: { shape: [3, 5] }, b: { shape: [64, 300] }, c: { shape: [1] } },
      build: (g, t) => concatRows(g, [squareSum(g, t['a']!), squareSum(g, t['b']!), squareSum(g, t['c']!)]),
      tolerance: 1e-6,
    });
  });
});

describe('clipScale', () => {
  const cases: [maxNorm: number, data: readonly number[]][] = [
    [0.25, [9, 16]],
    [0.25, [0.01]],
    [0.5, [0, 0, 0]],
    [0, [4, 5]],
    [Infinity, [4, 5]],
  ];
  for (const [maxNorm, data] of cases) {
    test(`largest norm ${maxNorm} of [${data.join(', ')}]`, async () => {
      await checkOp({
        inputs: { squares: { shape: [data.length], data } },
        build: (g, t) => ({ ...clipScale(g, t['squares']!, maxNorm) }),
        tolerance: 1e-6,
      });
    });
  }

  test('more tensors than threads', async () => {
    await checkOp({
      inputs: { squares: { shape: [476], data: normals(476, 3).map((value) => value * value) } },
      build: (g, t) => clipScale(g, t['squares']!, 0.25).scale,
      tolerance: 1e-6,
    });
  });
});

describe('adamW', () => {
  for (const shape of [[1], [3, 7], [37, 64]]) {
    for (const scaled of [false, true]) {
      test(`[${shape.join(', ')}], five steps${scaled ? ', clipped' : ''}`, async () => {
        const count = shape.reduce((a, b) => a * b, 1);
        const graph = new Graph();
        const grad = graph.input('grad', shape);
        adamW(graph, {
          p: graph.state('weights:p', shape),
          grad,
          m: graph.state('m:p', shape),
          v: graph.state('v:p', shape),
          hyper: graph.input('hyper', [8]),
          ...(scaled ? { scale: clipScale(graph, squareSum(graph, grad), 0.25).scale } : {}),
        });
        const given = {
          'weights:p': normals(count, 1),
          'm:p': new Float32Array(count),
          'v:p': new Float32Array(count),
        };
        const inputs = Array.from({ length: 5 }, (_, i) => ({
          grad: normals(count, 10 + i).map((value) => value * 10 ** (i - 3)),
          hyper: packHyper({ ...settings, step: i + 1 }),
        }));
        await checkEffect(graph, given, inputs, 2e-6);
      });
    }
  }

  test('gradient in state, cleared afterwards; moving average of the new weight', async () => {
    const shape = [5, 8];
    const graph = new Graph();
    const [p, grad, ema] = ['weights:p', 'grads:p', 'ema:p'].map((name) => graph.state(name, shape));
    const hyper = graph.input('hyper', [8]);
    adamW(graph, {
      p: p!,
      grad: grad!,
      m: graph.state('moments:m', shape),
      v: graph.state('moments:v', shape),
      hyper,
    });
    emaUpdate(graph, ema!, p!, hyper);
    zero(graph, grad!);
    const given = {
      'weights:p': normals(40, 1),
      'grads:p': normals(40, 2),
      'ema:p': normals(40, 3),
      'moments:m': normals(40, 4),
      'moments:v': normals(40, 5).map((value) => value * value),
    };
    const run = async (emaRate: number) =>
      (await checkEffect(graph, given, [{ hyper: packHyper({ ...settings, step: 7, emaRate }) }])).state;
    const blended = await run(0.01);
    expect(blended.get('grads:p')).toEqual(new Float32Array(40));
    const copied = await run(1);
    expect(copied.get('ema:p'), 'rate 1 copies').toEqual(copied.get('weights:p'));
    const untouched = await run(0);
    expect(untouched.get('ema:p'), 'rate 0 leaves alone').toEqual(given['ema:p']);
  });

  test('scalars are made in float64', () => {
    const hyper = packHyper({ ...settings, step: 1, emaRate: 0.01 });
    const wanted = [1 - 1e-4, 1 - 0.9, 0.999, 1 - 0.999, 1e-8, 1e-3 / (1 - 0.9), Math.sqrt(1 - 0.999), 0.01];
    expect(hyper).toEqual(Float32Array.from(wanted));
    expect(() => packHyper({ ...settings, step: 0 })).toThrow('optimizer: steps are numbered from 1: 0');
  });

  test('odd sizes are cleared too', async () => {
    const graph = new Graph();
    zero(graph, graph.state('grads:a', [7]));
    zero(graph, graph.state('grads:b', [1025]));
    await checkEffect(graph, { 'grads:a': normals(7, 1), 'grads:b': normals(1025, 2) });
  });

  test('wrong shapes are named', () => {
    const g = new Graph();
    const state = (name: string, shape: readonly number[]) => g.state(`s:${name}`, shape);
    const hyper = g.input('hyper', [8]);
    const rest = { m: state('m', [4]), v: state('v', [4]), hyper };
    expect(() => adamW(g, { p: state('p', [4]), grad: g.input('grad', [5]), ...rest })).toThrow(
      'adamW: p, grad, m, v are f32 of one size: grad is f32 [5], p f32 [4]',
    );
    expect(() => adamW(g, { p: g.input('w', [4]), grad: state('grad', [4]), ...rest })).toThrow(
      'adamW: p is a state tensor: input f32 [4]',
    );
    expect(() => emaUpdate(g, state('ema', [4]), state('p', [4]), state('p', [4]))).toThrow(
      'emaUpdate: hyper is f32 [8]: f32 [4]',
    );
    expect(() => clipScale(g, state('p', [4]), -1)).toThrow(
      'clipScale: the largest norm is not negative: -1',
    );
  });
});
