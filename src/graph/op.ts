/**
 * What an operation is to the graph: shape rule, derivative, cost, and how it becomes dispatches.
 *
 * The graph knows operations only through this interface; they live in src/ops, one file each. An op never allocates,
 * submits or awaits: `lower` only describes dispatches, and the planner decides where the bytes are.
 */
import { dtypeBytes } from '../core/dtype';
import type { Graph } from './graph';
import type { DeviceProfile } from './profile';
import type { GraphNode, OpShape, Tensor, TensorSpec } from './tensor';

export type { AliasRule, GraphNode } from './tensor';

/** Work of one node: multiply-accumulates of its matrix products, and bytes it must read and write at least. */
export interface Cost {
  readonly macs: number;
  readonly bytes: number;
}

/** `input` would best be produced inside the storage of `output`, `offset` elements from its start. */
export interface PlacementRule {
  readonly input: number;
  readonly output: number;
  readonly offset: number;
}

/** Where a tensor lies, as far as a kernel's text depends on it. */
export interface Placement {
  /** Equal for tensors that share memory. */
  readonly storage: number;
  /** Elements from the start of that storage. */
  readonly offset: number;
  readonly home: 'scratch' | 'io' | 'state';
  /** For state: the part of the name before ':', whose members may share a buffer. */
  readonly group: string;
}

/** One buffer binding of a dispatch: the whole of a storage. */
export interface StorageBinding {
  readonly storage: number;
  readonly access: 'read' | 'read_write';
}

/** One dispatch as an op describes it. */
export interface DispatchSpec {
  /** Same key = same pipeline: shader name and every structural constant. */
  readonly key: string;
  /** WGSL text; called once per key. */
  readonly source: () => string;
  /** In binding order, from binding 1 (binding 0 is the uniform slot). */
  readonly bindings: readonly StorageBinding[];
  /** At most 256 bytes. */
  readonly uniforms: ArrayBuffer;
  readonly workgroups: readonly [number, number, number];
  readonly macs: number;
}

export interface LowerContext<A = unknown> {
  readonly node: GraphNode<A>;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  readonly attrs: A;
  readonly profile: DeviceProfile;
  /** Whether anything reads output `index`: kernels leave out what nobody wants. */
  isUsed(index: number): boolean;
  /** Whether input `index` was produced in place (see PlacementRule) and needs no copy. */
  isPlaced(index: number): boolean;
  place(tensor: Tensor): Placement;
  /** Scratch that lives for this node only. */
  temp(spec: TensorSpec): Tensor;
  dispatch(spec: DispatchSpec): void;
}

/** Returned by a vjp for an input whose gradient it has added to the accumulator itself. */
export const accumulated = Symbol('accumulated');

export type InputGradient = Tensor | null | typeof accumulated;

export interface VjpContext<A = unknown> {
  readonly graph: Graph;
  readonly node: GraphNode<A>;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  readonly attrs: A;
  /** Gradient of each output; null where nothing depends on it. */
  readonly grads: readonly (Tensor | null)[];
  /** Which inputs need a gradient at all. */
  readonly needs: readonly boolean[];
  /** The state tensor that gathers the gradient of input `index`, if the op may add to it directly. */
  into(index: number): Tensor | null;
}

interface VjpMethod<A> {
  call(ctx: VjpContext<A>): readonly InputGradient[];
}

export interface OpDef<A = unknown> extends OpShape<A> {
  /** Appends the nodes of the backward pass; null when the op has no derivative. */
  readonly vjp: VjpMethod<A>['call'] | null;
  lower(ctx: LowerContext<A>): void;
  cost(node: GraphNode<A>): Cost;
  placement?(node: GraphNode<A>): readonly PlacementRule[];
}

/** The op of a node, whole: every op reaches a graph through `append`, which takes nothing less. */
export function opOf(node: GraphNode): OpDef | null {
  return node.op as OpDef | null;
}

/** Bytes of all inputs and outputs of a node, each touched once: the usual lower bound. */
export function touchedBytes(node: GraphNode): number {
  let bytes = 0;
  for (const tensor of [...node.inputs, ...node.outputs]) {
    bytes += tensor.elements * dtypeBytes(tensor.dtype);
  }
  return bytes;
}
