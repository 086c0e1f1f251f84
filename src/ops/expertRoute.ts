/**
 * expertRoute: which tokens each expert takes (expert choice), from the router's logits. Every expert takes the same
 * number of tokens from every sample; a token may be taken by all experts or by none.
 */
import { expertRouteShader, tokensPerWorkgroup } from '../../shaders/expertRoute.wgsl';
import { InternalError, ShapeError } from '../core/errors';
import type { Graph } from '../graph/graph';
import { touchedBytes, type OpDef } from '../graph/op';
import type { Tensor } from '../graph/tensor';
import { emit, type Operand } from './kernel';
import { softmax } from './softmax';

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

/** The choice of tokens by their probabilities [B, T, E]; picks and slots carry no gradient. */
export const expertRouteOp: OpDef<ExpertRouteAttrs> = {
  name: 'expertRoute',
  infer([probs], { tokensPerExpert: chosen }) {
    if (probs!.rank !== 3 || probs!.dtype !== 'f32') {
      throw new ShapeError(`expertRoute: logits are f32 [B, T, E]: ${probs!.describe()}`);
    }
    const [samples, tokens, experts] = [probs!.dim(0), probs!.dim(1), probs!.dim(2)];
    if (!Number.isInteger(chosen) || chosen < 1 || chosen > tokens) {
      throw new ShapeError(
        `expertRoute: an expert takes 1 to T tokens of a sample: ${chosen} of ${probs!.describe()}`,
      );
    }
    return [
      { shape: [experts, samples * chosen], dtype: 'u32' },
      { shape: [samples * tokens, experts], dtype: 'u32' },
    ];
  },
  vjp({ grads }) {
    if (grads.some(Boolean)) throw new InternalError('expertRoute: picks and slots take no gradient');
    return [null];
  },
  lower(ctx) {
    const probs = ctx.inputs[0]!;
    const [picks, slots] = ctx.outputs as readonly [Tensor, Tensor];
    const [samples, tokens, experts] = [probs.dim(0), probs.dim(1), probs.dim(2)];
    const variant = { picks: ctx.isUsed(0), slots: ctx.isUsed(1) };
    const operands: Operand[] = [{ name: 'probs', tensor: probs, access: 'read' }];
    if (variant.picks) operands.push({ name: 'picks', tensor: picks, access: 'write' });
    if (variant.slots) operands.push({ name: 'slots', tensor: slots, access: 'write' });
    emit(ctx, {
      shader: 'expertRoute',
      variant,
      text: (header) => expertRouteShader(variant, header),
      operands,
      uniforms: { samples, tokens, experts, chosen: ctx.attrs.tokensPerExpert },
      workgroups: [Math.ceil(tokens / tokensPerWorkgroup), experts, samples],
    });
  },
  cost: (node) => ({ macs: 0, bytes: touchedBytes(node) }),
};

export interface ExpertRouting {
  /** f32 [B, T, E]: softmax of the logits over the experts. */
  readonly probs: Tensor;
  /** u32 [E, B K]: for expert e and sample b, entries b K .. b K + K - 1 of row e are its tokens, as rows of the batch. */
  readonly picks: Tensor;
  /** u32 [B T, E]: place of each token among the picks, e B K + b K + rank, or `noRow`. */
  readonly slots: Tensor;
}

/**
 * Routes tokens by `logits` [B, T, E]: each expert takes the `tokensPerExpert` (K, at least 1) most probable tokens of
 * each sample, in descending order, ties to the lower token. Gradients flow through probs alone.
 * @throws ShapeError
 */
export function expertRoute(graph: Graph, logits: Tensor, tokensPerExpert: number): ExpertRouting {
  const probs = softmax(graph, logits);
  const [picks, slots] = graph.append(expertRouteOp, [probs], { tokensPerExpert });
  return { probs, picks: picks!, slots: slots! };
}
