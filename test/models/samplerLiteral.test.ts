/**
 * The sampler's exact algebra against upstream's literal form, on the device: captions and modulation once per image, the
 * unconditional half's cross-attention as one vector per block and experts by gathering give the same picture as a whole
 * network evaluation each time, zero captions through full attention and products with one-hot matrices.
 */
import { afterAll, afterEach, expect, test, vi } from 'vitest';
import { ditLayout, resolveDitConfig } from '../../src/models/dit/config';
import type * as Moe from '../../src/models/dit/moe';
import { DitSession } from '../../src/sessions/ditSession';
import { expectCloseL2, normals } from '../helpers/compare';
import { testResources, useTestGpu } from '../helpers/device';
import { describeFixtures, fixturePath } from '../helpers/fixtures';
import { openGolden } from '../helpers/golden';
import { literalSample } from '../helpers/literalSampler';
import { oneHotMoe } from '../helpers/moe';
import { openTensors, type GoldenFile } from '../helpers/tensors';

/** The experts' form while it is not the project's, and how often it was traced. */
const replaced = vi.hoisted(() => ({ moe: null as typeof Moe.moe | null, traced: 0 }));
vi.mock('../../src/models/dit/moe', async (original) => {
  const actual = await original<typeof Moe>();
  const moe: typeof Moe.moe = (...given) => {
    if (!replaced.moe) return actual.moe(...given);
    replaced.traced++;
    return replaced.moe(...given);
  };
  return { ...actual, moe };
});

useTestGpu();
afterEach(async () => {
  replaced.moe = null;
  (await testResources()).state.releaseAll();
});

const report: string[] = [];
afterAll(() => {
  for (const line of report) console.log(line);
});

/** Largest relative L2 difference of the final latents. */
const bar = 1e-5;

interface Given {
  readonly captions: Float32Array;
  readonly captionLength: number;
  readonly noise: Float32Array;
  readonly samples: number;
}

async function compare(model: string, weights: GoldenFile, given: Given): Promise<void> {
  const { config } = resolveDitConfig(weights.json('config'));
  const session = await DitSession.load(await testResources(), config, weights.file, { storage: 'f32' });
  const request = { ...given, steps: 8, guidance: 5 };
  const exact = await session.sample(request);
  replaced.moe = oneHotMoe;
  replaced.traced = 0;
  const literal = await literalSample(session, request);
  const layout = ditLayout(config);
  const experts = [...layout.mixer, ...layout.blocks].filter(({ kind }) => kind === 'moe');
  expect(replaced.traced, 'blocks with one-hot experts').toBe(experts.length);
  const { relativeL2 } = expectCloseL2(exact, literal, bar, `${model}: exact against literal`);
  // equal to the last bit would mean that the same thing was computed twice
  expect(relativeL2).toBeGreaterThan(0);
  report.push(`${model}: 8 guided steps, exact against literal: relative L2 ${relativeL2.toExponential(1)}`);
  session.dispose();
}

const timeout = 600_000;

test(`micro-a: within ${bar} of the literal form`, { timeout }, async () => {
  const forward = await openGolden('micro-a.forward');
  const samples = forward.shape('y')[0]!;
  const latents = forward.shape('x').reduce((product, extent) => product * extent, 1);
  await compare('micro-a', await openGolden('micro-a.weights'), {
    captions: await forward.floats('y'),
    captionLength: forward.shape('y')[2]!,
    noise: normals(latents, 4),
    samples,
  });
});

describeFixtures('literal form, golden inputs', () => {
  for (const model of ['micro-a', 'micro-b']) {
    test(`${model}: within ${bar} of the literal form`, { timeout }, async () => {
      const golden = await openTensors(fixturePath(`dit/${model}.sampler.safetensors`));
      await compare(
        `${model}, golden inputs`,
        await openTensors(fixturePath(`dit/${model}.weights.safetensors`)),
        {
          captions: await golden.floats('y'),
          captionLength: golden.shape('y')[2]!,
          noise: await golden.floats('latents'),
          samples: golden.shape('latents')[0]!,
        },
      );
    });
  }
});
