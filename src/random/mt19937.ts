/**
 * Mersenne Twister MT19937 (Matsumoto and Nishimura 1998), seeded by init_genrand as PyTorch's CPU generator is: from
 * the low 32 bits of its 64-bit seed.
 */

const size = 624;
const shift = 397;

/** A generator of 32-bit words. */
export interface Mt19937 {
  /** The next word, as u32. */
  next(): number;
}

/** Starts a generator from a u32 seed. */
export function mt19937(seed: number): Mt19937 {
  const state = new Uint32Array(size);
  state[0] = seed;
  for (let i = 1; i < size; i++) {
    const before = state[i - 1] as number;
    state[i] = Math.imul(1812433253, before ^ (before >>> 30)) + i;
  }
  let used = size;
  return {
    next: () => {
      if (used === size) {
        twist(state);
        used = 0;
      }
      let word = state[used++] as number;
      word ^= word >>> 11;
      word ^= (word << 7) & 0x9d2c5680;
      word ^= (word << 15) & 0xefc60000;
      return (word ^ (word >>> 18)) >>> 0;
    },
  };
}

function twist(state: Uint32Array): void {
  for (let i = 0; i < size; i++) {
    const mixed = ((state[i] as number) & 0x80000000) | ((state[(i + 1) % size] as number) & 0x7fffffff);
    state[i] = (state[(i + shift) % size] as number) ^ (mixed >>> 1) ^ (mixed & 1 ? 0x9908b0df : 0);
  }
}
