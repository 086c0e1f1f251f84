/** Differentiation as graph surgery: what is appended, what is skipped, where gradients go. No GPU. */
import { describe, expect, test } from 'vitest';
import { InternalError, ShapeError } from '../../src/core/errors';
import { Graph } from '../../src/graph/graph';
import type { OpDef } from '../../src/graph/op';
import type { Tensor } from '../../src/graph/tensor';
import { activation } from '../../src/ops/activation';
import { add } from '../../src/ops/add';
import { gradients, vectorJacobian } from '../../src/ops/autodiff';
import { columnSum } from '../../src/ops/columnSum';
import { linear } from '../../src/ops/linear';
import { reshape } from '../../src/ops/view';
import { interpret } from '../../src/reference/interpret';
import { expectClose, normals } from '../helpers/compare';

/** Sum of all elements, [1]. */
const total = (g: Graph, x: Tensor): Tensor =>
  reshape(g, columnSum(g, reshape(g, x, [x.elements, 1]), { columns: 1 }), [1]);

/** Ops appended since node `from`. */
const appended = (g: Graph, from: number): (string | undefined)[] =>
  g.nodes.slice(from).flatMap((node) => (node.op ? [node.op.name] : []));

/** An op that cannot be differentiated, and one whose gradient is wrong. */
const opaque: OpDef<null> = {
  name: 'opaque',
  infer: ([x]) => [{ shape: x!.shape, dtype: 'f32' }],
  vjp: null,
  lower() {},
  cost: () => ({ macs: 0, bytes: 0 }),
};
const broken: OpDef<null> = {
  ...opaque,
  name: 'broken',
  vjp: ({ graph }) => [graph.constant(new Float32Array(3), [3])],
};

