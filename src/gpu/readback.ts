/** Reading GPU memory back: copy into a mappable buffer, map, copy out. */
import type { Device } from './device';
import { usage } from './device';
import type { StateStore } from './pages';

/** Bytes [offset, offset + bytes) of `buffer`, after everything submitted so far. Offset and bytes: multiples of 4. */
export async function readBuffer(
  device: Device,
  buffer: GPUBuffer,
  offset: number,
  bytes: number,
): Promise<ArrayBuffer> {
  device.assertAlive();
  const staging = device.gpu.createBuffer({
    size: Math.max(4, bytes),
    usage: usage.mapRead | usage.copyDst,
    label: 'readback',
  });
  try {
    const encoder = device.gpu.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer, offset, staging, 0, bytes);
    device.gpu.queue.submit([encoder.finish()]);
    await staging.mapAsync(1);
    return staging.getMappedRange(0, bytes).slice(0);
  } catch (thrown) {
    device.assertAlive();
    throw thrown;
  } finally {
    staging.destroy();
  }
}

/** A whole state tensor, as bytes (f16 and i8 packed). */
export async function readState(store: StateStore, name: string): Promise<ArrayBuffer> {
  const { buffer, offset, bytes } = store.place(name);
  return readBuffer(store.device, buffer, offset, bytes);
}
