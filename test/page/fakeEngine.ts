/**
 * A stand-in for the engine's worker, for page tests of states that a real one reaches rarely or slowly: it speaks the
 * protocol and computes nothing. Injected into the page in place of `Worker`; a test then drives it through
 * `window.fakeEngine`. Runs inside the browser, so it uses nothing from outside the function.
 */
import type { Page } from 'playwright-core';
import type { ModelDescription, PageMessage, WorkerMessage } from '../../src/protocol/messages';
import { fakeLibraryScript, type FakeLibrary } from './fakeLibrary';

export interface FakeEngine {
  /** Everything the page sent. */
  readonly received: PageMessage[];
  /** Says something to the page. */
  say(message: WorkerMessage): void;
  /** Ends the worker as a crash would. */
  crash(message: string): void;
}

declare global {
  interface Window {
    fakeEngine: FakeEngine;
    fakeLibrary: (defaultBudget: number, tensors: number) => FakeLibrary;
  }
}

export interface FakeOptions {
  /** Milliseconds per step; 0: nothing runs by itself, the test says everything. */
  readonly stepMs: number;
  /** State reported on init. */
  readonly state: 'ready' | 'no-webgpu' | 'insecure' | 'no-adapter';
  /** Whether loading the demo succeeds. */
  readonly model: 'loads' | 'fails' | 'hangs';
  /** Whether loading what is chosen in the library does. */
  readonly chosen: 'loads' | 'fails';
  /** Edge of the demo model's pictures. */
  readonly imageSize: number;
  /** Tensors of every file that has any. */
  readonly tensors: number;
}

export const fakeDefaults: FakeOptions = {
  stepMs: 20,
  state: 'ready',
  model: 'loads',
  chosen: 'loads',
  imageSize: 64,
  tensors: 478,
};

/** Call before the page is opened. */
export async function fakeEngine(page: Page, options: Partial<FakeOptions> = {}): Promise<void> {
  await page.addInitScript(fakeLibraryScript);
  await page.addInitScript(install, { ...fakeDefaults, ...options });
}

