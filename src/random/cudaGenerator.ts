/**
 * PyTorch's CUDA generator: Philox4x32-10 in cuRAND's arrangement and float32 Box-Muller.
 *
 * randn of n elements runs a grid of P = 256 min(cap, ceil(n / 256)) threads. Thread t, pass j draws the words of
 * counter (offset / 4 + j as u64, t as u64) under the seed as key, makes four normals of them and puts normal m at
 * index t + P (4 j + m). While the grid is not capped there is one pass and only the first normal of each thread is
 * used. The call moves the offset on by four per pass.
 *
 * Logarithm, sine and cosine are taken in float64 on the float32 uniforms: within 5e-7 of a published device vector. A
 * device uses float32 and a fast sine, so the last digits may differ.
 */
import { InputError } from '../core/errors';
import { philoxInto } from './philox';
import type { TorchGenerator } from './generator';
import { checkCount, seedBits } from './generator';

const blockThreads = 256;
const perCall = 4;
/** cuRAND's float32 constants: 2^-32 and 2 pi 2^-32. */
const unit = Math.fround(2.3283064e-10);
const turn = Math.fround(unit * Math.fround(6.2831855));

/** The generator with its offset, which draws move on. */
export interface CudaGenerator extends TorchGenerator {
  readonly offset: bigint;
  /** The four words of every thread in the first pass of randn(count) at the current offset, thread-major. */
  words(count: number): Uint32Array<ArrayBuffer>;
}

/** Offset, cap of the grid in threads, and fused multiply-add; see TorchRandnOptions. */
export interface CudaOptions {
  readonly offset?: bigint;
  readonly maxThreads?: number;
  readonly fma?: boolean;
}

/**
 * A generator after manual_seed(seed).
 * @throws InputError for a seed, offset or cap out of range
 */
export function cudaGenerator(seed: bigint, options: CudaOptions = {}): CudaGenerator {
  const bits = seedBits(seed);
  const key0 = Number(bits & 0xffffffffn);
  const key1 = Number(bits >> 32n);
  let offset = options.offset ?? 0n;
  if (offset < 0n || offset >= 2n ** 64n || offset % 4n !== 0n) {
    throw new InputError(`randn: offset must be a multiple of 4 below 2^64: ${offset}`);
  }
  const maxBlocks = Math.floor((options.maxThreads ?? Infinity) / blockThreads);
  if (!(maxBlocks >= 1)) {
    throw new InputError(
      `randn: the grid must have at least ${blockThreads} threads: ${options.maxThreads ?? 0}`,
    );
  }
  const threadsFor = (count: number): number =>
    blockThreads * Math.min(maxBlocks, Math.ceil(count / blockThreads));

  /** Low and high word of the counter's first half in a pass: the number of the call. */
  const callWords = (pass: number): [number, number] => {
    const call = BigInt.asUintN(64, offset / 4n + BigInt(pass));
    return [Number(call & 0xffffffffn), Number(call >> 32n)];
  };

  return {
    get offset() {
      return offset;
    },
    words: (count) => {
      checkCount(count);
      const out = new Uint32Array(threadsFor(count) * 4);
      const [low, high] = callWords(0);
      for (let thread = 0; thread * 4 < out.length; thread++) {
        philoxInto(out, thread * 4, low, high, thread, 0, key0, key1);
      }
      return out;
    },
    randn: (count) => {
      checkCount(count);
      const values = new Float32Array(count);
      if (count === 0) return values;
      const threads = threadsFor(count);
      const passes = Math.ceil(count / (threads * perCall));
      const words = new Uint32Array(4);
      const normals = new Float32Array(4);
      for (let pass = 0; pass < passes; pass++) {
        const first = threads * perCall * pass;
        const [low, high] = callWords(pass);
        for (let thread = 0; thread < threads && first + thread < count; thread++) {
          philoxInto(words, 0, low, high, thread, 0, key0, key1);
          boxMuller(normals, 0, words[0] as number, words[1] as number, options.fma ?? false);
          boxMuller(normals, 2, words[2] as number, words[3] as number, options.fma ?? false);
          for (let m = 0, at = first + thread; m < perCall && at < count; m++, at += threads) {
            values[at] = normals[m] as number;
          }
        }
      }
      offset = BigInt.asUintN(64, offset + BigInt(passes * perCall));
      return values;
    },
  };
}

/** Two normals of two words: sine first. */
function boxMuller(out: Float32Array, at: number, a: number, b: number, fma: boolean): void {
  const x = Math.fround(a);
  const y = Math.fround(b);
  const u = Math.fround(x * unit + unit / 2); // unit is a power of two: the product is exact either way
  const v = fma ? Math.fround(y * turn + turn / 2) : Math.fround(Math.fround(y * turn) + turn / 2);
  const radius = Math.sqrt(-2 * Math.log(u));
  out[at] = radius * Math.sin(v);
  out[at + 1] = radius * Math.cos(v);
}
