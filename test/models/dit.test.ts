/**
 * The transformer against golden values of the reference: whole forward, guidance, every inner value, patch masking.
 * Errors are largest difference over largest value; the worst of each model is printed.
 */
import { readFileSync } from 'node:fs';
import { afterAll, afterEach, expect, test } from 'vitest';
import { Graph } from '../../src/graph/graph';
import type { Tensor } from '../../src/graph/tensor';
import { resolveDitConfig } from '../../src/models/dit/config';
import { ditForward } from '../../src/models/dit/forward';
import { ditParameters } from '../../src/models/dit/parameters';
import type { Weights } from '../../src/models/weights';
import { linear } from '../../src/ops/linear';
import { interpret } from '../../src/reference/interpret';
import { DitSession, timestepRows } from '../../src/sessions/ditSession';
import { groupWeights } from '../../src/sessions/loadWeights';
import { maskRows } from '../../src/train/patchMask';
import { difference, expectClose } from '../helpers/compare';
import { runGraph, testResources, useTestGpu } from '../helpers/device';
import { describeFixtures, fixturePath } from '../helpers/fixtures';
import { goldenPath } from '../helpers/golden';
import { openTensors, type GoldenFile } from '../helpers/tensors';

useTestGpu();
afterEach(async () => (await testResources()).state.releaseAll());

const bar = 2e-5;
const report: string[] = [];
afterAll(() => {
  for (const line of report) console.log(line);
});

const prefixes = { moe: 'patch_mixer.1.mlp', moe_backbone: 'blocks.1.mlp' } as const;

async function load(weights: string, json: string): Promise<{ session: DitSession }> {
  const { config } = resolveDitConfig(JSON.parse(readFileSync(json, 'utf8')));
  const resources = await testResources();
  const { file } = await openTensors(weights);
  return { session: await DitSession.load(resources, config, file, { storage: 'f32' }) };
}

/** Runs a forward with every inner value as an output. */
async function tapped(
  session: DitSession,
  golden: GoldenFile,
  mask: Awaited<ReturnType<typeof maskOf>> | null,
): Promise<Map<string, Float32Array>> {
  const [samples, captionLength] = [golden.shape('x')[0]!, golden.shape('y')[2]!];
  const graph = new Graph();
  const taps = new Map<string, Tensor>();
  const shape = { samples, captionLength, guidance: 1, keptTokens: mask?.kept ?? null };
  const f = ditForward(graph, session.weights(graph), session.layout, shape, (name, value) =>
    taps.set(name, value),
  );
  graph.output('F', f);
  for (const [name, value] of taps) graph.output(name, value);
  addMoeTaps(graph, session.weights(graph));
  const { outputs } = await runGraph(graph, {
    x: await golden.floats('x'),
    y: await golden.floats('y'),
    features: timestepRows(await golden.floats('t'), samples),
    ...(mask ? { keep: mask.keep, restore: mask.restore } : {}),
  });
  return new Map([...outputs].map(([name, bytes]) => [name, new Float32Array(bytes)]));
}

/** Router input, logits, probabilities and result of the first expert block of mixer and backbone. */
function addMoeTaps(graph: Graph, weights: Weights): void {
  for (const [name, module] of Object.entries(prefixes)) {
    const scope = module.replace(/\.mlp$/, '/mlp');
    // the norm makes the router's input and its probabilities; logits are never written, so they are made here
    const [x, , probs] = graph.nodes.find(
      (node) => node.op?.name === 'layerNorm' && node.scope === scope && node.outputs.length === 3,
    )!.outputs;
    const combine = graph.nodes.find(
      (node) => node.op?.name === 'combineExperts' && node.scope.startsWith(scope),
    )!;
    graph.output(`${name}.x`, x!);
    graph.output(`${name}.logits`, linear(graph, x!, weights(`${module}.gate.weight`)));
    graph.output(`${name}.probs`, probs!);
    graph.output(`${name}.out`, combine.outputs[1]!);
  }
}

async function maskOf(session: DitSession, golden: GoldenFile): Promise<ReturnType<typeof maskRows>> {
  const kept = golden.shape('ids_keep')[1]!;
  return maskRows(await golden.floats('noise'), session.layout.tokens, kept);
}

/** Every `act.*` of the file that a tap answers to; the name of those without one. */
async function compareActs(
  golden: GoldenFile,
  values: Map<string, Float32Array>,
  what: string,
): Promise<void> {
  let worst = { name: '', error: 0 };
  let count = 0;
  for (const full of golden.names.filter((name) => name.startsWith('act.'))) {
    const name = full.slice(4);
    if (name.endsWith('.topk_idx') || name.endsWith('.gates')) continue;
    const value = values.get(name);
    expect(value, `${what}: there is a value for ${full}`).toBeDefined();
    const { error } = expectClose(value!, await golden.floats(full), bar, `${what} ${full}`);
    count++;
    if (error > worst.error) worst = { name, error };
  }
  report.push(`${what}: ${count} inner values, worst ${worst.error.toExponential(1)} (${worst.name})`);
}

