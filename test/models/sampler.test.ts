/** The sampler against golden latents of the reference: 8 and 30 Heun steps, with and without guidance, every state. */
import { readFileSync } from 'node:fs';
import { afterAll, afterEach, test } from 'vitest';
import { resolveDitConfig } from '../../src/models/dit/config';
import { DitSession } from '../../src/sessions/ditSession';
import { expectCloseL2 } from '../helpers/compare';
import { testResources, useTestGpu } from '../helpers/device';
import { describeFixtures, fixturePath } from '../helpers/fixtures';
import { openTensors } from '../helpers/tensors';

useTestGpu();
afterEach(async () => (await testResources()).state.releaseAll());

const report: string[] = [];
afterAll(() => {
  for (const line of report) console.log(line);
});

interface RunSettings {
  readonly steps: number;
  readonly cfg: number;
}

describeFixtures('sampler, golden latents', () => {
  for (const model of ['micro-a', 'micro-b']) {
    // 74 steps on a device that may be one thread of a busy processor
    test(model, { timeout: 600_000 }, async () => {
      const path = (kind: string, ending: string): string => fixturePath(`dit/${model}.${kind}.${ending}`);
      const about = JSON.parse(readFileSync(path('sampler', 'json'), 'utf8')) as {
        config: unknown;
        runs: Record<string, RunSettings>;
      };
      const { config } = resolveDitConfig(about.config);
      const resources = await testResources();
      const weights = await openTensors(path('weights', 'safetensors'));
      const session = await DitSession.load(resources, config, weights.file, { storage: 'f16' });
      const golden = await openTensors(path('sampler', 'safetensors'));
      const samples = golden.shape('latents')[0]!;
      for (const [name, { steps, cfg }] of Object.entries(about.runs)) {
        const states: Float32Array[] = [];
        const latents = await session.sample({
          captions: await golden.floats('y'),
          captionLength: golden.shape('y')[2]!,
          noise: await golden.floats('latents'),
          samples,
          steps,
          guidance: cfg,
          onStep: async () => {
            await resources.pacer.idle();
            states.push(await session.readLatents());
          },
        });
        const final = expectCloseL2(latents, await golden.floats(`${name}.final`), 2e-4, `${model} ${name}`);
        let worst = 0;
        if (golden.has(`${name}.states`)) {
          const all = await golden.floats(`${name}.states`);
          const size = latents.length;
          states.forEach((state, step) => {
            const expected = all.subarray(step * size, (step + 1) * size);
            const { relativeL2 } = expectCloseL2(state, expected, 2e-4, `${model} ${name} step ${step}`);
            worst = Math.max(worst, relativeL2);
          });
        }
        report.push(
          `${model} ${name}: latents relative L2 ${final.relativeL2.toExponential(1)}, worst step ${worst.toExponential(1)}`,
        );
      }
      session.dispose();
    });
  }
});
