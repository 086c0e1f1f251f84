/**
 * Tensor: a symbolic value in a Graph. It has a shape, a dtype and the node that makes it, and no data. GraphNode: one
 * application of an op, or a value from outside.
 *
 * Tensors are immutable names. Views (reshape, slices of rows) are nodes too, but they cost nothing: the planner gives
 * them their base's storage. Layout is always dense and row-major.
 */
import type { DType } from '../core/dtype';
import { elementCount, shapeText, type Shape } from '../core/shape';

/** Shape and dtype of a value, before a tensor exists for it. */
export interface TensorSpec {
  readonly shape: Shape;
  readonly dtype: DType;
}

/** What a node's output is; for int8 values with the tensor of their scales. */
export interface ValueSpec extends TensorSpec {
  readonly scale?: Tensor | null;
}

/** `output` uses the storage of `input`, `offset` elements from its start: views and in-place updates. */
export interface AliasRule {
  readonly output: number;
  readonly input: number;
  readonly offset: number;
}

/** The part of an op that the structure of a graph depends on; OpDef (op.ts) adds what execution needs. */
export interface OpShape<A = unknown> {
  readonly name: string;
  /** The shape rule. @throws ShapeError naming op, rule and numbers. */
  infer(inputs: readonly Tensor[], attrs: A): ValueSpec[];
  alias?(node: GraphNode<A>): readonly AliasRule[];
  /** The node changes state: it is kept whether or not its outputs are used. */
  readonly effect?: boolean;
}

/** One application of an op. `kind` separates computed values from those that come from outside. */
export interface GraphNode<A = unknown> {
  readonly id: number;
  readonly kind: 'op' | 'input' | 'state' | 'constant';
  readonly op: OpShape<A> | null;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  readonly attrs: A;
  /** Slash-separated place in the model, for profiles and messages: "blocks.3/attn". */
  readonly scope: string;
  /** Name of an input or state node; '' otherwise. */
  readonly name: string;
  /** Values of a constant node. */
  readonly data: Float32Array | Uint32Array | null;
}

export class Tensor implements ValueSpec {
  readonly id: number;
  readonly shape: Shape;
  readonly dtype: DType;
  /**
   * f32, one value per output channel of a quantised (i8) weight: the weight is its integers times these. Channels are
   * numbered as they lie: [N, K] has N of them, [o, kh, kw, i] o, experts [E, K, N] E N. null for all other dtypes.
   */
  readonly scale: Tensor | null;
  /** The node that makes this value. */
  readonly node: GraphNode;
  /** Which of the node's outputs it is. */
  readonly index: number;

  constructor(id: number, spec: ValueSpec, node: GraphNode, index: number) {
    this.id = id;
    this.shape = spec.shape;
    this.dtype = spec.dtype;
    this.scale = spec.scale ?? null;
    this.node = node;
    this.index = index;
  }

  /** Number of elements. */
  get elements(): number {
    return elementCount(this.shape);
  }

  /** Number of axes. */
  get rank(): number {
    return this.shape.length;
  }

  /** Size of axis `axis`; negative counts from the end. */
  dim(axis: number): number {
    const size = this.shape[axis < 0 ? this.shape.length + axis : axis];
    if (size === undefined) throw new RangeError(`tensor: axis ${axis} of ${this.describe()} does not exist`);
    return size;
  }

  /** Size of the last axis. */
  get width(): number {
    return this.dim(-1);
  }

  /** Number of rows when all axes but the last are flattened. */
  get rows(): number {
    return this.width === 0 ? 0 : this.elements / this.width;
  }

  /** For messages: `f32 [2, 16, 64]`. */
  describe(): string {
    return `${this.dtype} ${shapeText(this.shape)}`;
  }
}
