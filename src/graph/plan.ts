/**
 * Plan: a graph made executable for a DeviceProfile. Pure data: order, lifetimes, offsets in the scratch arena, and a
 * flat list of dispatches with their uniform bytes. Needs no GPU, so memory and work are known before anything loads.
 *
 * Binding rules, asserted here: scratch and io storages are always bound read_write (a buffer may not be bound both
 * ways in one dispatch, even for disjoint ranges); the state groups a dispatch writes are bound read_write, the others
 * read; no two bindings of one dispatch share a storage (ops merge such operands into one binding).
 */
import { dtypeBytes } from '../core/dtype';
import { invariant, LimitError } from '../core/errors';
import { planArena } from './arena';
import { liveNodes, type Graph } from './graph';
import { opOf, type DispatchSpec, type GraphNode, type LowerContext, type Placement } from './op';
import type { DeviceProfile } from './profile';
import { Tensor, type TensorSpec } from './tensor';

/** Where the bytes of a binding come from. */
export type PlanBuffer =
  | { readonly kind: 'scratch'; readonly page: number; readonly offset: number; readonly bytes: number }
  | { readonly kind: 'io'; readonly offset: number; readonly bytes: number }
  | { readonly kind: 'state'; readonly name: string; readonly bytes: number };

export interface PlanBinding {
  readonly buffer: PlanBuffer;
  readonly access: 'read' | 'read_write';
}

export interface PlanDispatch {
  readonly pipeline: string;
  readonly bindings: readonly PlanBinding[];
  /** Index of the uniform slot. */
  readonly uniforms: number;
  readonly workgroups: readonly [number, number, number];
  readonly macs: number;
  /** Op and place in the model, for profiles and messages. */
  readonly op: string;
  readonly scope: string;
}

/** A pipeline as data. */
export interface PlanPipeline {
  readonly source: string;
  readonly access: readonly ('read' | 'read_write')[];
}

/** An input, output or constant: a range of the run's io buffer (outputs may also be views). */
export interface PlanValue extends TensorSpec {
  readonly offset: number;
  readonly bytes: number;
}

export interface PlanState extends TensorSpec {
  /** Whether the plan writes it. */
  readonly written: boolean;
}

/** Memory of a plan by purpose, in bytes; `state` is what it binds but does not own. */
export interface PlanMemory {
  readonly scratch: number;
  readonly io: number;
  readonly uniforms: number;
  readonly state: number;
}

export interface Plan {
  readonly profile: DeviceProfile;
  readonly dispatches: readonly PlanDispatch[];
  readonly pipelines: ReadonlyMap<string, PlanPipeline>;
  readonly uniforms: readonly ArrayBuffer[];
  readonly inputs: ReadonlyMap<string, PlanValue>;
  readonly outputs: ReadonlyMap<string, PlanValue>;
  readonly constants: readonly { readonly data: Float32Array | Uint32Array; readonly offset: number }[];
  readonly states: ReadonlyMap<string, PlanState>;
  readonly scratchPages: readonly number[];
  readonly memory: PlanMemory;
  /** Multiply-accumulates of one replay, from the ops' own statements. */
  readonly macs: number;
  /** Bytes the ops must touch at least. */
  readonly bytesTouched: number;
}

/** Bytes of one uniform slot. */
export const uniformSlotBytes = 256;

/** A block of memory that tensors share: a node's output, an input, a constant or a state. */
interface Storage {
  readonly id: number;
  bytes: number;
  home: 'scratch' | 'io' | 'state';
  readonly name: string;
  readonly label: string;
  /** Set when this storage was placed inside another one. Offset in elements. */
  parent: { storage: Storage; offset: number } | null;
  first: number;
  last: number;
}

const groupOf = (name: string): string => (name.includes(':') ? name.slice(0, name.indexOf(':')) : '');

/** Bytes a tensor of this spec takes in a buffer: whole words (f16 is stored two in a word, i8 four). */
export function storageBytes(spec: TensorSpec): number {
  const elements = spec.shape.reduce((product, size) => product * size, 1);
  return Math.max(4, Math.ceil((elements * dtypeBytes(spec.dtype)) / 4) * 4);
}

