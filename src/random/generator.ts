/**
 * What PyTorch's two generators share: their interface and their seeds.
 *
 * Seeds are 64-bit: whole numbers from -2^63 to 2^64 - 1, negative ones taken modulo 2^64. A generator that was never
 * seeded has a fixed seed of PyTorch's. The reference seeds its generator only when the seed is truthy, so for pictures
 * 0 means unseeded too: such a seed goes through `referenceSeed` first.
 */
import { InputError } from '../core/errors';

/** A generator that successive calls move on. */
export interface TorchGenerator {
  /** torch.randn of `count` elements in flat order, float32. */
  randn(count: number): Float32Array<ArrayBuffer>;
}

/** Seed of a torch.Generator that was never seeded (c10::detail::default_rng_seed_val). */
export const unseededSeed = 67280421310721n;

/** The seed that the reference's `generate` draws with: null and 0 both leave its generator unseeded. */
export function referenceSeed(seed: bigint | null): bigint {
  return seed === null || seed === 0n ? unseededSeed : seed;
}

/**
 * A seed as u64.
 * @throws InputError outside -2^63 .. 2^64 - 1
 */
export function seedBits(seed: bigint): bigint {
  if (seed < -(2n ** 63n) || seed >= 2n ** 64n) {
    throw new InputError(`seed: must lie between -2^63 and 2^64 - 1: ${seed}`);
  }
  return BigInt.asUintN(64, seed);
}

/**
 * Checks a number of elements to draw.
 * @throws InputError
 */
export function checkCount(count: number): void {
  if (!Number.isSafeInteger(count) || count < 0 || count > 2 ** 31) {
    throw new InputError(`randn: count must be a whole number up to 2^31: ${count}`);
  }
}
