/**
 * The page's requests about dropped files: keeps the library and tells the page of every change. Nothing here needs the
 * device; only the memory plans follow its limits.
 */
import { NotFoundError } from '../core/errors';
import { readJson } from '../formats/json';
import { plainProfile, type DeviceProfile } from '../graph/profile';
import type { LibraryItem, PartChoice, Role, TensorFacts, TensorStatistics } from '../protocol/library';
import type { DroppedFile, WorkerMessage } from '../protocol/messages';
import { Library } from '../sessions/library';
import type { ModelParts } from '../sessions/modelParts';
import { blobFolder } from '../sources/blob';
import { httpFolder } from '../sources/http';

/** The released models' tokenizer, among the program's own files. */
const tokenizerPath = 'tokenizers/clip/tokenizer.json';

export class LibraryDesk {
  readonly #post: (message: WorkerMessage) => void;
  readonly #library: Library;
  #assets: string | null = null;
  #budget = 0;

  constructor(post: (message: WorkerMessage) => void) {
    this.#post = post;
    this.#library = new Library({ tokenizer: () => this.tokenizer(), profile: plainProfile, budget: 0 });
  }

  /** Bytes that a model may take on the device. */
  get budget(): number {
    return this.#budget;
  }

  /** Address of the program's own files. */
  setAssets(assets: string): void {
    this.#assets = assets;
  }

  /** A device is there: plans are for it from now on. */
  setProfile(profile: DeviceProfile, defaultBudget: number): void {
    this.#library.setProfile(profile);
    if (this.#budget === 0) this.#library.setBudget((this.#budget = defaultBudget));
    this.#tell();
  }

  setBudget(bytes: number): void {
    this.#library.setBudget((this.#budget = bytes));
    this.#tell();
  }

  async add(files: readonly DroppedFile[], signal?: AbortSignal): Promise<readonly LibraryItem[]> {
    const folder = blobFolder('dropped files', new Map(files.map(({ path, file }) => [path, file])));
    const items = await this.#library.add(folder, signal);
    this.#tell();
    return items;
  }

  remove(item: string): void {
    this.#library.remove(item);
    this.#tell();
  }

  choose(role: Role, choice: PartChoice | null): void {
    this.#library.choose(role, choice);
    this.#tell();
  }

  tensors(item: string): readonly TensorFacts[] {
    return this.#library.tensors(item);
  }

  statistics(item: string, tensor: string): Promise<TensorStatistics> {
    return this.#library.statistics(item, tensor);
  }

  /** The chosen parts as a model. @throws NotFoundError, FormatError */
  parts(): Promise<ModelParts> {
    return this.#library.parts();
  }

  /** The released models' tokenizer. */
  async tokenizer(): Promise<{ name: string; json: unknown }> {
    if (this.#assets === null) {
      throw new NotFoundError('tokenizer: the page must say where its own files are: it has not');
    }
    const source = await httpFolder(this.#assets, []).open(tokenizerPath);
    return { name: source.name, json: await readJson(source) };
  }

  #tell(): void {
    this.#post({ type: 'library', library: this.#library.view() });
  }
}
