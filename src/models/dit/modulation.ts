/**
 * The modulation branch: timestep and pooled caption to every block's shift, scale and gate.
 *
 *   c = mlp(timestep embedding) + pooled;  chunk6(W gelu_tanh(c) + b) per block, chunk2 for the final layer
 *
 * Rows are free: training has one per sample; sampling makes one per (noise level, prompt) up front, and the body picks
 * rows by index.
 */
import type { Graph } from '../../graph/graph';
import type { Tensor } from '../../graph/tensor';
import { activation } from '../../ops/activation';
import { add } from '../../ops/add';
import { linear } from '../../ops/linear';
import { splitColumns } from '../../ops/splitColumns';
import { scoped, type Tap, type Weights } from '../weights';
import type { BlockModulation } from './block';
import type { DitLayout } from './config';

export interface Modulation {
  /** By block name. */
  readonly blocks: ReadonlyMap<string, BlockModulation>;
  readonly final: { readonly shift: Tensor; readonly scale: Tensor };
}

/** Timestep features [R, 512] (see positions.ts: computed on the CPU) to t_emb [R, D]. */
export function ditTimestep(graph: Graph, weights: Weights, features: Tensor): Tensor {
  return scoped(graph, weights, 't_embedder', (w) => {
    const h = linear(graph, features, w('mlp.0.weight'), { bias: w('mlp.0.bias'), act: 'gelu_tanh' });
    return linear(graph, h, w('mlp.2.weight'), { bias: w('mlp.2.bias') });
  });
}

/** The modulation of every block for conditions c [R, D]. */
export function ditModulation(
  graph: Graph,
  weights: Weights,
  layout: DitLayout,
  c: Tensor,
  tap?: Tap,
): Modulation {
  const hidden = activation(graph, c, 'gelu_tanh');
  const chunks = (name: string, width: number, count: number): readonly Tensor[] =>
    scoped(graph, weights, name, (w) => {
      const all = linear(graph, hidden, w('adaLN_modulation.1.weight'), {
        bias: w('adaLN_modulation.1.bias'),
      });
      tap?.(`${name}.adaLN_modulation`, all);
      const part = { width, normalize: false };
      return splitColumns(graph, all, new Array<typeof part>(count).fill(part), layout.eps);
    });
  const blocks = new Map<string, BlockModulation>();
  for (const block of [...layout.mixer, ...layout.blocks]) {
    const [shiftMsa, scaleMsa, gateMsa, shiftMlp, scaleMlp, gateMlp] = chunks(block.name, block.width, 6);
    blocks.set(block.name, {
      shiftMsa: shiftMsa!,
      scaleMsa: scaleMsa!,
      gateMsa: gateMsa!,
      shiftMlp: shiftMlp!,
      scaleMlp: scaleMlp!,
      gateMlp: gateMlp!,
    });
  }
  const [shift, scale] = chunks('final_layer', layout.dim, 2);
  return { blocks, final: { shift: shift!, scale: scale! } };
}

/** c = t_emb + pooled, rows matching one to one (or pooled repeating along t_emb). */
export function ditCondition(graph: Graph, timestep: Tensor, pooled: Tensor, tap?: Tap): Tensor {
  const c = add(graph, timestep, pooled);
  tap?.('t_embedder', timestep);
  tap?.('c', c);
  return c;
}
