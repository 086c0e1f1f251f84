/**
 * Run: a plan bound to a device and a StateStore. Pipelines, bind groups and uniform slots are made once; a replay only
 * encodes and submits. Scratch comes from one pool per device that all runs share: values in it do not survive a
 * replay, inputs and outputs (the io buffer) do.
 */
import { InternalError, NotFoundError, ShapeError } from '../core/errors';
import { shapeText } from '../core/shape';
import {
  uniformSlotBytes,
  type Plan,
  type PlanBuffer,
  type PlanDispatch,
  type PlanValue,
} from '../graph/plan';
import { usage, type Device } from './device';
import type { StateStore } from './pages';
import { readBuffer } from './readback';

/** Scratch pages that every run of a device uses in turn. Grows; `version` tells runs to rebuild their bind groups. */
export class ScratchPool {
  readonly device: Device;
  #pages: GPUBuffer[] = [];
  #version = 0;

  constructor(device: Device) {
    this.device = device;
  }

  get version(): number {
    return this.#version;
  }

  get bytes(): number {
    return this.#pages.reduce((sum, page) => sum + page.size, 0);
  }

  page(index: number): GPUBuffer {
    const page = this.#pages[index];
    if (!page) throw new InternalError(`scratch: page ${index} of ${this.#pages.length} is not there`);
    return page;
  }

  /** Makes room for a plan. @throws OutOfMemoryError */
  async ensure(pages: readonly number[]): Promise<void> {
    for (const [index, bytes] of pages.entries()) {
      const present = this.#pages[index];
      if (present && present.size >= bytes) continue;
      const grown = await this.device.buffer(
        bytes,
        usage.storage | usage.copySrc | usage.copyDst,
        `scratch page ${index}`,
      );
      present?.destroy();
      this.#pages[index] = grown;
      this.#version++;
    }
  }

  /** Frees everything; runs ask for what they need before they execute again. Nothing may be in flight. */
  trim(): void {
    for (const page of this.#pages) page.destroy();
    this.#pages = [];
    this.#version++;
  }

  destroy(): void {
    this.trim();
  }
}

interface BoundDispatch {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  group: GPUBindGroup | null;
  readonly spec: PlanDispatch;
}

export interface RunResources {
  readonly device: Device;
  readonly state: StateStore;
  readonly scratch: ScratchPool;
}

export class Run {
  readonly plan: Plan;
  readonly #resources: RunResources;
  readonly #io: GPUBuffer;
  readonly #uniforms: GPUBuffer;
  readonly #dispatches: BoundDispatch[];
  #scratchVersion = -1;

  private constructor(
    plan: Plan,
    resources: RunResources,
    io: GPUBuffer,
    uniforms: GPUBuffer,
    dispatches: BoundDispatch[],
  ) {
    this.plan = plan;
    this.#resources = resources;
    this.#io = io;
    this.#uniforms = uniforms;
    this.#dispatches = dispatches;
  }

  /**
   * Compiles and binds `plan`.
   * @throws NotFoundError, ShapeError when the state lacks a tensor of the plan or holds another shape.
   * @throws OutOfMemoryError
   */
  static async create(plan: Plan, resources: RunResources): Promise<Run> {
    const { device, state, scratch } = resources;
    for (const [name, wanted] of plan.states) {
      const { spec } = state.place(name);
      if (spec.dtype !== wanted.dtype || spec.shape.join() !== wanted.shape.join()) {
        throw new ShapeError(
          `state ${name}: the plan binds ${wanted.dtype} ${shapeText(wanted.shape)}: the store holds ${spec.dtype} ${shapeText(spec.shape)}`,
        );
      }
    }
    await scratch.ensure(plan.scratchPages);
    const io = await device.buffer(plan.memory.io, usage.storage | usage.copyDst | usage.copySrc, 'plan io');
    const uniforms = await device.buffer(
      plan.memory.uniforms,
      usage.uniform | usage.copyDst,
      'plan uniforms',
    );
    const packed = new Uint8Array(Math.max(16, plan.memory.uniforms));
    plan.uniforms.forEach((slot, index) => packed.set(new Uint8Array(slot), index * uniformSlotBytes));
    device.gpu.queue.writeBuffer(uniforms, 0, packed);
    for (const { data, offset } of plan.constants) {
      device.gpu.queue.writeBuffer(io, offset, data.buffer, data.byteOffset, data.byteLength);
    }
    const compiled = new Map(
      await Promise.all(
        [...plan.pipelines].map(async ([key, spec]) => [key, await device.pipeline(key, spec)] as const),
      ),
    );
    const dispatches = plan.dispatches.map((spec): BoundDispatch => {
      const { pipeline, layout } = compiled.get(spec.pipeline)!;
      return { pipeline, layout, group: null, spec };
    });
    return new Run(plan, resources, io, uniforms, dispatches);
  }

