/**
 * Parameters of an AutoencoderKL, in diffusers' names and shapes, from its config. Old files name the attention's
 * projections query, key, value and proj_attn, with shapes [c, c, 1, 1].
 */
import type { Shape } from '../../core/shape';
import type { KlConfig } from '../../protocol/schemas';
import type { ParameterSpec } from '../parameters';

const oldAttentionNames: readonly (readonly [string, string])[] = [
  ['to_q', 'query'],
  ['to_k', 'key'],
  ['to_v', 'value'],
  ['to_out.0', 'proj_attn'],
];

const plain = (name: string, shape: Shape): ParameterSpec => ({ name, shape, layout: 'plain' });

function norm(name: string, channels: number): ParameterSpec[] {
  return [plain(`${name}.weight`, [channels]), plain(`${name}.bias`, [channels])];
}

/** A 3 x 3 convolution. */
function convolution(name: string, inputs: number, outputs: number): ParameterSpec[] {
  return [
    { name: `${name}.weight`, shape: [outputs, inputs, 3, 3], layout: 'ohwi' },
    plain(`${name}.bias`, [outputs]),
  ];
}

/** A 1 x 1 convolution. */
function pointwise(name: string, inputs: number, outputs: number): ParameterSpec[] {
  return [plain(`${name}.weight`, [outputs, inputs, 1, 1]), plain(`${name}.bias`, [outputs])];
}

function resnet(name: string, inputs: number, outputs: number): ParameterSpec[] {
  return [
    ...norm(`${name}.norm1`, inputs),
    ...convolution(`${name}.conv1`, inputs, outputs),
    ...norm(`${name}.norm2`, outputs),
    ...convolution(`${name}.conv2`, outputs, outputs),
    ...(inputs === outputs ? [] : pointwise(`${name}.conv_shortcut`, inputs, outputs)),
  ];
}

function attention(name: string, channels: number): ParameterSpec[] {
  const projection = ([current, old]: readonly [string, string]): ParameterSpec[] => [
    { ...plain(`${name}.${current}.weight`, [channels, channels]), aliases: [`${name}.${old}.weight`] },
    { ...plain(`${name}.${current}.bias`, [channels]), aliases: [`${name}.${old}.bias`] },
  ];
  return [...norm(`${name}.group_norm`, channels), ...oldAttentionNames.flatMap(projection)];
}

function middle(name: string, channels: number, config: KlConfig): ParameterSpec[] {
  return [
    ...resnet(`${name}.resnets.0`, channels, channels),
    ...(config.mid_block_add_attention ? attention(`${name}.attentions.0`, channels) : []),
    ...resnet(`${name}.resnets.1`, channels, channels),
  ];
}

/** Resnets of a level: the first one changes the width. */
function level(name: string, count: number, inputs: number, outputs: number): ParameterSpec[] {
  return Array.from({ length: count }, (_, index) => index).flatMap((index) =>
    resnet(`${name}.resnets.${index}`, index === 0 ? inputs : outputs, outputs),
  );
}

/** Parameters of the encoder, quant_conv included. */
export function klEncoderParameters(config: KlConfig): ParameterSpec[] {
  const widths = config.block_out_channels;
  const deepest = widths.at(-1)!;
  const moments = 2 * config.latent_channels;
  return [
    ...convolution('encoder.conv_in', config.in_channels, widths[0]!),
    ...widths.flatMap((width, index) => {
      const name = `encoder.down_blocks.${index}`;
      const last = index === widths.length - 1;
      return [
        ...level(name, config.layers_per_block, widths[index - 1] ?? width, width),
        ...(last ? [] : convolution(`${name}.downsamplers.0.conv`, width, width)),
      ];
    }),
    ...middle('encoder.mid_block', deepest, config),
    ...norm('encoder.conv_norm_out', deepest),
    ...convolution('encoder.conv_out', deepest, moments),
    ...(config.use_quant_conv ? pointwise('quant_conv', moments, moments) : []),
  ];
}

/** Parameters of the decoder, post_quant_conv included. */
export function klDecoderParameters(config: KlConfig): ParameterSpec[] {
  const widths = config.block_out_channels.toReversed();
  const deepest = widths[0]!;
  const finest = widths.at(-1)!;
  const latent = config.latent_channels;
  return [
    ...(config.use_post_quant_conv ? pointwise('post_quant_conv', latent, latent) : []),
    ...convolution('decoder.conv_in', latent, deepest),
    ...middle('decoder.mid_block', deepest, config),
    ...widths.flatMap((width, index) => {
      const name = `decoder.up_blocks.${index}`;
      const last = index === widths.length - 1;
      return [
        ...level(name, config.layers_per_block + 1, widths[index - 1] ?? width, width),
        ...(last ? [] : convolution(`${name}.upsamplers.0.conv`, width, width)),
      ];
    }),
    ...norm('decoder.conv_norm_out', finest),
    ...convolution('decoder.conv_out', finest, config.out_channels),
  ];
}

/** Every parameter, encoder first. */
export function klParameters(config: KlConfig): ParameterSpec[] {
  return [...klEncoderParameters(config), ...klDecoderParameters(config)];
}
