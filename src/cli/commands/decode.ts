/** `tabdit decode`: latents through the autoencoder to pictures. */
import { UsageError } from '../../core/errors';
import { shapeText } from '../../core/shape';
import { toPictures } from '../../sessions/pictures';
import { latentChannels } from '../../sessions/vaePlan';
import { adapterOption, type Command } from '../command';
import { openForCommand } from '../device';
import { checkShape, floats, openTensors, readFloats, writeTensors } from '../files';
import { loadVae } from '../loading';
import { findVae } from '../models';
import { picturePaths, writePictures } from '../pictures';

export const decode: Command = {
  name: 'decode',
  words: '',
  summary: 'latents to pictures',
  options: {
    vae: { value: 'PATH', help: 'autoencoder: bundle, folder or weight file (default: the demo)' },
    in: { value: 'FILE', help: 'tensor `latents` [N, C, h, w], scaled, as a sampler gives them' },
    tensor: { value: 'NAME', help: 'another tensor of --in' },
    unscaled: { help: 'the latents are not multiplied by the scaling factor' },
    out: { value: 'FILE|DIR', help: 'pictures; several: FILE-0.png ..., DIR/0.png ...' },
    'raw-out': { value: 'FILE', help: 'write tensor `image` [N, 3, H, W], about -1 to 1, before clamping' },
    weights: { value: 'f32|f16', help: 'how the weights are stored on the GPU (default: f32)' },
    ...adapterOption,
  },
  async run(args, context) {
    args.atMost(0);
    const path = args.need('in');
    const [out, rawOut] = [args.text('out'), args.text('raw-out')];
    if (out === undefined && rawOut === undefined) {
      throw new UsageError('decode: --out or --raw-out must be given: there is neither');
    }
    const storage = args.choice('weights', ['f32', 'f16', 'int8']) ?? 'f32';
    const part = await findVae(args.text('vae'));
    const { shape, data } = await readFloats(await openTensors(path), args.text('tensor') ?? 'latents');
    checkShape(`${path}: latents`, shape, ['N', latentChannels(part.model), 'h', 'w']);
    const [samples, , height, width] = shape as readonly [number, number, number, number];
    const paths = out === undefined ? [] : await picturePaths(out, samples);

    const opened = await openForCommand(args, context.output);
    const began = performance.now();
    let image: { values: Float32Array; height: number; width: number };
    try {
      const session = await loadVae(opened.resources, part, 'decoder', storage, context);
      const scaled = !args.has('unscaled');
      image = await session.decode(data, { samples, height, width, scaled, signal: context.signal });
    } finally {
      opened.close();
    }
    const ms = performance.now() - began;
    const imageShape = [samples, 3, image.height, image.width];
    if (out !== undefined) {
      await writePictures(paths, toPictures(image.values, samples, image.height, image.width));
    }
    if (rawOut !== undefined) await writeTensors(rawOut, [floats('image', imageShape, image.values)]);
    context.output.result(
      {
        shape: imageShape,
        adapter: opened.adapter,
        ms,
        pictures: paths,
        ...(rawOut === undefined ? {} : { raw: rawOut }),
      },
      () => [
        `image ${shapeText(imageShape)}`,
        ...[...paths, ...(rawOut === undefined ? [] : [rawOut])].map((file) => `written to ${file}`),
      ],
    );
  },
};
