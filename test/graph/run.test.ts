/** Runs: plans on a device. Random graphs against the interpreter, what binding checks, and what memory it takes. */
import { describe, expect, test } from 'vitest';
import { create } from 'webgpu';
import { DeviceLostError, NotFoundError, ShapeError } from '../../src/core/errors';
import { openDevice } from '../../src/gpu/device';
import { StateStore } from '../../src/gpu/pages';
import { readState } from '../../src/gpu/readback';
import { Run, ScratchPool, type RunResources } from '../../src/gpu/run';
import { Graph } from '../../src/graph/graph';
import { planGraph } from '../../src/graph/plan';
import { defaultLimits } from '../../src/graph/profile';
import { activation } from '../../src/ops/activation';
import { accumulate } from '../../src/ops/add';
import { linear } from '../../src/ops/linear';
import { interpretEffect, runEffect, withState } from '../helpers/checkEffect';
import { expectClose, normals } from '../helpers/compare';
import { testGpu, useTestGpu } from '../helpers/device';
import { randomGraph } from '../helpers/randomGraph';

useTestGpu();

/** The test device with scratch memory of its own. */
async function ownScratch(): Promise<RunResources> {
  const { device, state } = await testGpu();
  return { device, state, scratch: new ScratchPool(device) };
}

/** Four activations one after another: needs scratch of twice the size of x. */
function chain(count: number): Graph {
  const graph = new Graph();
  let y = graph.input('x', [count]);
  for (let i = 0; i < 4; i++) y = activation(graph, y, 'silu');
  graph.output('y', y);
  return graph;
}

describe('run', () => {
  test('random graphs give what the interpreter gives, state too', async () => {
    for (let seed = 1; seed <= 40; seed++) {
      const { graph, inputs, state } = randomGraph(seed, 20);
      const wanted = interpretEffect(graph, state, [inputs, inputs]);
      const actual = await runEffect(graph, state, [inputs, inputs]);
      for (const kind of ['outputs', 'state'] as const) {
        for (const [name, values] of actual[kind]) {
          expectClose(values, wanted[kind].get(name)!, 1e-5, `seed ${seed}: ${kind} ${name}`);
        }
      }
    }
  });

  test('buffers take the bytes that were planned', async () => {
    for (const graph of [chain(1000), randomGraph(3, 40).graph, randomGraph(8, 60).graph]) {
      const resources = await ownScratch();
      await withState(graph, async () => {
        const { memory } = planGraph(graph, resources.device.profile);
        const run = await Run.create(planGraph(graph, resources.device.profile), resources);
        const planned = memory.io + memory.uniforms + memory.scratch;
        const taken = run.ownedBytes + resources.scratch.bytes;
        expect(planned).toBeGreaterThan(0);
        expect(Math.abs(taken - planned), `${taken} bytes taken, ${planned} planned`).toBeLessThanOrEqual(
          0.01 * planned,
        );
        run.destroy();
      });
      resources.scratch.destroy();
    }
  });

  test('a dispatch range at a time gives the same', async () => {
    const resources = await testGpu();
    const { gpu } = resources.device;
    const graph = chain(300);
    const x = normals(300, 1);
    const run = await Run.create(planGraph(graph, resources.device.profile), resources);
    run.write('x', x);
    run.replay();
    const whole = await run.read('y');
    for (const [first, end] of [
      [0, 1],
      [1, 3],
      [3, 4],
    ] as const) {
      const encoder = gpu.createCommandEncoder();
      run.encode(encoder, first, end);
      gpu.queue.submit([encoder.finish()]);
    }
    expect(await run.read('y')).toEqual(whole);
    run.destroy();
  });

  test('growing scratch memory rebuilds bind groups of runs that exist', async () => {
    const resources = await ownScratch();
    const { device, scratch } = resources;
    const small = await Run.create(planGraph(chain(300), device.profile), resources);
    const x = normals(300, 1);
    small.write('x', x);
    small.replay();
    const before = await small.read('y');
    const [version, bytes] = [scratch.version, scratch.bytes];

    const large = await Run.create(planGraph(chain(100000), device.profile), resources);
    expect(scratch.version).toBeGreaterThan(version);
    expect(scratch.bytes).toBeGreaterThan(bytes);
    large.write('x', normals(100000, 2));
    large.replay();
    small.replay();
    expect(await small.read('y')).toEqual(before);

    // a plan that fits changes nothing
    const again = await Run.create(planGraph(chain(300), device.profile), resources);
    expect(scratch.bytes).toBe(large.plan.memory.scratch);
    again.write('x', x);
    again.replay();
    expect(await again.read('y')).toEqual(before);
    for (const run of [small, large, again]) run.destroy();
    scratch.destroy();
  });

  test('runs of one device share compiled pipelines', async () => {
    const resources = await testGpu();
    const first = await Run.create(planGraph(chain(300), resources.device.profile), resources);
    const compiled = resources.device.pipelineCount;
    const second = await Run.create(planGraph(chain(6000), resources.device.profile), resources);
    expect(resources.device.pipelineCount).toBe(compiled);
    first.destroy();
    second.destroy();
  });
});

