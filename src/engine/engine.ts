/**
 * The engine of the page: answers requests, keeps the device, runs jobs one at a time. It owns the GPUDevice and the
 * loaded model; nothing else in the page touches either. It runs in a worker, but knows of the page only what `EnginePage`
 * says, so tests can drive it anywhere.
 */
import { DeviceLostError, NoDeviceError, NotFoundError } from '../core/errors';
import { readBundle } from '../formats/bundle';
import { GenerateSession } from '../sessions/generate';
import { LoadedModel } from '../sessions/loadedModel';
import { bundleParts } from '../sessions/modelSet';
import { httpFolder } from '../sources/http';
import type { GenerateSettings, Picture, WeightChoice } from '../protocol/generate';
import type {
  AdapterDescription,
  Done,
  EngineState,
  GenerateResult,
  ModelDescription,
  ModelSource,
  PageMessage,
  RequestId,
  RequestType,
  SelfCheckReport,
  WorkerMessage,
} from '../protocol/messages';
import { defaultBudget } from './budget';
import { describeAdapter, describeDevice, describeModel } from './describe';
import { DeviceKeeper } from './deviceKeeper';
import { JobQueue } from './jobQueue';
import { LibraryDesk } from './libraryDesk';
import { finishPictures, settingsInside } from './pictureFiles';
import { runSelfCheck } from './selfCheck';
import { toWireError } from './wire';

/** The page as the engine sees it. */
export interface EnginePage {
  /** `transfer`: buffers given away with the message. */
  post(message: WorkerMessage, transfer?: Transferable[]): void;
  /** undefined where the browser has no WebGPU. */
  readonly gpu: GPU | undefined;
  /** Whether the page came over https or from this machine; WebGPU exists only then. */
  readonly secure: boolean;
}

export class Engine {
  readonly #page: EnginePage;
  readonly #device: DeviceKeeper | null;
  readonly #jobs: JobQueue;
  readonly #library: LibraryDesk;
  #session: GenerateSession | null = null;
  #model: ModelDescription | null = null;
  #opened = 0;

  constructor(page: EnginePage) {
    this.#page = page;
    this.#jobs = new JobQueue((id, job, phase) => page.post({ type: 'job', id, job, phase }));
    this.#library = new LibraryDesk((message) => page.post(message));
    this.#device =
      (page.gpu &&
        new DeviceKeeper(page.gpu, {
          onOpen: ({ device }) => {
            page.post({ type: 'adapter', adapter: describeAdapter(device) });
            this.#library.setProfile(device.profile, defaultBudget(device.adapter));
            this.#say({ name: 'ready', rebuilt: this.#opened++ });
          },
          onLost: (message, attempt, attempts) => {
            this.#forget(message);
            this.#say({ name: 'device-lost', message, attempt, attempts });
          },
          onNone: (message) => this.#say({ name: 'no-adapter', message }),
        })) ||
      null;
  }

