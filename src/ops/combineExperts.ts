/**
 * combineExperts: the experts' results weighted by their probabilities and put back in the tokens' places, with the
 * block's gate and residual (shaders/combineExperts.wgsl.ts has the formula).
 */
import {
  choicesPerWorkgroup,
  combineExpertsBackwardProbsShader,
  combineExpertsBackwardSlotsShader,
  combineExpertsShader,
} from '../../shaders/combineExperts.wgsl';
import { rowStripWorkgroups } from '../../shaders/lib/rowStrips';
import { InternalError, ShapeError } from '../core/errors';
import { sameShape } from '../core/shape';
import type { Graph } from '../graph/graph';
import {
  touchedBytes,
  type GraphNode,
  type InputGradient,
  type LowerContext,
  type OpDef,
  type VjpContext,
} from '../graph/op';
import type { Tensor } from '../graph/tensor';
import { columnSum } from './columnSum';
import { gatherRows } from './gatherRows';
import { canVector, emit, grid, type Operand } from './kernel';
import { mulRows } from './mulRows';
import { reshape } from './view';

export interface CombineExpertsOptions {
  /** [B, T, D], added last. */
  readonly residual?: Tensor;
  /** [R, D]: multiplies the sum of the experts. */
  readonly gate?: Tensor;
  /** u32 [B]: row of `gate` for each sample; without it the sample's own number. */
  readonly gateRows?: Tensor;
}

/** Which optional inputs follow h, probs, slots and picks, in this order. */
export interface CombineExpertsAttrs {
  readonly residual: boolean;
  readonly gate: boolean;
  readonly gateRows: boolean;
}

interface RoutingInputs {
  readonly h: Tensor;
  readonly probs: Tensor;
  readonly slots: Tensor;
  readonly picks: Tensor;
}

interface CombineInputs extends RoutingInputs {
  readonly residual: Tensor | undefined;
  readonly gate: Tensor | undefined;
  readonly gateRows: Tensor | undefined;
}

function inputNames(attrs: CombineExpertsAttrs): (keyof CombineInputs)[] {
  const optional = (['residual', 'gate', 'gateRows'] as const).filter((name) => attrs[name]);
  return ['h', 'probs', 'slots', 'picks', ...optional];
}

function named(inputs: readonly Tensor[], attrs: CombineExpertsAttrs): CombineInputs {
  const [h, probs, slots, picks, ...extras] = inputs as [Tensor, Tensor, Tensor, Tensor, ...Tensor[]];
  return {
    ...{ h, probs, slots, picks },
    residual: attrs.residual ? extras.shift() : undefined,
    gate: attrs.gate ? extras.shift() : undefined,
    gateRows: attrs.gateRows ? extras.shift() : undefined,
  };
}

/** Checks h, probs, slots and picks against each other. */
function checkRouting(op: string, { h, probs, slots, picks }: RoutingInputs): void {
  const wrong = (rule: string, tensor: Tensor): never => {
    throw new ShapeError(
      `${op}: ${rule}: ${tensor.describe()} with h ${h.describe()}, probs ${probs.describe()}`,
    );
  };
  if (h.rank !== 3) wrong('h is [E, B K, D]', h);
  if (probs.rank !== 3 || probs.dim(2) !== h.dim(0)) wrong('probs are [B, T, E]', probs);
  if (h.dim(1) % probs.dim(0) !== 0) wrong('every sample has K slots of an expert', h);
  if (slots.dtype !== 'u32' || !sameShape(slots.shape, [probs.dim(0) * probs.dim(1), probs.dim(2)])) {
    wrong('slots are u32 [B T, E]', slots);
  }
  if (picks.dtype !== 'u32' || !sameShape(picks.shape, [h.dim(0), h.dim(1)])) {
    wrong('picks are u32 [E, B K]', picks);
  }
}

/** Rows of the gate that y is divided among. */
const gateSamples = ({ gate, gateRows }: CombineInputs): number => gateRows?.elements ?? gate?.rows ?? 1;

