/**
 * The ground under every other page test: the built page loads without an error under its content security policy,
 * and a dedicated worker in it gets a WebGPU device that computes.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { OpenedPage } from '../helpers/page';
import { openPage } from '../helpers/page';

/** Runs in the worker: doubles four numbers on the GPU and posts them with the adapter's name. */
const workerSource = `
const code = \`
@group(0) @binding(0) var<storage, read_write> values: array<f32>;
@compute @workgroup_size(4) fn double(@builtin(global_invocation_id) id: vec3u) {
  values[id.x] = 2.0 * values[id.x];
}\`;
async function run() {
  const adapter = await navigator.gpu?.requestAdapter();
  if (!adapter) return { error: 'no adapter' };
  const device = await adapter.requestDevice();
  const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
  const values = device.createBuffer({ size: 16, usage: STORAGE | COPY_SRC | COPY_DST });
  const staging = device.createBuffer({ size: 16, usage: MAP_READ | COPY_DST });
  device.queue.writeBuffer(values, 0, new Float32Array([1, 2, 3, 4]));
  const module = device.createShaderModule({ code });
  const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module } });
  const entries = [{ binding: 0, resource: { buffer: values } }];
  const group = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  pass.dispatchWorkgroups(1);
  pass.end();
  encoder.copyBufferToBuffer(values, 0, staging, 0, 16);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  return { architecture: adapter.info.architecture, values: [...new Float32Array(staging.getMappedRange())] };
}
run().catch((error) => ({ error: String(error) })).then((answer) => postMessage(answer));
`;

describe('WebGPU in the page', () => {
  let opened: OpenedPage;
  beforeAll(async () => {
    opened = await openPage();
  });
  afterAll(() => opened.close());

  test('the page loads without an error', async () => {
    await opened.page.locator('#root > *').first().waitFor();
    expect(opened.errors).toEqual([]);
  });

  test('a dedicated worker gets a device that computes', async () => {
    const answer = await opened.page.evaluate(
      (source) =>
        new Promise<unknown>((resolve, reject) => {
          const url = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }));
          const worker = new Worker(url, { type: 'module' });
          worker.onmessage = (event) => resolve(event.data);
          worker.onerror = (event) => reject(new Error(event.message));
        }),
      workerSource,
    );
    expect(answer).toEqual({ architecture: 'swiftshader', values: [2, 4, 6, 8] });
    expect(opened.errors).toEqual([]);
  });
});
