/** mulRows: multiplies every row of a sample by that sample's vector or number. */
import { elementsPerWorkgroup } from '../../shaders/lib/elementwise';
import { mulRowsShader } from '../../shaders/mulRows.wgsl';
import { ShapeError } from '../core/errors';
import type { Graph } from '../graph/graph';
import { touchedBytes, type OpDef } from '../graph/op';
import type { Tensor } from '../graph/tensor';
import { columnSum } from './columnSum';
import { canVector, emit, grid } from './kernel';

export const mulRowsOp: OpDef<null> = {
  name: 'mulRows',
  infer([x, g]) {
    const fits = g!.rank === 2 && (g!.width === x!.width || g!.width === 1) && x!.rows % g!.dim(0) === 0;
    if (!fits) {
      throw new ShapeError(
        `mulRows: g is [B, D] or [B, 1] for x [B, ..., D]: x ${x!.describe()}, g ${g!.describe()}`,
      );
    }
    return [{ shape: x!.shape, dtype: 'f32' }];
  },
  vjp({ graph, inputs, grads, needs }) {
    const dy = grads[0];
    if (!dy) return [null, null];
    const [x, g] = inputs as readonly [Tensor, Tensor];
    if (needs[1] && g.width !== x.width) {
      throw new ShapeError(
        `mulRows: only g of full width is differentiated: x ${x.describe()}, g ${g.describe()}`,
      );
    }
    return [
      needs[0] ? mulRows(graph, dy, g) : null,
      needs[1] ? columnSum(graph, dy, { groups: g.dim(0), columns: x.width, times: x }) : null,
    ];
  },
  lower(ctx) {
    const [x, g] = ctx.inputs as readonly [Tensor, Tensor];
    const y = ctx.outputs[0]!;
    const wide = g.width === x.width && canVector(ctx, x.width, [x, g, y]);
    const vector = wide ? 4 : 1;
    emit(ctx, {
      shader: 'mulRows',
      variant: { wide },
      text: (header) => mulRowsShader({ wide }, header),
      operands: [
        { name: 'x', tensor: x, access: 'read', vector },
        { name: 'g', tensor: g, access: 'read', vector },
        { name: 'y', tensor: y, access: 'write', vector },
      ],
      uniforms: { count: x.elements, sample: x.elements / g.dim(0), width: x.width, columns: g.width },
      workgroups: grid(Math.ceil(x.elements / elementsPerWorkgroup), ctx.profile),
    });
  },
  cost: (node) => ({ macs: 0, bytes: touchedBytes(node) }),
};

/** x [B, ..., D] times g [B, D] or [B, 1], row by row. */
export function mulRows(graph: Graph, x: Tensor, g: Tensor): Tensor {
  return graph.append(mulRowsOp, [x, g], null)[0]!;
}