function checkEpilogue(inputs: CombineInputs): void {
  const { h, probs, residual, gate, gateRows } = inputs;
  const shape = [probs.dim(0), probs.dim(1), h.width];
  if (residual && !sameShape(residual.shape, shape)) {
    throw new ShapeError(
      `combineExperts: residual is [B, T, D], [${shape.join(', ')}]: ${residual.describe()}`,
    );
  }
  if (gate && (gate.width !== h.width || probs.dim(0) % gateSamples(inputs) !== 0)) {
    throw new ShapeError(
      `combineExperts: gate has rows of D elements, one for each sample: ${gate.describe()} with h ${h.describe()}, probs ${probs.describe()}`,
    );
  }
  if (gateRows && (!gate || gateRows.dtype !== 'u32')) {
    throw new ShapeError(`combineExperts: gateRows are u32 and go with a gate: ${gateRows.describe()}`);
  }
}

function lower(ctx: LowerContext<CombineExpertsAttrs>): void {
  const { attrs } = ctx;
  const inputs = named(ctx.inputs, attrs);
  const { h, probs, slots, residual, gate, gateRows } = inputs;
  const [y, sum] = ctx.outputs as readonly [Tensor, Tensor];
  const saveSum = ctx.isUsed(1);
  const columns = h.width;
  const wide = canVector(ctx, columns, [h, residual, gate, y, saveSum ? sum : null]);
  const vector = wide ? 4 : 1;
  const variant = { wide, saveSum, residual: attrs.residual, gate: attrs.gate, gateRows: attrs.gateRows };
  const operands: Operand[] = [
    { name: 'h', tensor: h, access: 'read', vector },
    { name: 'probs', tensor: probs, access: 'read' },
    { name: 'slots', tensor: slots, access: 'read' },
  ];
  if (residual) operands.push({ name: 'residual', tensor: residual, access: 'read', vector });
  if (gate) operands.push({ name: 'gate', tensor: gate, access: 'read', vector });
  if (gateRows) operands.push({ name: 'rows', tensor: gateRows, access: 'read' });
  operands.push({ name: 'y', tensor: y, access: 'write', vector });
  if (saveSum) operands.push({ name: 'sum', tensor: sum, access: 'write', vector });
  emit(ctx, {
    shader: 'combineExperts',
    variant,
    text: (header) => combineExpertsShader(variant, header),
    operands,
    uniforms: {
      count: slots.dim(0),
      columns,
      experts: probs.width,
      slotCount: h.rows,
      tokens: slots.dim(0) / gateSamples(inputs),
    },
    workgroups: grid(rowStripWorkgroups(slots.dim(0), columns), ctx.profile),
  });
}

function vjp({
  graph,
  node,
  attrs,
  grads,
  needs,
  outputs,
}: VjpContext<CombineExpertsAttrs>): InputGradient[] {
  const names = inputNames(attrs);
  const dy = grads[0];
  if (grads[1]) throw new InternalError('combineExperts: the saved sum takes no gradient');
  if (!dy) return names.map(() => null);
  const inputs = named(node.inputs, attrs);
  const { h, probs, slots, picks, gate, gateRows } = inputs;
  const wants = (name: keyof CombineInputs): boolean => needs[names.indexOf(name)] ?? false;
  const result = new Map<string, InputGradient>([['residual', dy]]);
  let dsum = dy;
  if (gate) {
    if (wants('gate')) {
      if (gateRows) throw new InternalError('combineExperts: a gate chosen by rows has no derivative');
      const groups = { groups: gate.rows, columns: gate.width };
      result.set('gate', columnSum(graph, dy, { ...groups, times: outputs[1]! }));
    }
    if (wants('h') || wants('probs')) {
      const rows = reshape(graph, gate, [gate.rows, gate.width]);
      dsum = mulRows(graph, dy, gateRows ? gatherRows(graph, rows, gateRows) : rows);
    }
  }
  if (wants('h') || wants('probs')) {
    const { dh, dprobs } = combineExpertsBackward(graph, dsum, h, probs, slots, picks);
    result.set('h', dh);
    result.set('probs', dprobs);
  }
  return names.map((name) => (wants(name) ? (result.get(name) ?? null) : null));
}

export const combineExpertsOp: OpDef<CombineExpertsAttrs> = {
  name: 'combineExperts',
  infer(tensors, attrs) {
    const inputs = named(tensors, attrs);
    checkRouting('combineExperts', inputs);
    checkEpilogue(inputs);
    const spec = {
      shape: [inputs.probs.dim(0), inputs.probs.dim(1), inputs.h.width],
      dtype: 'f32' as const,
    };
    return [spec, spec];
  },
  vjp,
  lower,
  // the sum is optional, and picks are for the backward pass
  cost: (node: GraphNode<CombineExpertsAttrs>) => ({
    macs: 0,
    bytes: touchedBytes(node) - (node.outputs[1]!.elements + node.inputs[3]!.elements) * 4,
  }),
};

