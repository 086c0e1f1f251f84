/** The encoder of an AutoencoderKL: pictures to moments of latents. Channels last inside, first at both ends. */
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
 * Moments [B, 2z, H/f, W/f], mean and then log-variance (not clamped), of image [B, 3, H, W] in [-1, 1]; f is 2^(levels
 * - 1). In bands of rows where `bandRows` says so, for B = 1.
 * @throws ShapeError
 */
export function encode(
  graph: Graph,
  weights: Weights,
  config: KlConfig,
  image: Tensor,
  { tap, bandRows = Infinity }: TraceOptions = {},
): Tensor {
  const widths = config.block_out_channels;
  const factor = 2 ** (widths.length - 1);
  const fits = image.rank === 4 && image.dim(1) === config.in_channels;
  if (!fits || image.dim(2) % factor !== 0 || image.dim(3) % factor !== 0) {
    throw new ShapeError(
      `encode: image is [B, ${config.in_channels}, H, W] with sides that are multiples of ${factor}: ${image.describe()}`,
    );
  }
  const model: Module = { graph, weights, groups: config.norm_num_groups, bandRows, tap };
  const pixels = new RowBands(graph, [nchwToNhwc(graph, image)]);
  const moments = submodule(model, 'encoder', (encoder) => {
    let x = stored(encoder, convolution(encoder, 'conv_in', pixels));
    widths.forEach((width, index) => {
      x = submodule(encoder, `down_blocks.${index}`, (block) => {
        let y = x;
        for (let layer = 0; layer < config.layers_per_block; layer++) {
          y = resnet(block, `resnets.${layer}`, y, width);
        }
        if (index === widths.length - 1) return y;
        return submodule(block, 'downsamplers.0', (sampler) =>
          stored(sampler, convolution(sampler, 'conv', y, { stride: 2 })),
        );
      });
    });
    x = middleBlock(encoder, 'mid_block', x, config.mid_block_add_attention);
    return stored(encoder, convolution(encoder, 'conv_out', norm(encoder, 'conv_norm_out', x, true)));
  });
  const result = config.use_quant_conv ? stored(model, pointwise(model, 'quant_conv', moments)) : moments;
  return nhwcToNchw(graph, result.whole());
}
