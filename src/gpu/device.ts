/**
 * Opening a WebGPU device, and the small object that owns it: device, profile, pipeline cache, error scopes.
 *
 * The caller supplies the `GPU` entry point (navigator.gpu in a browser, Dawn's in Node), so this room is the same in
 * both. The device asks for what the adapter offers, unless default limits are forced.
 */
import { DeviceLostError, NoDeviceError, OutOfMemoryError, TabditError } from '../core/errors';
import type { PlanPipeline } from '../graph/plan';
import { defaultLimits, type DeviceProfile } from '../graph/profile';
import { chooseFeatures, chooseLimits, describeAdapter, makeProfile, type AdapterFacts } from './profile';

export interface OpenOptions {
  /** Use WebGPU's default limits even when the adapter offers more. */
  readonly defaultLimits?: boolean;
  readonly powerPreference?: 'low-power' | 'high-performance';
}

interface CachedPipeline {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

export class Device {
  readonly gpu: GPUDevice;
  readonly profile: DeviceProfile;
  readonly adapter: AdapterFacts;
  readonly #pipelines = new Map<string, Promise<CachedPipeline>>();
  #lost: DeviceLostError | null = null;

  constructor(gpu: GPUDevice, profile: DeviceProfile, adapter: AdapterFacts) {
    this.gpu = gpu;
    this.profile = profile;
    this.adapter = adapter;
    void gpu.lost.then((info) => {
      this.#lost = new DeviceLostError(
        `GPU device: lost (${info.reason}): ${info.message || 'no reason given'}`,
      );
    });
  }

  /** Set once the device is gone; every later call on it fails. */
  get lost(): DeviceLostError | null {
    return this.#lost;
  }

  /** @throws DeviceLostError when the device is gone. */
  assertAlive(): void {
    if (this.#lost) throw this.#lost;
  }

  /**
   * Creates a buffer inside an out-of-memory scope.
   * @throws OutOfMemoryError naming purpose and bytes.
   */
  async buffer(bytes: number, usage: GPUBufferUsageFlags, label: string): Promise<GPUBuffer> {
    this.assertAlive();
    this.gpu.pushErrorScope('out-of-memory');
    const buffer = this.gpu.createBuffer({ size: Math.max(16, Math.ceil(bytes / 16) * 16), usage, label });
    const error = await this.gpu.popErrorScope();
    if (error) {
      buffer.destroy();
      throw new OutOfMemoryError(
        `GPU memory: ${label} needs ${bytes} bytes and the device has no room: ${error.message}`,
      );
    }
    return buffer;
  }

  /** Number of pipelines made so far. */
  get pipelineCount(): number {
    return this.#pipelines.size;
  }

  /** The pipeline of a plan's key; compiled once per device. */
  pipeline(key: string, spec: PlanPipeline): Promise<CachedPipeline> {
    let cached = this.#pipelines.get(key);
    if (!cached) {
      cached = this.#compile(key, spec);
      this.#pipelines.set(key, cached);
    }
    return cached;
  }

  async #compile(key: string, spec: PlanPipeline): Promise<CachedPipeline> {
    this.assertAlive();
    const layout = this.gpu.createBindGroupLayout({
      label: key,
      entries: [
        { binding: 0, visibility: GPUShaderStageCompute, buffer: { type: 'uniform' } },
        ...spec.access.map((access, index) => ({
          binding: index + 1,
          visibility: GPUShaderStageCompute,
          buffer: { type: access === 'read' ? ('read-only-storage' as const) : ('storage' as const) },
        })),
      ],
    });
    this.gpu.pushErrorScope('validation');
    const module = this.gpu.createShaderModule({ code: spec.source, label: key });
    const scope = this.gpu.popErrorScope();
    try {
      const pipeline = await this.gpu.createComputePipelineAsync({
        label: key,
        layout: this.gpu.createPipelineLayout({ bindGroupLayouts: [layout] }),
        compute: { module, entryPoint: 'main' },
      });
      await scope;
      return { pipeline, layout };
    } catch (thrown) {
      await scope;
      this.assertAlive();
      throw await shaderError(key, spec.source, module, thrown);
    }
  }

  destroy(): void {
    this.gpu.destroy();
  }
}

/** GPUShaderStage.COMPUTE; Node has no such global. */
const GPUShaderStageCompute = 4;

/** Buffer usage flags (GPUBufferUsage is no global in Node). */
export const usage = {
  mapRead: 0x1,
  copySrc: 0x4,
  copyDst: 0x8,
  uniform: 0x40,
  storage: 0x80,
  queryResolve: 0x200,
} as const;

/** A compile error with the lines it is about. */
async function shaderError(
  key: string,
  source: string,
  module: GPUShaderModule,
  thrown: unknown,
): Promise<Error> {
  const info = await module.getCompilationInfo();
  const lines = source.split('\n');
  const report = info.messages
    .filter((message) => message.type === 'error')
    .map((message) => {
      const line = lines[message.lineNum - 1] ?? '';
      return `  line ${message.lineNum}:${message.linePos}: ${message.message}\n    ${line.trim()}`;
    });
  const reason = thrown instanceof Error ? thrown.message : String(thrown);
  return new TabditError('shader', `shader ${key}: does not compile:\n${report.join('\n') || reason}`);
}

/**
 * Opens a device on `gpu`.
 * @throws NoDeviceError when there is no adapter or it gives no device.
 */
export async function openDevice(gpu: GPU | undefined, options: OpenOptions = {}): Promise<Device> {
  if (!gpu) throw new NoDeviceError('WebGPU: this browser offers none: navigator.gpu is missing');
  const adapter = await gpu.requestAdapter({
    powerPreference: options.powerPreference ?? 'high-performance',
  });
  if (!adapter) throw new NoDeviceError('WebGPU: an adapter is needed: the system offers none');
  const facts = describeAdapter(adapter);
  const limits = options.defaultLimits ? defaultLimits : chooseLimits(adapter.limits);
  const features = options.defaultLimits ? [] : chooseFeatures(adapter.features);
  let device: GPUDevice;
  try {
    device = await adapter.requestDevice({
      requiredFeatures: features as GPUFeatureName[],
      requiredLimits: options.defaultLimits ? {} : { ...limits },
    });
  } catch (thrown) {
    throw new NoDeviceError(
      `WebGPU: ${facts.words} gives no device: ${thrown instanceof Error ? thrown.message : String(thrown)}`,
    );
  }
  return new Device(device, makeProfile(facts, limits, features), facts);
}