/** The function that the browser runs; exported for tools that drive a browser without Page. */
export function install(options: FakeOptions): void {
  type Listener = (event: Event) => void;
  const listeners = new Map<string, Set<Listener>>();
  const received: PageMessage[] = [];
  const emit = (type: string, event: Event): void =>
    listeners.get(type)?.forEach((listener) => listener(event));
  // as a real worker: later, and copied
  const say = (message: WorkerMessage): void =>
    void setTimeout(
      () => emit('message', new MessageEvent('message', { data: structuredClone(message) })),
      0,
    );
  const crash = (message: string): void => emit('error', new ErrorEvent('error', { message }));
  const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

  const adapter = {
    words: 'Example GPU 9000',
    vendor: 'example',
    architecture: 'maple',
    device: '',
    description: 'Example GPU 9000',
    software: false,
    features: ['shader-f16', 'subgroups', 'timestamp-query', 'texture-compression-bc', 'float32-filterable'],
    limits: {
      maxBufferSize: 4294967296,
      maxStorageBufferBindingSize: 2147483644,
      maxStorageBuffersPerShaderStage: 10,
      maxComputeWorkgroupStorageSize: 32768,
      maxComputeInvocationsPerWorkgroup: 1024,
      maxComputeWorkgroupsPerDimension: 65535,
      minStorageBufferOffsetAlignment: 32,
      minUniformBufferOffsetAlignment: 64,
    },
    usedFeatures: ['shader-f16', 'subgroups', 'timestamp-query'],
    usedLimits: { maxBufferSize: 4294967296, maxStorageBufferBindingSize: 2147483644 },
    defaultBudget: 4e9,
  };
  const plan = { dispatches: 96, pipelines: 31, plannedBytes: 540672, createdBytes: 540672 };
  const model: ModelDescription = {
    source: { kind: 'bundle', base: '' },
    name: 'emoji-64',
    title: 'Emoji 64 px (demo)',
    licence: 'Pictures: Noto Color Emoji (SIL OFL 1.1).',
    imageSize: options.imageSize,
    weights: 'f16',
    weightChoice: 'auto',
    residency: 'resident',
    budget: 4e9,
    quantization: [],
    defaults: {
      steps: 16,
      guidance: 3,
      prompts: [
        'grinning face',
        'crying cat',
        'clown face',
        'blue heart',
        'a picture of a fox',
        'hamburger',
        'panda',
      ],
    },
    parameters: [
      { part: 'diffusion transformer', count: 1_830_000 },
      { part: 'text tower', count: 420_000 },
      { part: 'autoencoder', count: 800_000 },
    ],
    memory: [
      { purpose: 'transformer weights', bytes: 3_680_000 },
      { purpose: 'text tower weights', bytes: 840_000 },
      { purpose: 'autoencoder weights', bytes: 1_620_000 },
      { purpose: 'scratch', bytes: 2_400_000 },
    ],
    plans: [
      { name: 'one evaluation', macs: 98_000_000, ...plan },
      { name: 'decoding a picture', macs: 410_000_000, ...plan },
    ],
    loadMs: 820,
  };
  const error = (code: string, message: string): Extract<WorkerMessage, { type: 'failed' }>['error'] => ({
    name: 'TabditError',
    code,
    message,
    stack: `TabditError: ${message}\n    at fake (engine.ts:1:1)`,
  });

  /** A disc on white that gets clearer with `share` from 0 to 1. */
  const picture = (
    share: number,
    hue: number,
  ): { width: number; height: number; rgb: Uint8Array<ArrayBuffer> } => {
    const size = loaded?.imageSize ?? options.imageSize;
    const rgb = new Uint8Array(size * size * 3);
    const centre = (size - 1) / 2;
    for (let i = 0; i < size * size; i++) {
      const distance = Math.hypot((i % size) - centre, Math.floor(i / size) - centre);
      const noise = (((i * 7919) % 251) - 125) * (1 - share);
      for (let c = 0; c < 3; c++) {
        const inside = c === hue % 3 ? 60 : 205;
        rgb[i * 3 + c] = Math.max(0, Math.min(255, (distance < 0.4 * size ? inside : 250) + noise));
      }
    }
    return { width: size, height: size, rgb };
  };
  const png = async ({
    width,
    height,
    rgb,
  }: ReturnType<typeof picture>): Promise<Uint8Array<ArrayBuffer>> => {
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext('2d');
    const image = new ImageData(width, height);
    for (let i = 0; i < width * height; i++) image.data.set([...rgb.subarray(i * 3, i * 3 + 3), 255], i * 4);
    context?.putImageData(image, 0, 0);
    return new Uint8Array(await (await canvas.convertToBlob({ type: 'image/png' })).arrayBuffer());
  };

  const cancelled = new Set<number>();
  let last = Promise.resolve();
  let loaded: ModelDescription | null = null;
  const generate = async (message: Extract<PageMessage, { type: 'generate' }>): Promise<void> => {
    const { id, settings } = message;
    const { prompts, steps } = settings;
    const job = { kind: 'generate' as const, settings };
    const stop = (): boolean => {
      if (!cancelled.has(id)) return false;
      say({ type: 'failed', id, of: 'generate', error: error('cancelled', 'cancelled') });
      return true;
    };
    if (stop()) return;
    say({ type: 'job', id, job, phase: 'running' });
    const began = performance.now();
    const hue = Number(BigInt.asUintN(8, BigInt(settings.seed || '0')));
    for (let step = 0; step <= steps; step++) {
      await wait(options.stepMs);
      if (stop()) return;
      const elapsedMs = performance.now() - began;
      const leftMs = step === 0 ? null : (elapsedMs / step) * (steps - step);
      const sigma = step === steps ? 0 : 80 * (1 - step / steps) ** 4;
      say({ type: 'progress', id, progress: { stage: 'sample', step, steps, sigma, elapsedMs, leftMs } });
      if (step === 0) continue;
      say({ type: 'preview', id, step, pictures: prompts.map((_, i) => picture(step / steps, hue + i)) });
    }
    const size = loaded?.imageSize ?? options.imageSize;
    const pictures = await Promise.all(
      prompts.map(async (prompt, index) => ({
        png: await png(picture(1, hue + index)),
        width: size,
        height: size,
        settings: {
          program: 'tabdit' as const,
          model: loaded?.name ?? model.name,
          prompt,
          steps,
          guidance: settings.guidance,
          seed: settings.seed,
          noiseLayout: settings.noiseLayout,
          index,
          count: prompts.length,
        },
      })),
    );
    const totalMs = performance.now() - began;
    const timings = { textMs: 1, sampleMs: totalMs - 2, decodeMs: 1, totalMs };
    say({ type: 'done', id, of: 'generate', value: { pictures, timings } });
  };

  const files = window.fakeLibrary(adapter.defaultBudget, options.tensors);
  const tellLibrary = (): void => say({ type: 'library', library: files.view() });

  const load = async (message: Extract<PageMessage, { type: 'loadModel' }>): Promise<void> => {
    const { id, source, weights } = message;
    const stop = (): boolean => {
      if (!cancelled.has(id)) return false;
      say({ type: 'failed', id, of: 'loadModel', error: error('cancelled', 'cancelled') });
      return true;
    };
    if (stop()) return;
    say({ type: 'job', id, job: { kind: 'loadModel', source }, phase: 'running' });
    if (loaded) say({ type: 'model', model: null });
    loaded = null;
    const own = source.kind === 'library';
    const outcome = own ? options.chosen : options.model;
    const total = own ? 5_930_000_000 : 6_150_000;
    for (let done = 0; done <= 4; done++) {
      say({ type: 'loadProgress', id, done: (done / 4) * total, total, what: 'transformer' });
      await wait(own ? options.stepMs : Math.min(20, options.stepMs));
      if (outcome === 'hangs') await new Promise(() => {});
      if (stop()) return;
    }
    if (outcome === 'fails') {
      const message = own
        ? `memory: the largest part must fit the budget of ${files.view().budget} bytes: it needs 4900000000 bytes with f32 weights`
        : `${source.base}tabdit.json: must be on the server: status 404`;
      say({ type: 'failed', id, of: 'loadModel', error: error(own ? 'limit' : 'not-found', message) });
      return;
    }
    const plan = files
      .view()
      .plans.find((candidate) => candidate.weights === (weights === 'auto' ? 'f16' : weights));
    loaded = {
      ...model,
      ...{
        source,
        weightChoice: weights,
        weights: weights === 'auto' ? 'f16' : weights,
        budget: files.view().budget,
      },
      ...(own && {
        ...{ name: 'MicroDiT_XL_2', title: 'MicroDiT_XL_2, 512 px', licence: '', imageSize: 512 },
        defaults: { steps: 30, guidance: 5, prompts: [] },
        parameters: [
          { part: 'diffusion transformer', count: 1_165_442_320 },
          { part: 'text tower', count: 352_984_064 },
          { part: 'autoencoder', count: 83_653_863 },
        ],
        memory: plan?.parts ?? [],
        residency: plan?.fit === 'resident' ? 'resident' : 'staged',
        loadMs: 41_000,
      }),
      quantization:
        weights === 'int8'
          ? [
              { tensor: 'blocks.27.mlp.experts.w2', maxError: 0.0123, relativeError: 0.0121 },
              { tensor: 'blocks.0.attn.qkv.weight', maxError: 0.0045, relativeError: 0.0042 },
            ]
          : [],
    };
    say({ type: 'model', model: loaded });
    say({ type: 'done', id, of: 'loadModel', value: loaded });
  };

  const check = (id: number): void => {
    say({ type: 'job', id, job: { kind: 'selfCheck' }, phase: 'running' });
    const rows = ['activation', 'attention', 'linear'].map((stem, index) => ({
      stem,
      what: '[7, 64]',
      error: index === 1 ? 0.03 : 2.1e-7,
      tolerance: 1e-5,
      passed: index !== 1,
      ms: 12,
      problem: '',
    }));
    for (const row of rows) say({ type: 'checkRow', id, row, of: rows.length });
    say({ type: 'done', id, of: 'selfCheck', value: { rows, ms: 40 } });
  };

  const receive = (message: PageMessage): void => {
    received.push(message);
    const { id } = message;
    switch (message.type) {
      case 'init':
        if (options.state === 'ready') {
          say({ type: 'adapter', adapter });
          say({ type: 'state', state: { name: 'ready', rebuilt: 0 } });
          say({ type: 'done', id, of: 'init', value: adapter });
        } else if (options.state === 'no-adapter') {
          say({
            type: 'state',
            state: { name: 'no-adapter', message: 'WebGPU: an adapter is needed: none' },
          });
        } else {
          say({ type: 'state', state: { name: 'no-webgpu', secure: options.state === 'no-webgpu' } });
        }
        break;
      case 'loadModel':
        say({ type: 'job', id, job: { kind: 'loadModel', source: message.source }, phase: 'queued' });
        last = last.then(() => load(message));
        break;
      case 'unloadModel':
        say({ type: 'job', id, job: { kind: 'unloadModel' }, phase: 'queued' });
        last = last.then(() => {
          loaded = null;
          say({ type: 'model', model: null });
          say({ type: 'done', id, of: 'unloadModel', value: null });
        });
        break;
      case 'addFiles': {
        const added = files.add(message.files);
        tellLibrary();
        say({ type: 'done', id, of: 'addFiles', value: added });
        break;
      }
      case 'removeItem':
        files.remove(message.item);
        tellLibrary();
        say({ type: 'done', id, of: 'removeItem', value: null });
        break;
      case 'choosePart':
        files.choose(message.role, message.choice);
        tellLibrary();
        say({ type: 'done', id, of: 'choosePart', value: null });
        break;
      case 'setBudget':
        files.setBudget(message.bytes);
        tellLibrary();
        say({ type: 'done', id, of: 'setBudget', value: null });
        break;
      case 'readTensors':
        say({ type: 'done', id, of: 'readTensors', value: files.tensors() });
        break;
      case 'readStatistics':
        say({ type: 'done', id, of: 'readStatistics', value: files.statistics() });
        break;
      case 'generate': {
        say({ type: 'job', id, job: { kind: 'generate', settings: message.settings }, phase: 'queued' });
        if (options.stepMs > 0) last = last.then(() => generate(message));
        break;
      }
      case 'cancel':
        cancelled.add(message.job);
        say({ type: 'done', id, of: 'cancel', value: null });
        break;
      case 'selfCheck':
        check(id);
        break;
      case 'describeDevice':
        say({
          type: 'done',
          id,
          of: 'describeDevice',
          value: { adapter, pipelines: 74, memory: loaded?.memory ?? [] },
        });
        break;
      case 'readPicture':
        say({ type: 'done', id, of: 'readPicture', value: null });
        break;
    }
  };

  window.fakeEngine = { received, say, crash };
  class FakeWorker {
    addEventListener(type: string, listener: Listener): void {
      listeners.set(type, (listeners.get(type) ?? new Set<Listener>()).add(listener));
    }
    postMessage(message: PageMessage): void {
      receive(structuredClone(message));
    }
  }
  Object.assign(window, { Worker: FakeWorker });
}
