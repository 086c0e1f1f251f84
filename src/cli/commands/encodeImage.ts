/** `tabdit encode-image`: pictures through the autoencoder to latents. */
import { InputError, UsageError } from '../../core/errors';
import { shapeText } from '../../core/shape';
import { samplePosterior, scaleLatents, type Posterior } from '../../models/vae/posterior';
import { fromPictures } from '../../sessions/pictures';
import { latentChannels, scalingFactor, vaeFactor } from '../../sessions/vaePlan';
import type { Arguments } from '../args';
import { adapterOption, type Command } from '../command';
import { openForCommand } from '../device';
import { checkShape, floats, openTensors, readFloats, writeTensors, type Floats } from '../files';
import { loadVae } from '../loading';
import { findVae } from '../models';
import { meanAndDeviation, numberText } from '../numbers';
import { readPictures } from '../pictures';

export const encodeImage: Command = {
  name: 'encode-image',
  words: '[IMG...]',
  summary: 'pictures (PNG, or a tensor) to latents',
  options: {
    vae: { value: 'PATH', help: 'autoencoder: bundle, folder or weight file (default: the demo)' },
    in: { value: 'FILE', help: 'in place of pictures: tensor `image` [N, 3, H, W] in [-1, 1]' },
    tensor: { value: 'NAME', help: 'another tensor of --in' },
    'noise-in': {
      value: 'FILE',
      help: 'sample the posterior with tensor `noise` (or `latents`) [N, C, h, w] (default: its mean)',
    },
    unscaled: { help: 'do not multiply by the scaling factor' },
    out: { value: 'FILE', help: 'write tensor `latents` [N, C, h, w]' },
    'moments-out': { value: 'FILE', help: 'write tensors `mean` and `logvar` (clamped to [-30, 20])' },
    weights: { value: 'f32|f16', help: 'how the weights are stored on the GPU (default: f32)' },
    ...adapterOption,
  },
  async run(args, context) {
    const path = args.text('in');
    if ((args.words.length === 0) === (path === undefined)) {
      throw new UsageError(
        `encode-image: pictures or --in must be given, not both: ${args.words.length} pictures${path === undefined ? '' : ` and ${path}`}`,
      );
    }
    const storage = args.choice('weights', ['f32', 'f16', 'int8']) ?? 'f32';
    const part = await findVae(args.text('vae'));
    const factor = vaeFactor(part.model);
    const image = await readImage(args, factor);
    const [samples, , height, width] = image.shape as readonly [number, number, number, number];
    const shape = [samples, latentChannels(part.model), height / factor, width / factor];
    const noise = await readNoise(args.text('noise-in'), shape);

    const opened = await openForCommand(args, context.output);
    let distribution: Posterior;
    try {
      const session = await loadVae(opened.resources, part, 'encoder', storage, context);
      distribution = await session.encode(image.data, { samples, height, width, signal: context.signal });
    } finally {
      opened.close();
    }
    const values = noise ? samplePosterior(distribution, noise) : distribution.mean;
    const latents = args.has('unscaled') ? values : scaleLatents(values, scalingFactor(part.model));

    const [out, momentsOut] = [args.text('out'), args.text('moments-out')];
    if (out !== undefined) await writeTensors(out, [floats('latents', shape, latents)]);
    if (momentsOut !== undefined) {
      const { mean, logvar } = distribution;
      await writeTensors(momentsOut, [floats('mean', shape, mean), floats('logvar', shape, logvar)]);
    }
    const { mean, deviation } = meanAndDeviation(latents);
    const written = [out, momentsOut].filter((file) => file !== undefined);
    context.output.result(
      {
        shape,
        sampled: noise !== undefined,
        scaled: !args.has('unscaled'),
        mean,
        std: deviation,
        adapter: opened.adapter,
        ...(out === undefined ? {} : { out }),
        ...(momentsOut === undefined ? {} : { moments: momentsOut }),
      },
      () => [
        `latents ${shapeText(shape)}, mean ${numberText(mean)}, standard deviation ${numberText(deviation)}`,
        ...written.map((file) => `written to ${file}`),
      ],
    );
  },
};

/** [N, 3, H, W] in [-1, 1], whose sides the autoencoder can halve. */
async function readImage(args: Arguments, factor: number): Promise<Floats> {
  const path = args.text('in');
  let image: Floats;
  if (path === undefined) {
    const pictures = await readPictures(args.words);
    const { width, height } = pictures[0]!;
    image = { shape: [pictures.length, 3, height, width], data: fromPictures(pictures) };
  } else {
    image = await readFloats(await openTensors(path), args.text('tensor') ?? 'image');
    checkShape(`${path}: image`, image.shape, ['N', 3, 'H', 'W']);
  }
  const [, , height = 0, width = 0] = image.shape;
  if (height % factor !== 0 || width % factor !== 0) {
    throw new InputError(
      `encode-image: sides must be multiples of the autoencoder's ${factor}: ${width} x ${height}`,
    );
  }
  return image;
}

async function readNoise(
  path: string | undefined,
  shape: readonly number[],
): Promise<Float32Array | undefined> {
  if (path === undefined) return undefined;
  const noise = await readFloats(await openTensors(path), 'noise', 'latents');
  checkShape(`${path}: noise`, noise.shape, shape);
  return noise.data;
}
