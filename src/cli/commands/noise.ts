/** `tabdit noise`: random numbers as torch draws them. */
import { UsageError } from '../../core/errors';
import { elementCount, shapeText } from '../../core/shape';
import { torchRandn } from '../../random/torchRandn';
import type { Command } from '../command';
import { floats, writeTensors } from '../files';
import { meanAndDeviation, numberText } from '../numbers';

export const noise: Command = {
  name: 'noise',
  words: '',
  summary: 'the unit-normal noise of a seed, as torch draws it',
  options: {
    seed: {
      value: 'N',
      help: 'as torch.manual_seed takes it; without one a generator that was never seeded (generate takes 0 as that too)',
    },
    shape: { value: 'N,C,h,w', help: 'shape to draw at once' },
    rng: { value: 'cuda|cpu', help: "layout of torch's generator (default: cuda)" },
    out: { value: 'FILE', help: 'write it as safetensors: tensor `noise`' },
  },
  async run(args, { output }) {
    args.atMost(0);
    const shape = args.shape('shape');
    if (!shape) throw new UsageError('noise: --shape must be given: it is not');
    const rng = args.choice('rng', ['cuda', 'cpu']) ?? 'cuda';
    const seed = args.text('seed');
    if (seed !== undefined && !/^[+-]?\d+$/.test(seed)) {
      throw new UsageError(`noise: --seed must be a whole number: ${JSON.stringify(seed)}`);
    }
    const values = torchRandn({
      rng,
      seed: seed === undefined ? null : BigInt(seed.replace(/^\+/, '')),
      count: elementCount(shape),
    });
    const out = args.text('out');
    if (out !== undefined) await writeTensors(out, [floats('noise', shape, values)]);
    const { mean, deviation } = meanAndDeviation(values);
    const first = Array.from(values.subarray(0, 8));
    output.result(
      { seed: seed ?? null, rng, shape, first, mean, std: deviation, ...(out === undefined ? {} : { out }) },
      () => [
        `noise ${shapeText(shape)}, ${rng}, ${seed === undefined ? 'no seed' : `seed ${seed}`}`,
        `first ${first.map(numberText).join(' ')}`,
        `mean ${numberText(mean)}, standard deviation ${numberText(deviation)}`,
        ...(out === undefined ? [] : [`written to ${out}`]),
      ],
    );
  },
};
