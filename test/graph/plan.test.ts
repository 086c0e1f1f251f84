/** Plans: where values lie, what is bound how, what costs nothing, and what the device must allow. No GPU. */
import { describe, expect, test } from 'vitest';
import { InternalError, LimitError } from '../../src/core/errors';
import { Graph } from '../../src/graph/graph';
import type { DispatchSpec, LowerContext, OpDef } from '../../src/graph/op';
import { planGraph, type Plan, type PlanBuffer } from '../../src/graph/plan';
import { plainProfile } from '../../src/graph/profile';
import type { Tensor } from '../../src/graph/tensor';
import { activation } from '../../src/ops/activation';
import { accumulate, add } from '../../src/ops/add';
import { gradients } from '../../src/ops/autodiff';
import { columnSum, repeatRows } from '../../src/ops/columnSum';
import { linear } from '../../src/ops/linear';
import { assign, concatRows, reshape, sliceRows } from '../../src/ops/view';
import { randomGraph } from '../helpers/randomGraph';

/** Every buffer of a plan with the dispatches between which its bytes matter. A storage is one object. */
function lifetimes(plan: Plan): { buffer: PlanBuffer; first: number; last: number }[] {
  const found = new Map<PlanBuffer, { buffer: PlanBuffer; first: number; last: number }>();
  plan.dispatches.forEach((dispatch, index) => {
    for (const { buffer } of dispatch.bindings) {
      const known = found.get(buffer);
      if (known) known.last = index;
      else found.set(buffer, { buffer, first: index, last: index });
    }
  });
  return [...found.values()];
}

const rangeOf = (buffer: PlanBuffer): string =>
  buffer.kind === 'state' ? buffer.name : `${buffer.kind} ${buffer.kind === 'scratch' ? buffer.page : 0}`;

const overlap = (a: PlanBuffer, b: PlanBuffer): boolean => {
  if (rangeOf(a) !== rangeOf(b)) return false;
  if (a.kind === 'state' || b.kind === 'state') return true;
  return a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
};

/** A small training step: two layers, a loss, gradients into state. */
function trainingGraph(): Graph {
  const graph = new Graph();
  const x = graph.input('x', [6, 8]);
  const weights = ['a', 'b'].map((name) => graph.state(`weights:${name}`, [8, 8]));
  const hidden = linear(graph, x, weights[0]!, { act: 'silu' });
  const loss = columnSum(graph, reshape(graph, linear(graph, hidden, weights[1]!), [48, 1]), { columns: 1 });
  const accumulators = new Map(weights.map((w, i) => [w, graph.state(`grads:${'ab'[i]!}`, [8, 8])]));
  gradients(graph, { loss: reshape(graph, loss, [1]), wrt: weights, accumulators });
  graph.output('loss', loss);
  return graph;
}

describe('lifetimes', () => {
  test('buffers in use at the same time never share bytes, over random graphs', () => {
    let shared = 0;
    for (let seed = 1; seed <= 200; seed++) {
      const plan = planGraph(randomGraph(seed, 25).graph, plainProfile);
      const buffers = lifetimes(plan);
      buffers.forEach((a, i) => {
        for (const b of buffers.slice(0, i)) {
          if (!overlap(a.buffer, b.buffer)) continue;
          const together = a.first <= b.last && b.first <= a.last;
          // io lives from before the first dispatch until after the last
          const pinned = a.buffer.kind !== 'scratch';
          expect(together || pinned, `seed ${seed}: ${JSON.stringify([a, b])}`).toBe(false);
          shared++;
        }
      });
    }
    expect(shared, 'scratch is used again at all').toBeGreaterThan(100);
  });

  test('every binding lies inside its buffer', () => {
    for (let seed = 1; seed <= 50; seed++) {
      const plan = planGraph(randomGraph(seed, 25).graph, plainProfile);
      for (const { buffer } of lifetimes(plan)) {
        if (buffer.kind === 'scratch') {
          expect(buffer.offset + buffer.bytes).toBeLessThanOrEqual(plan.scratchPages[buffer.page]!);
        } else if (buffer.kind === 'io') {
          expect(buffer.offset + buffer.bytes).toBeLessThanOrEqual(plan.memory.io);
        }
      }
    }
  });

  test('the same graph gives the same plan', () => {
    const plan = (): Plan => planGraph(randomGraph(11, 30).graph, plainProfile);
    expect(plan()).toEqual(plan());
  });
});

