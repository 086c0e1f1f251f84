/**
 * torch.randn as PyTorch draws it: the same seed gives the same noise as the reference implementation, to float32
 * rounding. Two layouts: `cuda` (the reference's usual device) and `cpu`. Seeds: generator.ts.
 */
import { cpuGenerator } from './cpuGenerator';
import { cudaGenerator } from './cudaGenerator';
import { unseededSeed } from './generator';

/** Whose order of draws. */
export type TorchRng = 'cuda' | 'cpu';

/** What to draw. */
export interface TorchRandnOptions {
  readonly rng: TorchRng;
  /** null: an unseeded generator. 0 is the seed 0. */
  readonly seed: bigint | null;
  /** Elements. */
  readonly count: number;
  /** cuda: the generator's offset before the call, a multiple of 4; default 0. */
  readonly offset?: bigint;
  /**
   * cuda: threads that the device runs at once (multiprocessors times resident threads), which caps the grid; default
   * no cap. It matters beyond 40,960 elements on small devices, 221,184 on an A100.
   */
  readonly maxThreads?: number;
  /** cuda: fuse multiply and add as a device's compiler does (values move by at most 1.7e-6); default false. */
  readonly fma?: boolean;
}

/**
 * torch.randn of a fresh generator: `count` float32 in flat order.
 * @throws InputError for a seed, offset, count or cap out of range
 */
export function torchRandn(options: TorchRandnOptions): Float32Array<ArrayBuffer> {
  const seed = options.seed ?? unseededSeed;
  return options.rng === 'cpu'
    ? cpuGenerator(seed).randn(options.count)
    : cudaGenerator(seed, options).randn(options.count);
}
