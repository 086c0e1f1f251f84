/** References of sampleInput and heunStep. */
import { invariant } from '../core/errors';
import type { Reference, Values } from './reference';

/** The row of the table that `step` names. */
function rowOf(table: Values, step: Values): Values {
  const start = step[0]! * 8;
  invariant(start + 8 <= table.length, `heunStep: row ${step[0]!} of a table of ${table.length / 8} rows`);
  return table.subarray(start, start + 8);
}

export const sampleInputReference: Reference<{ readonly guided: boolean }> = {
  compute(node, [xEval, table, step]) {
    const cIn = rowOf(table!, step!)[0]!;
    const count = xEval!.length;
    const rows = node.attrs.guided ? 2 : 1;
    return [Float64Array.from({ length: rows * count }, (_, i) => cIn * xEval![i % count]!)];
  },
};

export const heunStepReference: Reference<{ readonly guided: boolean; readonly guidance: number }> = {
  compute(node, [f, x, xEval, slope, , table, step]) {
    const { guided, guidance } = node.attrs;
    const [, slopeX, slopeF, cSkip, cOut, dt, stage] = rowOf(table!, step!);
    const count = x!.length;
    const results = [x!.slice(), xEval!.slice(), slope!.slice(), new Float64Array(count)] as const;
    for (let i = 0; i < count; i++) {
      const network = guided ? f![count + i]! + guidance * (f![i]! - f![count + i]!) : f![i]!;
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