describe('binding rules', () => {
  test('hold in random graphs and in a training step', () => {
    const graphs = Array.from({ length: 60 }, (_, seed) => randomGraph(seed + 1, 25).graph);
    for (const graph of [...graphs, trainingGraph()]) {
      for (const { bindings, op } of planGraph(graph, plainProfile).dispatches) {
        const buffers = bindings.map(({ buffer }) => buffer);
        expect(new Set(buffers).size, `${op}: one binding for each storage`).toBe(buffers.length);
        expect(bindings.length).toBeLessThanOrEqual(8);
        const modes = new Map<string, string>();
        for (const { buffer, access } of bindings) {
          if (buffer.kind !== 'state') {
            expect(access, `${op}: ${buffer.kind}`).toBe('read_write');
            continue;
          }
          const group = buffer.name.split(':')[0]!;
          expect(modes.get(group) ?? access, `${op}: group ${group}`).toBe(access);
          modes.set(group, access);
        }
      }
    }
  });

  test('weights are bound read, gradients read_write, and the plan says which it writes', () => {
    const plan = planGraph(trainingGraph(), plainProfile);
    const seen = new Map<string, Set<string>>();
    for (const { bindings } of plan.dispatches) {
      for (const { buffer, access } of bindings) {
        if (buffer.kind !== 'state') continue;
        const group = buffer.name.split(':')[0]!;
        seen.set(group, (seen.get(group) ?? new Set()).add(access));
      }
    }
    expect(seen.get('weights')).toEqual(new Set(['read']));
    expect(seen.get('grads')).toEqual(new Set(['read_write']));
    expect([...plan.states].map(([name, { written }]) => [name, written])).toEqual([
      ['weights:a', false],
      ['weights:b', false],
      ['grads:a', true],
      ['grads:b', true],
    ]);
  });

  /** Plans an op whose lowering describes `spec`, made from a scratch value, an input and two states of one group. */
  function planSpec(spec: (ctx: LowerContext) => Partial<DispatchSpec>): () => Plan {
    const op: OpDef<null> = {
      name: 'probe',
      infer: () => [{ shape: [4], dtype: 'f32' }],
      vjp: null,
      lower: (ctx) =>
        ctx.dispatch({
          key: 'probe',
          source: () => '',
          bindings: [],
          uniforms: new ArrayBuffer(16),
          workgroups: [1, 1, 1],
          macs: 0,
          ...spec(ctx),
        }),
      cost: () => ({ macs: 0, bytes: 0 }),
    };
    const graph = new Graph();
    const inputs = [graph.state('g:a', [4]), graph.state('g:b', [4]), graph.input('x', [4])];
    for (let i = 0; i < 7; i++) inputs.push(graph.input(`x${i}`, [4]));
    graph.scope('block', () => graph.output('y', graph.append(op, inputs, null)[0]!));
    return () => planGraph(graph, plainProfile);
  }
  const bind = (ctx: LowerContext, tensor: Tensor, access: 'read' | 'read_write') => ({
    storage: ctx.place(tensor).storage,
    access,
  });

  test('are asserted', () => {
    const at = (ctx: LowerContext, index: number): Tensor => ctx.inputs[index]!;
    const attempts: [rule: string, (ctx: LowerContext) => Partial<DispatchSpec>][] = [
      [
        'a storage is bound twice in one dispatch',
        (ctx) => ({ bindings: [bind(ctx, at(ctx, 2), 'read_write'), bind(ctx, at(ctx, 2), 'read_write')] }),
      ],
      ['scratch operands are bound read_write', (ctx) => ({ bindings: [bind(ctx, at(ctx, 2), 'read')] })],
      [
        "state group 'g' is bound both read and read_write",
        (ctx) => ({ bindings: [bind(ctx, at(ctx, 0), 'read'), bind(ctx, at(ctx, 1), 'read_write')] }),
      ],
      [
        '10 storage buffers, the device allows 8',
        (ctx) => ({ bindings: ctx.inputs.map((input) => bind(ctx, input, 'read_write')) }),
      ],
      ['uniforms take 272 bytes', () => ({ uniforms: new ArrayBuffer(272) })],
      ['1x0x1 workgroups, at least 1 and at most 65535 an axis', () => ({ workgroups: [1, 0, 1] })],
      ['65536x1x1 workgroups, at least 1 and at most 65535 an axis', () => ({ workgroups: [65536, 1, 1] })],
    ];
    for (const [rule, spec] of attempts) {
      expect(planSpec(spec)).toThrow(InternalError);
      expect(planSpec(spec)).toThrow(`plan: probe in 'block': ${rule}`);
    }
    expect(planSpec((ctx) => ({ bindings: [bind(ctx, at(ctx, 0), 'read')] }))).not.toThrow();
  });
});