/** Picks and gates of the router, from its probabilities: the largest of each expert, descending. */
async function comparePicks(golden: GoldenFile, values: Map<string, Float32Array>): Promise<void> {
  for (const name of Object.keys(prefixes)) {
    if (!golden.has(`act.${name}.topk_idx`)) continue;
    const [samples, experts, picks] = golden.shape(`act.${name}.topk_idx`) as [number, number, number];
    const ids = await golden.ints(`act.${name}.topk_idx`);
    const gates = await golden.floats(`act.${name}.gates`);
    const probs = values.get(`${name}.probs`)!;
    const tokens = probs.length / samples / experts;
    for (let b = 0; b < samples; b++) {
      for (let e = 0; e < experts; e++) {
        const at = (t: number): number => probs[(b * tokens + t) * experts + e]!;
        const order = Array.from({ length: tokens }, (_, t) => t).sort((i, j) => at(j) - at(i) || i - j);
        const first = (b * experts + e) * picks;
        const chosen = order.slice(0, picks);
        expect([...ids.subarray(first, first + picks)].sort()).toEqual([...chosen].sort());
        expectClose(
          Float64Array.from(chosen, at),
          gates.subarray(first, first + picks),
          bar,
          `${name} gates`,
        );
      }
    }
  }
}

describeFixtures('transformer, golden values', () => {
  for (const model of ['micro-a', 'micro-b']) {
    const path = (kind: string, ending: string): string => fixturePath(`dit/${model}.${kind}.${ending}`);

    test(`${model}: forward, guidance, one time for all, no caption, inner values`, async () => {
      const { session } = await load(path('weights', 'safetensors'), path('forward', 'json'));
      const golden = await openTensors(path('forward', 'safetensors'));
      const [samples, captionLength] = [golden.shape('x')[0]!, golden.shape('y')[2]!];
      const request = {
        x: await golden.floats('x'),
        t: await golden.floats('t'),
        y: await golden.floats('y'),
        samples,
        captionLength,
      };
      const check = async (name: string, f: Promise<Float32Array>): Promise<void> => {
        const { error } = expectClose(await f, await golden.floats(name), bar, `${model} ${name}`);
        report.push(`${model} ${name}: ${error.toExponential(1)}`);
      };
      await check('F', session.forward(request));
      await check('F_cfg', session.forward({ ...request, guidance: 5 }));
      await check('F_t1', session.forward({ ...request, t: request.t.subarray(0, 1) }));
      await check('F_uncond', session.forward({ ...request, y: new Float32Array(request.y.length) }));
      const values = await tapped(session, golden, null);
      await compareActs(golden, values, model);
      await comparePicks(golden, values);
      session.dispose();
    });

    test(`${model}: patch masking`, async () => {
      const { session } = await load(path('weights', 'safetensors'), path('masked', 'json'));
      const golden = await openTensors(path('masked', 'safetensors'));
      const mask = await maskOf(session, golden);
      expect([...mask.idsKeep]).toEqual([...(await golden.ints('ids_keep'))]);
      expect([...mask.idsRestore]).toEqual([...(await golden.ints('ids_restore'))]);
      expect([...mask.mask]).toEqual([...(await golden.floats('mask'))]);
      const values = await tapped(session, golden, mask);
      const { error } = expectClose(values.get('F')!, await golden.floats('F'), bar, `${model} masked F`);
      report.push(`${model} masked F: ${error.toExponential(1)}`);
      await compareActs(golden, values, `${model} masked`);
      session.dispose();
    });
  }
});

test('micro-a: the interpreter agrees with the golden forward', async () => {
  const golden = await openTensors(goldenPath('micro-a.forward.safetensors'));
  const weights = await openTensors(goldenPath('micro-a.weights.safetensors'));
  const { config } = resolveDitConfig(JSON.parse(golden.file.metadata.get('config')!));
  const resources = await testResources();
  const session = await DitSession.load(resources, config, weights.file, { storage: 'f32' });
  const specs = ditParameters(config);
  const graph = new Graph();
  const [samples, captionLength] = [golden.shape('x')[0]!, golden.shape('y')[2]!];
  const shape = { samples, captionLength, guidance: 1, keptTokens: null };
  graph.output('F', ditForward(graph, groupWeights(graph, 'dit', specs, 'f32'), session.layout, shape));
  const state = new Map<string, Float64Array>();
  for (const { name } of specs) state.set(`dit:${name}`, Float64Array.from(await weights.floats(name)));
  const inputs = {
    x: await golden.floats('x'),
    y: await golden.floats('y'),
    features: timestepRows(await golden.floats('t'), samples),
  };
  const expected = await golden.floats('F');
  const oracle = interpret(graph, { inputs, state }).get('F')!;
  expect(difference(oracle, expected).error).toBeLessThan(2e-6);
  const f = await session.forward({ ...inputs, t: await golden.floats('t'), samples, captionLength });
  expectClose(f, oracle, bar, 'device against interpreter');
  session.dispose();
});
