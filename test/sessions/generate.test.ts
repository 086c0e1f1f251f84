/**
 * The bundled demo model, prompt to picture, against golden samples of the reference; the same settings give the same
 * bytes; planned memory is the memory then created.
 */
import { resolve } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { readBundle } from '../../src/formats/bundle';
import { encodePng } from '../../src/formats/png/png';
import { groupBytes } from '../../src/graph/state';
import { GenerateSession, initialNoise, parseSeed } from '../../src/sessions/generate';
import { bundleParts } from '../../src/sessions/modelSet';
import { samplerState } from '../../src/sessions/samplerPlans';
import { tokenizePrompts } from '../../src/sessions/textSession';
import { nodeFolder } from '../../src/sources/node';
import { expectClose, expectCloseL2 } from '../helpers/compare';
import { testResources, useTestGpu } from '../helpers/device';
import { openGolden } from '../helpers/golden';

useTestGpu();

const report: string[] = [];
let loaded: Promise<GenerateSession> | null = null;

function demo(): Promise<GenerateSession> {
  loaded ??= (async () => {
    const folder = await nodeFolder(resolve(import.meta.dirname, '../../public/models/emoji-64'));
    return GenerateSession.load(await testResources(), await bundleParts(await readBundle(folder)), {
      weights: 'f16',
    });
  })();
  return loaded;
}

afterAll(async () => {
  if (loaded) (await loaded).dispose();
  for (const line of report) console.log(line);
});

describe('the demo model', () => {
  test('golden samples: ids, caption latents, latents and pictures', async () => {
    const session = await demo();
    const golden = await openGolden('emoji-64.samples');
    const prompts = golden.json('prompts') as string[];
    const ids = tokenizePrompts(session.parts.text!.tokenizer, prompts);
    expect([...ids]).toEqual([...(await golden.ints('input_ids'))]);

    const latentsOf = await golden.floats('latents_8');
    const stages = new Set<string>();
    const steps: number[] = [];
    const began = performance.now();
    const { pictures, latents, captions, timings } = await session.generate(
      { prompts, steps: 8, guidance: 3, seed: '7', noiseLayout: 'cpu' },
      {
        noise: await golden.floats('noise'),
        previewEvery: 0,
        onProgress: ({ stage, step }) => {
          stages.add(stage);
          if (stage === 'sample') steps.push(step);
        },
      },
    );
    const caption = expectClose(captions, await golden.floats('caption_latents'), 2e-5, 'caption latents');
    const l2 = expectCloseL2(latents, latentsOf, 1e-3, 'latents after 8 steps');
    expect([...stages]).toEqual(['text', 'sample', 'decode']);
    expect(steps).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);

    const image = await golden.floats('image_8');
    const [, , height, width] = golden.shape('image_8') as [number, number, number, number];
    let total = 0;
    pictures.forEach(({ rgb }, n) => {
      for (let i = 0; i < height * width; i++) {
        for (let channel = 0; channel < 3; channel++) {
          const value = image[(n * 3 + channel) * height * width + i]!;
          const byte = 255 * Math.min(1, Math.max(0, value / 2 + 0.5));
          total += Math.abs(rgb[i * 3 + channel]! - byte);
        }
      }
    });
    const mean = total / image.length;
    expect(mean).toBeLessThanOrEqual(0.5);
    report.push(
      `demo, ${prompts.length} prompts, 8 steps: caption latents ${caption.error.toExponential(1)}, latents relative L2 ${l2.relativeL2.toExponential(1)}, pictures differ by ${mean.toFixed(3)} of 255 on average (rounding alone: 0.25); ${((performance.now() - began) / 1000).toFixed(1)} s (text ${timings.textMs.toFixed(0)}, sampling ${timings.sampleMs.toFixed(0)}, decoding ${timings.decodeMs.toFixed(0)} ms)`,
    );
  });

  test('two runs with one seed give the same bytes, another seed other ones', async () => {
    const session = await demo();
    const run = async (seed: string): Promise<{ latents: Float32Array; png: Uint8Array }> => {
      const settings = { prompts: ['red apple'], steps: 2, guidance: 3, seed, noiseLayout: 'cuda' as const };
      const { pictures, latents } = await session.generate(settings, { previewEvery: 0 });
      const { width, height, rgb } = pictures[0]!;
      return { latents, png: await encodePng({ width, height, channels: 3, data: rgb }) };
    };
    const first = await run('-3');
    const second = await run('-3');
    expect(second.latents).toEqual(first.latents);
    expect(second.png).toEqual(first.png);
    expect((await run('4')).latents).not.toEqual(first.latents);
  });

  test('planned bytes are the bytes of the buffers then created', async () => {
    const session = await demo();
    const { state, scratch } = await testResources();
    const { model } = session;
    const facts = await model.describe();
    for (const plan of facts.plans) {
      expect(
        Math.abs(plan.createdBytes - plan.plannedBytes) / plan.plannedBytes,
        plan.name,
      ).toBeLessThanOrEqual(0.01);
      report.push(
        `demo, ${plan.name}: ${(plan.macs / 1e6).toFixed(1)} MMAC, ${plan.dispatches} dispatches, ${plan.pipelines} pipelines, ${plan.plannedBytes} bytes planned, ${plan.createdBytes} created`,
      );
    }
    const { parts, total } = model.plan;
    for (const [group, { weights }] of parts) expect(state.bytes(group), group).toBe(weights);
    const shape = { samples: 1, captionLength: 16, steps: 16, guidance: 3 };
    for (const [group, specs] of samplerState((await model.part('dit')).layout, shape)) {
      expect(state.bytes(group), group).toBe(
        groupBytes(group, specs, (await testResources()).device.profile.limits),
      );
    }
    // the pool serves every run made so far, of larger batches too
    const most = Math.max(...[...parts.values()].map((part) => part.scratch));
    expect(scratch.bytes).toBeGreaterThanOrEqual(most);
    expect(total).toBeGreaterThan(most);
    report.push(`demo memory: ${facts.memory.map(({ purpose, bytes }) => `${purpose} ${bytes}`).join(', ')}`);
  });

  test('cancelling ends a generation; wrong settings are named', async () => {
    const session = await demo();
    const settings = { prompts: ['cookie'], steps: 4, guidance: 3, seed: '', noiseLayout: 'cuda' as const };
    const abort = new AbortController();
    const job = session.generate(settings, {
      signal: abort.signal,
      previewEvery: 0,
      onProgress: ({ step }) => {
        if (step === 1) abort.abort();
      },
    });
    await expect(job).rejects.toMatchObject({ code: 'cancelled' });
    await expect(session.generate({ ...settings, steps: 1 })).rejects.toThrow(
      'steps: a whole number, at least 2: 1',
    );
    await expect(session.generate({ ...settings, prompts: [] })).rejects.toThrow('prompts: at least one');
  });
});

test('seeds: nothing and 0 are the default generator, others are exact', () => {
  expect(parseSeed('')).toBeNull();
  expect(parseSeed('0')).toBeNull();
  expect(parseSeed('-1')).toBe(-1n);
  expect(parseSeed('18446744073709551615')).toBe(18446744073709551615n);
  expect(() => parseSeed('1.5')).toThrow('seed: a whole number: "1.5"');
  expect(initialNoise('0', 'cuda', 4)).toEqual(initialNoise('67280421310721', 'cuda', 4));
});