describe('placement', () => {
  const copies = (graph: Graph): number =>
    planGraph(graph, plainProfile).dispatches.filter(({ pipeline }) => pipeline.startsWith('copy(')).length;

  /** A graph with two inputs, a state, and whatever `trace` appends. */
  function traced(trace: (g: Graph, x: Tensor, y: Tensor, s: Tensor) => void): Graph {
    const graph = new Graph();
    trace(graph, graph.input('x', [2, 8]), graph.input('y', [3, 8]), graph.state('s:s', [2, 8]));
    return graph;
  }
  const made = (g: Graph, x: Tensor): Tensor => activation(g, x, 'silu');

  test('concatRows of fresh values copies nothing', () => {
    const graph = traced((g, x, y) => g.output('z', concatRows(g, [made(g, x), made(g, y), made(g, x)])));
    expect(copies(graph)).toBe(0);
    expect(planGraph(graph, plainProfile).memory.scratch).toBe(0);
  });

  test('nested concatenations copy nothing', () => {
    const graph = traced((g, x, y) => {
      const inner = concatRows(g, [made(g, x), made(g, y)]);
      g.output('z', made(g, concatRows(g, [made(g, y), inner])));
    });
    expect(copies(graph)).toBe(0);
  });

  test('a reshaped fresh value is placed too', () => {
    const graph = traced((g, x) => {
      const flat = reshape(g, made(g, x), [16]);
      g.output('z', made(g, concatRows(g, [flat, made(g, flat)])));
    });
    expect(copies(graph)).toBe(0);
  });

  test('assign of a fresh value copies nothing', () => {
    const graph = traced((g, x, _y, s) => assign(g, s, made(g, x)));
    expect(copies(graph)).toBe(0);
    const plan = planGraph(graph, plainProfile);
    expect(plan.dispatches.map(({ op }) => op)).toEqual(['activation']);
    expect(plan.memory.scratch).toBe(0);
  });

  test('a placed value may still be read by others', () => {
    const graph = traced((g, x, _y, s) => {
      const value = made(g, x);
      assign(g, s, value);
      g.output('z', made(g, value));
    });
    expect(copies(graph)).toBe(0);
  });

  test('what cannot be made in place is copied', () => {
    const cases: [why: string, copied: number, Graph][] = [
      ['inputs', 2, traced((g, x, y) => g.output('z', concatRows(g, [x, y])))],
      [
        'the same value twice',
        2,
        traced((g, x) => {
          const value = made(g, x);
          g.output('z', concatRows(g, [value, value]));
        }),
      ],
      [
        'a part of a value',
        1,
        traced((g, x, y) => {
          g.output('z', concatRows(g, [sliceRows(g, made(g, y), 1, 2), made(g, x)]));
        }),
      ],
      [
        'an output',
        1,
        traced((g, x, y) => {
          const value = made(g, x);
          g.output('value', value);
          g.output('z', concatRows(g, [value, made(g, y)]));
        }),
      ],
      [
        'in two places',
        1,
        traced((g, x, y) => {
          const value = made(g, x);
          g.output('z', concatRows(g, [value, made(g, y)]));
          g.output('w', concatRows(g, [made(g, y), value]));
        }),
      ],
      ['state that others read', 1, traced((g, x, _y, s) => assign(g, s, add(g, made(g, x), s)))],
      [
        'state that is written twice',
        2,
        traced((g, x, _y, s) => {
          assign(g, s, made(g, x));
          assign(g, s, made(g, made(g, x)));
        }),
      ],
      ['an input assigned', 1, traced((g, x, _y, s) => assign(g, s, x))],
    ];
    for (const [why, copied, graph] of cases) expect(copies(graph), why).toBe(copied);
  });

  test('views cost nothing', () => {
    const graph = traced((g, x, y) => {
      const view = reshape(g, sliceRows(g, y, 0, 2), [16]);
      g.output('z', add(g, reshape(g, x, [16]), view));
    });
    expect(planGraph(graph, plainProfile).dispatches.map(({ op }) => op)).toEqual(['add']);
  });

  test('nobody else reads what is dead: unused values are not computed', () => {
    const graph = traced((g, x, y) => {
      made(g, y);
      g.output('z', made(g, x));
    });
    const plan = planGraph(graph, plainProfile);
    expect(plan.dispatches).toHaveLength(1);
    expect([...plan.inputs.keys()]).toEqual(['x']);
  });
});

