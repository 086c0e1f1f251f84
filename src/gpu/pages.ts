/**
 * StateStore: the GPU memory of state tensors (weights, gradients, moments, tables between plans).
 *
 * Tensors of one group are packed into pages, 256-byte aligned, so that a plan binds few buffers and a group is freed at
 * once. Groups never share a page: a dispatch may then write one group and read another.
 */
import { InternalError, NotFoundError, ShapeError } from '../core/errors';
import { planPages } from '../graph/state';
import type { TensorSpec } from '../graph/tensor';
import { usage, type Device } from './device';

export interface StatePlace {
  readonly spec: TensorSpec;
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly bytes: number;
}

/** Bytes that may be on their way to the device at once. */
const maxUnsettled = 64 * 1024 * 1024;

export class StateStore {
  readonly device: Device;
  #unsettled = 0;
  readonly #places = new Map<string, StatePlace>();
  readonly #groups = new Map<string, { buffers: GPUBuffer[]; names: string[]; bytes: number }>();

  constructor(device: Device) {
    this.device = device;
  }

  /**
   * Allocates a whole group, zero-filled. Names are given without the group: `allocate('weights', {...})` makes
   * "weights:<name>".
   * @throws OutOfMemoryError, LimitError
   */
  async allocate(group: string, specs: ReadonlyMap<string, TensorSpec>): Promise<void> {
    if (this.#groups.has(group)) throw new InternalError(`state: group '${group}' is allocated already`);
    const pages = planPages(group, specs, this.device.profile.limits);
    const entry = { buffers: [] as GPUBuffer[], names: [] as string[], bytes: 0 };
    this.#groups.set(group, entry);
    try {
      for (const [index, page] of pages.entries()) {
        const buffer = await this.device.buffer(
          page.bytes,
          usage.storage | usage.copyDst | usage.copySrc,
          `${group} page ${index}`,
        );
        entry.buffers.push(buffer);
        entry.bytes += buffer.size;
        for (const { name, spec, offset, bytes } of page.places) {
          const full = `${group}:${name}`;
          this.#places.set(full, { spec, buffer, offset, bytes });
          entry.names.push(full);
        }
      }
    } catch (thrown) {
      this.release(group);
      throw thrown;
    }
  }

  /** @throws NotFoundError */
  place(name: string): StatePlace {
    const place = this.#places.get(name);
    if (!place) throw new NotFoundError(`state: there is no tensor named '${name}' on the device`);
    return place;
  }

  has(name: string): boolean {
    return this.#places.has(name);
  }

  /** Full names of a group's tensors. */
  names(group: string): readonly string[] {
    return this.#groups.get(group)?.names ?? [];
  }

  /** Writes raw words (f16 packed two in a word, i8 four), `byteOffset` bytes into the tensor. */
  write(name: string, data: Float32Array | Uint32Array | Int32Array, byteOffset = 0): void {
    const place = this.place(name);
    if (byteOffset % 4 !== 0 || byteOffset + data.byteLength > place.bytes) {
      throw new ShapeError(
        `state ${name}: holds ${place.bytes} bytes: ${data.byteLength} bytes written at ${byteOffset}`,
      );
    }
    this.device.gpu.queue.writeBuffer(
      place.buffer,
      place.offset + byteOffset,
      data.buffer,
      data.byteOffset,
      data.byteLength,
    );
    this.#unsettled += data.byteLength;
  }

  /**
   * Waits, now and then, until what was written has arrived: written bytes are copied, and the copies of a whole model
   * would pile up beside it.
   */
  async settle(): Promise<void> {
    if (this.#unsettled < maxUnsettled) return;
    this.#unsettled = 0;
    const { queue } = this.device.gpu;
    queue.submit([]);
    await queue.onSubmittedWorkDone();
  }

  /** Fills a group with zeros. */
  clear(group: string): void {
    const entry = this.#groups.get(group);
    if (!entry) throw new NotFoundError(`state: there is no group named '${group}' on the device`);
    const encoder = this.device.gpu.createCommandEncoder();
    for (const buffer of entry.buffers) encoder.clearBuffer(buffer);
    this.device.gpu.queue.submit([encoder.finish()]);
  }

  /** Bytes of the buffers of a group, or of all. */
  bytes(group?: string): number {
    if (group !== undefined) return this.#groups.get(group)?.bytes ?? 0;
    let sum = 0;
    for (const entry of this.#groups.values()) sum += entry.bytes;
    return sum;
  }

  /** Frees a group's memory. Runs that bind it must not be used again. */
  release(group: string): void {
    const entry = this.#groups.get(group);
    if (!entry) return;
    for (const buffer of entry.buffers) buffer.destroy();
    for (const name of entry.names) this.#places.delete(name);
    this.#groups.delete(group);
  }

  releaseAll(): void {
    for (const group of [...this.#groups.keys()]) this.release(group);
  }
}
