/**
 * The engine with dropped files on a real device: understood, loaded, generated from, within a budget that keeps
 * everything on the device and in one that does not; refusals leave the present model where it is.
 */
import { openAsBlob, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { create, globals } from 'webgpu';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { serveFolder } from '../../scripts/serve.mjs';
import { Engine } from '../../src/engine/engine';
import type {
  DroppedFile,
  GenerateResult,
  ModelDescription,
  PageMessage,
  WorkerMessage,
} from '../../src/protocol/messages';
import type { LibraryView } from '../../src/protocol/library';

Object.assign(globalThis, globals);

const publicFolder = resolve(import.meta.dirname, '../../public');
const demo = join(publicFolder, 'models/emoji-64');
const settings = {
  prompts: ['red apple'],
  steps: 2,
  guidance: 3,
  seed: '5',
  noiseLayout: 'cuda',
} as const;

let gpu: GPU | null = create([]);
let served: Awaited<ReturnType<typeof serveFolder>>;
let engine: Engine;
const said: WorkerMessage[] = [];
let nextId = 1;

beforeAll(async () => {
  served = await serveFolder(publicFolder);
  engine = new Engine({ gpu: gpu!, secure: true, post: (message) => void said.push(message) });
  await ask({ type: 'init', assets: served.url });
});

afterAll(async () => {
  await ask({ type: 'unloadModel' });
  await served.close();
  gpu = null;
});

type Request = PageMessage extends infer M ? (M extends PageMessage ? Omit<M, 'id'> : never) : never;

/** The answer's value. @throws Error with the engine's message */
async function ask<T>(request: Request): Promise<T> {
  const id = nextId++;
  engine.receive({ ...request, id });
  const answer = (): WorkerMessage | undefined =>
    said.find((reply) => (reply.type === 'done' || reply.type === 'failed') && reply.id === id);
  while (!answer()) await new Promise((resolve) => setTimeout(resolve, 5));
  const reply = answer()!;
  if (reply.type === 'failed') throw new Error(reply.error.message);
  return (reply as Extract<WorkerMessage, { type: 'done' }>).value as T;
}

async function dropped(folder: string, under: string): Promise<DroppedFile[]> {
  return Promise.all(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(async (entry) => {
        const path = join(entry.parentPath, entry.name);
        return { path: join(under, path.slice(folder.length + 1)), file: await openAsBlob(path) };
      }),
  );
}

const library = (): LibraryView => said.filter((message) => message.type === 'library').at(-1)!.library;

describe('dropped files', () => {
  test('a bundle is understood, fills all roles, and its memory is planned', async () => {
    const items = await ask<readonly { kind: string }[]>({
      type: 'addFiles',
      files: await dropped(demo, 'emoji'),
    });
    expect(items.map(({ kind }) => kind)).toContain('bundle');
    const view = library();
    expect(Object.values(view.chosen).every((choice) => choice !== null)).toBe(true);
    expect([view.missing, view.conflicts]).toEqual([[], []]);
    expect(view.plans.map(({ weights, fit }) => [weights, fit])).toEqual([
      ['f32', 'resident'],
      ['f16', 'resident'],
      ['int8', 'resident'],
    ]);
    const [f32, f16, int8] = view.plans.map(({ total }) => total);
    expect(f32).toBeGreaterThan(f16!);
    expect(f16).toBeGreaterThan(int8!);
  });

  test('tensors and statistics on demand', async () => {
    const item = library().items.find(({ kind }) => kind === 'bundle')!.id;
    const tensors = await ask<readonly { name: string; shape: readonly number[] }[]>({
      type: 'readTensors',
      item,
    });
    expect(tensors.length).toBeGreaterThan(300);
    const statistics = await ask<{ count: number; histogram: readonly number[]; notFinite: number }>({
      type: 'readStatistics',
      item,
      tensor: tensors[0]!.name,
    });
    expect(statistics.count).toBe(tensors[0]!.shape.reduce((a, b) => a * b, 1));
    expect(statistics.histogram.reduce((a, b) => a + b, 0) + statistics.notFinite).toBe(statistics.count);
    await expect(ask({ type: 'readStatistics', item, tensor: 'nothing' })).rejects.toThrow('nothing');
    await expect(ask({ type: 'readTensors', item: 'item-99' })).rejects.toThrow('item-99');
  });
});

describe('loading', () => {
  let whole: GenerateResult;

  test('with room for everything', async () => {
    const model = await ask<ModelDescription>({
      type: 'loadModel',
      source: { kind: 'library' },
      weights: 'f16',
    });
    expect(model).toMatchObject({ weights: 'f16', residency: 'resident', name: 'emoji-64', imageSize: 64 });
    whole = await ask<GenerateResult>({ type: 'generate', settings });
    expect(whole.pictures).toHaveLength(1);
  });

  test('parts that come and go give the same picture', async () => {
    const { staged, total } = library().plans.find(({ weights }) => weights === 'f16')!;
    expect(staged).toBeLessThan(total);
    await ask({ type: 'setBudget', bytes: staged });
    expect(library().plans.map(({ fit }) => fit)).toEqual(['none', 'staged', expect.any(String)]);
    const model = await ask<ModelDescription>({
      type: 'loadModel',
      source: { kind: 'library' },
      weights: 'auto',
    });
    expect(model).toMatchObject({ weights: 'f16', residency: 'staged', budget: staged });
    const first = await ask<GenerateResult>({ type: 'generate', settings });
    const second = await ask<GenerateResult>({ type: 'generate', settings });
    expect(first.pictures[0]!.png).toEqual(whole.pictures[0]!.png);
    expect(second.pictures[0]!.png).toEqual(whole.pictures[0]!.png);
    const report = await ask<{ memory: readonly { bytes: number }[] }>({ type: 'describeDevice' });
    expect(report.memory.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThanOrEqual(staged);
  });

  test('several pictures go in portions that fit, and are the same ones', async () => {
    const prompts = ['red apple', 'fox', 'red apple'];
    const portions = await ask<GenerateResult>({ type: 'generate', settings: { ...settings, prompts } });
    await ask({ type: 'setBudget', bytes: 1e9 });
    await ask({ type: 'loadModel', source: { kind: 'library' }, weights: 'f16' });
    const together = await ask<GenerateResult>({ type: 'generate', settings: { ...settings, prompts } });
    expect(portions.pictures).toHaveLength(3);
    for (const [index, { png }] of together.pictures.entries()) {
      expect(portions.pictures[index]!.png, `picture ${index}`).toEqual(png);
    }
  });

  test('a budget below everything is refused with the amounts; the present model stays', async () => {
    const before = said.length;
    await ask({ type: 'setBudget', bytes: 100_000 });
    await expect(ask({ type: 'loadModel', source: { kind: 'library' }, weights: 'auto' })).rejects.toThrow(
      /memory: the largest part must fit the budget of 100000 bytes: it needs \d+ bytes with f16/,
    );
    expect(said.slice(before).some((message) => message.type === 'model')).toBe(false);
    await ask({ type: 'setBudget', bytes: 1e9 });
    expect((await ask<GenerateResult>({ type: 'generate', settings })).pictures).toHaveLength(1);
  });

  test('a second model waits for the picture that is being made', async () => {
    const generating = ask<GenerateResult>({ type: 'generate', settings: { ...settings, steps: 3 } });
    const loading = ask<ModelDescription>({
      type: 'loadModel',
      source: { kind: 'bundle', base: `${served.url}models/emoji-64/` },
      weights: 'int8',
    });
    expect((await generating).pictures).toHaveLength(1);
    const model = await loading;
    expect(model.weights).toBe('int8');
    expect(model.quantization.length).toBeGreaterThan(50);
    expect(model.quantization[0]!.relativeError).toBeGreaterThanOrEqual(model.quantization[1]!.relativeError);
    expect(model.quantization[0]!.relativeError).toBeLessThan(0.05);
    expect((await ask<GenerateResult>({ type: 'generate', settings })).pictures).toHaveLength(1);
  });

  test('cancelling a load leaves nothing behind, and the next one works', async () => {
    const id = nextId++;
    engine.receive({ type: 'loadModel', id, source: { kind: 'library' }, weights: 'f32' });
    await expect
      .poll(() => said.some((message) => message.type === 'loadProgress' && message.id === id), {
        timeout: 60_000,
        interval: 1,
      })
      .toBe(true);
    await ask({ type: 'cancel', job: id });
    await expect
      .poll(() => said.find((message) => message.type === 'failed' && message.id === id), { timeout: 60_000 })
      .toMatchObject({ error: { code: 'cancelled' } });
    const { memory } = await ask<{ memory: readonly { purpose: string; bytes: number }[] }>({
      type: 'describeDevice',
    });
    expect(memory.find(({ purpose }) => purpose === 'weights and state')?.bytes).toBe(0);
    await expect(ask({ type: 'generate', settings })).rejects.toThrow('a model must be loaded');
    await ask({ type: 'loadModel', source: { kind: 'library' }, weights: 'f16' });
  });

  test('an emptied role is missing and says so', async () => {
    await ask({ type: 'choosePart', role: 'vae', choice: null });
    expect(library().missing.map(({ role }) => role)).toEqual(['vae']);
    await expect(ask({ type: 'loadModel', source: { kind: 'library' }, weights: 'auto' })).rejects.toThrow(
      /autoencoder/,
    );
    const item = library().items.find(({ kind }) => kind === 'bundle')!;
    const part = item.parts.findIndex(({ role }) => role === 'vae');
    await ask({ type: 'choosePart', role: 'vae', choice: { item: item.id, part } });
    expect(library().missing).toEqual([]);
    await ask({ type: 'removeItem', item: item.id });
    expect(library().items).toEqual([]);
    // what is loaded stays: its files are still open
    expect((await ask<GenerateResult>({ type: 'generate', settings })).pictures).toHaveLength(1);
  });
});
