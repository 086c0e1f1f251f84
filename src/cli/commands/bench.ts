/** `tabdit bench`: how fast the kernels are here, each against a naive one in the same run. */
import { invariant } from '../../core/errors';
import { formatCount } from '../../core/units';
import { benchCases, runBench, type BenchRow } from '../../sessions/bench';
import { adapterOption, type Command } from '../command';
import { openForCommand } from '../device';
import { demoPath, findDit, findVae } from '../models';

export const bench: Command = {
  name: 'bench',
  words: '',
  summary: 'speed of the kernels on this device, against naive ones',
  options: {
    case: { value: benchCases.join('|'), help: 'only this case (default: all)' },
    ...adapterOption,
  },
  async run(args, { output, signal }) {
    args.atMost(0);
    const only = args.choice('case', benchCases);
    const dit = await findDit(demoPath());
    const { model, ...vae } = await findVae(demoPath());
    invariant(model.kind === 'kl', "bench: the demo's autoencoder is an AutoencoderKL");
    const opened = await openForCommand(args, output);
    try {
      output.line(headLine());
      const rows = await runBench(
        opened.resources,
        { dit, vae: { ...vae, config: model.config } },
        {
          ...(only === undefined ? {} : { cases: [only] }),
          signal,
          onStart: (name) => output.progress(`measuring ${name}`, 0, 1),
          onRow: (row) => output.line(rowLine(row)),
        },
      );
      output.result({ adapter: opened.adapter, cases: rows.map(jsonOf) }, () => []);
    } finally {
      opened.close();
    }
  },
};

const columns = [-11, -36, 12, 10, 10, 10, 8] as const;

/** Cells at the columns' widths; negative ones begin at the left. */
function cells(...texts: readonly string[]): string {
  return texts
    .map((text, index) => {
      const width = columns[index] ?? 0;
      return width < 0 ? text.padEnd(-width) : text.padStart(width);
    })
    .join(' ')
    .trimEnd();
}

const headLine = (): string => cells('case', 'what', 'work', 'ms', 'best ms', 'GFLOP/s', 'ratio');

function rowLine({ case: of, name, macs, ours, gflops, ratio }: BenchRow): string {
  const work = `${formatCount(macs)}MAC`.replace(' BMAC', ' GMAC');
  return cells(
    of,
    name,
    work,
    msText(ours.median),
    msText(ours.min),
    gflops.toPrecision(3),
    ratio.toFixed(2),
  );
}

const msText = (ms: number): string => (ms < 100 ? ms.toPrecision(3) : ms.toFixed(0));

function jsonOf({
  case: of,
  name,
  macs,
  dispatches,
  ours,
  naive,
  gflops,
  ratio,
  difference,
}: BenchRow): object {
  return {
    case: of,
    name,
    macs,
    dispatches,
    ms: ours.median,
    min_ms: ours.min,
    samples: ours.samples,
    gflops,
    naive_ms: naive.median,
    naive_min_ms: naive.min,
    ratio,
    difference,
  };
}
