/** References of combineExperts and combineExpertsBackward. */
import type { Tensor } from '../graph/tensor';
import type { Reference, Values } from './reference';

interface CombineExpertsAttrs {
  readonly residual: boolean;
  readonly gate: boolean;
  readonly gateRows: boolean;
}

/** Calls `visit` for every token and expert that chose it: index into probs, token, slot. */
function eachChoice(
  h: Tensor,
  probs: Tensor,
  slots: Values,
  visit: (choice: number, token: number, slot: number) => void,
): void {
  const experts = probs.width;
  slots.forEach((slot, choice) => {
    if (slot < h.rows) visit(choice, Math.floor(choice / experts), slot);
  });
}

export const combineExpertsReference: Reference<CombineExpertsAttrs> = {
  compute(node, inputs) {
    const [hTensor, probsTensor] = [node.inputs[0]!, node.inputs[1]!];
    const [h, probs, slots] = [inputs[0]!, inputs[1]!, inputs[2]!];
    let next = 4;
    const take = (present: boolean): Values | null => (present ? inputs[next++]! : null);
    const residual = take(node.attrs.residual);
    const gate = take(node.attrs.gate);
    const rows = take(node.attrs.gateRows);

    const width = hTensor.width;
    const tokens = probsTensor.rows;
    const sum = new Float64Array(tokens * width);
    eachChoice(hTensor, probsTensor, slots, (choice, token, slot) => {
      for (let c = 0; c < width; c++) {
        const at = token * width + c;
        sum[at] = sum[at]! + probs[choice]! * h[slot * width + c]!;
      }
    });
    const samples = rows?.length ?? (gate ? gate.length / width : 1);
    const y = sum.map((value, at) => {
      const sample = Math.floor(at / width / (tokens / samples));
      const factor = gate ? gate[(rows ? rows[sample]! : sample) * width + (at % width)]! : 1;
      return (residual ? residual[at]! : 0) + factor * value;
    });
    return [y, sum];
  },
};

export const combineExpertsBackwardReference: Reference<null> = {
  compute(node, inputs) {
    const [dsum, h, probs, slots] = inputs;
    const [hTensor, probsTensor] = [node.inputs[1]!, node.inputs[2]!];
    const width = hTensor.width;
    const dh = new Float64Array(h!.length);
    const dprobs = new Float64Array(probs!.length);
    eachChoice(hTensor, probsTensor, slots!, (choice, token, slot) => {
      let dot = 0;
      for (let c = 0; c < width; c++) {
        dh[slot * width + c] = probs![choice]! * dsum![token * width + c]!;
        dot += dsum![token * width + c]! * h![slot * width + c]!;
      }
      dprobs[choice] = dot;
    });
    return [dh, dprobs];
  },
};