class Planner {
  readonly #graph: Graph;
  readonly #profile: DeviceProfile;
  readonly #storages: Storage[] = [];
  readonly #byTensor = new Map<Tensor, { storage: Storage; offset: number }>();
  readonly #used = new Set<Tensor>();
  readonly #placed = new Set<string>();
  readonly #dispatches: { node: GraphNode; spec: DispatchSpec }[] = [];
  readonly #written = new Set<string>();

  constructor(graph: Graph, profile: DeviceProfile) {
    this.#graph = graph;
    this.#profile = profile;
  }

  plan(): Plan {
    const nodes = liveNodes(this.#graph);
    for (const node of nodes) for (const input of node.inputs) this.#used.add(input);
    for (const output of this.#graph.outputs.values()) this.#used.add(output);
    for (const node of nodes) this.#assign(node);
    for (const node of nodes) this.#offerPlacements(node, nodes);
    for (const output of this.#graph.outputs.values()) this.#pinOutput(output);
    for (const node of nodes) if (node.op) this.#lower(node);
    return this.#finish(nodes);
  }

  #storage(spec: TensorSpec, home: Storage['home'], name: string, label: string): Storage {
    const storage: Storage = {
      id: this.#storages.length,
      bytes: storageBytes(spec),
      home,
      name,
      label,
      parent: null,
      first: Infinity,
      last: -1,
    };
    const limit = this.#profile.limits.maxStorageBufferBindingSize;
    if (storage.bytes > limit) {
      throw new LimitError(
        `${label}: a binding may hold at most ${limit} bytes on this device: ${storage.bytes} bytes`,
      );
    }
    this.#storages.push(storage);
    return storage;
  }

  /** Gives every output of a node a storage: its own, or by an alias rule that of an input. */
  #assign(node: GraphNode): void {
    const aliases = node.op?.alias?.(node) ?? [];
    for (const output of node.outputs) {
      const alias = aliases.find((rule) => rule.output === output.index);
      if (alias) {
        const base = this.#byTensor.get(node.inputs[alias.input]!)!;
        this.#byTensor.set(output, { storage: base.storage, offset: base.offset + alias.offset });
        if (node.op?.effect && base.storage.home === 'state') this.#written.add(base.storage.name);
        continue;
      }
      const home = node.kind === 'op' ? 'scratch' : node.kind === 'state' ? 'state' : 'io';
      const label = `${node.scope || 'graph'}/${node.op?.name ?? (node.name || node.kind)}`;
      this.#byTensor.set(output, { storage: this.#storage(output, home, node.name, label), offset: 0 });
    }
  }

  /** Lets inputs be produced inside the output's storage where nothing else could notice. */
  #offerPlacements(node: GraphNode, nodes: readonly GraphNode[]): void {
    for (const rule of opOf(node)?.placement?.(node) ?? []) {
      const input = node.inputs[rule.input]!;
      const source = this.#byTensor.get(input)!;
      const target = this.#byTensor.get(node.outputs[rule.output]!)!;
      const producer = input.node;
      const whole = source.offset === 0 && source.storage.bytes === storageBytes(input);
      const fresh =
        producer.kind === 'op' && source.storage.home === 'scratch' && source.storage.parent === null;
      const twice = node.inputs.filter((other) => other === input).length > 1;
      if (!whole || !fresh || twice || source.storage === target.storage) continue;
      if (
        [...this.#graph.outputs.values()].some((out) => this.#byTensor.get(out)?.storage === source.storage)
      ) {
        continue;
      }
      if (target.storage.home === 'state' && this.#stateIsReadElsewhere(target.storage, node, nodes))
        continue;
      // packed values must start on a whole word
      const offset = target.offset + rule.offset;
      if ((offset * dtypeBytes(input.dtype)) % 4 !== 0) continue;
      source.storage.parent = { storage: target.storage, offset };
      this.#placed.add(`${node.id}:${rule.input}`);
    }
  }

  #stateIsReadElsewhere(state: Storage, writer: GraphNode, nodes: readonly GraphNode[]): boolean {
    return nodes.some(
      (other) =>
        other !== writer && other.inputs.some((input) => this.#byTensor.get(input)?.storage === state),
    );
  }

  /** Outputs must survive until they are read, so they live in the io buffer. */
  #pinOutput(output: Tensor): void {
    const { storage } = this.#resolve(output);
    if (storage.home === 'scratch') storage.home = 'io';
  }

  #resolve(tensor: Tensor): { storage: Storage; offset: number } {
    const own = this.#byTensor.get(tensor);
    invariant(
      own,
      `plan: ${tensor.describe()} of ${tensor.node.op?.name ?? tensor.node.kind} has no storage`,
    );
    let { storage, offset } = own;
    while (storage.parent) {
      offset += storage.parent.offset;
      storage = storage.parent.storage;
    }
    return { storage, offset };
  }

