import { describe, expect, test } from 'vitest';
import { Graph } from '../../src/graph/graph';
import type { Tensor } from '../../src/graph/tensor';
import { expertRoute, tokensPerExpert } from '../../src/ops/expertRoute';
import { noRow } from '../../src/ops/gatherRows';
import { interpret } from '../../src/reference/interpret';
import { checkOp } from '../helpers/checkOp';
import { normals } from '../helpers/compare';
import { runGraph, useTestGpu } from '../helpers/device';

useTestGpu();

type Routed = { picks: number[]; slots: number[] };

/**
 * Routes given probabilities on the device, with rows of `width` elements; fails unless picks, slots and the taken rows are
 * those of the reference, exactly.
 */
async function route(
  shape: [number, number, number],
  chosen: number,
  probs: Float32Array,
  width = 8,
): Promise<Routed> {
  const g = new Graph();
  const rows: [number, number, number] = [shape[0], shape[1], width];
  const routing = expertRoute(g, g.input('probs', shape), g.input('x', rows), chosen);
  for (const [name, tensor] of Object.entries(routing)) g.output(name, tensor as Tensor);
  const inputs = { probs, x: normals(rows[0] * rows[1] * width, 12) };
  const { outputs } = await runGraph(g, inputs);
  const expected = interpret(g, { inputs });
  expect([...new Float32Array(outputs.get('taken')!)], 'taken').toEqual([...expected.get('taken')!]);
  const read = (name: string): number[] => [...new Uint32Array(outputs.get(name)!)];
  for (const name of ['picks', 'slots']) expect(read(name), name).toEqual([...expected.get(name)!]);
  return { picks: read('picks'), slots: read('slots') };
}

/** Probabilities with `levels` distinct values: few levels make many ties. */
function coarse([samples, tokens, experts]: [number, number, number], levels: number): Float32Array {
  return normals(samples * tokens * experts, 11).map((v) => Math.abs(Math.round(v * levels)) / (4 * levels));
}

describe('expertRoute', () => {
  // [B, T, E], K: sampling, masked training, odd sizes, K = 1, K = T, more tokens than one workgroup or one tile holds
  const sizes: [shape: [number, number, number], chosen: number][] = [
    [[2, 256, 8], 64],
    [[3, 64, 8], 16],
    [[1, 77, 8], 19],
    [[3, 9, 3], 4],
    [[2, 33, 5], 1],
    [[2, 21, 4], 21],
    [[1, 1, 1], 1],
    [[1, 1027, 2], 300],
    [[1, 3, 64], 2],
  ];
  for (const [shape, chosen] of sizes) {
    for (const levels of [1e6, 2]) {
      test(`[${shape.join(', ')}], ${chosen} each, ${levels === 2 ? 'ties' : 'no ties'}`, async () => {
        const [samples, tokens, experts] = shape;
        const width = levels === 2 ? 8 : 5;
        const { picks, slots } = await route(shape, chosen, coarse(shape, levels), width);
        // slots are the inverse of picks, and every pick stays inside its sample
        const inverse = Array.from({ length: samples * tokens * experts }, () => noRow);
        picks.forEach((row, at) => {
          const expert = Math.floor(at / (samples * chosen));
          expect(Math.floor(row / tokens)).toBe(Math.floor((at % (samples * chosen)) / chosen));
          inverse[row * experts + expert] = at;
        });
        expect(slots).toEqual(inverse);
      });
    }
  }

  test('written out: descending, ties to the lower token, a token for all and one for none', async () => {
    // tokens 0 .. 4, experts 0 and 1
    const probs = Float32Array.of(0.5, 0.5, 0.9, 0.9, 0.5, 0.1, 0.1, 0.5, 0.7, 0.2);
    const { picks, slots } = await route([1, 5, 2], 3, probs);
    expect(picks).toEqual([1, 4, 0, 1, 0, 3]);
    expect(slots).toEqual([2, 4, 0, 3, noRow, noRow, noRow, 5, 1, noRow]);
  });

  test('equal probabilities: every expert takes the first tokens of each sample', async () => {
    const { picks } = await route([2, 6, 2], 3, new Float32Array(24).fill(0.5));
    expect(picks).toEqual([0, 1, 2, 6, 7, 8, 0, 1, 2, 6, 7, 8]);
  });

  test('probabilities of exactly 0 and 1, and near the smallest normal number', async () => {
    const { picks } = await route([1, 6, 1], 4, Float32Array.of(0, 1, 2e-38, 1, 0, 3e-38));
    expect(picks).toEqual([1, 3, 5, 2]);
  });

  test('gradient of the rows', async () => {
    // a token may be taken by several experts: its gradient is a sum
    await checkOp({
      inputs: {
        probs: { shape: [2, 9, 3], data: coarse([2, 9, 3], 1e6) },
        x: { shape: [2, 9, 6] },
      },
      build: (g, t) => expertRoute(g, t['probs']!, t['x']!, 4).taken,
      wrt: ['x'],
      tolerance: 0,
      gradientTolerance: 1e-6,
    });
  });

  test('each result alone', async () => {
    const shape: [number, number, number] = [2, 40, 4];
    const inputs = { probs: coarse(shape, 1e6), x: normals(2 * 40 * 7, 3) };
    const run = async (...wanted: ('picks' | 'slots' | 'taken')[]): Promise<Map<string, ArrayBuffer>> => {
      const g = new Graph();
      const routing = expertRoute(g, g.input('probs', shape), g.input('x', [2, 40, 7]), 10);
      for (const name of wanted) g.output(name, routing[name]);
      return (await runGraph(g, inputs)).outputs;
    };
    const all = await run('picks', 'slots', 'taken');
    for (const name of ['picks', 'slots', 'taken'] as const) {
      expect(new Uint8Array((await run(name)).get(name)!), name).toEqual(new Uint8Array(all.get(name)!));
    }
  });

  test('tokens per expert: a fraction is cut off', () => {
    const cases: [tokens: number, experts: number, capacity: number, chosen: number][] = [
      [256, 8, 2, 64],
      [1024, 8, 2, 256],
      [64, 8, 2, 16],
      [77, 8, 2, 19],
      [5, 3, 2, 3],
      [7, 4, 1.25, 2],
      [5, 1, 1, 5],
      [3, 4, 1, 0],
    ];
    for (const [tokens, experts, capacity, chosen] of cases) {
      expect(tokensPerExpert(tokens, experts, capacity)).toBe(chosen);
    }
  });

  test('wrong shapes are named', () => {
    const g = new Graph();
    const x = g.input('x', [2, 16, 6]);
    expect(() => expertRoute(g, g.input('flat', [16, 8]), x, 2)).toThrow(
      'expertRoute: probabilities are f32 [B, T, E]: f32 [16, 8]',
    );
    const probs = g.input('probs', [2, 16, 8]);
    expect(() => expertRoute(g, probs, x, 0)).toThrow(
      'expertRoute: an expert takes 1 to T tokens of a sample: 0 of f32 [2, 16, 8]',
    );
    expect(() => expertRoute(g, probs, x, 17)).toThrow('17 of f32 [2, 16, 8]');
    expect(() => expertRoute(g, probs, g.input('other', [2, 15, 6]), 2)).toThrow(
      'expertRoute: x is f32 [B, T, D], a row for each token: f32 [2, 15, 6], probabilities f32 [2, 16, 8]',
    );
  });
});
