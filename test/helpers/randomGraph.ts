/**
 * Random graphs for property tests of the planner: chains, branches, views, placements and effects over small tensors,
 * the same for a seed everywhere. Built from few ops, so that running many of them compiles few pipelines.
 */
import { Graph } from '../../src/graph/graph';
import type { Tensor } from '../../src/graph/tensor';
import { activation } from '../../src/ops/activation';
import { accumulate, add } from '../../src/ops/add';
import { assign, concatRows, reshape, sliceRows } from '../../src/ops/view';
import { normals } from './compare';

/** Whole numbers below a bound, from a seed (a 32-bit linear congruential generator, high bits). */
export function randomBelow(seed: number): (bound: number) => number {
  let state = (seed * 2654435761 + 12345) >>> 0;
  return (bound) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 4294967296) * bound);
  };
}

export interface RandomGraph {
  readonly graph: Graph;
  readonly inputs: Record<string, Float32Array>;
  /** By full name; group "read" is only read, "write" is written by effects. */
  readonly state: Record<string, Float32Array>;
}

/** A graph of about `size` nodes on rows of `width` elements. */
export function randomGraph(seed: number, size: number): RandomGraph {
  const below = randomBelow(seed);
  const width = [3, 4, 8, 20][below(4)]!;
  const graph = new Graph();
  const inputs: Record<string, Float32Array> = {};
  const state: Record<string, Float32Array> = {};
  const values: Tensor[] = [];
  const effects: (() => void)[] = [];
  for (let i = 0; i < 2; i++) {
    const rows = 1 + below(5);
    values.push(graph.input(`x${i}`, [rows, width]));
    inputs[`x${i}`] = normals(rows * width, seed + i);
    values.push(graph.state(`read:s${i}`, [rows, width]));
    state[`read:s${i}`] = normals(rows * width, seed + 10 + i);
  }
  const pick = (): Tensor => values[below(values.length)]!;
  /** A value of as many rows as `like`, made by cutting or repeating another. */
  const matching = (like: Tensor): Tensor => {
    let other = pick();
    while (other.dim(0) < like.dim(0)) other = concatRows(graph, [other, pick()]);
    return sliceRows(graph, other, 0, like.dim(0));
  };
  for (let i = 0; i < size; i++) {
    const x = pick();
    switch (below(7)) {
      case 0:
        values.push(add(graph, x, matching(x), { beta: 0.5 }));
        break;
      case 1:
        values.push(activation(graph, x, 'silu'));
        break;
      case 2:
        values.push(sliceRows(graph, x, 0, 1 + below(x.dim(0))));
        break;
      case 3:
        if (x.dim(0) < 30) values.push(concatRows(graph, [activation(graph, x, 'silu'), pick()]));
        break;
      case 4: {
        const flat = reshape(graph, x, [x.elements]);
        values.push(reshape(graph, activation(graph, flat, 'silu'), x.shape));
        break;
      }
      case 5:
        values.push(add(graph, x, x, { alpha: 0.25 }));
        break;
      default:
        effects.push(() => {
          const name = `write:s${Object.keys(state).length}`;
          const target = graph.state(name, x.shape);
          state[name] = normals(x.elements, seed + 100 + i);
          if (below(2) === 0) accumulate(graph, target, x);
          else assign(graph, target, below(2) === 0 ? activation(graph, x, 'silu') : x);
        });
    }
    if (effects.length > 0 && below(3) === 0) effects.pop()!();
  }
  for (const effect of effects) effect();
  // an output that others use too (never a state or a view of one), a view, and a value of its own
  const made = values.filter((value) =>
    ['add', 'activation', 'concatRows'].includes(value.node.op?.name ?? ''),
  );
  if (made.length > 0) graph.output('shared', made[below(made.length)]!);
  const fresh = add(graph, pick(), graph.constant(new Float32Array(width).fill(1), [width]));
  graph.output('view', reshape(graph, fresh, [fresh.elements]));
  graph.output('own', activation(graph, pick(), 'silu'));
  return { graph, inputs, state };
}