  /** Takes one message from the page; every request gets exactly one answer. */
  receive(message: PageMessage): void {
    const { id } = message;
    switch (message.type) {
      case 'init':
        this.#library.setAssets(message.assets);
        this.#answer(id, 'init', this.#init());
        break;
      case 'addFiles':
        this.#answer(id, 'addFiles', this.#library.add(message.files));
        break;
      case 'removeItem':
        this.#answer(
          id,
          'removeItem',
          this.#change(() => this.#library.remove(message.item)),
        );
        break;
      case 'choosePart':
        this.#answer(
          id,
          'choosePart',
          this.#change(() => this.#library.choose(message.role, message.choice)),
        );
        break;
      case 'setBudget':
        this.#answer(
          id,
          'setBudget',
          this.#change(() => this.#library.setBudget(message.bytes)),
        );
        break;
      case 'readTensors':
        this.#answer(
          id,
          'readTensors',
          Promise.resolve().then(() => this.#library.tensors(message.item)),
        );
        break;
      case 'readStatistics':
        this.#answer(
          id,
          'readStatistics',
          Promise.resolve().then(() => this.#library.statistics(message.item, message.tensor)),
        );
        break;
      case 'loadModel': {
        const { source, weights } = message;
        const work = (signal: AbortSignal): Promise<ModelDescription> =>
          this.#load(id, source, weights, signal);
        this.#answer(id, 'loadModel', this.#jobs.add(id, { kind: 'loadModel', source }, work));
        break;
      }
      case 'unloadModel':
        this.#answer(
          id,
          'unloadModel',
          this.#jobs.add(id, { kind: 'unloadModel' }, async () => {
            this.#unload();
            return null;
          }),
        );
        break;
      case 'generate': {
        const { settings } = message;
        const work = (signal: AbortSignal): Promise<GenerateResult> => this.#generate(id, settings, signal);
        this.#answer(id, 'generate', this.#jobs.add(id, { kind: 'generate', settings }, work));
        break;
      }
      case 'cancel':
        // a job that has ended meanwhile needs no cancelling: its answer is on the way
        this.#jobs.cancel(message.job);
        this.#answer(id, 'cancel', Promise.resolve(null));
        break;
      case 'selfCheck': {
        const work = (signal: AbortSignal): Promise<SelfCheckReport> => this.#selfCheck(id, signal);
        this.#answer(id, 'selfCheck', this.#jobs.add(id, { kind: 'selfCheck' }, work));
        break;
      }
      case 'describeDevice':
        this.#answer(
          id,
          'describeDevice',
          Promise.resolve().then(() => describeDevice(this.#keeper().resources)),
        );
        break;
      case 'readPicture':
        this.#answer(id, 'readPicture', settingsInside(message.name, message.bytes));
        break;
      default:
        message satisfies never;
    }
  }

  async #init(): Promise<AdapterDescription> {
    if (!this.#device) this.#say({ name: 'no-webgpu', secure: this.#page.secure });
    const keeper = this.#keeper();
    if (!keeper.isOpen) this.#say({ name: 'starting' });
    await keeper.open();
    return describeAdapter(keeper.resources.device);
  }

  /** @throws NoDeviceError where the browser has no WebGPU */
  #keeper(): DeviceKeeper {
    if (!this.#device)
      throw new NoDeviceError('WebGPU: this browser must offer it: navigator.gpu is missing');
    return this.#device;
  }

  /** Opens and checks the new model first: what cannot be loaded leaves the present one where it is. */
  async #load(
    id: RequestId,
    source: ModelSource,
    weights: WeightChoice,
    signal: AbortSignal,
  ): Promise<ModelDescription> {
    const began = performance.now();
    const { resources } = this.#keeper();
    const { budget } = this.#library;
    const parts =
      source.kind === 'bundle'
        ? await bundleParts(await readBundle(httpFolder(source.base, [], { signal }), signal))
        : await this.#library.parts();
    const options = { weights, budget, signal };
    LoadedModel.check(resources, parts, options);
    this.#unload();
    const session = await GenerateSession.load(resources, parts, {
      ...options,
      onProgress: (done, total, what) => this.#page.post({ type: 'loadProgress', id, done, total, what }),
    });
    let model: ModelDescription;
    try {
      model = await describeModel(session, { source, weightChoice: weights, began });
      signal.throwIfAborted();
      resources.device.assertAlive();
    } catch (thrown) {
      session.dispose();
      throw thrown;
    }
    this.#session = session;
    this.#model = model;
    this.#page.post({ type: 'model', model });
    return model;
  }

  #unload(): void {
    if (!this.#session) return;
    this.#session.dispose();
    this.#session = null;
    this.#model = null;
    this.#page.post({ type: 'model', model: null });
  }

  /** Parts may have come and gone, and tables grown with the job. */
  #tellMemory(session: GenerateSession): void {
    if (!this.#model || session !== this.#session) return;
    const memory = session.model.memory();
    if (JSON.stringify(memory) === JSON.stringify(this.#model.memory)) return;
    this.#model = { ...this.#model, memory };
    this.#page.post({ type: 'model', model: this.#model });
  }

  /** A change that is made at once, as an answer. */
  #change(change: () => void): Promise<null> {
    return Promise.resolve().then(() => {
      change();
      return null;
    });
  }

  async #generate(id: RequestId, settings: GenerateSettings, signal: AbortSignal): Promise<GenerateResult> {
    const session = this.#session;
    if (!session) throw new NotFoundError('generate: a model must be loaded: there is none');
    const output = await session.generate(settings, {
      signal,
      onProgress: (progress) => this.#page.post({ type: 'progress', id, progress }),
      onLoad: (done, total, what) => this.#page.post({ type: 'loadProgress', id, done, total, what }),
      onPreview: (pictures, step) =>
        this.#page.post({ type: 'preview', id, step, pictures }, buffersOf(pictures)),
    });
    this.#tellMemory(session);
    const pictures = await finishPictures(output.pictures, settings, session.parts.name);
    return { pictures, timings: output.timings };
  }

  async #selfCheck(id: RequestId, signal: AbortSignal): Promise<SelfCheckReport> {
    return runSelfCheck(this.#keeper().resources, {
      signal,
      onRow: (row, of) => this.#page.post({ type: 'checkRow', id, row, of }),
    });
  }

  /** The device is gone, and everything on it. */
  #forget(message: string): void {
    this.#session = null;
    this.#model = null;
    this.#jobs.giveUpAll(
      new DeviceLostError(`GPU device: must stay there while work runs: it was lost: ${message}`),
    );
    this.#page.post({ type: 'model', model: null });
  }

  #say(state: EngineState): void {
    this.#page.post({ type: 'state', state });
  }

  #answer<K extends RequestType>(
    id: RequestId,
    of: K,
    answer: Promise<Extract<Done, { of: K }>['value']>,
  ): void {
    answer.then(
      // `of` and `value` belong together by the signature, which the union cannot express
      (value) => this.#page.post({ type: 'done', id, of, value } as Done),
      (thrown: unknown) => this.#page.post({ type: 'failed', id, of, error: toWireError(thrown) }),
    );
  }
}

/** The buffers under some pictures, each once. */
function buffersOf(pictures: readonly Picture[]): Transferable[] {
  return [...new Set(pictures.map((picture) => picture.rgb.buffer))];
}
