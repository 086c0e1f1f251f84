/** Small autoencoders with random weights, as files in memory, and running their plans. */
import { elementCount } from '../../src/core/shape';
import { readSafetensors } from '../../src/formats/safetensors/reader';
import { encodeSafetensors, floatTensor } from '../../src/formats/safetensors/writer';
import type { TensorFile } from '../../src/formats/tensorFile';
import { Run } from '../../src/gpu/run';
import type { Plan } from '../../src/graph/plan';
import type { DeviceProfile } from '../../src/graph/profile';
import type { ParameterSpec } from '../../src/models/parameters';
import type { KlConfig } from '../../src/protocol/schemas';
import type { VaeModel } from '../../src/protocol/vae';
import { memorySource } from '../../src/sources/memory';
import { normals } from './compare';
import { testGpu } from './device';

/** Three levels (f4), projections where the width changes, attention. */
export const smallKl: KlConfig = {
  in_channels: 3,
  out_channels: 3,
  latent_channels: 4,
  block_out_channels: [16, 32, 32],
  layers_per_block: 1,
  norm_num_groups: 8,
  mid_block_add_attention: true,
  scaling_factor: 0.25,
  use_quant_conv: true,
  use_post_quant_conv: true,
};

export const kl: VaeModel = { kind: 'kl', config: smallKl };
export const taesd: VaeModel = { kind: 'taesd', config: { latent_channels: 4 } };

/**
 * A safetensors file with random values for a table, such that activations keep about their size; `original`: under the
 * names of the original files.
 */
export async function randomFile(specs: readonly ParameterSpec[], original = false): Promise<TensorFile> {
  const tensors = specs.map(({ name, shape, aliases }, index) => {
    const values = normals(elementCount(shape), index + 1);
    const fan = elementCount(shape.slice(1));
    const isNorm = /norm\w*\.weight$/.test(name);
    const data = values.map((value) =>
      isNorm ? 1 + 0.1 * value : shape.length === 1 ? 0.1 * value : value / Math.sqrt(fan),
    );
    return floatTensor(original ? aliases![0]! : name, shape, data);
  });
  return readSafetensors(memorySource('random.safetensors', encodeSafetensors(tensors)));
}

/** The test device's profile with other limits. */
export async function limitedProfile(
  bindingBytes: number,
  bufferBytes = 4 * bindingBytes,
): Promise<DeviceProfile> {
  const { profile } = (await testGpu()).device;
  return {
    ...profile,
    limits: { ...profile.limits, maxStorageBufferBindingSize: bindingBytes, maxBufferSize: bufferBytes },
  };
}

/** Runs a plan with one input and one output on the test device. */
export async function runPlan(plan: Plan, input: Float32Array): Promise<Float32Array> {
  const run = await Run.create(plan, await testGpu());
  try {
    run.write([...plan.inputs.keys()][0]!, input);
    run.replay();
    return await run.read([...plan.outputs.keys()][0]!);
  } finally {
    run.destroy();
  }
}

/** Largest storage that any dispatch of a plan binds, in bytes. */
export function largestBinding(plan: Plan): number {
  const sizes = plan.dispatches.flatMap(({ bindings }) => bindings.map(({ buffer }) => buffer.bytes));
  return sizes.reduce((max, size) => Math.max(max, size), 0);
}
