/** `tabdit inspect`: what files, folders and bundles are. One bad file does not stop the others. */
import { InputError, UsageError } from '../../core/errors';
import { formatBytes, formatCount } from '../../core/units';
import { shapeText } from '../../core/shape';
import { resolveDitConfig } from '../../models/dit/config';
import { bundleParts } from '../../sessions/modelSet';
import { table, type Arguments } from '../args';
import type { Command, Context } from '../command';
import { describePath, type DescribeOptions, type Report, type TensorReport } from '../describe';
import { pathKind } from '../files';
import { bundleAt } from '../models';
import { numberText } from '../numbers';
import { errorFacts } from '../output';
import { planModel, type MemoryFacts, type ModelPlan } from '../plans';

interface InspectedFile extends Report {
  readonly plan?: ModelPlan;
}

/** Positions of the released models' captions, for transformers outside a bundle. */
const usualCaptionLength = 77;

export const inspect: Command = {
  name: 'inspect',
  words: 'PATH...',
  summary: 'what a file, folder or bundle is: kind, configuration, tensors, cost',
  options: {
    tensors: { help: 'list the tensors' },
    sha256: { help: "SHA-256 of each tensor's contiguous little-endian bytes (lists them)" },
    values: { value: 'N', help: "each tensor's first N values and the sum of all, in f64 (lists them)" },
    plan: { help: 'memory and multiply-accumulates of a picture and of a training step' },
  },
  async run(args, context) {
    const { output } = context;
    if (args.words.length === 0) throw new UsageError('inspect: PATH must be given: there is none');
    const values = args.whole('values', 0) ?? null;
    const options: DescribeOptions = {
      values,
      sha256: args.has('sha256'),
      signal: context.signal,
      onProgress: (stage, done, total) => output.progress(stage, done, total),
    };
    const listed = args.has('tensors') || values !== null || options.sha256;
    const files: (InspectedFile | { path: string; error: { code: string; message: string } })[] = [];
    for (const path of args.words) {
      try {
        const file = await inspectPath(path, args, context, options);
        files.push(file);
        if (!output.json) output.line([...reportLines(file, listed, ''), ...planLines(file.plan)].join('\n'));
      } catch (thrown) {
        if (context.signal.aborted) throw thrown;
        files.push({ path, error: errorFacts(thrown) });
        if (output.json) output.failed = true;
        else output.error(thrown);
      }
    }
    output.result({ files: files.map((file) => ('error' in file ? file : jsonOf(file))) }, () => []);
  },
};

async function inspectPath(
  path: string,
  args: Arguments,
  { output }: Context,
  options: DescribeOptions,
): Promise<InspectedFile> {
  const report = await describePath(path, (await pathKind(path)) === 'folder', options);
  if (!args.has('plan')) return report;
  output.progress(`planning ${path}`, 0, 1);
  return { ...report, plan: await planOf(report) };
}

async function planOf(report: Report): Promise<ModelPlan> {
  const usual = { captionLength: usualCaptionLength, steps: 30, guidance: 5 };
  const bundle = report.kind === 'bundle' ? await bundleAt(report.path) : null;
  if (bundle) {
    const { dit, vae, text, defaults } = await bundleParts(bundle);
    return planModel({
      dit: dit.config,
      ...(vae && { vae: vae.model }),
      ...(text && { text: text.config }),
      captionLength: text?.config.context ?? usualCaptionLength,
      steps: defaults.steps,
      guidance: defaults.guidance,
    });
  }
  if (!/^dit(-config)?$/.test(report.kind) || !report.config) {
    throw new InputError(
      `${report.path}: --plan must have a transformer with a configuration, or a bundle: this is ${report.kind}`,
    );
  }
  return planModel({ dit: resolveDitConfig(report.config, report.path).config, ...usual });
}

/** A report in the contract's terms: 64-bit integers' digits as `first_exact`. */
function jsonOf(report: InspectedFile): object {
  const { parts, tensors, ...rest } = report;
  return {
    ...rest,
    tensors: tensors.map(({ firstExact, ...tensor }) => ({
      ...tensor,
      ...(firstExact ? { first_exact: firstExact } : {}),
    })),
    ...(parts ? { parts: parts.map(jsonOf) } : {}),
  };
}