describe('state', () => {
  /** y = x w, with w from the store. */
  function product(): Graph {
    const graph = new Graph();
    const w = graph.state('weights:blocks.0.w', [4, 4]);
    graph.output('y', linear(graph, graph.input('x', [3, 4]), w));
    return graph;
  }

  test('missing, or of another shape or dtype', async () => {
    const resources = await testGpu();
    const bind = () => Run.create(planGraph(product(), resources.device.profile), resources);
    await expect(bind()).rejects.toThrow(NotFoundError);
    await expect(bind()).rejects.toThrow(
      "state: there is no tensor named 'weights:blocks.0.w' on the device",
    );
    for (const [spec, held] of [
      [{ shape: [4, 5], dtype: 'f32' }, 'f32 [4, 5]'],
      [{ shape: [4, 4], dtype: 'f16' }, 'f16 [4, 4]'],
    ] as const) {
      await resources.state.allocate('weights', new Map([['blocks.0.w', spec]]));
      await expect(bind()).rejects.toThrow(ShapeError);
      await expect(bind()).rejects.toThrow(
        `state weights:blocks.0.w: the plan binds f32 [4, 4]: the store holds ${held}`,
      );
      resources.state.release('weights');
    }
  });

  test('outlives runs, and two runs see the same', async () => {
    const resources = await testGpu();
    const graph = new Graph();
    accumulate(graph, graph.state('sum:s', [5]), graph.input('x', [5]));
    await resources.state.allocate('sum', new Map([['s', { shape: [5], dtype: 'f32' }]]));
    for (const value of [1, 10]) {
      const run = await Run.create(planGraph(graph, resources.device.profile), resources);
      run.write('x', new Float32Array(5).fill(value));
      run.replay();
      run.replay();
      run.destroy();
    }
    const sum = new Float32Array(await readState(resources.state, 'sum:s'));
    expect(sum).toEqual(new Float32Array(5).fill(22));
    resources.state.release('sum');
    expect(resources.state.has('sum:s')).toBe(false);
  });

  test('groups, offsets and sizes are checked', async () => {
    const { state } = await testGpu();
    const spec = { shape: [3], dtype: 'f32' } as const;
    await state.allocate(
      'group',
      new Map([
        ['a', spec],
        ['b', spec],
      ]),
    );
    expect(state.names('group')).toEqual(['group:a', 'group:b']);
    expect(state.place('group:b').offset).toBe(256);
    expect(state.bytes('group')).toBe(512);
    await expect(state.allocate('group', new Map())).rejects.toThrow(
      "state: group 'group' is allocated already",
    );
    expect(() => state.write('group:a', new Float32Array(4))).toThrow(
      'state group:a: holds 12 bytes: 16 bytes written at 0',
    );
    state.write('group:a', Float32Array.of(1, 2), 4);
    expect(new Float32Array(await readState(state, 'group:a'))).toEqual(Float32Array.of(0, 1, 2));
    const huge = {
      shape: [state.device.profile.limits.maxStorageBufferBindingSize / 4 + 1],
      dtype: 'f32',
    } as const;
    await expect(state.allocate('huge', new Map([['w', huge]]))).rejects.toThrow(
      'state huge:w: a binding may hold at most',
    );
    state.release('group');
  });
});

describe('inputs and outputs', () => {
  test('wrong names and sizes are named', async () => {
    const resources = await testGpu();
    const run = await Run.create(planGraph(chain(300), resources.device.profile), resources);
    expect(() => run.write('z', new Float32Array(1))).toThrow("run: the plan has no input 'z'");
    expect(() => run.write('x', new Float32Array(299))).toThrow(
      'run: input x is f32 [300], 1200 bytes: 1196 bytes given',
    );
    await expect(run.read('z')).rejects.toThrow("run: the plan has no output 'z'");
    run.destroy();
  });
});

describe('devices', () => {
  test('default limits suffice, and are kept to when asked for', async () => {
    const entry = create([]);
    const device = await openDevice(entry, { defaultLimits: true });
    expect(device.profile.limits).toEqual(defaultLimits);
    expect(device.profile.features).toEqual([]);
    expect(device.gpu.limits.maxStorageBufferBindingSize).toBe(defaultLimits.maxStorageBufferBindingSize);
    const resources = { device, state: new StateStore(device), scratch: new ScratchPool(device) };
    const graph = chain(300);
    const run = await Run.create(planGraph(graph, device.profile), resources);
    run.write('x', normals(300, 1));
    run.replay();
    const y = await run.read('y');
    const wanted = await runEffect(graph, {}, [{ x: normals(300, 1) }]);
    expect(y).toEqual(wanted.outputs.get('y'));
    run.destroy();
    resources.scratch.destroy();
    device.destroy();
  });

  test('a lost device says so', async () => {
    const entry = create([]);
    const device = await openDevice(entry);
    const resources = { device, state: new StateStore(device), scratch: new ScratchPool(device) };
    const run = await Run.create(planGraph(chain(300), device.profile), resources);
    device.destroy();
    await device.gpu.lost;
    expect(device.lost).toBeInstanceOf(DeviceLostError);
    expect(() => run.replay()).toThrow(DeviceLostError);
    await expect(device.buffer(16, 0x80, 'anything')).rejects.toThrow('GPU device: lost (destroyed)');
  });

  test('a shader that does not compile is shown with its line', async () => {
    const { device } = await testGpu();
    const source = '@compute @workgroup_size(1)\nfn main() { let x: f32 = 1u; }';
    await expect(device.pipeline('broken()', { source, access: [] })).rejects.toThrow(
      /^shader broken\(\): does not compile:\n {2}line 2:\d+: .*\n {4}fn main/,
    );
  });
});
