/**
 * Figures that are read late: copied on the GPU into one of a few mappable buffers and mapped when the GPU gets there, so
 * that nothing waits for them. A loop that is faster than its figures waits for the oldest ones.
 */
import { InternalError } from '../core/errors';
import type { Device } from './device';
import { usage } from './device';

interface Slot {
  readonly buffer: GPUBuffer;
  /** Resolves when the slot is free again. */
  free: Promise<void>;
}

/** One set of figures being gathered. */
export interface LateRead {
  /** Copies bytes [offset, offset + bytes) of `from`, as they are after what was submitted so far, to `at`. */
  copy(from: GPUBuffer, offset: number, bytes: number, at: number): void;
  /** Everything copied, once the GPU got there. Call once. */
  finish(): Promise<ArrayBuffer>;
}

export class LateReads {
  readonly #device: Device;
  readonly #bytes: number;
  readonly #slots: Slot[];
  #next = 0;

  /** @param bytes of one set of figures, a multiple of 4 */
  constructor(device: Device, bytes: number, slots = 3) {
    this.#device = device;
    this.#bytes = bytes;
    this.#slots = Array.from({ length: slots }, (_, index) => ({
      buffer: device.gpu.createBuffer({
        size: Math.max(4, bytes),
        usage: usage.mapRead | usage.copyDst,
        label: `late read ${index}`,
      }),
      free: Promise.resolve(),
    }));
  }

  /** Begins a set of figures; waits only while as many sets are on their way as there are slots. */
  async begin(): Promise<LateRead> {
    const slot = this.#slots[this.#next]!;
    this.#next = (this.#next + 1) % this.#slots.length;
    await slot.free;
    this.#device.assertAlive();
    const { gpu } = this.#device;
    return {
      copy: (from, offset, bytes, at) => {
        if (at + bytes > this.#bytes) {
          throw new InternalError(`late read: holds ${this.#bytes} bytes: ${bytes} bytes copied to ${at}`);
        }
        const encoder = gpu.createCommandEncoder();
        encoder.copyBufferToBuffer(from, offset, slot.buffer, at, bytes);
        gpu.queue.submit([encoder.finish()]);
      },
      finish: () => {
        const read = this.#map(slot);
        slot.free = read.then(
          () => undefined,
          () => undefined,
        );
        return read;
      },
    };
  }

  destroy(): void {
    for (const { buffer } of this.#slots) buffer.destroy();
  }

  async #map({ buffer }: Slot): Promise<ArrayBuffer> {
    try {
      await buffer.mapAsync(1);
      const copy = buffer.getMappedRange(0, this.#bytes).slice(0);
      buffer.unmap();
      return copy;
    } catch (thrown) {
      this.#device.assertAlive();
      throw thrown;
    }
  }
}