  /** GPU bytes this run owns alone (scratch and state are shared). */
  get ownedBytes(): number {
    return this.#io.size + this.#uniforms.size;
  }

  /** Sets an input; takes effect before the next replay. f16 inputs are given packed. */
  write(name: string, data: Float32Array | Uint32Array | Int32Array): void {
    const value = this.plan.inputs.get(name);
    if (!value) throw new NotFoundError(`run: the plan has no input '${name}'`);
    if (data.byteLength !== value.bytes) {
      throw new ShapeError(
        `run: input ${name} is ${value.dtype} ${shapeText(value.shape)}, ${value.bytes} bytes: ${data.byteLength} bytes given`,
      );
    }
    this.#resources.device.gpu.queue.writeBuffer(
      this.#io,
      value.offset,
      data.buffer,
      data.byteOffset,
      data.byteLength,
    );
  }

  /** Where an output (or input) lies on the device, for copies. */
  locate(name: string): { buffer: GPUBuffer; value: PlanValue } {
    const value = this.plan.outputs.get(name) ?? this.plan.inputs.get(name);
    if (!value) throw new NotFoundError(`run: the plan has no output '${name}'`);
    return { buffer: this.#io, value };
  }

  /** Reads an output back after everything submitted so far. f32 as numbers, others as words. */
  async read(name: string): Promise<Float32Array> {
    return new Float32Array(await this.readBytes(name));
  }

  async readBytes(name: string): Promise<ArrayBuffer> {
    const { buffer, value } = this.locate(name);
    return readBuffer(this.#resources.device, buffer, value.offset, value.bytes);
  }

  /** Makes sure of the scratch memory, which may have been given up since. @throws OutOfMemoryError */
  async prepare(): Promise<void> {
    await this.#resources.scratch.ensure(this.plan.scratchPages);
  }

  /** Encodes dispatches [first, end) into one compute pass. */
  encode(encoder: GPUCommandEncoder, first = 0, end = this.#dispatches.length): void {
    this.#bind();
    const pass = encoder.beginComputePass();
    let current: GPUComputePipeline | null = null;
    for (let index = first; index < end; index++) {
      const dispatch = this.#dispatches[index]!;
      if (dispatch.pipeline !== current) {
        pass.setPipeline(dispatch.pipeline);
        current = dispatch.pipeline;
      }
      pass.setBindGroup(0, dispatch.group);
      const [x, y, z] = dispatch.spec.workgroups;
      pass.dispatchWorkgroups(x, y, z);
    }
    pass.end();
  }

  /** Encodes and submits the whole plan. */
  replay(): void {
    const { device } = this.#resources;
    device.assertAlive();
    const encoder = device.gpu.createCommandEncoder();
    this.encode(encoder);
    device.gpu.queue.submit([encoder.finish()]);
  }

  destroy(): void {
    this.#io.destroy();
    this.#uniforms.destroy();
  }

  /** Makes bind groups, again when the scratch pool has grown since. */
  #bind(): void {
    const { device, scratch } = this.#resources;
    if (this.#scratchVersion === scratch.version) return;
    for (const dispatch of this.#dispatches) {
      dispatch.group = device.gpu.createBindGroup({
        layout: dispatch.layout,
        entries: [
          {
            binding: 0,
            resource: {
              buffer: this.#uniforms,
              offset: dispatch.spec.uniforms * uniformSlotBytes,
              size: uniformSlotBytes,
            },
          },
          ...dispatch.spec.bindings.map((binding, index) => ({
            binding: index + 1,
            resource: this.#resource(binding.buffer),
          })),
        ],
      });
    }
    this.#scratchVersion = scratch.version;
  }

  #resource(buffer: PlanBuffer): GPUBufferBinding {
    // whole vec4s: every storage starts on 256 bytes, so rounding up stays inside its own padding
    const size = Math.ceil(buffer.bytes / 16) * 16;
    switch (buffer.kind) {
      case 'scratch':
        return { buffer: this.#resources.scratch.page(buffer.page), offset: buffer.offset, size };
      case 'io':
        return { buffer: this.#io, offset: buffer.offset, size };
      case 'state': {
        const place = this.#resources.state.place(buffer.name);
        return { buffer: place.buffer, offset: place.offset, size };
      }
    }
  }
}
