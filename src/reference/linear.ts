/** References of linear and linearAccumulate. */
import { activate } from './activation';
import type { Reference, Values } from './reference';

interface LinearAttrs {
  readonly transA: boolean;
  readonly layout: 'nk' | 'kn';
  readonly batched: boolean;
  readonly scale: number;
  readonly act: 'none' | 'gelu_tanh' | 'gelu_erf' | 'silu' | 'quick_gelu';
  readonly wScale: boolean;
  readonly bias: boolean;
  readonly residual: boolean;
  readonly gate: boolean;
  readonly gateRows: boolean;
  readonly siluGate: boolean;
  readonly accumulate: boolean;
}

export const linearReference: Reference<LinearAttrs> = {
  compute(node, inputs) {
    const a = node.attrs;
    const [x, w] = [inputs[0]!, inputs[1]!];
    let next = 2;
    const take = (present: boolean): Values | null => (present ? inputs[next++]! : null);
    const wScale = take(a.wScale);
    const bias = take(a.bias);
    const residual = take(a.residual);
    const gateRowCount = a.gate ? node.inputs[next]!.rows : 1;
    const gate = take(a.gate);
    const rows = take(a.gateRows);
    const v = take(a.siluGate);
    const vScale = take(a.siluGate && a.wScale);
    const sum = take(a.accumulate);

    const wTensor = node.inputs[1]!;
    const batch = a.batched ? wTensor.dim(0) : 1;
    const [n, k] =
      a.layout === 'nk' ? [wTensor.dim(-2), wTensor.dim(-1)] : [wTensor.dim(-1), wTensor.dim(-2)];
    const m = x.length / batch / k;
    const tokens = m / (rows ? rows.length : gateRowCount);
    const y = new Float64Array(batch * m * n);
    const pre = new Float64Array(batch * m * n);
    const gatePre = new Float64Array(v ? batch * m * n : 0);
    const dot = (matrix: Values, b: number, i: number, j: number): number => {
      let sum = 0;
      for (let l = 0; l < k; l++) {
        const xv = x[b * m * k + (a.transA ? l * m + i : i * k + l)]!;
        sum += xv * matrix[b * n * k + (a.layout === 'nk' ? j * k + l : l * n + j)]!;
      }
      return sum;
    };
    for (let b = 0; b < batch; b++) {
      for (let i = 0; i < m; i++) {
        for (let j = 0; j < n; j++) {
          const at = (b * m + i) * n + j;
          let value = dot(w, b, i, j) * a.scale * (wScale?.[b * n + j] ?? 1) + (bias?.[j] ?? 0);
          pre[at] = value;
          value = activate(a.act, value);
          if (v) {
            gatePre[at] = dot(v, b, i, j) * a.scale * (vScale?.[b * n + j] ?? 1);
            value *= activate('silu', gatePre[at]);
          }
          if (gate) {
            const sample = Math.floor(i / tokens);
            value *= gate[(rows ? rows[sample]! : sample) * n + j]!;
          }
          if (residual) value += residual[(i * n + j) % residual.length]!;
          if (sum) value += sum[at]!;
          y[at] = value;
        }
      }
    }
    return v ? [y, pre, gatePre] : [y, pre];
  },
};
