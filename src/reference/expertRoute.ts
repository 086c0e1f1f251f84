/** Reference of expertRoute: sorts, and copies rows. */
import type { Reference } from './reference';

const noRow = 0xffffffff;

export const expertRouteReference: Reference<{ readonly tokensPerExpert: number }> = {
  compute(node, [probs, x]) {
    const chosen = node.attrs.tokensPerExpert;
    const [samples, tokens, experts] = [
      node.inputs[0]!.dim(0),
      node.inputs[0]!.dim(1),
      node.inputs[0]!.dim(2),
    ];
    const picks = new Float64Array(experts * samples * chosen);
    const slots = new Float64Array(samples * tokens * experts).fill(noRow);
    for (let e = 0; e < experts; e++) {
      for (let b = 0; b < samples; b++) {
        const rows = Array.from({ length: tokens }, (_, t) => b * tokens + t);
        rows.sort((r, s) => probs![s * experts + e]! - probs![r * experts + e]! || r - s);
        rows.slice(0, chosen).forEach((row, rank) => {
          const slot = (e * samples + b) * chosen + rank;
          picks[slot] = row;
          slots[row * experts + e] = slot;
        });
      }
    }
    const width = node.inputs[1]!.width;
    const taken = new Float64Array(picks.length * width);
    picks.forEach((row, slot) => taken.set(x!.subarray(row * width, (row + 1) * width), slot * width));
    return [picks, slots, taken];
  },
};
