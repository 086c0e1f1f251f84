/** The decoder of an AutoencoderKL: latents to pictures. Channels last inside, channels first at both ends. */
import { ShapeError } from '../../core/errors';
import type { Graph } from '../../graph/graph';
import type { Tensor } from '../../graph/tensor';
import { nchwToNhwc, nhwcToNchw } from '../../ops/permute';
import type { KlConfig } from '../../protocol/schemas';
import type { Weights } from '../weights';
import {
  convolution,
  middleBlock,
  norm,
  pointwise,
  resnet,
  stored,
  submodule,
  type Module,
  type TraceOptions,
} from './blocks';
import { RowBands } from './rowBands';

/**
 * Image [B, 3, H, W], about -1 to 1 and not clamped, of latent [B, z, h, w], which is already divided by the scaling
 * factor. In bands of rows where `bandRows` says so, for B = 1.
 * @throws ShapeError
 */
export function decode(
  graph: Graph,
  weights: Weights,
  config: KlConfig,
  latent: Tensor,
  { tap, bandRows = Infinity }: TraceOptions = {},
): Tensor {
  if (latent.rank !== 4 || latent.dim(1) !== config.latent_channels) {
    throw new ShapeError(`decode: latent is [B, ${config.latent_channels}, h, w]: ${latent.describe()}`);
  }
  const model: Module = { graph, weights, groups: config.norm_num_groups, bandRows, tap };
  const z = new RowBands(graph, [nchwToNhwc(graph, latent)]);
  const start = config.use_post_quant_conv ? stored(model, pointwise(model, 'post_quant_conv', z)) : z;
  const image = submodule(model, 'decoder', (decoder) => {
    const widths = config.block_out_channels.toReversed();
    let x = stored(decoder, convolution(decoder, 'conv_in', start));
    x = middleBlock(decoder, 'mid_block', x, config.mid_block_add_attention);
    widths.forEach((width, index) => {
      x = submodule(decoder, `up_blocks.${index}`, (block) => {
        let y = x;
        for (let layer = 0; layer <= config.layers_per_block; layer++) {
          y = resnet(block, `resnets.${layer}`, y, width);
        }
        if (index === widths.length - 1) return y;
        return submodule(block, 'upsamplers.0', (sampler) =>
          stored(sampler, convolution(sampler, 'conv', y, { upsample: 2 })),
        );
      });
    });
    return stored(decoder, convolution(decoder, 'conv_out', norm(decoder, 'conv_norm_out', x, true)));
  });
  return nhwcToNchw(graph, image.whole());
}
