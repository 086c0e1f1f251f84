/** References of attention and attentionBackward. */
import type { GraphNode } from '../graph/op';
import { rowStats, type Reference, type Values } from './reference';

interface AttentionAttrs {
  readonly heads: number;
  readonly causal: boolean;
  readonly normalizeQ: number | null;
}

/** Rows of q, normalised over their whole width. */
function normalized(q: Values, width: number, eps: number): Values {
  const result = new Float64Array(q.length);
  for (let start = 0; start < q.length; start += width) {
    const [mean, rstd] = rowStats(q, start, width, eps);
    for (let c = start; c < start + width; c++) result[c] = (q[c]! - mean) * rstd;
  }
  return result;
}

interface Walk {
  readonly width: number;
  readonly headDim: number;
  readonly queries: number;
  readonly keys: number;
  /** For every sample, head and query: element offsets, the scale, and probabilities of its keys. */
  each(visit: (at: { q: number; k: number; row: number; p: Float64Array; lse: number }) => void): void;
}

function walk(node: GraphNode<AttentionAttrs>, q: Values, k: Values): Walk {
  const { heads, causal } = node.attrs;
  const [batch, queries, width] = node.inputs[0]!.shape as readonly [number, number, number];
  const keys = node.inputs[1]!.dim(1);
  const headDim = width / heads;
  const scale = 1 / Math.sqrt(headDim);
  return {
    width,
    headDim,
    queries,
    keys,
    each(visit) {
      for (let b = 0; b < batch; b++) {
        for (let h = 0; h < heads; h++) {
          const kAt = b * keys * width + h * headDim;
          for (let i = 0; i < queries; i++) {
            const qAt = (b * queries + i) * width + h * headDim;
            const seen = causal ? i + 1 : keys;
            const s = Float64Array.from({ length: seen }, (_, j) => {
              let dot = 0;
              for (let d = 0; d < headDim; d++) dot += q[qAt + d]! * k[kAt + j * width + d]!;
              return dot * scale;
            });
            const top = s.reduce((max, value) => Math.max(max, value), -Infinity);
            const sum = s.reduce((total, value) => total + Math.exp(value - top), 0);
            const lse = top + Math.log(sum);
            visit({
              q: qAt,
              k: kAt,
              row: (b * heads + h) * queries + i,
              p: s.map((value) => Math.exp(value - lse)),
              lse,
            });
          }
        }
      }
    },
  };
}

export const attentionReference: Reference<AttentionAttrs> = {
  compute(node, [q, k, v]) {
    const eps = node.attrs.normalizeQ;
    const w = walk(node, eps === null ? q! : normalized(q!, node.inputs[0]!.width, eps), k!);
    const o = new Float64Array(q!.length);
    const lse = new Float64Array(node.outputs[1]!.elements);
    w.each((at) => {
      lse[at.row] = at.lse;
      at.p.forEach((p, j) => {
        for (let d = 0; d < w.headDim; d++) o[at.q + d]! += p * v![at.k + j * w.width + d]!;
      });
    });
    return [o, lse];
  },
};

export const attentionBackwardReference: Reference<AttentionAttrs> = {
  compute(node, [q, k, v, o, , dout]) {
    const w = walk(node, q!, k!);
    const scale = 1 / Math.sqrt(w.headDim);
    const [dq, dk, dv] = [q!, k!, v!].map((values) => new Float64Array(values.length)) as [
      Values,
      Values,
      Values,
    ];
    w.each((at) => {
      let delta = 0;
      for (let d = 0; d < w.headDim; d++) delta += dout![at.q + d]! * o![at.q + d]!;
      at.p.forEach((p, j) => {
        const key = at.k + j * w.width;
        let dp = 0;
        for (let d = 0; d < w.headDim; d++) dp += dout![at.q + d]! * v![key + d]!;
        const slope = scale * p * (dp - delta);
        for (let d = 0; d < w.headDim; d++) {
          dq[at.q + d]! += slope * k![key + d]!;
          dk[key + d]! += slope * q![at.q + d]!;
          dv[key + d]! += p * dout![at.q + d]!;
        }
      });
    });
    return [dq, dk, dv];
  },
};
