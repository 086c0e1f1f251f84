/**
 * The layers of TAESD, the tiny autoencoder of latent diffusion models, and its parameters. The names are those of
 * diffusers' AutoencoderTiny; the original files hold encoder and decoder apart, as plain sequences whose layers are
 * numbered, and those numbers stand as aliases. The decoder's differ by one: its first original layer is the clamp,
 * which diffusers does not count.
 *
 * TAESD (Stable Diffusion 1 and 2) and TAESDXL have 4 latent channels, TAESD3 and TAEF1 have 16.
 */
import type { Shape } from '../../core/shape';
import type { ParameterSpec } from '../parameters';

/** Channels of every inner layer. */
const width = 64;

/** One layer with parameters. */
export interface TaesdLayer {
  /** `encoder.layers.3`, `decoder.layers.2` */
  readonly name: string;
  /** Name in an original file: its place in the sequence. */
  readonly original: string;
  /** A convolution, or three with an identity around them. */
  readonly kind: 'convolution' | 'block';
  readonly inputs: number;
  readonly outputs: number;
  /** What it does to the picture. Convolutions that halve (by a stride) or double (before them) have no bias. */
  readonly size: 'same' | 'half' | 'double';
  /** Whether a ReLU of its own follows. */
  readonly relu: boolean;
}

type Part = 'encoder' | 'decoder';

const same = { size: 'same', relu: false } as const;

function layer(part: Part, index: number, traits: Partial<TaesdLayer>): TaesdLayer {
  const name = `${part}.layers.${part === 'decoder' ? index - 1 : index}`;
  return {
    ...{ name, original: String(index), kind: 'convolution', inputs: width, outputs: width, ...same },
    ...traits,
  };
}

/** Blocks at these places of the original sequence. */
function blocks(part: Part, ...places: readonly number[]): TaesdLayer[] {
  return places.map((index) => layer(part, index, { kind: 'block' }));
}

/** Pictures of 3 channels to latents. */
export function taesdEncoderLayers(latentChannels: number): TaesdLayer[] {
  const half = (index: number): TaesdLayer => layer('encoder', index, { size: 'half' });
  return [
    layer('encoder', 0, { inputs: 3 }),
    ...blocks('encoder', 1),
    ...[half(2), ...blocks('encoder', 3, 4, 5)],
    ...[half(6), ...blocks('encoder', 7, 8, 9)],
    ...[half(10), ...blocks('encoder', 11, 12, 13)],
    layer('encoder', 14, { outputs: latentChannels }),
  ];
}

/** Latents to pictures of 3 channels. Original layers 0 (clamp), 2 (ReLU) and 6, 11, 16 (enlargement) hold nothing. */
export function taesdDecoderLayers(latentChannels: number): TaesdLayer[] {
  const double = (index: number): TaesdLayer => layer('decoder', index, { size: 'double' });
  return [
    layer('decoder', 1, { inputs: latentChannels, relu: true }),
    ...[...blocks('decoder', 3, 4, 5), double(7)],
    ...[...blocks('decoder', 8, 9, 10), double(12)],
    ...[...blocks('decoder', 13, 14, 15), double(17)],
    ...blocks('decoder', 18),
    layer('decoder', 19, { outputs: 3 }),
  ];
}

function specsOf(layers: readonly TaesdLayer[]): ParameterSpec[] {
  return layers.flatMap(({ name, original, kind, inputs, outputs, size }) => {
    const spec = (suffix: string, shape: Shape): ParameterSpec => ({
      name: `${name}.${suffix}`,
      aliases: [`${original}.${suffix}`],
      shape,
      layout: shape.length === 4 ? 'ohwi' : 'plain',
    });
    const convolution = (inner: string): ParameterSpec[] => [
      spec(`${inner}weight`, [outputs, inputs, 3, 3]),
      ...(size === 'same' ? [spec(`${inner}bias`, [outputs])] : []),
    ];
    return kind === 'block' ? ['conv.0.', 'conv.2.', 'conv.4.'].flatMap(convolution) : convolution('');
  });
}

/** Parameters of the encoder: those of `taesdxl_encoder.pth`. */
export function taesdEncoderParameters(latentChannels = 4): ParameterSpec[] {
  return specsOf(taesdEncoderLayers(latentChannels));
}

/** Parameters of the decoder: those of `taesdxl_decoder.pth`. */
export function taesdDecoderParameters(latentChannels = 4): ParameterSpec[] {
  return specsOf(taesdDecoderLayers(latentChannels));
}

/** Every parameter, encoder first: those of diffusers' one file. An original file holds one of the halves only. */
export function taesdParameters(latentChannels = 4): ParameterSpec[] {
  return [...taesdEncoderParameters(latentChannels), ...taesdDecoderParameters(latentChannels)];
}