export const combineExpertsBackwardOp: OpDef<null> = {
  name: 'combineExpertsBackward',
  infer(tensors) {
    const [dsum, h, probs, slots, picks] = tensors as [Tensor, Tensor, Tensor, Tensor, Tensor];
    checkRouting('combineExpertsBackward', { h, probs, slots, picks });
    if (dsum.elements !== probs.dim(0) * probs.dim(1) * h.width) {
      throw new ShapeError(
        `combineExpertsBackward: dsum is [B, T, D]: ${dsum.describe()} with h ${h.describe()}, probs ${probs.describe()}`,
      );
    }
    return [
      { shape: h.shape, dtype: 'f32' },
      { shape: probs.shape, dtype: 'f32' },
    ];
  },
  vjp: null,
  lower(ctx) {
    const [dsum, h, probs, slots, picks] = ctx.inputs as readonly [Tensor, Tensor, Tensor, Tensor, Tensor];
    const [dh, dprobs] = ctx.outputs as readonly [Tensor, Tensor];
    const columns = h.width;
    const experts = probs.width;
    const wide = canVector(ctx, columns, [dsum, h, dh]);
    const vector = wide ? 4 : 1;
    if (ctx.isUsed(0)) {
      emit(ctx, {
        shader: 'combineExpertsBackwardSlots',
        variant: { wide },
        text: (header) => combineExpertsBackwardSlotsShader({ wide }, header),
        operands: [
          { name: 'dsum', tensor: dsum, access: 'read', vector },
          { name: 'probs', tensor: probs, access: 'read' },
          { name: 'picks', tensor: picks, access: 'read' },
          { name: 'dh', tensor: dh, access: 'write', vector },
        ],
        uniforms: { count: h.rows, columns, experts, slotsPerExpert: h.dim(1) },
        workgroups: grid(rowStripWorkgroups(h.rows, columns), ctx.profile),
      });
    }
    if (ctx.isUsed(1)) {
      emit(ctx, {
        shader: 'combineExpertsBackwardProbs',
        variant: { wide },
        text: (header) => combineExpertsBackwardProbsShader({ wide }, header),
        operands: [
          { name: 'dsum', tensor: dsum, access: 'read', vector },
          { name: 'h', tensor: h, access: 'read', vector },
          { name: 'slots', tensor: slots, access: 'read' },
          { name: 'dprobs', tensor: dprobs, access: 'write' },
        ],
        uniforms: { choices: slots.elements, columns, experts, slotCount: h.rows },
        workgroups: grid(Math.ceil(slots.elements / choicesPerWorkgroup), ctx.profile),
      });
    }
  },
  cost: (node) => ({ macs: 0, bytes: touchedBytes(node) }),
};

/**
 * residual + gate * (sum over the experts e that chose a token of probs[e] h[its slot]): [B, T, D]. A token that nobody
 * chose has the sum 0. h [E, B K, D]; probs [B, T, E], slots and picks as expertRoute gives them.
 * @throws ShapeError
 */
export function combineExperts(
  graph: Graph,
  h: Tensor,
  probs: Tensor,
  slots: Tensor,
  picks: Tensor,
  options: CombineExpertsOptions = {},
): Tensor {
  const { residual, gate, gateRows } = options;
  const extras = [residual, gate, gateRows].filter((tensor) => tensor !== undefined);
  const attrs = {
    residual: residual !== undefined,
    gate: gate !== undefined,
    gateRows: gateRows !== undefined,
  };
  return graph.append(combineExpertsOp, [h, probs, slots, picks, ...extras], attrs)[0]!;
}

/** Gradients of h and probs for the gradient dsum [B, T, D] of the sum over experts. */
export function combineExpertsBackward(
  graph: Graph,
  dsum: Tensor,
  h: Tensor,
  probs: Tensor,
  slots: Tensor,
  picks: Tensor,
): { dh: Tensor; dprobs: Tensor } {
  const [dh, dprobs] = graph.append(combineExpertsBackwardOp, [dsum, h, probs, slots, picks], null);
  return { dh: dh!, dprobs: dprobs! };
}
