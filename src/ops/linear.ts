/**
 * linear: the matrix product with its epilogues (shaders/linear.wgsl.ts has the formula). Every projection of the
 * models, batched expert products, attention products of the VAE, and all their gradients are this op. A quantised w
 * brings its scales as a further input; such a product has no derivative.
 */
import type { Activation } from '../../shaders/lib/activations';
import {
  directLinearShader,
  linearShader,
  naiveLinearShader,
  type LinearVariant,
} from '../../shaders/linear.wgsl';
import { InternalError, ShapeError } from '../core/errors';
import { sameShape } from '../core/shape';
import type { Graph } from '../graph/graph';
import {
  accumulated,
  touchedBytes,
  type GraphNode,
  type InputGradient,
  type LowerContext,
  type OpDef,
  type VjpContext,
} from '../graph/op';
import type { Tensor } from '../graph/tensor';
import { activationBackward } from './activation';
import { add } from './add';
import { columnSum } from './columnSum';
import { gatedSiluBackward } from './gatedSilu';
import { canVector, emit, f32, type Operand } from './kernel';
import { mulRows } from './mulRows';
import { reshape } from './view';

export type WeightLayout = 'nk' | 'kn';

export interface LinearAttrs {
  /** x is stored [K, M]. */
  readonly transA: boolean;
  readonly layout: WeightLayout;
  /** The first axis of x and w counts independent products. */
  readonly batched: boolean;
  readonly scale: number;
  readonly act: Activation;
  /** Which optional inputs follow x and w, in this order. wScale: w is i8. */
  readonly wScale: boolean;
  readonly bias: boolean;
  readonly residual: boolean;
  readonly gate: boolean;
  readonly gateRows: boolean;
  readonly siluGate: boolean;
  /** The last input is a state tensor that the product is added to, in place. */
  readonly accumulate: boolean;
}

export interface LinearOptions {
  readonly layout?: WeightLayout;
  readonly batched?: boolean;
  readonly transA?: boolean;
  readonly scale?: number;
  /** [N] */
  readonly bias?: Tensor;
  readonly act?: Activation;
  /** [R, N] with M a multiple of R: added last, repeating. */
  readonly residual?: Tensor;
  /** [R, N]: multiplies the row of its sample before the residual is added. */
  readonly gate?: Tensor;
  /** u32 [B]: row of `gate` for each sample; without it the sample's own number. */
  readonly gateRows?: Tensor;
  /** Stored as w is: silu of the product with it multiplies the product with w (gated MLP). */
  readonly siluGate?: Tensor;
  /** State tensor of y's shape: y is added to it in place. */
  readonly accumulate?: Tensor;
}

