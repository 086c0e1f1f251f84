/**
 * Pacer: submits runs in portions that take about 50 ms, at most two of them in flight.
 *
 * The operating system's watchdog, cancelling and a responsive page all need short submits, and a device's speed is known
 * only by measuring: the portion grows and shrinks with what the last ones took. Portions are cut between dispatches; the
 * values computed do not depend on the cuts.
 */
import { CancelledError } from '../core/errors';
import type { Device } from './device';
import type { Run } from './run';

/** Aim of one submit, in milliseconds. */
const targetMs = 50;
/** What a dispatch costs beside its MACs, in MACs: keeps plans of many small dispatches from one huge submit. */
const dispatchWeight = 500_000;
const minWeight = 2_000_000;

export class Pacer {
  readonly #device: Device;
  #inFlight: { done: Promise<void>; weight: number; submitted: number }[] = [];
  /** Weight per millisecond; starts at a slow device's. */
  #rate = 1_000_000;
  #lastDone = 0;

  constructor(device: Device) {
    this.#device = device;
  }

  /**
   * Submits the whole run; resolves when all but at most one of its portions are done.
   * @throws CancelledError between portions; what was submitted still runs.
   */
  async execute(run: Run, signal?: AbortSignal): Promise<void> {
    const { dispatches } = run.plan;
    await run.prepare();
    let first = 0;
    while (first < dispatches.length) {
      if (signal?.aborted) throw new CancelledError();
      const budget = Math.max(minWeight, this.#rate * targetMs);
      let weight = 0;
      let end = first;
      while (end < dispatches.length) {
        const next = dispatches[end]!.macs + dispatchWeight;
        if (end > first && weight + next > budget) break;
        weight += next;
        end++;
      }
      await this.#submit(run, first, end, weight);
      first = end;
    }
  }

  /** Resolves when nothing is in flight. */
  async idle(): Promise<void> {
    while (this.#inFlight.length > 0) await this.#waitOldest();
    this.#device.assertAlive();
  }

  async #submit(run: Run, first: number, end: number, weight: number): Promise<void> {
    this.#device.assertAlive();
    while (this.#inFlight.length >= 2) await this.#waitOldest();
    const { gpu } = this.#device;
    const encoder = gpu.createCommandEncoder();
    run.encode(encoder, first, end);
    gpu.queue.submit([encoder.finish()]);
    const done = gpu.queue.onSubmittedWorkDone();
    this.#inFlight.push({ done, weight, submitted: performance.now() });
  }

  async #waitOldest(): Promise<void> {
    const oldest = this.#inFlight.shift();
    if (!oldest) return;
    await oldest.done;
    this.#device.assertAlive();
    const now = performance.now();
    const took = Math.max(0.05, now - Math.max(this.#lastDone, oldest.submitted));
    this.#lastDone = now;
    // no more than double at once: the first submits also compile pipelines
    const measured = Math.min(oldest.weight / took, this.#rate * 2);
    this.#rate = 0.5 * this.#rate + 0.5 * measured;
  }
}
