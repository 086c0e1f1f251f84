/**
 * Full-size models on a device: MicroDiT_XL_2 checkpoints of 4.67 GB are recognised at once and loaded in pieces, and
 * the bytes planned are the bytes then created. Takes 10 GB of disk and 3 GB of memory for the device.
 */
import { expect, it } from 'vitest';
import type { WeightStorage } from '../../src/protocol/generate';
import { DitSession } from '../../src/sessions/ditSession';
import { identify } from '../../src/sessions/identify';
import { ownBytes, planDit } from '../../src/sessions/memoryPlan';
import type { SourceFolder } from '../../src/sources/byteSource';
import { nodeFile } from '../../src/sources/node';
import { testGpu, useTestGpu } from '../helpers/device';
import { describeFixtures } from '../helpers/fixtures';
import { fullSizeFiles, MB, PeakWatch, watched } from './memory';

useTestGpu();

describeFixtures('MicroDiT_XL_2 at full size', () => {
  const pathOf = fullSizeFiles({
    '4-channel.pt': ['--size', '32'],
    '16-channel.pt': ['--size', '64', '--channels', '16'],
  });

  it.each([
    ['4-channel.pt', 'f16', 2.7e9],
    ['4-channel.pt', 'int8', 1.6e9],
    ['16-channel.pt', 'f16', 2.9e9],
  ] as const)('%s as %s', async (name: string, storage: WeightStorage, bar: number) => {
    const resources = await testGpu();
    const watch = new PeakWatch();
    const lengths: number[] = [];
    const source = watched(await nodeFile(pathOf(name)), lengths, watch);
    const folder: SourceFolder = { name: 'drop', list: async () => [name], open: async () => source };
    const began = performance.now();
    const [item] = await identify(folder);
    const recognisedMs = performance.now() - began;
    const dit = item!.parts[0]!.content!;
    if (dit.role !== 'dit') throw new Error(`${name} is ${dit.role}`);
    expect(item!.parts[0]!.facts.words).toContain('MicroDiT_XL_2');
    expect(recognisedMs).toBeLessThan(1000);

    const { config, file, prefix } = dit;
    const session = await DitSession.load(resources, config, file, { storage, prefix });
    const loadedMs = performance.now() - began - recognisedMs;
    const growth = watch.end();
    const shape = { samples: 1, captionLength: 77, steps: 30, guidance: 5 };
    const planned = planDit(
      { dit: config, vae: null, text: null, steps: 30, guidance: 5 },
      storage,
      resources.device.profile,
    );
    const { prompt, modulation, body } = await session.plans(shape);
    const { state, scratch } = resources;
    const created =
      ['dit', 'prompt', 'modulation', 'sampler'].reduce((sum, group) => sum + state.bytes(group), 0) +
      [prompt, modulation, body].reduce((sum, run) => sum + run.ownedBytes, 0);
    console.log(
      `${name} as ${storage}: recognised in ${recognisedMs.toFixed(0)} ms, loaded in ${(loadedMs / 1000).toFixed(1)} s, ` +
        `heap and external grew by ${(growth / MB).toFixed(0)} MB at most, largest read ${Math.max(...lengths)}; ` +
        `planned ${ownBytes(planned)} + scratch ${planned.scratch}, created ${created} + scratch ${scratch.bytes}; ` +
        `${planned.dispatches} dispatches an evaluation, ${planned.pipelines} pipelines`,
    );
    session.dispose();
    expect(growth).toBeLessThan(200 * MB);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(16 * 2 ** 20);
    expect(Math.abs(created / ownBytes(planned) - 1)).toBeLessThanOrEqual(0.01);
    expect(ownBytes(planned) + planned.scratch).toBeLessThanOrEqual(bar);
    expect(planned.dispatches).toBeLessThanOrEqual(450);
    expect(planned.pipelines).toBeLessThanOrEqual(80);
  });
});