  #place(tensor: Tensor): Placement {
    const { storage, offset } = this.#resolve(tensor);
    return { storage: storage.id, offset, home: storage.home, group: groupOf(storage.name) };
  }

  #lower(node: GraphNode): void {
    const op = opOf(node)!;
    const context: LowerContext = {
      node,
      inputs: node.inputs,
      outputs: node.outputs,
      attrs: node.attrs,
      profile: this.#profile,
      isUsed: (index) => this.#used.has(node.outputs[index]!),
      isPlaced: (index) => this.#placed.has(`${node.id}:${index}`),
      place: (tensor) => this.#place(tensor),
      temp: (spec) => this.#temp(node, spec),
      dispatch: (spec) => {
        this.#check(node, spec);
        const index = this.#dispatches.push({ node, spec }) - 1;
        for (const { storage: id } of spec.bindings) {
          const storage = this.#storages[id]!;
          storage.first = Math.min(storage.first, index);
          storage.last = Math.max(storage.last, index);
        }
      },
    };
    op.lower(context);
  }

  /** A temporary is an output of no node that only this lowering knows. */
  #temp(node: GraphNode, spec: TensorSpec): Tensor {
    const tensor = new Tensor(-1, spec, node, -1);
    const storage = this.#storage(spec, 'scratch', '', `${node.scope || 'graph'}/${node.op!.name} temporary`);
    this.#byTensor.set(tensor, { storage, offset: 0 });
    return tensor;
  }

  #check(node: GraphNode, spec: DispatchSpec): void {
    const where = `plan: ${node.op!.name} in '${node.scope}'`;
    const seen = new Set<number>();
    const modes = new Map<string, string>();
    for (const binding of spec.bindings) {
      const storage = this.#storages[binding.storage]!;
      invariant(!seen.has(binding.storage), `${where}: a storage is bound twice in one dispatch`);
      seen.add(binding.storage);
      if (storage.home !== 'state') {
        invariant(binding.access === 'read_write', `${where}: scratch operands are bound read_write`);
        continue;
      }
      const group = groupOf(storage.name);
      const mode = modes.get(group) ?? binding.access;
      invariant(
        mode === binding.access,
        `${where}: state group '${group}' is bound both read and read_write`,
      );
      modes.set(group, mode);
    }
    const { limits } = this.#profile;
    invariant(
      spec.bindings.length <= limits.maxStorageBuffersPerShaderStage,
      `${where}: ${spec.bindings.length} storage buffers, the device allows ${limits.maxStorageBuffersPerShaderStage}`,
    );
    invariant(
      spec.uniforms.byteLength <= uniformSlotBytes,
      `${where}: uniforms take ${spec.uniforms.byteLength} bytes`,
    );
    for (const count of spec.workgroups) {
      invariant(
        count >= 1 && count <= limits.maxComputeWorkgroupsPerDimension,
        `${where}: ${spec.workgroups.join('x')} workgroups, at least 1 and at most ${limits.maxComputeWorkgroupsPerDimension} an axis`,
      );
    }
  }

  #finish(nodes: readonly GraphNode[]): Plan {
    const { limits } = this.#profile;
    const roots = this.#storages.filter((storage) => storage.parent === null);
    const scratch = roots.filter((storage) => storage.home === 'scratch' && storage.last >= 0);
    const arena = planArena(scratch, {
      pageBytes: limits.maxBufferSize,
      alignment: limits.minStorageBufferOffsetAlignment,
    });
    const buffers = new Map<number, PlanBuffer>();
    scratch.forEach((storage, index) => {
      buffers.set(storage.id, { kind: 'scratch', ...arena.slots[index]!, bytes: storage.bytes });
    });
    let ioBytes = 0;
    let stateBytes = 0;
    for (const storage of roots) {
      if (storage.home === 'io') {
        buffers.set(storage.id, { kind: 'io', offset: ioBytes, bytes: storage.bytes });
        ioBytes +=
          Math.ceil(storage.bytes / limits.minStorageBufferOffsetAlignment) *
          limits.minStorageBufferOffsetAlignment;
      } else if (storage.home === 'state') {
        buffers.set(storage.id, { kind: 'state', name: storage.name, bytes: storage.bytes });
        stateBytes += storage.bytes;
      }
    }
    if (ioBytes > limits.maxBufferSize) {
      throw new LimitError(
        `plan: inputs and outputs may take at most ${limits.maxBufferSize} bytes: ${ioBytes} bytes`,
      );
    }

    const pipelines = new Map<string, PlanPipeline>();
    const uniforms: ArrayBuffer[] = [];
    const slots = new Map<string, number>();
    const dispatches = this.#dispatches.map(({ node, spec }): PlanDispatch => {
      if (!pipelines.has(spec.key)) {
        pipelines.set(spec.key, { source: spec.source(), access: spec.bindings.map((b) => b.access) });
      }
      const text = new Uint32Array(spec.uniforms).join();
      let slot = slots.get(text);
      if (slot === undefined) {
        slot = uniforms.push(spec.uniforms) - 1;
        slots.set(text, slot);
      }
      return {
        pipeline: spec.key,
        bindings: spec.bindings.map((b) => ({ buffer: buffers.get(b.storage)!, access: b.access })),
        uniforms: slot,
        workgroups: spec.workgroups,
        macs: spec.macs,
        op: node.op!.name,
        scope: node.scope,
      };
    });

    const value = (tensor: Tensor): PlanValue => {
      const { storage, offset } = this.#resolve(tensor);
      const buffer = buffers.get(storage.id);
      invariant(buffer?.kind === 'io', `plan: ${tensor.describe()} is an output but lies in ${storage.home}`);
      const bytes = storageBytes(tensor);
      return {
        shape: tensor.shape,
        dtype: tensor.dtype,
        offset: buffer.offset + offset * dtypeBytes(tensor.dtype),
        bytes,
      };
    };
    const live = new Set(nodes);
    const inputs = new Map<string, PlanValue>();
    for (const [name, tensor] of this.#graph.inputs)
      if (live.has(tensor.node)) inputs.set(name, value(tensor));
    const outputs = new Map<string, PlanValue>();
    for (const [name, tensor] of this.#graph.outputs) outputs.set(name, value(tensor));
    const states = new Map<string, PlanState>();
    for (const [name, tensor] of this.#graph.states) {
      if (live.has(tensor.node)) {
        states.set(name, { shape: tensor.shape, dtype: tensor.dtype, written: this.#written.has(name) });
      }
    }
    const constants = nodes
      .filter((node) => node.data !== null)
      .map((node) => ({ data: node.data!, offset: value(node.outputs[0]!).offset }));

    let macs = 0;
    let bytesTouched = 0;
    for (const node of nodes) {
      const cost = opOf(node)?.cost(node);
      macs += cost?.macs ?? 0;
      bytesTouched += cost?.bytes ?? 0;
    }
    return {
      profile: this.#profile,
      dispatches,
      pipelines,
      uniforms,
      inputs,
      outputs,
      constants,
      states,
      scratchPages: arena.pages,
      memory: {
        scratch: arena.pages.reduce((sum, bytes) => sum + bytes, 0),
        io: ioBytes,
        uniforms: uniforms.length * uniformSlotBytes,
        state: stateBytes,
      },
      macs,
      bytesTouched,
    };
  }
}

/**
 * Plans `graph` for `profile`.
 * @throws LimitError when a value is too large for the device.
 */
export function planGraph(graph: Graph, profile: DeviceProfile): Plan {
  return new Planner(graph, profile).plan();
}
