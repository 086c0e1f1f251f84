/**
 * Timing a plan against its naive twin: the same graph planned for a profile whose products and convolutions are all
 * one thread per output. Both are measured in turn, so that whatever else the machine does meets both.
 */
import { CancelledError, InternalError } from '../core/errors';
import { Run } from '../gpu/run';
import type { Graph } from '../graph/graph';
import { planGraph } from '../graph/plan';
import type { SessionResources } from './resources';

/** Milliseconds of one replay. */
export interface Timing {
  readonly median: number;
  readonly min: number;
  /** Measurements taken; each may be the average of several replays. */
  readonly samples: number;
}

export interface Comparison {
  readonly macs: number;
  readonly dispatches: number;
  readonly ours: Timing;
  readonly naive: Timing;
  /** Median of naive over median of ours. */
  readonly ratio: number;
  /** Largest difference of the outputs over the largest output. */
  readonly difference: number;
}

export interface CompareOptions {
  /** Values of the graph's inputs. */
  readonly inputs: Readonly<Record<string, Float32Array | Uint32Array>>;
  /** Output to compare; absent: none. */
  readonly output?: string;
  /** Time to spend on each of the two, about, in milliseconds; default 1000. */
  readonly budgetMs?: number;
  readonly signal?: AbortSignal;
}

/** A measurement shorter than this is mostly submitting and waiting: replays are repeated up to it. */
const sampleMs = 20;
const maxSamples = 30;
/** What different orders of adding up may make of an output. */
const tolerance = 1e-3;

/**
 * Plans the graph that `trace` gives twice and times both.
 * @throws InternalError when their outputs differ; CancelledError between measurements
 */
export async function compareWithNaive(
  resources: SessionResources,
  trace: () => Graph,
  options: CompareOptions,
): Promise<Comparison> {
  const { profile } = resources.device;
  const runs: Run[] = [];
  try {
    for (const each of [profile, { ...profile, gemmTile: 'naive' as const }]) {
      const run = await Run.create(planGraph(trace(), each), resources);
      runs.push(run);
      for (const [name, values] of Object.entries(options.inputs)) run.write(name, values);
    }
    const [ours, naive] = runs as [Run, Run];
    const difference = await compareOutputs(resources, ours, naive, options.output);
    const { budgetMs = 1000, signal } = options;
    const meters = [new Meter(resources, ours, budgetMs), new Meter(resources, naive, budgetMs)] as const;
    while (meters.some((meter) => !meter.done)) {
      for (const meter of meters) {
        if (signal?.aborted) throw new CancelledError();
        if (!meter.done) await meter.measure();
      }
    }
    const [oursTiming, naiveTiming] = [meters[0].timing, meters[1].timing];
    return {
      macs: ours.plan.macs,
      dispatches: ours.plan.dispatches.length,
      ours: oursTiming,
      naive: naiveTiming,
      ratio: naiveTiming.median / oursTiming.median,
      difference,
    };
  } finally {
    for (const run of runs) run.destroy();
  }
}

/** Warms both up. */
async function compareOutputs(
  { pacer }: SessionResources,
  ours: Run,
  naive: Run,
  output: string | undefined,
): Promise<number> {
  await pacer.execute(ours);
  await pacer.execute(naive);
  await pacer.idle();
  if (output === undefined) return 0;
  const [a, b] = [await ours.read(output), await naive.read(output)];
  let worst = 0;
  let largest = 0;
  b.forEach((value, index) => {
    worst = Math.max(worst, Math.abs(a[index]! - value));
    largest = Math.max(largest, Math.abs(value));
  });
  const difference = worst / (largest || 1);
  if (!(difference <= tolerance)) {
    throw new InternalError(
      `benchmark: fast and naive kernels must agree to ${tolerance}: they differ by ${difference}`,
    );
  }
  return difference;
}

/** Collects measurements of one run until its budget is spent. */
class Meter {
  readonly #resources: SessionResources;
  readonly #run: Run;
  readonly #budgetMs: number;
  readonly #samples: number[] = [];
  #spent = 0;
  #repeats = 1;

  constructor(resources: SessionResources, run: Run, budgetMs: number) {
    this.#resources = resources;
    this.#run = run;
    this.#budgetMs = budgetMs;
  }

  get done(): boolean {
    const { length } = this.#samples;
    // slow adapters: fewer than three measurements rather than many times the budget
    return length >= maxSamples || (length > 0 && this.#spent >= this.#budgetMs * (length < 3 ? 3 : 1));
  }

  async measure(): Promise<void> {
    const { queue } = this.#resources.device.gpu;
    const began = performance.now();
    for (let i = 0; i < this.#repeats; i++) this.#run.replay();
    await queue.onSubmittedWorkDone();
    this.#resources.device.assertAlive();
    const ms = performance.now() - began;
    this.#spent += ms;
    if (ms < sampleMs && this.#repeats < 1024) {
      // too short to tell: more at once, and this one does not count
      this.#repeats = Math.min(1024, Math.ceil(this.#repeats * Math.min(8, (1.5 * sampleMs) / ms)));
    } else {
      this.#samples.push(ms / this.#repeats);
    }
  }

  get timing(): Timing {
    const sorted = [...this.#samples].sort((a, b) => a - b);
    const middle = sorted.length / 2;
    const median = (sorted[Math.ceil(middle) - 1]! + sorted[Math.floor(middle)]!) / 2;
    return { median, min: sorted[0]!, samples: sorted.length };
  }
}