describe('gradients', () => {
  /** x through three layers of 4 x 4; the gradient of the sum. */
  function layers(wanted: readonly number[]): { ops: (string | undefined)[]; nodes: number } {
    const graph = new Graph();
    const weights = [0, 1, 2].map((i) => graph.state(`weights:${i}`, [4, 4]));
    let x = graph.input('x', [3, 4]);
    weights.forEach((w, i) => {
      x = graph.scope(`layer${i}`, () => linear(graph, x, w));
    });
    const loss = total(graph, x);
    const before = graph.nodes.length;
    const results = gradients(graph, { loss, wrt: wanted.map((i) => weights[i]!) });
    expect(results.every((result) => result !== null)).toBe(true);
    return { ops: appended(graph, before), nodes: graph.nodes.length - before };
  }

  test('frozen branches add no nodes', () => {
    const count = (wanted: readonly number[]): number =>
      layers(wanted).ops.filter((op) => op === 'linear').length;
    expect(count([2]), 'the last weight alone: its own product').toBe(1);
    expect(count([1, 2]), 'two weights and the way to the second').toBe(3);
    expect(count([1]), 'one weight and the way to it').toBe(2);
    expect(count([0, 1, 2]), 'all weights; nothing for the input').toBe(5);
  });

  test('a branch without wanted tensors is not entered', () => {
    const graph = new Graph();
    const [x, y] = [graph.input('x', [4]), graph.input('y', [4])];
    const frozen = activation(graph, graph.append(opaque, [y], null)[0]!, 'silu');
    const loss = total(graph, add(graph, activation(graph, x, 'silu'), frozen));
    const before = graph.nodes.length;
    const [dx] = gradients(graph, { loss, wrt: [x] });
    expect(dx).not.toBeNull();
    expect(appended(graph, before).filter((name) => name === 'activationBackward')).toHaveLength(1);
  });

  test('values computed after the loss are left alone', () => {
    const graph = new Graph();
    const x = graph.input('x', [4]);
    const loss = total(graph, x);
    graph.append(opaque, [x], null);
    expect(gradients(graph, { loss, wrt: [x] })[0]).not.toBeNull();
  });

  test('several uses add up', () => {
    const graph = new Graph();
    const x = graph.input('x', [2, 3]);
    const loss = total(
      graph,
      add(graph, add(graph, x, x, { alpha: 2 }), activation(graph, x, 'none'), { beta: 4 }),
    );
    graph.output('dx', gradients(graph, { loss, wrt: [x] })[0]!);
    expect([...interpret(graph, { inputs: { x: normals(6, 1) } }).get('dx')!]).toEqual(Array(6).fill(7));
  });

  test('null where the loss does not depend', () => {
    const graph = new Graph();
    const [x, y] = [graph.input('x', [4]), graph.input('y', [4])];
    const before = graph.nodes.length;
    const [dy, dx] = gradients(graph, { loss: total(graph, x), wrt: [y, x] });
    expect(dy).toBeNull();
    expect(dx).not.toBeNull();
    expect(graph.nodes.length).toBeGreaterThan(before);
  });

  test('scale multiplies, for a shard of a batch', () => {
    const graph = new Graph();
    const x = graph.input('x', [5]);
    graph.output('dx', gradients(graph, { loss: total(graph, x), wrt: [x], scale: 0.25 })[0]!);
    expect([...interpret(graph, { inputs: { x: normals(5, 1) } }).get('dx')!]).toEqual(Array(5).fill(0.25));
  });

  test('intermediate values may be wanted too', () => {
    const graph = new Graph();
    const x = graph.input('x', [4]);
    const middle = add(graph, x, x);
    const results = gradients(graph, { loss: total(graph, add(graph, middle, middle)), wrt: [middle, x] });
    graph.output('dmiddle', results[0]!);
    graph.output('dx', results[1]!);
    const values = interpret(graph, { inputs: { x: normals(4, 1) } });
    expect([...values.get('dmiddle')!]).toEqual(Array(4).fill(2));
    expect([...values.get('dx')!]).toEqual(Array(4).fill(4));
  });

  test('accumulators take gradients instead of returning them', () => {
    const graph = new Graph();
    const w = graph.state('weights:w', [4, 4]);
    const sink = graph.state('grads:w', [4, 4]);
    const x = graph.input('x', [3, 4]);
    // used twice, once through a view: both parts arrive
    const y = add(graph, linear(graph, x, w), linear(graph, activation(graph, x, 'silu'), w));
    const loss = add(graph, total(graph, y), total(graph, reshape(graph, w, [16])));
    const results = gradients(graph, { loss, wrt: [w], accumulators: new Map([[w, sink]]) });
    expect(results).toEqual([null]);

    const plain = new Graph();
    const w2 = plain.state('weights:w', [4, 4]);
    const x2 = plain.input('x', [3, 4]);
    const y2 = add(plain, linear(plain, x2, w2), linear(plain, activation(plain, x2, 'silu'), w2));
    const loss2 = add(plain, total(plain, y2), total(plain, reshape(plain, w2, [16])));
    plain.output('dw', gradients(plain, { loss: loss2, wrt: [w2] })[0]!);

    const start = Float64Array.from(normals(16, 3));
    const weights = Float64Array.from(normals(16, 2));
    const inputs = { x: normals(12, 1) };
    const state = new Map([
      ['weights:w', weights],
      ['grads:w', start.slice()],
    ]);
    interpret(graph, { inputs, state });
    const dw = interpret(plain, { inputs, state: new Map([['weights:w', weights]]) }).get('dw')!;
    expectClose(
      state.get('grads:w')!,
      start.map((value, i) => value + dw[i]!),
      1e-12,
      'first shard',
    );
    interpret(graph, { inputs, state });
    expectClose(
      state.get('grads:w')!,
      start.map((value, i) => value + 2 * dw[i]!),
      1e-12,
      'second shard',
    );
  });

  test('backward nodes carry the scope they come from', () => {
    const graph = new Graph();
    const x = graph.input('x', [4]);
    const y = graph.scope('blocks.3', () => graph.scope('mlp', () => activation(graph, x, 'silu')));
    const before = graph.nodes.length;
    vectorJacobian(graph, y, graph.input('seed', [4]), [x]);
    expect(graph.nodes.slice(before).flatMap((node) => (node.op ? [node.scope] : []))).toEqual([
      'blocks.3/mlp/backward',
    ]);
  });

  test('what cannot be differentiated is named', () => {
    const graph = new Graph();
    const x = graph.input('x', [4]);
    const y = graph.scope('blocks.3', () => graph.append(opaque, [x], null)[0]!);
    const attempt = () => vectorJacobian(graph, y, graph.input('seed', [4]), [x]);
    expect(attempt).toThrow(InternalError);
    expect(() => gradients(graph, { loss: total(graph, y), wrt: [x] })).toThrow(
      "gradients: every op on the path has a derivative: opaque in 'blocks.3' has none",
    );
  });

  test('wrong sizes are named', () => {
    const graph = new Graph();
    const x = graph.input('x', [4]);
    expect(() => gradients(graph, { loss: x, wrt: [x] })).toThrow(
      'gradients: the loss has one element: f32 [4]',
    );
    expect(() => vectorJacobian(graph, x, graph.input('seed', [3]), [x])).toThrow(ShapeError);
    const y = graph.append(broken, [x], null)[0]!;
    expect(() => vectorJacobian(graph, y, y, [x])).toThrow(
      'gradients: broken input 0 is f32 [4], its gradient f32 [3]',
    );
  });
});
