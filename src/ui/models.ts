/**
 * Everything that the page can do about models: take files, choose among what they are, say what memory a model may
 * take, load and unload, look into a file's tensors. Part of the app; panels call it through `app.models`.
 */
import type { StoreApi } from 'zustand/vanilla';
import type { WeightChoice } from '../protocol/generate';
import type { LibraryItem, PartChoice, Role } from '../protocol/library';
import type { DroppedFile, ModelSource } from '../protocol/messages';
import { collectFiles, fileLimit, type Gathered } from './collectFiles';
import { RemoteError, type EngineClient } from './engineClient';
import { isUnavailable, loadingFrom, type EngineView } from './state/engineView';
import { Inspector } from './state/inspector';
import { createIntake } from './state/intake';
import { intakeWords, shortName } from './state/intakeWords';
import type { KeptState } from './state/keptStore';
import type { Notices } from './state/notices';
import { loadProblem } from './state/nextModel';
import type { Panel } from './state/panel';
import { wireError } from './wireError';

export interface ModelsParts {
  readonly client: EngineClient;
  readonly engine: StoreApi<EngineView>;
  readonly kept: StoreApi<KeptState>;
  readonly notices: Notices;
  readonly goTo: (panel: Panel) => void;
  readonly openPicture: (file: File) => void;
  /** The model that is loaded at the start. */
  readonly demo: ModelSource;
}

/** Files found while folders are walked are told this often. */
const tellEvery = 100;

export class Models {
  readonly intake = createIntake();
  readonly inspector: Inspector;
  readonly #parts: ModelsParts;
  /** What comes back onto a device that was lost: the model that it held; at the start the demo. */
  #restore: ModelSource | null;
  /** Files by path as they came in, for undoing a removal. */
  readonly #files = new Map<string, DroppedFile>();
  /** A budget that waits for the engine's answer to the one before; undefined when none does. */
  #nextBudget: number | undefined;
  #settingBudget = false;

  constructor(parts: ModelsParts) {
    this.#parts = parts;
    this.#restore = parts.demo;
    const { client } = parts;
    this.inspector = new Inspector({
      tensors: (item) => client.ask('readTensors', { item }).answer,
      statistics: (item, tensor) => client.ask('readStatistics', { item, tensor }).answer,
    });
  }

  // ---- Loading ------------------------------------------------------------------------------------------------------

