/** References of sampleInput and heunStep. */
import { invariant } from '../core/errors';
import { tokenIndices } from './patches';
import type { Reference, Values } from './reference';

interface NetworkForm {
  readonly guided: boolean;
  readonly patch: number;
}

/** The row of the table that `step` names. */
function rowOf(table: Values, step: Values): Values {
  const start = step[0]! * 8;
  invariant(start + 8 <= table.length, `heunStep: row ${step[0]!} of a table of ${table.length / 8} rows`);
  return table.subarray(start, start + 8);
}

export const sampleInputReference: Reference<NetworkForm> = {
  compute(node, [xEval, table, step]) {
    const cIn = rowOf(table!, step!)[0]!;
    const count = xEval!.length;
    const { guided, patch } = node.attrs;
    const tokens = new Float64Array(guided ? 2 * count : count);
    tokenIndices(node.inputs[0]!, { patch, order: 'channelSlow' }).forEach((place, i) => {
      for (let at = place; at < tokens.length; at += count) tokens[at] = cIn * xEval![i]!;
    });
    return [tokens];
  },
};

export const heunStepReference: Reference<NetworkForm & { readonly guidance: number }> = {
  compute(node, [f, x, xEval, slope, , table, step]) {
    const { guided, guidance, patch } = node.attrs;
    const places = tokenIndices(node.inputs[1]!, { patch, order: 'channelFast' });
    const [, slopeX, slopeF, cSkip, cOut, dt, stage] = rowOf(table!, step!);
    const count = x!.length;
    const results = [x!.slice(), xEval!.slice(), slope!.slice(), new Float64Array(count)] as const;
    for (let i = 0; i < count; i++) {
      const conditional = f![places[i]!]!;
      const unconditional = guided ? f![count + places[i]!]! : 0;
      const network = guided ? unconditional + guidance * (conditional - unconditional) : conditional;
      const d = slopeX! * xEval![i]! + slopeF! * network;
      results[3][i] = cSkip! * xEval![i]! + cOut! * network;
      if (stage === 0) {
        results[2][i] = d;
        results[1][i] = x![i]! + dt! * d;
      } else {
        const next = x![i]! + dt! * (stage === 1 ? (slope![i]! + d) / 2 : d);
        results[0][i] = next;
        results[1][i] = next;
      }
    }
    return [...results];
  },
};
