/** `tabdit encode-text`: text to ids, and through the text tower to caption latents. */
import { FormatError, UsageError } from '../../core/errors';
import { shapeText } from '../../core/shape';
import { floatTensor } from '../../formats/safetensors/writer';
import type { Tokenizer } from '../../models/text/context';
import type { TextConfig } from '../../protocol/schemas';
import { tokenizePrompts } from '../../sessions/textSession';
import type { Arguments } from '../args';
import { adapterOption, type Command, type Context } from '../command';
import { openForCommand } from '../device';
import { openTensors, readInts, writeTensors } from '../files';
import { loadText } from '../loading';
import { checkTokenizer, demoPath, findText, findTokenizer, type ModelPart } from '../models';
import { meanAndDeviation, numberText } from '../numbers';

export const encodeText: Command = {
  name: 'encode-text',
  words: '[TEXT...]',
  summary: 'texts to token ids, and through a text tower to caption latents',
  options: {
    text: { value: 'PATH', help: 'text tower: bundle, folder or weight file (default: the demo)' },
    tokenizer: {
      value: 'PATH',
      help: "tokenizer.json (default: the text tower's; with --ids-only alone that of the released models)",
    },
    'ids-only': { help: 'stop at the ids and print them' },
    'ids-in': { value: 'FILE', help: 'ids instead of texts: tensor `ids` or `input_ids` [N, L]' },
    tensor: { value: 'NAME', help: 'another tensor of --ids-in' },
    out: { value: 'FILE', help: 'write tensor `caption_latents` [N, 1, L, C]' },
    dtype: { value: 'f32|f16', help: 'of what is written (default: f32)' },
    ...adapterOption,
  },
  async run(args, context) {
    const idsIn = args.text('ids-in');
    if ((args.words.length === 0) === (idsIn === undefined)) {
      throw new UsageError(
        `encode-text: texts or --ids-in must be given, not both: ${args.words.length} texts${idsIn === undefined ? '' : ` and ${idsIn}`}`,
      );
    }
    if (args.has('ids-only')) await printIds(args, context);
    else await encode(args, context);
  },
};

/** Ids by row, all of one length. */
interface Ids {
  readonly rows: number;
  readonly length: number;
  readonly data: Int32Array;
}

async function printIds(args: Arguments, { output }: Context): Promise<void> {
  const { rows, length, data } = await readIds(args, () =>
    findTokenizer(args.text('tokenizer'), args.text('text')),
  );
  const ids = Array.from({ length: rows }, (_, row) =>
    Array.from(data.subarray(row * length, (row + 1) * length)),
  );
  output.result({ ids }, () => ids.map((row) => row.join(' ')));
}

async function encode(args: Arguments, context: Context): Promise<void> {
  const { output } = context;
  const dtype = args.choice('dtype', ['f32', 'f16']) ?? 'f32';
  const textPath = args.text('text') ?? demoPath();
  const part = await findText(textPath);
  const ids = await readIds(args, async () => {
    const tokenizer = await findTokenizer(args.text('tokenizer'), textPath, part.config.context);
    checkTokenizer(tokenizer, part.config);
    return tokenizer;
  });
  checkIds(ids, part.config);
  const values = await runTower(args, context, part, ids);
  const shape = [ids.rows, 1, ids.length, part.config.width];
  const out = args.text('out');
  if (out !== undefined) {
    await writeTensors(out, [floatTensor('caption_latents', shape, values, dtype === 'f16' ? 'F16' : 'F32')]);
  }
  const { mean, deviation } = meanAndDeviation(values);
  output.result({ shape, dtype, mean, std: deviation, ...(out === undefined ? {} : { out }) }, () => [
    `caption latents ${shapeText(shape)}, mean ${numberText(mean)}, standard deviation ${numberText(deviation)}`,
    ...(out === undefined ? [] : [`written to ${out} (${dtype})`]),
  ]);
}

async function readIds(args: Arguments, tokenizer: () => Promise<Tokenizer>): Promise<Ids> {
  const idsIn = args.text('ids-in');
  if (idsIn === undefined) {
    const data = tokenizePrompts(await tokenizer(), args.words);
    return { rows: args.words.length, length: data.length / args.words.length, data };
  }
  const name = args.text('tensor');
  const names = name === undefined ? ['ids', 'input_ids'] : [name];
  const { shape, data } = await readInts(await openTensors(idsIn), ...names);
  const [rows, length] = shape;
  if (shape.length !== 2 || !rows || !length) {
    throw new FormatError(`${idsIn}: ids must have shape [N, L]: they have ${shapeText(shape)}`);
  }
  return { rows, length, data };
}

function checkIds({ length, data }: Ids, { context, vocab }: TextConfig): void {
  if (length !== context) {
    throw new FormatError(`ids: rows must have the text tower's ${context} positions: they have ${length}`);
  }
  const wrong = data.find((id) => id < 0 || id >= vocab);
  if (wrong !== undefined) throw new FormatError(`ids: must lie in the vocabulary of ${vocab}: ${wrong}`);
}

async function runTower(
  args: Arguments,
  context: Context,
  part: ModelPart<TextConfig>,
  ids: Ids,
): Promise<Float32Array> {
  const opened = await openForCommand(args, context.output);
  try {
    const session = await loadText(opened.resources, part, 'f32', context);
    return await session.encode(ids.data, context.signal);
  } finally {
    opened.close();
  }
}