  /** The engine got ready: says the budget, and loads what the device held before, at first the demo. */
  ready(): void {
    const { budget } = this.#parts.kept.getState().loading;
    if (budget !== null) this.#sendBudget(budget);
    if (this.#restore) this.#load(this.#restore);
  }

  /** What the engine holds now: comes back if the device is lost. null: nothing. */
  holds(source: ModelSource | null): void {
    this.#restore = source;
  }

  loadDemo(): void {
    this.#load(this.#parts.demo);
  }

  /** Loads what is chosen in the library; nothing more where that is under way. */
  loadChosen(): void {
    if (loadingFrom(this.#parts.engine.getState(), 'library')) return;
    this.#load({ kind: 'library' });
  }

  /** Loads again from where the present model came, or the last one that was asked for. */
  loadAgain(): void {
    const { model, lastLoad } = this.#parts.engine.getState();
    this.#load(model?.source ?? lastLoad?.source ?? this.#parts.demo);
  }

  unload(): void {
    this.#ask(this.#parts.client.ask('unloadModel', {}).answer);
  }

  /** How the next model's weights are stored. */
  chooseWeights(weights: WeightChoice): void {
    this.#parts.kept.getState().setLoading({ weights });
  }

  /** What a model may take on the device, in bytes; null: what the adapter suggests. */
  setBudget(budget: number | null): void {
    const { kept, engine } = this.#parts;
    kept.getState().setLoading({ budget });
    const bytes = budget ?? engine.getState().adapter?.defaultBudget;
    if (bytes !== undefined) this.#sendBudget(bytes);
  }

  /** One at a time and only the newest: each costs the engine a plan of the whole model. */
  #sendBudget(bytes: number): void {
    this.#nextBudget = bytes;
    if (!this.#settingBudget) void this.#sendBudgets();
  }

  async #sendBudgets(): Promise<void> {
    this.#settingBudget = true;
    try {
      while (this.#nextBudget !== undefined) {
        const bytes = this.#nextBudget;
        this.#nextBudget = undefined;
        await this.#parts.client.ask('setBudget', { bytes }).answer;
      }
    } catch (thrown) {
      this.#complain('The memory budget was not taken.', thrown);
    } finally {
      this.#settingBudget = false;
    }
  }

  #load(source: ModelSource): void {
    const { client, engine, kept } = this.#parts;
    const { weights } = kept.getState().loading;
    const { id, answer } = client.ask('loadModel', { source, weights });
    answer.catch((thrown: unknown) => {
      // a failure of a load that the engine took on stands beside its button
      const taken = engine.getState().lastLoad?.id === id;
      if (!taken || !(thrown instanceof RemoteError)) this.#complain('The model was not loaded.', thrown);
    });
  }

  // ---- Files --------------------------------------------------------------------------------------------------------

  /**
   * Takes what was dropped, pasted or picked: a single picture gives its settings back, everything else goes to the
   * library, unread.
   */
  async take(gathered: Gathered): Promise<void> {
    const { engine, notices, goTo, openPicture } = this.#parts;
    if (isUnavailable(engine.getState().state)) {
      notices.complain('Files can be taken once the page has a graphics chip to work with.');
      return;
    }
    const folders = gathered.entries.some(({ isDirectory }) => isDirectory);
    if (folders) this.intake.setState({ finding: 0 });
    const { files, unreadable, tooMany } = await collectFiles(gathered, (count) => {
      if (folders && count % tellEvery === 0) this.intake.setState({ finding: count });
    });
    if (folders) this.intake.setState({ finding: null });
    if (unreadable.length > 0) {
      const first = `“${unreadable[0] ?? ''}”`;
      notices.complain(
        unreadable.length === 1
          ? `${first} could not be opened.`
          : `${first} and ${unreadable.length - 1} more could not be opened.`,
      );
    }
    if (tooMany) {
      const limit = fileLimit.toLocaleString('en');
      notices.complain(
        `There are more than ${limit} files in it: at most ${limit} are taken at once. Drop the model’s own folder or files.`,
      );
      return;
    }
    const [only] = files;
    if (!only) {
      if (unreadable.length === 0) notices.complain('There were no files in it, or only hidden ones.');
      return;
    }
    if (files.length === 1 && only.file instanceof File && isPicture(only.file)) openPicture(only.file);
    else {
      goTo('models');
      await this.addFiles(files);
    }
  }

  /** Adds files to the library and says what was understood. */
  async addFiles(files: readonly DroppedFile[]): Promise<void> {
    const { client, engine, kept, notices } = this.#parts;
    for (const dropped of files) this.#files.set(dropped.path, dropped);
    this.#reading(files.length);
    try {
      const items = await client.ask('addFiles', { files }).answer;
      this.intake.setState(({ arrivals }) => ({ arrivals: arrivals + 1 }));
      const { library } = engine.getState();
      const { text, problem, complete } = intakeWords(items, library);
      const loads = complete && loadProblem(library, kept.getState().loading.weights) === '';
      if (problem) notices.complain(text);
      else notices.say(text, loads ? { label: 'Load it', run: () => this.loadChosen() } : null);
    } catch (thrown) {
      this.#complain('The files were not taken.', thrown);
    } finally {
      this.#reading(-files.length);
    }
  }

  /** Takes an item out of the library; undoing adds its files again. */
  async remove({ id, path }: LibraryItem): Promise<void> {
    const { client, notices } = this.#parts;
    try {
      await client.ask('removeItem', { item: id }).answer;
    } catch (thrown) {
      this.#complain(`“${shortName(path)}” was not removed.`, thrown);
      return;
    }
    if (this.inspector.store.getState().item === id) this.inspector.close();
    const files = this.#belongingTo(path);
    notices.say(
      `“${shortName(path)}” is out of the library. The file itself is untouched.`,
      files.length > 0 ? { label: 'Undo', run: () => void this.#restoreItem(path, files) } : null,
    );
  }

  /** The files of an item as they came in, and the configurations beside them. */
  #belongingTo(path: string): readonly DroppedFile[] {
    const files = [...this.#files.values()];
    const own = files.filter((file) => isOf(file.path, path));
    const folders = new Set(own.map((file) => folderOf(file.path)));
    const beside = files.filter(
      (file) => /\.json$/i.test(file.path) && folders.has(folderOf(file.path)) && !own.includes(file),
    );
    return [...own, ...beside];
  }

  /** Adds an item again. What comes along with its files, and was not there, goes again. */
  async #restoreItem(path: string, files: readonly DroppedFile[]): Promise<void> {
    const { client, engine } = this.#parts;
    const there = new Set(engine.getState().library?.items.map(({ id }) => id));
    try {
      for (const { id, path: added } of await client.ask('addFiles', { files }).answer) {
        if (added !== path && !there.has(id)) await client.ask('removeItem', { item: id }).answer;
      }
    } catch (thrown) {
      this.#complain(`“${shortName(path)}” did not come back.`, thrown);
    }
  }

  /** Which part fills a place of the next model; null: none. */
  choose(role: Role, choice: PartChoice | null): void {
    this.#parts.client
      .ask('choosePart', { role, choice })
      .answer.catch((thrown: unknown) => this.#complain('The choice was not taken.', thrown));
  }

  #reading(change: number): void {
    this.intake.setState(({ reading }) => ({ reading: reading + change }));
  }

  #complain(text: string, thrown: unknown): void {
    this.#parts.notices.complain(text, wireError(thrown));
  }

  /** Failures of jobs are part of the engine's view; only what is neither is told here. */
  #ask(answer: Promise<unknown>): void {
    answer.catch((thrown: unknown) => {
      if (!(thrown instanceof RemoteError)) this.#complain('Something went wrong.', thrown);
    });
  }
}

const folderOf = (path: string): string => path.slice(0, path.lastIndexOf('/') + 1);

/** Whether a file makes an item, alone or with others: the file itself, an archive or a folder of it, a numbered part. */
export function isOf(file: string, item: string): boolean {
  if (file === item || file.startsWith(`${item}/`) || item.startsWith(`${file}/`)) return true;
  const [, stem, extension] = /^(.*)-\d{5}-of-\d{5}(\.[^./]+)$/.exec(file) ?? [];
  return stem !== undefined && stem + extension === item;
}

/** Whether a file is a picture that may carry settings. */
export function isPicture({ type, name }: Pick<File, 'type' | 'name'>): boolean {
  return type === 'image/png' || /\.png$/i.test(name);
}
