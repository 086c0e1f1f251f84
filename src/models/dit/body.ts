/**
 * The body: picture in, F out (ditBody), or tokens in and out (ditTokens). Patch embedding, mixer on all tokens, patch masking (training), backbone on the kept
 * tokens, final layer, unpatchify.
 */
import type { Graph } from '../../graph/graph';
import type { Tensor } from '../../graph/tensor';
import { gatherRows } from '../../ops/gatherRows';
import { layerNorm } from '../../ops/layerNorm';
import { linear } from '../../ops/linear';
import { patchify, unpatchify } from '../../ops/patches';
import { reshape } from '../../ops/view';
import { scoped, type Tap, type Weights } from '../weights';
import { ditBlock, type BlockCaption } from './block';
import type { BlockLayout, DitLayout } from './config';
import type { Modulation } from './modulation';

/** Which patches stay. All u32, rows counted over the batch; 0xffffffff means none. */
export interface PatchMask {
  readonly kept: number;
  /** [B K]: token row of each kept token. */
  readonly keep: Tensor;
  /** [B T]: kept row of each token. */
  readonly restore: Tensor;
}

export interface TokenInputs {
  /** [B, T, C p p], channels slowest: patches of the picture, already multiplied by c_in. */
  readonly patches: Tensor;
  readonly modulation: Modulation;
  /** u32 [B]: row of the modulation for each sample. */
  readonly rows?: Tensor;
  /** By block name. */
  readonly captions: ReadonlyMap<string, BlockCaption>;
  readonly mask?: PatchMask;
}

export interface BodyInputs extends Omit<TokenInputs, 'patches'> {
  /** [B, C, h, w], already multiplied by c_in. */
  readonly x: Tensor;
}

/** F [B, C, h, w]. */
export function ditBody(
  graph: Graph,
  weights: Weights,
  layout: DitLayout,
  inputs: BodyInputs,
  tap?: Tap,
): Tensor {
  const { patch, channels } = layout;
  const { x, ...rest } = inputs;
  const patches = patchify(graph, x, { patch, order: 'channelSlow' });
  const out = ditTokens(graph, weights, layout, { patches, ...rest }, tap);
  const [height, width] = [x.dim(2), x.dim(3)];
  return unpatchify(graph, out, { patch, order: 'channelFast', channels, height, width });
}

/** F as the final layer gives it: tokens [B, T, p p C], channels fastest. */
export function ditTokens(
  graph: Graph,
  weights: Weights,
  layout: DitLayout,
  inputs: TokenInputs,
  tap?: Tap,
): Tensor {
  const { eps, dim, tokens, patch, channels } = layout;
  const { patches } = inputs;
  const samples = patches.dim(0);
  let x = scoped(graph, weights, 'x_embedder', (w) => {
    const kernel = reshape(graph, w('proj.weight'), [dim, channels * patch * patch]);
    const embedded = linear(graph, patches, kernel, {
      bias: w('proj.bias'),
      residual: reshape(graph, weights('pos_embed'), [tokens, dim]),
    });
    if (tap) tap('x_embedder', linear(graph, patches, kernel, { bias: w('proj.bias') }));
    return embedded;
  });
  tap?.('x_embedder_pos', x);

  const run = (blocks: readonly BlockLayout[]): void => {
    for (const block of blocks) {
      x = scoped(graph, weights, block.name, (w) =>
        ditBlock(
          graph,
          w,
          {
            x,
            modulation: inputs.modulation.blocks.get(block.name)!,
            ...(inputs.rows ? { rows: inputs.rows } : {}),
            caption: inputs.captions.get(block.name)!,
          },
          { layout: block, headDim: layout.headDim, eps, capacity: layout.capacity },
          tap && ((name, value) => tap(`${block.name}.${name}`, value)),
        ),
      );
      tap?.(block.name, x);
    }
  };

  const map = (name: string): void => {
    if (layout.mixerMaps) {
      x = scoped(graph, weights, name, (w) =>
        linear(graph, layerNorm(graph, x, { weight: w('0.weight'), eps }), w('1.weight')),
      );
    }
    tap?.(name, x);
  };

  if (layout.mixer.length > 0) {
    map('patch_mixer_map_xin');
    run(layout.mixer);
  }
  const { mask } = inputs;
  if (mask) {
    const rows = reshape(graph, x, [samples * tokens, x.width]);
    x = reshape(
      graph,
      gatherRows(graph, rows, mask.keep, reshape(graph, mask.restore, [samples * tokens, 1])),
      [samples, mask.kept, x.width],
    );
  }
  if (layout.mixer.length > 0) map('patch_mixer_map_xout');
  run(layout.blocks);

  const out = scoped(graph, weights, 'final_layer', (w) => {
    const h = layerNorm(graph, x, {
      weight: w('norm_final.weight'),
      shift: inputs.modulation.final.shift,
      scale: inputs.modulation.final.scale,
      ...(inputs.rows ? { rows: inputs.rows } : {}),
      eps,
    });
    return linear(graph, h, w('linear.weight'), { bias: w('linear.bias') });
  });
  tap?.('final_layer', out);
  if (!mask) return out;
  const rows = reshape(graph, out, [samples * mask.kept, out.width]);
  return reshape(
    graph,
    gatherRows(graph, rows, mask.restore, reshape(graph, mask.keep, [samples * mask.kept, 1])),
    [samples, tokens, out.width],
  );
}
