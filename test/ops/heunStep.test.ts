import { describe, expect, test } from 'vitest';
import { heunTable, karrasSigmas, packHeunTable, precondition } from '../../src/diffusion/edm';
import { Graph } from '../../src/graph/graph';
import type { Tensor } from '../../src/graph/tensor';
import { add } from '../../src/ops/add';
import { heunStep, sampleInput } from '../../src/ops/heunStep';
import { mulRows } from '../../src/ops/mulRows';
import { patchify, unpatchify } from '../../src/ops/patches';
import { reshape } from '../../src/ops/view';
import { checkEffect } from '../helpers/checkEffect';
import { expectClose, normals } from '../helpers/compare';
import { useTestGpu } from '../helpers/device';

useTestGpu();

const names = ['x', 'xEval', 'slope', 'denoised'] as const;

interface Sampler {
  readonly shape: readonly [number, number, number, number];
  readonly steps: number;
  /** 1: no guidance. */
  readonly guidance: number;
  readonly patch: number;
}

/**
 * A stand-in for the network: F[r, e] = gain[r, e] xIn[r, e] + shift[r, e], r over the rows of the batch, e over the elements
 * of a picture; between tokens it is put together and cut again.
 */
function sampler({ shape, steps, guidance, patch }: Sampler): {
  graph: Graph;
  state: Record<string, Float32Array>;
  inputs: Record<string, ArrayLike<number>>[];
  network: (row: number, element: number, xIn: number) => number;
  noise: Float32Array;
} {
  const guided = guidance > 1;
  const [samples, ...rest] = shape;
  const size = rest.reduce((a, b) => a * b, 1);
  const rows = samples * (guided ? 2 : 1);
  const gain = normals(rows * size, 5).map((value) => 0.3 * value);
  const shift = normals(rows * size, 6);
  const graph = new Graph();
  const step = graph.input('step', [1], 'u32');
  const table = packHeunTable(heunTable(steps));
  const state = Object.fromEntries(
    names.map((name) => [name, graph.state(`sampler:${name}`, shape)]),
  ) as Record<(typeof names)[number], Tensor>;
  const schedule = { table: graph.constant(table, [2 * steps - 1, 8]), step, guided, patch };
  const xIn = sampleInput(graph, { xEval: state.xEval, ...schedule });
  const [channels, height, width] = rest;
  const picture = unpatchify(graph, xIn, { patch, order: 'channelSlow', channels, height, width });
  const flat = reshape(graph, picture, [rows, size]);
  const scaled = mulRows(graph, flat, graph.constant(gain, [rows, size]));
  const made = reshape(graph, add(graph, scaled, graph.constant(shift, [rows, size])), picture.shape);
  const F = patchify(graph, made, { patch, order: 'channelFast' });
  heunStep(graph, { F, ...state, ...schedule, guidance });
  const noise = normals(samples * size, 7);
  const start = noise.map((value) => 80 * value);
  const zeros = new Float32Array(start.length);
  return {
    graph,
    noise,
    state: { 'sampler:x': start, 'sampler:xEval': start, 'sampler:slope': zeros, 'sampler:denoised': zeros },
    inputs: Array.from({ length: 2 * steps - 1 }, (_, index) => ({ step: [index] })),
    network: (row, element, value) => gain[row * size + element]! * value + shift[row * size + element]!,
  };
}

