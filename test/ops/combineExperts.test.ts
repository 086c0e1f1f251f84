import { describe, expect, test } from 'vitest';
import { Graph } from '../../src/graph/graph';
import type { Tensor } from '../../src/graph/tensor';
import { vectorJacobian } from '../../src/ops/autodiff';
import { combineExperts, type CombineExpertsOptions } from '../../src/ops/combineExperts';
import { expertRouteOp } from '../../src/ops/expertRoute';
import { interpret } from '../../src/reference/interpret';
import { checkOp, type CheckInput } from '../helpers/checkOp';
import { normals } from '../helpers/compare';
import { useTestGpu } from '../helpers/device';

useTestGpu();

interface Sizes {
  samples: number;
  tokens: number;
  experts: number;
  chosen: number;
  width: number;
}

/** Inputs of combineExperts with a routing of random probabilities (not those used as weights). */
function routed({ samples, tokens, experts, chosen, width }: Sizes): Record<string, CheckInput> {
  const g = new Graph();
  const shape = [samples, tokens, experts];
  const x = g.constant(new Float32Array(samples * tokens), [samples, tokens, 1]);
  const inputs = [g.input('p', shape), x];
  const [picks, slots] = g.append(expertRouteOp, inputs, { tokensPerExpert: chosen });
  g.output('picks', picks!);
  g.output('slots', slots!);
  const routing = interpret(g, { inputs: { p: normals(samples * tokens * experts, 7).map(Math.abs) } });
  return {
    h: { shape: [experts, samples * chosen, width] },
    probs: { shape },
    slots: { shape: slots!.shape, dtype: 'u32', data: routing.get('slots')! },
    picks: { shape: picks!.shape, dtype: 'u32', data: routing.get('picks')! },
  };
}

const combine = (
  g: Graph,
  t: Readonly<Record<string, Tensor>>,
  options: CombineExpertsOptions = {},
): Tensor => combineExperts(g, t['h']!, t['probs']!, t['slots']!, t['picks']!, options);

describe('combineExperts', () => {
  const shapes: Sizes[] = [
    { samples: 2, tokens: 16, experts: 8, chosen: 4, width: 96 },
    { samples: 3, tokens: 9, experts: 3, chosen: 4, width: 7 },
    { samples: 1, tokens: 5, experts: 2, chosen: 5, width: 130 },
    { samples: 1, tokens: 40, experts: 4, chosen: 1, width: 4 },
    { samples: 1, tokens: 1, experts: 1, chosen: 1, width: 1 },
  ];
  for (const sizes of shapes) {
    const { samples, tokens, experts, chosen, width } = sizes;
    test(`[${samples}, ${tokens}, ${width}], ${experts} experts, ${chosen} tokens each`, async () => {
      const results = await checkOp({
        inputs: routed(sizes),
        build: (g, t) => combine(g, t),
        wrt: ['h', 'probs'],
        tolerance: 2e-6,
      });
      // rows that nobody chose are exactly 0
      const y = results.get('out')!;
      const rows = routed(sizes)['slots']!.data!;
      for (let row = 0; row < samples * tokens; row++) {
        const taken = Array.from({ length: experts }, (_, e) => rows[row * experts + e]!);
        if (taken.some((slot) => slot !== 0xffffffff)) continue;
        expect(y.subarray(row * width, (row + 1) * width).every((value) => value === 0)).toBe(true);
      }
    });
  }

  for (const width of [24, 5]) {
    const sizes = { samples: 2, tokens: 6, experts: 3, chosen: 2, width };
    const inputs = {
      ...routed(sizes),
      residual: { shape: [2, 6, width] },
      gate: { shape: [2, width] },
    };
    test(`gate and residual, width ${width}`, async () => {
      await checkOp({
        inputs,
        build: (g, t) => combine(g, t, { residual: t['residual']!, gate: t['gate']! }),
        wrt: ['h', 'probs', 'residual', 'gate'],
        tolerance: 2e-6,
      });
    });

    test(`gate rows chosen by index, and the sum before the gate, width ${width}`, async () => {
      await checkOp({
        inputs: {
          ...inputs,
          gate: { shape: [4, width] },
          gateRows: { shape: [2], dtype: 'u32', data: [3, 1] },
        },
        build: (g, t) => {
          const y = combine(g, t, { residual: t['residual']!, gate: t['gate']!, gateRows: t['gateRows']! });
          return { y, sum: y.node.outputs[1]! };
        },
        wrt: ['h', 'probs', 'residual'],
        tolerance: 2e-6,
      });
    });
  }

  test('residual alone; its gradient', async () => {
    const sizes = { samples: 1, tokens: 4, experts: 2, chosen: 1, width: 8 };
    await checkOp({
      inputs: { ...routed(sizes), residual: { shape: [1, 4, 8] } },
      build: (g, t) => combine(g, t, { residual: t['residual']! }),
      wrt: ['residual', 'h'],
      tolerance: 2e-6,
    });
  });

  test('wrong shapes are named', () => {
    const g = new Graph();
    const h = g.input('h', [2, 6, 8]);
    const probs = g.input('probs', [2, 5, 2]);
    const slots = g.input('slots', [10, 2], 'u32');
    const picks = g.input('picks', [2, 6], 'u32');
    const gate = g.input('gate', [4, 8]);
    const attempt = (options: CombineExpertsOptions) => () =>
      combineExperts(g, h, probs, slots, picks, options);
    expect(() => combineExperts(g, h, g.input('wrong', [2, 5, 3]), slots, picks)).toThrow(
      'combineExperts: probs are [B, T, E]: f32 [2, 5, 3] with h f32 [2, 6, 8], probs f32 [2, 5, 3]',
    );
    expect(() => combineExperts(g, h, probs, picks, slots)).toThrow(
      'combineExperts: slots are u32 [B T, E]: u32 [2, 6]',
    );
    expect(attempt({ residual: h })).toThrow(
      'combineExperts: residual is [B, T, D], [2, 5, 8]: f32 [2, 6, 8]',
    );
    expect(attempt({ gate })).toThrow(
      'combineExperts: gate has rows of D elements, one for each sample: f32 [4, 8]',
    );
    const gateRows = g.input('rows', [2], 'u32');
    expect(attempt({ gateRows })).toThrow('combineExperts: gateRows are u32 and go with a gate: u32 [2]');

    const y = combineExperts(g, h, probs, slots, picks, { gate, gateRows });
    const seed = g.constant(new Float32Array(y.elements), y.shape);
    expect(() => vectorJacobian(g, y, seed, [gate])).toThrow(
      'combineExperts: a gate chosen by rows has no derivative',
    );
    const saved = y.node.outputs[1]!;
    expect(() => vectorJacobian(g, saved, seed, [h])).toThrow(
      'combineExperts: the saved sum takes no gradient',
    );
  });
});
