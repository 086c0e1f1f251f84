/** `tabdit forward`: one evaluation of the transformer, the raw network F without EDM scaling. */
import { FormatError } from '../../core/errors';
import { shapeText } from '../../core/shape';
import type { TensorData } from '../../formats/safetensors/writer';
import type { TensorFile } from '../../formats/tensorFile';
import { ditLayout } from '../../models/dit/config';
import type { DitConfig } from '../../protocol/schemas';
import { keptTokens, maskRows, type MaskRows } from '../../train/patchMask';
import { adapterOption, type Command } from '../command';
import { openForCommand } from '../device';
import { checkShape, floats, openTensors, readFloats, writeTensors } from '../files';
import { loadDit } from '../loading';
import { findDit } from '../models';
import { meanAndDeviation, numberText } from '../numbers';

export const forward: Command = {
  name: 'forward',
  words: '',
  summary: 'one evaluation of the transformer: the raw network F',
  options: {
    model: { value: 'PATH', help: 'bundle, folder or weight file (default: the demo)' },
    config: { value: 'FILE', help: "the transformer's configuration, where the model does not say it" },
    in: {
      value: 'FILE',
      help: 'tensors `x` [N, C, h, w], `t` [N] or [1] (= ln(sigma) / 4), `y` [N, 1, L, C]; with --mask-ratio `noise` [N, T]',
    },
    cfg: { value: 'G', help: 'guidance; active above 1 (default: 1)' },
    'mask-ratio': { value: 'R', help: 'evaluate as in training, with this share of the patches removed' },
    out: {
      value: 'FILE',
      help: 'write tensor `F`; with --mask-ratio also `mask`, `ids_keep`, `ids_restore`',
    },
    weights: { value: 'f32|f16', help: 'how the weights are stored on the GPU (default: f32)' },
    ...adapterOption,
  },
  async run(args, context) {
    args.atMost(0);
    const path = args.need('in');
    const cfg = args.number('cfg') ?? 1;
    const ratio = args.number('mask-ratio', { least: 0, most: 0.999999 }) ?? 0;
    const storage = args.choice('weights', ['f32', 'f16', 'int8']) ?? 'f32';
    const part = await findDit(args.text('model'), args.text('config'));
    const inputs = await readInputs(await openTensors(path), part.config, ratio);

    const opened = await openForCommand(args, context.output);
    let values: Float32Array;
    const began = performance.now();
    try {
      const session = await loadDit(opened.resources, part, storage, context);
      const { mask } = inputs;
      values = await session.forward({
        x: inputs.x,
        t: inputs.t,
        y: inputs.y,
        samples: inputs.samples,
        captionLength: inputs.captionLength,
        guidance: cfg,
        ...(mask ? { mask: { kept: mask.kept, keep: mask.keep, restore: mask.restore } } : {}),
      });
    } finally {
      opened.close();
    }
    const ms = performance.now() - began;

    const { samples, shape, mask, tokens } = inputs;
    const out = args.text('out');
    if (out !== undefined) {
      const tensors = [floats('F', shape, values), ...(mask ? maskTensors(mask, samples, tokens) : [])];
      await writeTensors(out, tensors);
    }
    const { mean, deviation } = meanAndDeviation(values);
    const first = Array.from(values.subarray(0, 8));
    context.output.result(
      {
        shape,
        cfg,
        mask_ratio: ratio,
        mean,
        std: deviation,
        first,
        adapter: opened.adapter,
        ms,
        ...(out === undefined ? {} : { out }),
      },
      () => [
        `F ${shapeText(shape)}, mean ${numberText(mean)}, standard deviation ${numberText(deviation)}`,
        `first ${first.map(numberText).join(' ')}`,
        ...(out === undefined ? [] : [`written to ${out}`]),
      ],
    );
  },
};

interface ForwardInputs {
  readonly x: Float32Array;
  readonly t: Float32Array;
  readonly y: Float32Array;
  readonly shape: readonly number[];
  readonly samples: number;
  readonly captionLength: number;
  readonly tokens: number;
  readonly mask: MaskRows | null;
}

/** @throws NotFoundError, FormatError when a tensor does not fit the model */
async function readInputs(file: TensorFile, config: DitConfig, ratio: number): Promise<ForwardInputs> {
  const name = file.source.name;
  const { in_channels, input_size, caption_channels } = config;
  const { tokens } = ditLayout(config);
  const x = await readFloats(file, 'x');
  checkShape(`${name}: tensor "x"`, x.shape, ['N', in_channels, input_size, input_size]);
  const samples = x.shape[0]!;
  const y = await readFloats(file, 'y');
  checkShape(`${name}: tensor "y"`, y.shape, [samples, 1, 'L', caption_channels]);
  const t = await readFloats(file, 't');
  if (t.shape.length !== 1 || (t.data.length !== 1 && t.data.length !== samples)) {
    throw new FormatError(
      `${name}: tensor "t": must have shape [1] or [${samples}]: it has ${shapeText(t.shape)}`,
    );
  }
  let mask: MaskRows | null = null;
  if (ratio > 0) {
    const noise = await readFloats(file, 'noise');
    checkShape(`${name}: tensor "noise"`, noise.shape, [samples, tokens]);
    mask = maskRows(noise.data, tokens, keptTokens(tokens, ratio));
  }
  return {
    x: x.data,
    t: t.data,
    y: y.data,
    shape: x.shape,
    samples,
    captionLength: y.shape[2]!,
    tokens,
    mask,
  };
}

function maskTensors(mask: MaskRows, samples: number, tokens: number): TensorData[] {
  return [
    floats('mask', [samples, tokens], mask.mask),
    { name: 'ids_keep', dtype: 'I32', shape: [samples, mask.kept], data: mask.idsKeep },
    { name: 'ids_restore', dtype: 'I32', shape: [samples, tokens], data: mask.idsRestore },
  ];
}
