/**
 * The page without its looks: the engine's client, the stores, and everything that a button, a key or a drop can do.
 * Panels read the stores and call these methods; they never talk to the engine themselves.
 */
import { createStore, type StoreApi } from 'zustand/vanilla';
import type { GenerateSettings, PictureSettings } from '../protocol/generate';
import type { RequestId, WorkerMessage } from '../protocol/messages';
import { RemoteError, type EngineClient } from './engineClient';
import { Models } from './models';
import { initialEngineView, reduceEngine, runningGeneration, type EngineView } from './state/engineView';
import type { Gallery } from './state/gallery';
import type { KeptState } from './state/keptStore';
import { Notices } from './state/notices';
import type { Panel } from './state/panel';
import { draftFrom, generateProblem, randomSeed, restoreDoubt, settingsOf } from './state/settings';
import { wireError } from './wireError';

export interface AppParts {
  readonly client: EngineClient;
  readonly kept: StoreApi<KeptState>;
  readonly gallery: Gallery;
  /** Address of the folder of the model that is loaded at the start; absolute, ends with a slash. */
  readonly demo: string;
  /** Address of the program's own files; absolute, ends with a slash. */
  readonly assets: string;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Opens a panel. */
  readonly goTo: (panel: Panel) => void;
}

export class App {
  readonly engine: StoreApi<EngineView> = createStore<EngineView>()(() => initialEngineView);
  readonly kept: StoreApi<KeptState>;
  readonly gallery: Gallery;
  readonly notices = new Notices();
  readonly models: Models;
  readonly #client: EngineClient;
  readonly #assets: string;
  readonly #now: () => number;
  readonly #goTo: (panel: Panel) => void;

  constructor({ client, kept, gallery, demo, assets, now, goTo }: AppParts) {
    this.#client = client;
    this.kept = kept;
    this.gallery = gallery;
    this.#assets = assets;
    this.#now = now;
    this.#goTo = goTo;
    const { engine, notices } = this;
    this.models = new Models({
      ...{ client, engine, kept, notices, goTo },
      openPicture: (file) => void this.openPicture(file),
      demo: { kind: 'bundle', base: demo },
    });
  }

  /** Opens the device; the model follows when the engine is ready. Call once. */
  start(): void {
    this.#client.listen((message) => this.#hear(message));
    this.#open();
    void this.gallery.restore();
  }

  /** Tries again to open a device where there was none. */
  retryDevice(): void {
    this.#open();
  }

  /** Makes what the fields describe; queues it while another is being made. */
  generate(): void {
    const view = this.engine.getState();
    const { draft } = this.kept.getState();
    if (!view.model || generateProblem(view, draft.seed) !== '') return;
    this.generateFrom(settingsOf(draft, view.model));
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
      if (settings) {
        this.#goTo('generate');
        this.useSettings(settings, `“${file.name}”`);
      } else
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

  #open(): void {
    this.#ask(this.#client.ask('init', { assets: this.#assets }).answer);
  }

  #hear(message: WorkerMessage): void {
    const before = this.engine.getState();
    this.engine.setState(reduceEngine(before, message, this.#now()));
    switch (message.type) {
      case 'state':
        if (message.state.name === 'ready' && before.state.name !== 'ready') this.models.ready();
        break;
      case 'done':
        if (message.of === 'generate') void this.gallery.add(message.id, message.value, this.#now());
        if (message.of === 'loadModel') this.models.holds(message.value.source);
        if (message.of === 'unloadModel') this.models.holds(null);
        break;
      case 'adapter':
      case 'model':
      case 'library':
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
