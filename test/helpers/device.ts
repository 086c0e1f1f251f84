/**
 * The device of kernel tests: one per test file, opened on whatever adapter the environment offers. No adapter fails the
 * tests; it never skips them. TABDIT_DEFAULT_LIMITS=1 forces WebGPU's default limits.
 */
import { afterAll, afterEach, beforeEach } from 'vitest';
import { create, globals } from 'webgpu';
import { openDevice } from '../../src/gpu/device';
import { Run } from '../../src/gpu/run';
import type { Graph } from '../../src/graph/graph';
import { planGraph, type Plan } from '../../src/graph/plan';
import type { DeviceProfile } from '../../src/graph/profile';
import { makeResources, type SessionResources } from '../../src/sessions/resources';

Object.assign(globalThis, globals);

export type TestGpu = SessionResources;

let current: Promise<TestGpu> | null = null;
// the entry point must stay referenced as long as the device is used
let gpu: GPU | null = null;

/** The file's device, opened on first use and destroyed after the last test. */
export function testGpu(): Promise<TestGpu> {
  current ??= (async () => {
    gpu = create([]);
    const device = await openDevice(gpu, { defaultLimits: process.env['TABDIT_DEFAULT_LIMITS'] === '1' });
    return makeResources(device);
  })();
  return current;
}

/** The test device's resources, under the name sessions know them by. */
export const testResources = testGpu;

/** Call once at the top of a test file: opens error scopes around each test, frees everything at the end. */
export function useTestGpu(): void {
  beforeEach(async () => {
    (await testGpu()).device.gpu.pushErrorScope('validation');
  });
  afterEach(async () => {
    const { device } = await testGpu();
    const error = await device.gpu.popErrorScope();
    if (error) throw new Error(`WebGPU validation error in this test: ${error.message}`);
  });
  afterAll(async () => {
    if (!current) return;
    const { device, state, scratch } = await current;
    state.releaseAll();
    scratch.destroy();
    device.destroy();
    current = null;
    gpu = null;
  });
}

/** Runs `graph` once on the test device, planned for its profile with `profile` changed; outputs as bytes by name. */
export async function runGraph(
  graph: Graph,
  inputs: Readonly<Record<string, Float32Array | Uint32Array | Int32Array>> = {},
  profile: Partial<DeviceProfile> = {},
): Promise<{ outputs: Map<string, ArrayBuffer>; plan: Plan }> {
  const resources = await testGpu();
  const plan = planGraph(graph, { ...resources.device.profile, ...profile });
  const run = await Run.create(plan, resources);
  try {
    for (const name of plan.inputs.keys()) {
      const data = inputs[name];
      if (!data) throw new Error(`runGraph: no value for input '${name}'`);
      run.write(name, data);
    }
    run.replay();
    const outputs = new Map<string, ArrayBuffer>();
    for (const name of plan.outputs.keys()) outputs.set(name, await run.readBytes(name));
    return { outputs, plan };
  } finally {
    run.destroy();
  }
}