/** The sampler as published: a plain loop over steps in float64, D from the preconditioning. */
function heunLoop(setup: ReturnType<typeof sampler>, { shape, steps, guidance }: Sampler): Float64Array {
  const size = shape[1] * shape[2] * shape[3];
  const sigmas = karrasSigmas(steps);
  const denoise = (x: Float64Array, sigma: number): Float64Array => {
    const { cSkip, cOut, cIn } = precondition(sigma);
    return x.map((value, i) => {
      const [row, element] = [Math.floor(i / size), i % size];
      const conditional = setup.network(row, element, cIn * value);
      if (guidance <= 1) return cSkip * value + cOut * conditional;
      const unconditional = setup.network(row + shape[0], element, cIn * value);
      return cSkip * value + cOut * (unconditional + guidance * (conditional - unconditional));
    });
  };
  let x = Float64Array.from(setup.noise, (value) => value * sigmas[0]!);
  for (let i = 0; i < steps; i++) {
    const [from, to] = [sigmas[i]!, sigmas[i + 1]!];
    const first = denoise(x, from);
    const d = x.map((value, j) => (value - first[j]!) / from);
    let next = x.map((value, j) => value + (to - from) * d[j]!);
    if (i < steps - 1) {
      const second = denoise(next, to);
      const d2 = next.map((value, j) => (value - second[j]!) / to);
      next = x.map((value, j) => value + ((to - from) * (d[j]! + d2[j]!)) / 2);
    }
    x = next;
  }
  return x;
}

describe('heunStep', () => {
  const cases: Sampler[] = [
    { shape: [1, 1, 3, 3], steps: 2, guidance: 1, patch: 1 },
    { shape: [2, 4, 4, 4], steps: 8, guidance: 5, patch: 2 },
    { shape: [3, 3, 5, 5], steps: 5, guidance: 1.5, patch: 5 },
    { shape: [2, 4, 16, 16], steps: 8, guidance: 1, patch: 2 },
  ];
  for (const setting of cases) {
    test(`${setting.steps} steps of ${setting.shape.join(' x ')}, guidance ${setting.guidance}`, async () => {
      const setup = sampler(setting);
      // the state spans the whole path from 80 to the picture, so what f32 loses early is seen at the end
      const result = await checkEffect(setup.graph, setup.state, setup.inputs, 5e-6);
      const wanted = heunLoop(setup, setting);
      const x = result.state.get('sampler:x')!;
      expectClose(x, wanted, 5e-6, 'final latents against the published loop');
      expect(result.state.get('sampler:xEval'), 'the next point is the last').toEqual(x);
      expectClose(result.state.get('sampler:denoised')!, x, 1e-5, 'the last estimate is the result');
    });
  }

  test('wrong shapes are named', () => {
    const g = new Graph();
    const state = (name: string): Tensor => g.state(`sampler:${name}`, [2, 3, 4, 4]);
    const counted = { table: g.input('table', [5, 8]), step: g.input('step', [1], 'u32') };
    const schedule = { ...counted, guided: true, patch: 2 };
    const states = {
      x: state('x'),
      xEval: state('xEval'),
      slope: state('slope'),
      denoised: state('denoised'),
    };
    const F = g.input('F', [2, 4, 12]);
    const attempt = (change: Partial<Parameters<typeof heunStep>[1]>) => () =>
      heunStep(g, { F, ...states, ...schedule, guidance: 5, ...change });
    expect(attempt({})).toThrow(
      'heunStep: F is the tokens of x, twice (guidance), f32 [4, 4, 12]: F f32 [2, 4, 12], x f32 [2, 3, 4, 4]',
    );
    expect(attempt({ guided: false, slope: F })).toThrow(
      'heunStep: x, xEval, slope and denoised are f32 state of one shape: slope is input f32 [2, 4, 12], x f32 [2, 3, 4, 4]',
    );
    expect(attempt({ guided: false, xEval: states.x })).toThrow(
      'heunStep: x, xEval, slope and denoised are four tensors: sampler:x, sampler:x, sampler:slope, sampler:denoised',
    );
    expect(attempt({ table: F })).toThrow('heunStep: table is f32 [evaluations, 8]: f32 [2, 4, 12]');
    expect(attempt({ guided: false, patch: 3 })).toThrow(
      'heunStep: the picture is cut into whole patches: 4 x 4, patch 3',
    );
    expect(() => sampleInput(g, { xEval: states.x, ...schedule, step: F })).toThrow(
      'sampleInput: step is u32 [1]: f32 [2, 4, 12]',
    );
    expect(() => sampleInput(g, { xEval: F, ...schedule })).toThrow(
      'sampleInput: xEval is f32 [B, C, h, w]: f32 [2, 4, 12]',
    );
  });
});
