/** add: y = alpha a + beta b, b repeating along a. accumulate: state += x, an effect. */
import { addShader } from '../../shaders/add.wgsl';
import { elementsPerWorkgroup } from '../../shaders/lib/elementwise';
import { ShapeError } from '../core/errors';
import type { Graph } from '../graph/graph';
import { touchedBytes, type LowerContext, type OpDef } from '../graph/op';
import type { Tensor } from '../graph/tensor';
import { columnSum } from './columnSum';
import { canVector, emit, f32, grid, type Operand } from './kernel';

export interface AddAttrs {
  readonly alpha: number;
  readonly beta: number;
}

function lower(ctx: LowerContext<AddAttrs>, inPlace: boolean): void {
  const [a, b] = ctx.inputs as readonly [Tensor, Tensor];
  const y = ctx.outputs[0]!;
  const wide = b.elements % 4 === 0 && canVector(ctx, a.elements, [a, b, y]);
  const vector = wide ? 4 : 1;
  const operands: Operand[] = [
    { name: 'b', tensor: b, access: 'read', vector },
    { name: 'y', tensor: y, access: 'write', vector },
  ];
  if (!inPlace) operands.unshift({ name: 'a', tensor: a, access: 'read', vector });
  emit(ctx, {
    shader: 'add',
    variant: { wide, inPlace },
    text: (header) => addShader({ wide, inPlace }, header),
    operands,
    uniforms: {
      count: a.elements,
      period: b.elements,
      alpha: f32(ctx.attrs.alpha),
      beta: f32(ctx.attrs.beta),
    },
    workgroups: grid(Math.ceil(a.elements / elementsPerWorkgroup), ctx.profile),
  });
}

export const addOp: OpDef<AddAttrs> = {
  name: 'add',
  infer([a, b]) {
    if (b!.elements === 0 || a!.elements % b!.elements !== 0) {
      throw new ShapeError(`add: b repeats evenly along a: a ${a!.describe()}, b ${b!.describe()}`);
    }
    return [{ shape: a!.shape, dtype: 'f32' }];
  },
  vjp({ graph, inputs, grads, needs, attrs }) {
    const g = grads[0];
    if (!g) return [null, null];
    const [a, b] = inputs as readonly [Tensor, Tensor];
    const scaled = (factor: number, tensor: Tensor): Tensor =>
      factor === 1 ? tensor : scale(graph, tensor, factor);
    return [
      needs[0] ? scaled(attrs.alpha, g) : null,
      needs[1]
        ? scaled(attrs.beta, a.elements === b.elements ? g : columnSum(graph, g, { columns: b.elements }))
        : null,
    ];
  },
  lower: (ctx) => lower(ctx, false),
  cost: (node) => ({ macs: 0, bytes: touchedBytes(node) }),
};

/** alpha a + beta b; b's elements repeat along a. Shape of a. */
export function add(graph: Graph, a: Tensor, b: Tensor, attrs: Partial<AddAttrs> = {}): Tensor {
  return graph.append(addOp, [a, b], { alpha: attrs.alpha ?? 1, beta: attrs.beta ?? 1 })[0]!;
}

/** factor x */
export function scale(graph: Graph, x: Tensor, factor: number): Tensor {
  const period = x.elements % 4 === 0 ? 4 : 1;
  const zero = graph.constant(new Float32Array(period), [period]);
  return add(graph, x, zero, { alpha: factor, beta: 0 });
}

export const accumulateOp: OpDef<AddAttrs> = {
  name: 'accumulate',
  effect: true,
  infer([state, x]) {
    if (state!.elements !== x!.elements) {
      throw new ShapeError(
        `accumulate: state and value have as many elements: ${state!.describe()}, ${x!.describe()}`,
      );
    }
    return [{ shape: state!.shape, dtype: 'f32' }];
  },
  vjp: null,
  alias: () => [{ output: 0, input: 0, offset: 0 }],
  lower: (ctx) => lower(ctx, true),
  cost: (node) => ({ macs: 0, bytes: touchedBytes(node) }),
};

/** state += x */
export function accumulate(graph: Graph, state: Tensor, x: Tensor): void {
  graph.append(accumulateOp, [state, x], { alpha: 1, beta: 1 });
}