function reportLines(report: Report, listed: boolean, indent: string): string[] {
  const rows: [string, string][] = [
    ['format', report.format],
    ['kind', report.kind],
    ['what', report.words],
  ];
  if (report.problem !== undefined) rows.push(['problem', report.problem]);
  if (report.picture) {
    const { width, height, channels } = report.picture;
    rows.push(['size', `${width} x ${height}, ${channels} channels`]);
    rows.push(['settings', report.settings === null ? 'none' : JSON.stringify(report.settings)]);
  }
  if (report.config) rows.push(['config', configText(report.config)]);
  if (report.parameters > 0) {
    rows.push([
      'parameters',
      `${report.parameters.toLocaleString('en')} (${formatCount(report.parameters)})`,
    ]);
  }
  if (report.tensors.length > 0) rows.push(['tensors', String(report.tensors.length)]);
  for (const [name, text] of Object.entries(report.metadata ?? {})) {
    if (name === 'config' && report.config) continue;
    rows.push([`metadata ${name}`, text.length > 100 ? `${text.slice(0, 99)}…` : text]);
  }
  if (report.files) {
    rows.push([
      'files',
      Object.entries(report.files)
        .map(([name, count]) => `${count} ${name}`)
        .join(', '),
    ]);
  }
  for (const { kind, prefix, words, problem } of report.models ?? []) {
    rows.push([
      `part ${kind}`,
      `${words}, names with ${prefix || 'no prefix'}${problem === null ? '' : `; ${problem}`}`,
    ]);
  }
  for (const note of report.notes) rows.push(['note', note]);
  return [
    report.path,
    ...table(rows),
    ...(listed ? tensorLines(report.tensors) : []),
    ...(report.parts ?? []).flatMap((part) => reportLines(part, listed, `${indent}  `)),
  ].map((line) => indent + line);
}

function tensorLines(tensors: readonly TensorReport[]): string[] {
  const nameWidth = Math.max(0, ...tensors.map(({ name }) => name.length));
  const shapeWidth = Math.max(0, ...tensors.map(({ shape }) => shapeText(shape).length));
  return tensors.map(({ name, dtype, shape, first, sum, sha256 }) =>
    [
      `    ${name.padEnd(nameWidth)}  ${dtype.padEnd(7)} ${shapeText(shape).padEnd(shapeWidth)}`.trimEnd(),
      ...(first === undefined ? [] : [`[${first.map(numberText).join(' ')}] sum ${numberText(sum ?? 0)}`]),
      ...(sha256 === undefined ? [] : [sha256]),
    ].join('  '),
  );
}

/** The fields of a configuration in one line; lists of many numbers by their ends. */
function configText(config: object): string {
  const short = (value: unknown): string => {
    if (Array.isArray(value) && value.length > 4) {
      return `[${String(value[0])} ... ${String(value.at(-1))}] (${value.length})`;
    }
    return typeof value === 'string' ? value : JSON.stringify(value);
  };
  return Object.entries(config)
    .map(([name, value]) => `${name} ${short(value)}`)
    .join(', ');
}

function planLines(plan: ModelPlan | undefined): string[] {
  if (!plan) return [];
  const { image, training, caption_length: length } = plan;
  const rows: [string, string][] = [
    [
      `a picture: ${image.steps} steps, guidance ${image.guidance}, captions of ${length}`,
      `${macsText(image.macs)} (${image.evaluations} evaluations of ${macsText(image.macs_per_evaluation)}); ${memoryText(image.memory)}`,
    ],
    ...training.map((step): [string, string] => [
      `a training step of 1 sample, mask ratio ${step.mask_ratio}`,
      `${macsText(step.macs)}; ${memoryText(step.memory)}`,
    ]),
  ];
  return table(rows);
}

const macsText = (macs: number): string => `${formatCount(macs)}MAC`.replace(' BMAC', ' GMAC');

function memoryText({ weights, state, scratch, io, total }: MemoryFacts): string {
  const parts = `weights ${formatBytes(weights)}, state ${formatBytes(state)}, scratch ${formatBytes(scratch)}, in and out ${formatBytes(io)}`;
  return `${formatBytes(total)} (${parts})`;
}
