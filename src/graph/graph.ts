/**
 * Graph: what model code appended while it ran once ("trace").
 *
 * Nodes are kept in the order in which they were appended, and that order is the order of execution: effects on state
 * (assign, accumulate, optimizer updates) happen where they were written. Nothing is reordered, fused or folded behind
 * the model code's back.
 */
import type { DType } from '../core/dtype';
import { InternalError, ShapeError } from '../core/errors';
import { elementCount, sameShape, shapeText, type Shape } from '../core/shape';
import { Tensor, type GraphNode, type OpShape, type ValueSpec } from './tensor';

/** Name of the state that holds the scales of the quantised state `name`. */
export function scaleName(name: string): string {
  return `${name}.scale`;
}

export class Graph {
  readonly nodes: GraphNode[] = [];
  /** Values that can be read after a run, by name. */
  readonly outputs = new Map<string, Tensor>();
  readonly #inputs = new Map<string, Tensor>();
  readonly #states = new Map<string, Tensor>();
  #tensors = 0;
  #scope: string[] = [];

  /** A value written from the CPU before each run. */
  input(name: string, shape: Shape, dtype: DType = 'f32'): Tensor {
    if (this.#inputs.has(name)) throw new InternalError(`graph: input '${name}' is declared twice`);
    const tensor = this.#leaf('input', name, { shape, dtype }, null);
    this.#inputs.set(name, tensor);
    return tensor;
  }

  /**
   * A persistent tensor, by name; the part before ':' is its group ("weights:blocks.0.norm1.weight"). The same name
   * gives the same tensor.
   * @throws ShapeError when the name was used with another shape or dtype, or the dtype is i8 (see quantized).
   */
  state(name: string, shape: Shape, dtype: DType = 'f32'): Tensor {
    if (dtype === 'i8') {
      throw new ShapeError(
        `state ${name}: int8 values are declared with their scales: i8 ${shapeText(shape)}`,
      );
    }
    return this.#state(name, { shape, dtype });
  }

  /**
   * A quantised weight (i8): the state `name` of that shape, and the f32 state `name.scale` with one value for each of its
   * output channels (see Tensor.scale).
   * @throws ShapeError when the name was used otherwise, or the elements do not divide into that many channels.
   */
  quantized(name: string, shape: Shape, channels: number): Tensor {
    if (channels < 1 || elementCount(shape) % channels !== 0) {
      throw new ShapeError(
        `state ${name}: output channels are of equal size: ${channels} of them in ${shapeText(shape)}`,
      );
    }
    return this.#state(name, { shape, dtype: 'i8', scale: this.state(scaleName(name), [channels]) });
  }

  #state(name: string, spec: ValueSpec): Tensor {
    const known = this.#states.get(name);
    if (known) {
      if (!sameShape(known.shape, spec.shape) || known.dtype !== spec.dtype) {
        throw new ShapeError(
          `state ${name}: one shape and dtype per name: ${known.describe()}, then ${spec.dtype} ${shapeText(spec.shape)}`,
        );
      }
      return known;
    }
    const tensor = this.#leaf('state', name, spec, null);
    this.#states.set(name, tensor);
    return tensor;
  }

  /** A value fixed at trace time. */
  constant(data: Float32Array | Uint32Array, shape: Shape): Tensor {
    if (data.length !== elementCount(shape)) {
      throw new ShapeError(
        `constant: ${data.length} values given, ${shapeText(shape)} holds ${elementCount(shape)}`,
      );
    }
    const dtype = data instanceof Float32Array ? 'f32' : 'u32';
    return this.#leaf('constant', '', { shape, dtype }, data);
  }

  /** Appends one application of `op` (an OpDef). @throws ShapeError from the op's shape rule. */
  append<A>(op: OpShape<A>, inputs: readonly Tensor[], attrs: A): readonly Tensor[] {
    const specs = op.infer(inputs, attrs);
    return this.#push('op', op, inputs, specs, attrs, '', null).outputs;
  }

  /** Names a value to be read after the run. */
  output(name: string, tensor: Tensor): void {
    if (this.outputs.has(name)) throw new InternalError(`graph: output '${name}' is declared twice`);
    this.outputs.set(name, tensor);
  }

  /** Runs `trace` with `name` added to the scope of the nodes it appends. */
  scope<T>(name: string, trace: () => T): T {
    this.#scope.push(name);
    try {
      return trace();
    } finally {
      this.#scope.pop();
    }
  }

  get inputs(): ReadonlyMap<string, Tensor> {
    return this.#inputs;
  }

  get states(): ReadonlyMap<string, Tensor> {
    return this.#states;
  }

  #leaf(
    kind: 'input' | 'state' | 'constant',
    name: string,
    spec: ValueSpec,
    data: GraphNode['data'],
  ): Tensor {
    const node = this.#push(kind, null, [], [spec], null, name, data);
    return node.outputs[0] as Tensor;
  }

  #push(
    kind: GraphNode['kind'],
    op: OpShape | null,
    inputs: readonly Tensor[],
    specs: readonly ValueSpec[],
    attrs: unknown,
    name: string,
    data: GraphNode['data'],
  ): GraphNode {
    const outputs: Tensor[] = [];
    const node: GraphNode = {
      id: this.nodes.length,
      kind,
      op,
      inputs,
      outputs,
      attrs,
      scope: this.#scope.join('/'),
      name,
      data,
    };
    specs.forEach((spec, index) => outputs.push(new Tensor(this.#tensors++, spec, node, index)));
    this.nodes.push(node);
    return node;
  }
}

/** The graph's nodes that outputs or effects depend on, in order. */
export function liveNodes(graph: Graph): GraphNode[] {
  const live = new Set<GraphNode>();
  const wanted: GraphNode[] = [];
  const want = (node: GraphNode): void => {
    if (!live.has(node)) {
      live.add(node);
      wanted.push(node);
    }
  };
  for (const tensor of graph.outputs.values()) want(tensor.node);
  for (const node of graph.nodes) if (node.op?.effect) want(node);
  for (let node = wanted.pop(); node; node = wanted.pop()) {
    for (const input of node.inputs) want(input.node);
  }
  return graph.nodes.filter((node) => live.has(node));
}
