/**
 * PyTorch's CPU generator: MT19937 and Box-Muller, as normal_ draws on contiguous float32 tensors.
 *
 * 16 elements or more: n uniforms of 24 bits, transformed in place by groups of 16 (element j with j + 8); a ragged end
 * draws 16 new uniforms for the last 16 places and overwrites part of the group before. Fewer than 16: one by one in
 * double precision, the second normal of each pair kept for the next draw, also across calls.
 */
import { mt19937 } from './mt19937';
import type { TorchGenerator } from './generator';
import { checkCount, seedBits } from './generator';

const group = 16;
const twoPi = Math.fround(2 * Math.PI);

/** The generator; `rand` and `word` are its other draws. */
export interface CpuGenerator extends TorchGenerator {
  /** torch.rand: `count` float32 in [0, 1). */
  rand(count: number): Float32Array<ArrayBuffer>;
  /** The next 32-bit word of MT19937. */
  word(): number;
}

/**
 * A generator after manual_seed(seed). Only the low 32 bits of the seed matter.
 * @throws InputError for a seed out of range
 */
export function cpuGenerator(seed: bigint): CpuGenerator {
  const engine = mt19937(Number(seedBits(seed) & 0xffffffffn));
  let kept: number | undefined;

  const uniform24 = (): number => (engine.next() & 0xffffff) * 2 ** -24;
  const uniform53 = (): number => {
    const high = engine.next() & 0x1fffff;
    return (high * 2 ** 32 + engine.next()) * 2 ** -53;
  };
  const normal = (): number => {
    if (kept !== undefined) {
      const value = kept;
      kept = undefined;
      return value;
    }
    const u1 = uniform53();
    const u2 = uniform53();
    const radius = Math.sqrt(-2 * Math.log1p(-u2));
    const angle = 2 * Math.PI * u1;
    kept = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
  const rand = (count: number): Float32Array<ArrayBuffer> => {
    checkCount(count);
    const values = new Float32Array(count);
    for (let i = 0; i < count; i++) values[i] = uniform24();
    return values;
  };

  return {
    word: () => engine.next(),
    rand,
    randn: (count) => {
      checkCount(count);
      if (count < group) {
        const values = new Float32Array(count);
        for (let i = 0; i < count; i++) values[i] = normal();
        return values;
      }
      const values = rand(count);
      for (let at = 0; at + group <= count; at += group) transformGroup(values, at);
      if (count % group !== 0) {
        const at = count - group;
        for (let i = at; i < count; i++) values[i] = uniform24();
        transformGroup(values, at);
      }
      return values;
    },
  };
}

/** Turns the 16 uniforms from `at` into normals, in place. */
function transformGroup(values: Float32Array, at: number): void {
  for (let i = at; i < at + group / 2; i++) {
    const u1 = 1 - (values[i] as number); // (0, 1]: the logarithm is finite
    const u2 = values[i + group / 2] as number;
    const radius = Math.sqrt(-2 * Math.log(u1));
    const angle = Math.fround(twoPi * u2);
    values[i] = radius * Math.cos(angle);
    values[i + group / 2] = radius * Math.sin(angle);
  }
}
