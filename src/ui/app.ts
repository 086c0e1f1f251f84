/**
 * The page without its looks: the engine's client, the stores, and everything that a button, a key or a drop can do.
 * Panels read the stores and call these methods; they never talk to the engine themselves.
 */
import { createStore, type StoreApi } from 'zustand/vanilla';
import { TabditError, messageOf } from '../core/errors';
import type { GenerateSettings, PictureSettings, WeightStorage } from '../protocol/generate';
import type { RequestId, WireError, WorkerMessage } from '../protocol/messages';
import { RemoteError, type EngineClient } from './engineClient';
import { initialEngineView, reduceEngine, runningGeneration, type EngineView } from './state/engineView';
import type { Gallery } from './state/gallery';
import { seedProblem } from './state/kept';
import type { KeptState } from './state/keptStore';
import { Notices } from './state/notices';
import { draftFrom, randomSeed, restoreDoubt, settingsOf } from './state/settings';

export interface AppParts {
  readonly client: EngineClient;
  readonly kept: StoreApi<KeptState>;
  readonly gallery: Gallery;
  /** Address of the folder of the model that is loaded at the start; absolute, ends with a slash. */
  readonly demo: string;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export class App {
  readonly engine: StoreApi<EngineView> = createStore<EngineView>()(() => initialEngineView);
  readonly kept: StoreApi<KeptState>;
  readonly gallery: Gallery;
  readonly notices = new Notices();
  readonly #client: EngineClient;
  readonly #demo: string;
  readonly #now: () => number;

  constructor({ client, kept, gallery, demo, now }: AppParts) {
    this.#client = client;
    this.kept = kept;
    this.gallery = gallery;
    this.#demo = demo;
    this.#now = now;
  }

  /** Opens the device; the model follows when the engine is ready. Call once. */
  start(): void {
    this.#client.listen((message) => this.#hear(message));
    this.#ask(this.#client.ask('init', {}).answer);
    void this.gallery.restore();
  }

  /** Tries again to open a device where there was none. */
  retryDevice(): void {
    this.#ask(this.#client.ask('init', {}).answer);
  }

  /** Loads the model, with weights as chosen, in place of the present one. */
  loadModel(): void {
    const { weights } = this.kept.getState().draft;
    this.#ask(this.#client.ask('loadModel', { base: this.#demo, weights }).answer);
  }

  /** Chooses how weights are stored; a loaded model is loaded again. */
  chooseWeights(weights: WeightStorage): void {
    this.kept.getState().setDraft({ weights });
    const { model, state } = this.engine.getState();
    if (state.name === 'ready' && model && model.weights !== weights) this.loadModel();
  }

  /** Makes what the fields describe; queues it while another is being made. */
  generate(): void {
    const { model } = this.engine.getState();
    const { draft } = this.kept.getState();
    if (!model || seedProblem(draft.seed) !== null) return;
    this.generateFrom(settingsOf(draft, model));
  }

  generateFrom(settings: GenerateSettings): void {
    this.#ask(this.#client.ask('generate', { settings }).answer);
  }

  /** Asks the engine to end a job. The job goes when the engine says so. */
  cancel(job: RequestId): void {
    this.#ask(this.#client.ask('cancel', { job }).answer);
  }

  /** Ends the generation that runs, if one does. */
  cancelRunning(): void {
    const running = runningGeneration(this.engine.getState());
    if (running) this.cancel(running.id);
  }

  selfCheck(): void {
    this.#ask(this.#client.ask('selfCheck', {}).answer);
  }

  /** Asks for the figures of the Device panel anew. */
  describeDevice(): void {
    if (this.engine.getState().state.name !== 'ready') return;
    this.#ask(this.#client.ask('describeDevice', {}).answer);
  }

  /** Puts a picture's settings into the fields; what stood there can be had back. */
  useSettings(settings: PictureSettings, from: string): void {
    const { draft, setDraft } = this.kept.getState();
    const { lastModel } = this.engine.getState();
    setDraft(draftFrom(settings, draft, lastModel));
    const doubt = restoreDoubt(settings, lastModel);
    this.notices.say(`Settings of ${from} are in the fields.${doubt ? ` ${doubt}` : ''}`, {
      label: 'Undo',
      run: () => setDraft(draft),
    });
  }

  /** Makes the picture again with another seed. */
  vary(settings: PictureSettings): void {
    const { draft, setDraft } = this.kept.getState();
    const seed = randomSeed();
    setDraft({ ...draftFrom(settings, draft, this.engine.getState().lastModel), seed });
    this.generate();
  }

  /** Takes over the settings inside a dropped or picked picture file. */
  async openPicture(file: File): Promise<void> {
    try {
      const bytes = new Uint8Array(await file.arrayBuffer());
      const settings = await this.#client.ask('readPicture', { name: file.name, bytes }, [bytes.buffer])
        .answer;
      if (settings) this.useSettings(settings, `“${file.name}”`);
      else
        this.notices.complain(
          `“${file.name}” carries no settings: it was not made by tabdit, or they were removed.`,
        );
    } catch (thrown) {
      this.notices.complain(`“${file.name}” could not be read.`, wireError(thrown));
    }
  }

  async removePicture(id: string): Promise<void> {
    const undo = await this.gallery.remove(id);
    this.notices.say('Picture removed.', { label: 'Undo', run: () => void undo() });
  }

  #hear(message: WorkerMessage): void {
    const before = this.engine.getState();
    this.engine.setState(reduceEngine(before, message));
    switch (message.type) {
      case 'state':
        if (message.state.name === 'ready' && before.state.name !== 'ready') this.loadModel();
        break;
      case 'done':
        if (message.of === 'generate') void this.gallery.add(message.id, message.value, this.#now());
        break;
      case 'adapter':
      case 'model':
      case 'job':
      case 'loadProgress':
      case 'progress':
      case 'preview':
      case 'checkRow':
      case 'failed':
        break;
      default:
        message satisfies never;
    }
  }

  /** Failures of jobs and of the engine are part of its view; only what is neither is told here. */
  #ask(answer: Promise<unknown>): void {
    answer.catch((thrown: unknown) => {
      if (!(thrown instanceof RemoteError)) this.notices.complain('Something went wrong.', wireError(thrown));
    });
  }
}

/** Anything thrown, in the form that is shown and copied. */
export function wireError(thrown: unknown): WireError {
  if (thrown instanceof RemoteError) {
    return { name: thrown.remoteName, code: thrown.code, message: thrown.message, stack: thrown.remoteStack };
  }
  const code = thrown instanceof TabditError ? thrown.code : 'internal';
  const [name, stack] = thrown instanceof Error ? [thrown.name, thrown.stack ?? ''] : ['Error', ''];
  return { name, code, message: messageOf(thrown), stack };
}