interface Sizes {
  readonly batch: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

/** Names of the inputs in order. */
export function linearInputs(attrs: LinearAttrs): string[] {
  const names = ['x', 'w'];
  if (attrs.wScale) names.push('wScale');
  if (attrs.bias) names.push('bias');
  if (attrs.residual) names.push('residual');
  if (attrs.gate) names.push('gate');
  if (attrs.gateRows) names.push('rows');
  if (attrs.siluGate) names.push('v');
  if (attrs.siluGate && attrs.wScale) names.push('vScale');
  if (attrs.accumulate) names.push('y');
  return names;
}

/** Batch, M, N, K of a product. */
export function linearSizes(x: Tensor, w: Tensor, attrs: LinearAttrs): Sizes {
  const wRank = attrs.batched ? 3 : 2;
  const minRank = attrs.batched ? 3 : 1;
  if (w.rank !== wRank || x.rank < minRank || (attrs.transA && x.rank < 2)) {
    throw new ShapeError(
      `linear: w has ${wRank} axes and x at least ${minRank}: x ${x.describe()}, w ${w.describe()}`,
    );
  }
  const batch = attrs.batched ? w.dim(0) : 1;
  if (attrs.batched && x.dim(0) !== batch) {
    throw new ShapeError(`linear: x and w have the same first axis: x ${x.describe()}, w ${w.describe()}`);
  }
  const [n, k] = attrs.layout === 'nk' ? [w.dim(-2), w.dim(-1)] : [w.dim(-1), w.dim(-2)];
  const inner = attrs.transA ? x.elements / batch / x.width : x.width;
  const m = attrs.transA ? x.width : x.elements / batch / x.width;
  if (inner !== k) {
    throw new ShapeError(
      `linear: x and w share K: x ${x.describe()}${attrs.transA ? ' transposed' : ''} has ${inner}, w ${w.describe()} (${attrs.layout}) has ${k}`,
    );
  }
  return { batch, m, n, k };
}

function named(node: {
  readonly inputs: readonly Tensor[];
  readonly attrs: LinearAttrs;
}): Map<string, Tensor> {
  return new Map(linearInputs(node.attrs).map((name, index) => [name, node.inputs[index]!]));
}

function checkExtras(inputs: Map<string, Tensor>, { batch, m, n }: Sizes, attrs: LinearAttrs): void {
  const wrong = (name: string, rule: string): never => {
    throw new ShapeError(
      `linear: ${name} ${rule}: ${inputs.get(name)!.describe()} with M ${m}, N ${n}, batch ${batch}`,
    );
  };
  checkScale(inputs, { batch, n }, attrs);
  const bias = inputs.get('bias');
  if (bias && bias.elements !== n) wrong('bias', 'has N elements');
  const residual = inputs.get('residual');
  if (residual && (residual.width !== n || (batch * m) % residual.rows !== 0)) {
    wrong('residual', 'has rows of N elements that repeat evenly over M');
  }
  const gate = inputs.get('gate');
  if (gate) {
    const samples = inputs.get('rows')?.elements ?? gate.rows;
    if (gate.width !== n || m % samples !== 0)
      wrong('gate', 'has rows of N elements, one for each sample of M');
  }
  checkSiluGate(inputs, attrs);
  const sum = inputs.get('y');
  if (sum && sum.elements !== batch * m * n) wrong('y', 'has as many elements as the product');
  if (batch > 1 && (attrs.gate || attrs.residual)) {
    throw new ShapeError('linear: gate and residual go with a single product: this one is batched');
  }
  if (attrs.act !== 'none' && (attrs.gate || attrs.siluGate)) {
    throw new ShapeError(`linear: an activation goes with neither gate nor silu gate: ${attrs.act}`);
  }
}

function checkSiluGate(inputs: Map<string, Tensor>, attrs: LinearAttrs): void {
  const [w, v] = [inputs.get('w')!, inputs.get('v')];
  if (!v) return;
  const vScale = inputs.get('vScale');
  if (
    !sameShape(v.shape, w.shape) ||
    v.dtype !== w.dtype ||
    vScale?.elements !== inputs.get('wScale')?.elements
  ) {
    throw new ShapeError(`linear: the silu gate is stored as w is: ${v.describe()}, w ${w.describe()}`);
  }
  if (attrs.gate || attrs.accumulate) {
    throw new ShapeError(
      `linear: a silu gate goes with neither gate nor accumulation: ${attrs.gate ? 'gate' : 'accumulate'} is given`,
    );
  }
}

/** int8 weights come with a scale for each output, and lie as they were quantised: see Tensor.scale. */
function checkScale(
  inputs: Map<string, Tensor>,
  { batch, n }: Pick<Sizes, 'batch' | 'n'>,
  attrs: LinearAttrs,
): void {
  const w = inputs.get('w')!;
  const wScale = inputs.get('wScale');
  if ((w.dtype === 'i8') !== (wScale !== undefined)) {
    throw new ShapeError(`linear: int8 weights have scales, others none: w ${w.describe()}`);
  }
  if (!wScale) return;
  if (attrs.layout !== (attrs.batched ? 'kn' : 'nk')) {
    throw new ShapeError(
      `linear: int8 weights are [N, K] (nk), or [E, K, N] (kn) and batched: w ${w.describe()} (${attrs.layout})`,
    );
  }
  if (wScale.elements !== batch * n) {
    throw new ShapeError(
      `linear: int8 weights have a scale for each output: ${wScale.describe()} with N ${n}, batch ${batch}`,
    );
  }
}

/** Tile by the size of the product: large tiles only where they fill the device. */
function chooseTile(
  ctx: LowerContext<LinearAttrs>,
  { batch, m, n }: Sizes,
): Pick<LinearVariant, 'rm' | 'rn' | 'tk'> {
  const { gemmTile } = ctx.profile;
  if (gemmTile === 'naive') return { rm: 1, rn: 1, tk: 0 };
  if (gemmTile === 'direct') return { rm: m >= 32 ? 8 : m >= 4 || ctx.attrs.transA ? 4 : 1, rn: 4, tk: 0 };
  const { siluGate } = ctx.attrs;
  if (m <= 8) return { rm: 1, rn: siluGate ? 8 : 4, tk: 32 };
  const large = Math.ceil(m / 64) * Math.ceil(n / (siluGate ? 32 : 64)) * batch;
  if (gemmTile === 'large' && large >= 64) return { rm: 8, rn: 8, tk: 16 };
  return { rm: 4, rn: siluGate ? 8 : 4, tk: 32 };
}

/** Inputs that the epilogue reads as it writes y: four neighbouring columns at a time. */
const epilogueRows = ['wScale', 'vScale', 'bias', 'residual', 'gate'] as const;

function productMacs({ inputs, attrs }: GraphNode<LinearAttrs>): number {
  const { batch, m, n, k } = linearSizes(inputs[0]!, inputs[1]!, attrs);
  return batch * m * n * k * (attrs.siluGate ? 2 : 1);
}

function lower(ctx: LowerContext<LinearAttrs>): void {
  const { attrs } = ctx;
  const inputs = named(ctx);
  const x = inputs.get('x')!;
  const w = inputs.get('w')!;
  const sizes = linearSizes(x, w, attrs);
  const { batch, m, n, k } = sizes;
  const v = inputs.get('v');
  const y = ctx.outputs[0]!;
  // what the backward pass reads
  const saved = [
    { name: 'pre', tensor: ctx.outputs[1]!, used: ctx.isUsed(1) },
    { name: 'gatePre', tensor: ctx.outputs[2]!, used: attrs.siluGate && ctx.isUsed(2) },
  ].filter(({ used }) => used);
  const extras = epilogueRows.map((name) => inputs.get(name));
  const tile = chooseTile(ctx, sizes);
  const wide = tile.rn > 1;
  const wideY = wide && canVector(ctx, n, [y, ...saved.map(({ tensor }) => tensor), ...extras]);
  const variant: LinearVariant = {
    transA: attrs.transA,
    layout: attrs.layout,
    wideA: wide && canVector(ctx, attrs.transA ? m : k, [x]),
    wideW: wide && canVector(ctx, attrs.layout === 'nk' ? k : n, [w, v]),
    wideY,
    ...tile,
    wScale: attrs.wScale,
    act: attrs.act,
    bias: attrs.bias,
    residual: attrs.residual,
    gate: attrs.gate,
    gateRows: attrs.gateRows,
    siluGate: attrs.siluGate,
    savePre: saved.some(({ name }) => name === 'pre'),
    saveGate: saved.some(({ name }) => name === 'gatePre'),
    accumulate: attrs.accumulate,
  };
  const operands: Operand[] = [
    { name: 'x', tensor: x, access: 'read', vector: variant.wideA ? 4 : 1 },
    { name: 'w', tensor: w, access: 'read', vector: variant.wideW ? 4 : 1 },
  ];
  if (v) operands.push({ name: 'v', tensor: v, access: 'read', vector: variant.wideW ? 4 : 1 });
  for (const name of epilogueRows) {
    const tensor = inputs.get(name);
    if (tensor) operands.push({ name, tensor, access: 'read', vector: wideY ? 4 : 1 });
  }
  const rows = inputs.get('rows');
  if (rows) operands.push({ name: 'rows', tensor: rows, access: 'read' });
  operands.push({ name: 'y', tensor: y, access: 'write', vector: wideY ? 4 : 1 });
  for (const { name, tensor } of saved) {
    operands.push({ name, tensor, access: 'write', vector: wideY ? 4 : 1 });
  }
  const samples = rows?.elements ?? inputs.get('gate')?.rows ?? 1;
  // outputs of a thread along N; tiles of a gated product hold two matrices
  const columns = variant.siluGate && tile.tk > 0 ? variant.rn / 2 : variant.rn;
  const shader = tile.rn === 1 ? naiveLinearShader : tile.tk === 0 ? directLinearShader : linearShader;
  emit(ctx, {
    shader: 'linear',
    variant: { ...variant },
    text: (header) => shader(variant, header),
    operands,
    uniforms: {
      m,
      n,
      k,
      wBatch: n * k,
      tokens: Math.max(1, Math.floor(m / samples)),
      residualRows: inputs.get('residual')?.rows ?? 1,
      scale: f32(attrs.scale),
    },
    workgroups: [Math.ceil(n / (columns * 8)), Math.ceil(m / (variant.rm * 8)), batch],
    macs: productMacs(ctx.node),
  });
}

function vjp(ctx: VjpContext<LinearAttrs>): InputGradient[] {
  const { graph, attrs, needs } = ctx;
  const dy = ctx.grads[0];
  const names = linearInputs(attrs);
  const inputs = named(ctx);
  if (!dy) return names.map(() => null);
  if (ctx.grads[1] || ctx.grads[2])
    throw new InternalError('linear: the saved pre-activation takes no gradient');
  if (attrs.accumulate) throw new InternalError('linear: an accumulating product has no derivative');
  const x = inputs.get('x')!;
  const w = inputs.get('w')!;
  if (attrs.wScale) {
    throw new InternalError(`linear: a product with int8 weights has no derivative: w ${w.describe()}`);
  }
  const pre = ctx.outputs[1]!;
  const v = inputs.get('v');
  const result = new Map<string, InputGradient>();

  let dz = dy;
  let dgate: Tensor | null = null;
  if (attrs.residual) {
    const residual = inputs.get('residual')!;
    if (needs[names.indexOf('residual')]) {
      const repeats = dy.elements / residual.elements;
      result.set('residual', repeats === 1 ? dy : columnSum(graph, dy, { columns: residual.elements }));
    }
  }
  if (attrs.gate) {
    if (attrs.gateRows) throw new InternalError('linear: a gate chosen by rows has no derivative');
    const gate = inputs.get('gate')!;
    if (needs[names.indexOf('gate')]) {
      result.set('gate', columnSum(graph, dz, { groups: gate.rows, columns: gate.width, times: pre }));
    }
    dz = mulRows(graph, dz, reshape(graph, gate, [gate.rows, gate.width]));
  } else if (v) {
    const { da, db } = gatedSiluBackward(graph, dz, ctx.outputs[2]!, pre);
    [dz, dgate] = [db, da];
  } else if (attrs.act !== 'none') {
    dz = activationBackward(graph, dz, pre, attrs.act);
  }
  if (attrs.bias && needs[names.indexOf('bias')]) {
    result.set('bias', columnSum(graph, dz, { columns: dz.width }));
  }
  const { batched, layout, scale } = attrs;
  if (needs[0]) {
    if (attrs.transA) throw new InternalError('linear: a transposed x has no derivative');
    const back = { layout: layout === 'nk' ? ('kn' as const) : ('nk' as const), batched, scale };
    const dx = linear(graph, dz, w, back);
    if (!dgate) result.set('x', dx);
    else if (batched) result.set('x', add(graph, dx, linear(graph, dgate, v!, back)));
    else result.set('x', linear(graph, dgate, v!, { ...back, residual: dx }));
  }
  const weightGradient = (index: number, dout: Tensor): InputGradient => {
    // nk: dW [N, K] = dz^T x; kn: dW [K, N] = x^T dz
    const [left, right] = layout === 'nk' ? [dout, x] : [x, dout];
    const sink = ctx.into(index);
    const options = { layout: 'kn' as const, batched, scale, transA: true };
    const flat = batched ? right : flatRows(graph, right);
    const product = linear(graph, left, flat, sink ? { ...options, accumulate: sink } : options);
    return sink ? accumulated : product;
  };
  if (needs[1]) result.set('w', weightGradient(1, dz));
  const vIndex = names.indexOf('v');
  if (dgate && needs[vIndex]) result.set('v', weightGradient(vIndex, dgate));
  return names.map((name) => result.get(name) ?? null);
}

/** [..., K] as [rows, K]. */
function flatRows(graph: Graph, tensor: Tensor): Tensor {
  return tensor.rank === 2 ? tensor : reshape(graph, tensor, [tensor.rows, tensor.width]);
}

const definition = {
  infer(inputs, attrs) {
    const named = new Map(linearInputs(attrs).map((name, index) => [name, inputs[index]!]));
    const sizes = linearSizes(inputs[0]!, inputs[1]!, attrs);
    checkExtras(named, sizes, attrs);
    const x = inputs[0]!;
    const shape = attrs.transA
      ? [...(attrs.batched ? [sizes.batch] : []), sizes.m, sizes.n]
      : [...x.shape.slice(0, -1), sizes.n];
    return [
      { shape: attrs.accumulate ? named.get('y')!.shape : shape, dtype: 'f32' as const },
      { shape, dtype: 'f32' as const },
      ...(attrs.siluGate ? [{ shape, dtype: 'f32' as const }] : []),
    ];
  },
  vjp,
  lower,
  cost(node: GraphNode<LinearAttrs>) {
    const saved = node.outputs.slice(1).reduce((sum, tensor) => sum + tensor.elements * 4, 0);
    return { macs: productMacs(node), bytes: touchedBytes(node) - saved };
  },
} satisfies Omit<OpDef<LinearAttrs>, 'name'>;

export const linearOp: OpDef<LinearAttrs> = { name: 'linear', ...definition };

/** The same product added to a state tensor in place: how weight gradients are gathered. */
export const linearAccumulateOp: OpDef<LinearAttrs> = {
  name: 'linearAccumulate',
  ...definition,
  vjp: null,
  effect: true,
  alias: (node) => [{ output: 0, input: node.inputs.length - 1, offset: 0 }],
};

/**
 * y = epilogue(scale * x w), x [..., K] and w [N, K] ('nk', the default) or [K, N] ('kn'); batched: x [E, ..., K] and
 * w [E, N, K] or [E, K, N]. Gives [..., N] in f32. A quantised w is [N, K], or [E, K, N] and batched.
 * @throws ShapeError
 */
export function linear(graph: Graph, x: Tensor, w: Tensor, options: LinearOptions = {}): Tensor {
  const attrs: LinearAttrs = {
    transA: options.transA ?? false,
    layout: options.layout ?? 'nk',
    batched: options.batched ?? false,
    scale: options.scale ?? 1,
    act: options.act ?? 'none',
    wScale: w.scale !== null,
    bias: options.bias !== undefined,
    residual: options.residual !== undefined,
    gate: options.gate !== undefined,
    gateRows: options.gateRows !== undefined,
    siluGate: options.siluGate !== undefined,
    accumulate: options.accumulate !== undefined,
  };
  const extras = [
    w.scale ?? undefined,
    options.bias,
    options.residual,
    options.gate,
    options.gateRows,
    options.siluGate,
    options.siluGate?.scale ?? undefined,
    options.accumulate,
  ].filter((tensor) => tensor !== undefined);
  const op = attrs.accumulate ? linearAccumulateOp : linearOp;
  return graph.append(op, [x, w, ...extras], attrs)[0]!;
}