describe('costs and limits', () => {
  test('memory adds up', () => {
    const plan = planGraph(trainingGraph(), plainProfile);
    expect(plan.memory.scratch).toBe(plan.scratchPages.reduce((sum, bytes) => sum + bytes, 0));
    expect(plan.memory.state).toBe(4 * 8 * 8 * 4);
    expect(plan.memory.uniforms).toBe(plan.uniforms.length * 256);
    expect(plan.macs, 'two products forward, three backward').toBe(5 * 6 * 8 * 8);
    expect(plan.dispatches.reduce((sum, { macs }) => sum + macs, 0)).toBe(plan.macs);
  });

  test('equal uniforms share a slot, equal kernels a pipeline', () => {
    const graph = new Graph();
    const x = graph.input('x', [512]);
    let y = x;
    for (let i = 0; i < 4; i++) y = activation(graph, y, 'silu');
    graph.output('y', y);
    const plan = planGraph(graph, plainProfile);
    expect(plan.dispatches).toHaveLength(4);
    expect(plan.pipelines.size).toBe(1);
    expect(plan.uniforms).toHaveLength(1);
    expect(plan.memory.scratch, 'two buffers in turn').toBe(2 * 2048);
  });

  test('a value larger than a binding is named', () => {
    const graph = new Graph();
    const big = graph.scope('decoder', () => graph.state('weights:big', [33554433]));
    accumulate(graph, big, big);
    expect(() => planGraph(graph, plainProfile)).toThrow(LimitError);
    expect(() => planGraph(graph, plainProfile)).toThrow(
      'decoder/weights:big: a binding may hold at most 134217728 bytes on this device: 134217732 bytes',
    );
  });

  test('inputs and outputs larger than a buffer are named', () => {
    const graph = new Graph();
    for (const name of ['a', 'b', 'c']) {
      graph.output(`y${name}`, activation(graph, graph.input(name, [16777216]), 'silu'));
    }
    expect(() => planGraph(graph, plainProfile)).toThrow(
      'plan: inputs and outputs may take at most 268435456 bytes: 402653184 bytes',
    );
  });

  test('large values go to several pages', () => {
    const graph = new Graph();
    const x = graph.input('x', [1, 64]);
    // four values of 128 MB, all needed by the end
    const values = [0, 1, 2, 3].map(() => repeatRows(graph, activation(graph, x, 'silu'), 500000));
    const sums = values.map((value) => columnSum(graph, value, { columns: 8 }));
    graph.output(
      'y',
      sums.reduce((a, b) => add(graph, a, b)),
    );
    values.forEach((value, i) => graph.output(`tail${i}`, columnSum(graph, value, { columns: 4 })));
    const plan = planGraph(graph, plainProfile);
    expect(plan.scratchPages.length).toBeGreaterThan(1);
    for (const bytes of plan.scratchPages) expect(bytes).toBeLessThanOrEqual(268435456);
  });
});
