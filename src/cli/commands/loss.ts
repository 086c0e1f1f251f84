/** `tabdit loss`: the EDM loss of given samples and draws, and its gradients. */
import type { TensorFile } from '../../formats/tensorFile';
import { ditLayout } from '../../models/dit/config';
import type { DitConfig } from '../../protocol/schemas';
import type { TrainBatch } from '../../protocol/trainBatch';
import { adapterOption, type Command } from '../command';
import { openForCommand } from '../device';
import { checkShape, floats, openTensors, readFloats, writeTensors } from '../files';
import { loadTrainer } from '../loading';
import { findDit } from '../models';

export const loss: Command = {
  name: 'loss',
  words: '',
  summary: 'the EDM loss of given samples and draws, and its gradients',
  options: {
    model: { value: 'PATH', help: 'bundle, folder or weight file (default: the demo)' },
    config: { value: 'FILE', help: "the transformer's configuration, where the model does not say it" },
    in: {
      value: 'FILE',
      help: 'tensors `latents` [N, C, h, w], `captions` [N, 1, L, C], `rnd_normal` [N], `noise`, `drop_caption_mask` [N]; with --mask-ratio `mask_noise` [N, T]',
    },
    'mask-ratio': { value: 'R', help: 'share of the patches removed (default: 0)' },
    'p-mean': { value: 'M', help: "mean of the noise level's logarithm (default: -0.6)" },
    'p-std': { value: 'S', help: "standard deviation of the noise level's logarithm (default: 1.2)" },
    'grads-out': {
      value: 'FILE',
      help: 'write `loss`, `loss_per_sample`, `grad_norm`, `grad_x_in`, `grad_y_in`, `grad.<parameter>`',
    },
    ...adapterOption,
  },
  async run(args, context) {
    args.atMost(0);
    const path = args.need('in');
    const maskRatio = args.number('mask-ratio', { least: 0, most: 0.999999 }) ?? 0;
    const pMean = args.number('p-mean') ?? -0.6;
    const pStd = args.number('p-std', { least: 0 }) ?? 1.2;
    const out = args.text('grads-out');
    const part = await findDit(args.text('model'), args.text('config'));
    const batch = await readBatch(await openTensors(path), part.config, maskRatio > 0);

    const opened = await openForCommand(args, context.output);
    try {
      const session = await loadTrainer(opened.resources, part, context);
      const settings = { maskRatio, pMean, pStd, inputGradients: out !== undefined, signal: context.signal };
      const result = await session.accumulate(batch.values, settings);
      const gradNorm = await session.gradNorm();
      if (out !== undefined) {
        const gradients = await session.values('grads');
        const tensors = [
          floats('loss', [1], Float32Array.of(result.loss)),
          floats('loss_per_sample', [batch.values.samples], result.perSample),
          floats('grad_norm', [1], Float32Array.of(gradNorm)),
          ...session.trained.map(({ name, shape }) => floats(`grad.${name}`, shape, gradients.get(name)!)),
        ];
        const inputs = { grad_x_in: batch.latentShape, grad_y_in: batch.captionShape };
        for (const [name, shape] of Object.entries(inputs)) {
          const values = result.inputs.get(name);
          if (values) tensors.push(floats(name, shape, values));
        }
        await writeTensors(out, tensors);
      }
      const perSample = Array.from(result.perSample);
      context.output.result(
        {
          loss: result.loss,
          loss_per_sample: perSample,
          grad_norm: gradNorm,
          mask_ratio: maskRatio,
          p_mean: pMean,
          p_std: pStd,
          adapter: opened.adapter,
          ...(out === undefined ? {} : { out }),
        },
        () => [
          `loss ${result.loss}`,
          `per sample ${perSample.join(' ')}`,
          `gradient norm ${gradNorm}`,
          ...(out === undefined ? [] : [`written to ${out}`]),
        ],
      );
    } finally {
      opened.close();
    }
  },
};

interface ReadBatch {
  readonly values: TrainBatch;
  readonly latentShape: readonly number[];
  /** [N, 1, L, C] */
  readonly captionShape: readonly number[];
}

/** @throws NotFoundError, FormatError when a tensor does not fit the model */
async function readBatch(file: TensorFile, config: DitConfig, masked: boolean): Promise<ReadBatch> {
  const { in_channels, input_size, caption_channels } = config;
  const { tokens } = ditLayout(config);
  const read = async (name: string, pattern: readonly (number | string)[]): ReturnType<typeof readFloats> => {
    const tensor = await readFloats(file, name);
    checkShape(`${file.source.name}: tensor "${name}"`, tensor.shape, pattern);
    return tensor;
  };
  const latents = await read('latents', ['N', in_channels, input_size, input_size]);
  const samples = latents.shape[0]!;
  const captions = await read('captions', [samples, 1, 'L', caption_channels]);
  const values: TrainBatch = {
    samples,
    latents: latents.data,
    captions: captions.data,
    rndNormal: (await read('rnd_normal', [samples])).data,
    noise: (await read('noise', latents.shape)).data,
    drop: (await read('drop_caption_mask', [samples])).data,
    // not read without masking, but of its size
    maskNoise: masked
      ? (await read('mask_noise', [samples, tokens])).data
      : new Float32Array(samples * tokens),
  };
  return { values, latentShape: latents.shape, captionShape: captions.shape };
}
