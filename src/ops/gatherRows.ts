/**
 * gatherRows: rows of a table by index. Patch masking and restoring, the tokens of experts, token embedding.
 *
 * The derivative is a gather too, by the inverse index: for each row of x, which rows of the result were made from it.
 * Whoever makes an index knows its inverse; with it the gradient needs neither atomics nor sorting.
 */
import { gatherSumShader } from '../../shaders/gatherRows.wgsl';
import { rowStripWorkgroups } from '../../shaders/lib/rowStrips';
import { InternalError, ShapeError } from '../core/errors';
import type { Graph } from '../graph/graph';
import { touchedBytes, type OpDef } from '../graph/op';
import type { Tensor } from '../graph/tensor';
import { canVector, emit, grid } from './kernel';

/** In an index: no row. */
export const noRow = 0xffffffff;

export const gatherRowsOp: OpDef<null> = {
  name: 'gatherRows',
  infer([x, index, inverse]) {
    if (x!.rank !== 2 || (x!.dtype !== 'f32' && x!.dtype !== 'f16')) {
      throw new ShapeError(`gatherRows: x is f32 or f16 [R, D]: ${x!.describe()}`);
    }
    if (index!.dtype !== 'u32' || index!.rank < 1 || index!.rank > 2) {
      throw new ShapeError(`gatherRows: index is u32 [M] or [M, F]: ${index!.describe()}`);
    }
    if (inverse) {
      const fits = inverse.dtype === 'u32' && (inverse.rank === 1 || inverse.rank === 2);
      if (!fits || inverse.dim(0) !== x!.dim(0)) {
        throw new ShapeError(
          `gatherRows: inverse is u32 [R, F], a row for each row of x: x ${x!.describe()}, inverse ${inverse.describe()}`,
        );
      }
    }
    return [{ shape: [index!.dim(0), x!.width], dtype: 'f32' }];
  },
  vjp({ graph, inputs, grads, needs }) {
    const [x, index, inverse] = inputs;
    if (!grads[0] || !needs[0]) return inputs.map(() => null);
    if (!inverse) {
      throw new InternalError(
        `gatherRows: a derivative needs the inverse index: none given for ${x!.describe()}`,
      );
    }
    return inputs.map((_, i) => (i === 0 ? gatherRows(graph, grads[0]!, inverse, index) : null));
  },
  lower(ctx) {
    const [x, index] = ctx.inputs as readonly [Tensor, Tensor];
    const y = ctx.outputs[0]!;
    const [count, columns] = [y.dim(0), y.width];
    const wide = canVector(ctx, columns, [x, y]);
    const vector = wide ? 4 : 1;
    emit(ctx, {
      shader: 'gatherSum',
      variant: { wide },
      text: (header) => gatherSumShader({ wide }, header),
      operands: [
        { name: 'x', tensor: x, access: 'read', vector },
        { name: 'index', tensor: index, access: 'read' },
        { name: 'y', tensor: y, access: 'write', vector },
      ],
      uniforms: { count, columns, rows: x.dim(0), entries: index.elements / count },
      workgroups: grid(rowStripWorkgroups(count, columns), ctx.profile),
    });
  },
  cost(node) {
    // of the table only the rows that are fetched are read
    const [x, index, inverse] = node.inputs;
    const row = x!.width * (x!.dtype === 'f16' ? 2 : 4);
    const fetched = Math.min(index!.elements, x!.dim(0)) * row;
    return { macs: 0, bytes: touchedBytes(node) - x!.dim(0) * row + fetched - (inverse?.elements ?? 0) * 4 };
  },
};

/**
 * Rows of x [R, D] by `index`, u32 [M]: f32 [M, D]. An index of `noRow` gives a row of zeros. With an index [M, F] each
 * row is the sum of F rows.
 * @param inverse u32 [R, F]: for each row of x the rows of the result made from it, filled up with `noRow`. Needed only
 *   for the gradient of x: row r of it is the sum over f of dy[inverse[r, f]].
 * @throws ShapeError
 */
export function gatherRows(graph: Graph, x: Tensor, index: Tensor, inverse?: Tensor): Tensor {
  return graph.append(gatherRowsOp, inverse ? [x, index, inverse] : [x, index], null)[0]!;
}
