/** References of gatedSilu and gatedSiluBackward. */
import { activate, slope } from './activation';
import type { Reference } from './reference';

export const gatedSiluReference: Reference = {
  compute: (_node, [a, b]) => [a!.map((value, i) => activate('silu', value) * b![i]!)],
};

export const gatedSiluBackwardReference: Reference = {
  compute: (_node, [dy, a, b]) => [
    a!.map((value, i) => dy![i]! * b![i]! * slope('silu', value)),
    a!.map((value, i) => dy![i]! * activate('silu', value)),
  ],
};
