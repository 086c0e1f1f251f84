/**
 * DeviceProfile: everything about a device that a plan depends on. Plans for equal profiles are equal, so a checkpoint
 * stores the profile and a resume can say what changed. Pure data; src/gpu/profile.ts fills one from an adapter.
 */

/** The limits that shape plans (names as in WebGPU; sizes in bytes). */
export interface ProfileLimits {
  readonly maxStorageBufferBindingSize: number;
  readonly maxBufferSize: number;
  readonly maxComputeWorkgroupStorageSize: number;
  readonly maxComputeInvocationsPerWorkgroup: number;
  readonly maxStorageBuffersPerShaderStage: number;
  readonly maxComputeWorkgroupsPerDimension: number;
  readonly minStorageBufferOffsetAlignment: number;
  readonly minUniformBufferOffsetAlignment: number;
}

/**
 * Forms of the matrix product, by device class (see shaders/linear.wgsl.ts): tiles in workgroup memory, or, for adapters
 * that run on the CPU, straight from the operands. `naive`, one thread per output, is the benchmark's yardstick: products
 * and convolutions of a plan for such a profile are all naive.
 */
export type GemmTile = 'large' | 'small' | 'direct' | 'naive';

export interface DeviceProfile {
  /** Adapter in words. */
  readonly name: string;
  readonly limits: ProfileLimits;
  /** Features requested from the device, sorted. */
  readonly features: readonly string[];
  /** An adapter that runs on the CPU: barriers are dear, caches are good. */
  readonly software: boolean;
  /** Preferred tile of matrix products that are large enough for a choice. */
  readonly gemmTile: GemmTile;
}

/** WebGPU's default limits: what every device has. */
export const defaultLimits: ProfileLimits = {
  maxStorageBufferBindingSize: 134217728,
  maxBufferSize: 268435456,
  maxComputeWorkgroupStorageSize: 16384,
  maxComputeInvocationsPerWorkgroup: 256,
  maxStorageBuffersPerShaderStage: 8,
  maxComputeWorkgroupsPerDimension: 65535,
  minStorageBufferOffsetAlignment: 256,
  minUniformBufferOffsetAlignment: 256,
};

/** A profile without a device: plans for it run anywhere. */
export const plainProfile: DeviceProfile = {
  name: 'any device (default limits)',
  limits: defaultLimits,
  features: [],
  software: false,
  gemmTile: 'large',
};
