/**
 * Keeps a device: opens it, notices when it is lost, opens it again. Everything that lived on a lost device is gone; the
 * owner hears of it and starts over. Browsers refuse adapters for a while after repeated crashes, so attempts wait longer
 * each time.
 */
import { messageOf, NoDeviceError } from '../core/errors';
import { openDevice, type Device } from '../gpu/device';
import { makeResources, releaseResources, type SessionResources } from '../sessions/resources';

/** Waits before the attempts at opening a lost device again, in milliseconds. */
export const reopenWaits: readonly number[] = [200, 1000, 3000, 8000, 15000];

export interface DeviceEvents {
  /** A device is there: the first one or one after a loss. */
  onOpen(resources: SessionResources): void;
  /** The device is gone; called before every attempt to open another. `attempt` counts from 1. */
  onLost(message: string, attempt: number, attempts: number): void;
  /** There is no device, and none will come by itself. */
  onNone(message: string): void;
}

export class DeviceKeeper {
  readonly #gpu: GPU;
  readonly #events: DeviceEvents;
  readonly #waits: readonly number[];
  #resources: SessionResources | null = null;
  #opening: Promise<void> | null = null;

  constructor(gpu: GPU, events: DeviceEvents, waits: readonly number[] = reopenWaits) {
    this.#gpu = gpu;
    this.#events = events;
    this.#waits = waits;
  }

  /** @throws NoDeviceError when there is none now */
  get resources(): SessionResources {
    if (!this.#resources) throw new NoDeviceError('GPU device: must be open: there is none at the moment');
    return this.#resources;
  }

  get isOpen(): boolean {
    return this.#resources !== null;
  }

  /** Opens a device, unless one is there or on its way. Says how it went through the events. */
  async open(): Promise<void> {
    if (this.#resources) return;
    this.#opening ??= this.#tryOpen().then(
      () => {
        this.#opening = null;
      },
      (thrown: unknown) => {
        this.#opening = null;
        this.#events.onNone(messageOf(thrown));
      },
    );
    await this.#opening;
  }

  async #tryOpen(): Promise<void> {
    const device = await openDevice(this.#gpu);
    const resources = makeResources(device);
    this.#resources = resources;
    void device.gpu.lost.then((info) => this.#lost(device, info));
    this.#events.onOpen(resources);
  }

  #lost(device: Device, info: GPUDeviceLostInfo): void {
    if (this.#resources?.device !== device) return;
    const resources = this.#resources;
    this.#resources = null;
    releaseResources(resources);
    this.#opening = this.#reopen(info.message || 'the browser gave no reason').finally(() => {
      this.#opening = null;
    });
  }

  async #reopen(message: string): Promise<void> {
    let problem = message;
    for (const [index, wait] of this.#waits.entries()) {
      this.#events.onLost(message, index + 1, this.#waits.length);
      await new Promise((resolve) => setTimeout(resolve, wait));
      try {
        await this.#tryOpen();
        return;
      } catch (thrown) {
        problem = messageOf(thrown);
      }
    }
    this.#events.onNone(problem);
  }
}
