/**
 * expertRoute: which tokens each expert takes (expert choice), from the router's probabilities, and those tokens'
 * rows. Every expert takes the same number of tokens from every sample; a token may be taken by all experts or by none.
 */
import { expertRouteShader, tokensPerWorkgroup } from '../../shaders/expertRoute.wgsl';
import { dtypeBytes } from '../core/dtype';
import { InternalError, ShapeError } from '../core/errors';
import type { Graph } from '../graph/graph';
import type { OpDef } from '../graph/op';
import type { Tensor } from '../graph/tensor';
import { gatherRows } from './gatherRows';
import { canVector, emit, type Operand } from './kernel';
import { reshape } from './view';

/**
 * Tokens that each expert takes from a sample of `tokens` tokens: capacity tokens / experts, cut to a whole number. 0 is
 * legal and means that the experts do nothing.
 */
export function tokensPerExpert(tokens: number, experts: number, capacity: number): number {
  return Math.trunc((capacity * tokens) / experts);
}

export interface ExpertRouteAttrs {
  readonly tokensPerExpert: number;
}

/** Inputs probs [B, T, E], x [B, T, D]; outputs picks, slots, taken. Picks and slots carry no gradient. */
export const expertRouteOp: OpDef<ExpertRouteAttrs> = {
  name: 'expertRoute',
  infer([probs, x], { tokensPerExpert: chosen }) {
    if (probs!.rank !== 3 || probs!.dtype !== 'f32') {
      throw new ShapeError(`expertRoute: probabilities are f32 [B, T, E]: ${probs!.describe()}`);
    }
    const [samples, tokens, experts] = [probs!.dim(0), probs!.dim(1), probs!.dim(2)];
    if (!Number.isInteger(chosen) || chosen < 1 || chosen > tokens) {
      throw new ShapeError(
        `expertRoute: an expert takes 1 to T tokens of a sample: ${chosen} of ${probs!.describe()}`,
      );
    }
    if (x!.rank !== 3 || x!.dtype !== 'f32' || x!.dim(0) !== samples || x!.dim(1) !== tokens) {
      throw new ShapeError(
        `expertRoute: x is f32 [B, T, D], a row for each token: ${x!.describe()}, probabilities ${probs!.describe()}`,
      );
    }
    return [
      { shape: [experts, samples * chosen], dtype: 'u32' },
      { shape: [samples * tokens, experts], dtype: 'u32' },
      { shape: [experts, samples * chosen, x!.width], dtype: 'f32' },
    ];
  },
  vjp({ graph, inputs, outputs, grads, needs }) {
    if (grads[0] || grads[1]) throw new InternalError('expertRoute: picks and slots take no gradient');
    const dtaken = grads[2];
    if (!dtaken || !needs[1]) return [null, null];
    // a token's row went to the slots that its row of `slots` lists
    const rows = reshape(graph, dtaken, [dtaken.rows, dtaken.width]);
    return [null, reshape(graph, gatherRows(graph, rows, outputs[1]!), inputs[1]!.shape)];
  },
  lower(ctx) {
    const [probs, x] = ctx.inputs as readonly [Tensor, Tensor];
    const [picks, slots, taken] = ctx.outputs as readonly [Tensor, Tensor, Tensor];
    const [samples, tokens, experts] = [probs.dim(0), probs.dim(1), probs.dim(2)];
    const wanted = { picks: ctx.isUsed(0), slots: ctx.isUsed(1), taken: ctx.isUsed(2) };
    const variant = { ...wanted, wide: wanted.taken && canVector(ctx, x.width, [x, taken]) };
    const vector = variant.wide ? 4 : 1;
    const operands: Operand[] = [{ name: 'probs', tensor: probs, access: 'read' }];
    if (variant.picks) operands.push({ name: 'picks', tensor: picks, access: 'write' });
    if (variant.slots) operands.push({ name: 'slots', tensor: slots, access: 'write' });
    if (variant.taken) {
      operands.push({ name: 'x', tensor: x, access: 'read', vector });
      operands.push({ name: 'taken', tensor: taken, access: 'write', vector });
    }
    emit(ctx, {
      shader: 'expertRoute',
      variant,
      text: (header) => expertRouteShader(variant, header),
      operands,
      uniforms: { samples, tokens, experts, chosen: ctx.attrs.tokensPerExpert, columns: x.width },
      workgroups: [Math.ceil(tokens / tokensPerWorkgroup), experts, samples],
    });
  },
  cost(node) {
    // of x the rows that are taken are read, each as often as it is taken
    const probs = node.inputs[0];
    const outputs = node.outputs.reduce((sum, tensor) => sum + tensor.elements * dtypeBytes(tensor.dtype), 0);
    return { macs: 0, bytes: outputs + (probs!.elements + node.outputs[2]!.elements) * 4 };
  },
};

export interface ExpertRouting {
  /** u32 [E, B K]: for expert e and sample b, entries b K .. b K + K - 1 of row e are its tokens, as rows of the batch. */
  readonly picks: Tensor;
  /** u32 [B T, E]: place of each token among the picks, e B K + b K + rank, or `noRow`. */
  readonly slots: Tensor;
  /** [E, B K, D]: rows of x by picks. */
  readonly taken: Tensor;
}

/**
 * Routes the tokens x [B, T, D] by `probs` [B, T, E]: each expert takes the `tokensPerExpert` (K, at least 1) most
 * probable tokens of each sample, in descending order, ties to the lower token. Gradients flow from taken to x; the choice
 * carries none.
 * @throws ShapeError
 */
export function expertRoute(graph: Graph, probs: Tensor, x: Tensor, tokensPerExpert: number): ExpertRouting {
  const [picks, slots, taken] = graph.append(expertRouteOp, [probs, x], { tokensPerExpert });
  return { picks: picks!, slots: slots!, taken: taken! };
}
