/**
 * Library: what was dropped, which of it is chosen for a model, what that model still lacks and what memory it takes.
 * The page's engine and the command line use the same one. Files stay where they are; only their indices are read.
 */
import { InputError, NotFoundError } from '../core/errors';
import type { DeviceProfile } from '../graph/profile';
import type { WeightStorage } from '../protocol/generate';
import {
  roles,
  type LibraryItem,
  type LibraryView,
  type MemoryPlan,
  type PartChoice,
  type Role,
  type TensorFacts,
  type TensorStatistics,
} from '../protocol/library';
import type { SourceFolder } from '../sources/byteSource';
import { identify } from './identify';
import { identifyPart, type ConfigCandidate } from './identifyParts';
import type { Identified, IdentifiedPart } from './identifyTypes';
import { chooseParts, chosenParts, noChoices, type Choices } from './libraryChoice';
import { tensorStatistics } from './libraryStatistics';
import { planMemory } from './memoryPlan';
import type { ModelParts } from './modelParts';
import {
  conflictsOf,
  missingParts,
  modelOf,
  usualDefaults,
  type OwnTokenizer,
  type PartSet,
} from './modelSet';

const storages: readonly WeightStorage[] = ['f32', 'f16', 'int8'];

export interface LibraryOptions {
  /** The CLIP tokenizer that comes with the program. */
  readonly tokenizer: OwnTokenizer;
  /** Plans are made for it. */
  readonly profile: DeviceProfile;
  /** Bytes that a model may take on the device. */
  readonly budget: number;
}

/** Plans take a good part of a second for the large model: those of one model are kept. */
interface PlanCache {
  /** Model and device. */
  readonly key: string;
  /** Without a budget. */
  readonly free: readonly MemoryPlan[];
  budget: number;
  plans: readonly MemoryPlan[];
}

export class Library {
  readonly #items = new Map<string, Identified>();
  readonly #tokenizer: OwnTokenizer;
  #profile: DeviceProfile;
  #budget: number;
  #chosen: Choices = noChoices;
  #added = 0;
  #plans: PlanCache | null = null;

  constructor({ tokenizer, profile, budget }: LibraryOptions) {
    this.#tokenizer = tokenizer;
    this.#profile = profile;
    this.#budget = budget;
  }

  /**
   * Says what every file of a drop is, and chooses new parts that fit. A file that is bad is an item that says so.
   * @throws what the folder throws when it cannot be listed; AbortError
   */
  async add(folder: SourceFolder, signal?: AbortSignal): Promise<LibraryItem[]> {
    const found = await identify(folder, signal);
    const ids = found.map((item) => {
      const id = this.#sameFile(item) ?? `item-${++this.#added}`;
      this.#items.set(id, item);
      return id;
    });
    const completed = this.#completeConfigs();
    this.#chosen = chooseParts(this.#items, this.#kept(), [...new Set([...completed, ...ids])]);
    return ids.map((id) => this.#item(id));
  }

  /** Forgets an item; roles that it filled are empty then. @throws NotFoundError */
  remove(id: string): void {
    this.#find(id);
    this.#items.delete(id);
    this.#chosen = this.#kept();
  }

  /**
   * Which part fills a role; null: none.
   * @throws NotFoundError when there is no such part, InputError when it is of another role or cannot be used
   */
  choose(role: Role, choice: PartChoice | null): void {
    if (choice) {
      const item = this.#find(choice.item);
      const part = item.parts[choice.part];
      if (!part) {
        throw new NotFoundError(
          `${item.facts.path}: part ${choice.part} must be one of its ${item.parts.length}: it is not`,
        );
      }
      if (part.facts.role !== role) {
        throw new InputError(
          `${item.facts.path}: the part chosen as ${role} must be one: it is ${part.facts.role}`,
        );
      }
      if (!part.content) throw new InputError(part.facts.problem ?? `${item.facts.path}: cannot be used`);
    }
    this.#chosen = { ...this.#chosen, [role]: choice };
  }

  setBudget(bytes: number): void {
    this.#budget = bytes;
  }

  setProfile(profile: DeviceProfile): void {
    this.#profile = profile;
  }

  /** Everything that is shown. */
  view(): LibraryView {
    const parts = this.#parts();
    const missing = missingParts(parts);
    const conflicts = conflictsOf(parts);
    return {
      items: [...this.#items.keys()].map((id) => this.#item(id)),
      chosen: this.#chosen,
      missing,
      conflicts,
      plans: missing.length > 0 || conflicts.length > 0 ? [] : this.#memory(parts),
      budget: this.#budget,
    };
  }

  /** The chosen parts as a model. @throws NotFoundError naming what is missing, FormatError naming what does not fit */
  parts(): Promise<ModelParts> {
    return modelOf(this.#parts(), this.#tokenizer, this.#manifest());
  }

  /** The tensors of an item; of one with several files under "file: name". @throws NotFoundError */
  tensors(id: string): readonly TensorFacts[] {
    return this.#find(id).files.flatMap(({ label, file }) =>
      [...file.tensors.values()].map(({ name, dtype, shape, bytes }) => ({
        name: labelled(label, name),
        dtype,
        shape,
        bytes,
      })),
    );
  }

  /** Reads a tensor, named as `tensors` does, and sums it up. @throws NotFoundError, FormatError */
  statistics(id: string, tensor: string, signal?: AbortSignal): Promise<TensorStatistics> {
    const item = this.#find(id);
    for (const { label, file } of item.files) {
      const name = label === '' ? tensor : tensor.slice(label.length + 2);
      const entry = file.tensors.get(name);
      if (entry && labelled(label, name) === tensor) return tensorStatistics(file.source, entry, signal);
    }
    throw new NotFoundError(`${item.facts.path}: tensor ${JSON.stringify(tensor)} must be in it: it is not`);
  }

  #find(id: string): Identified {
    const item = this.#items.get(id);
    if (!item) throw new NotFoundError(`library: item ${JSON.stringify(id)} must be in it: it is not`);
    return item;
  }

  #item(id: string): LibraryItem {
    const { facts, parts, files } = this.#find(id);
    return {
      id,
      ...facts,
      parts: parts.map((part) => part.facts),
      tensors: files.reduce((sum, { file }) => sum + file.tensors.size, 0),
    };
  }

  /** The item of the same file, dropped before: it is replaced. */
  #sameFile({ facts }: Identified): string | undefined {
    for (const [id, { facts: other }] of this.#items) {
      if (facts.path === other.path && facts.bytes === other.bytes && facts.format === other.format)
        return id;
    }
    return undefined;
  }

  /** The choices without those of parts that are no longer there. */
  #kept(): Choices {
    const kept = roles.map((role) => {
      const choice = this.#chosen[role];
      const part = choice && this.#items.get(choice.item)?.parts[choice.part];
      return [role, part?.content?.role === role ? choice : null] as const;
    });
    return Object.fromEntries(kept) as unknown as Choices;
  }

  /** Gives configurations that came by themselves to parts that wait for one. @returns ids of items now of use */
  #completeConfigs(): string[] {
    const candidates = [...this.#items.values()].flatMap(configsOf);
    if (candidates.length === 0) return [];
    const changed: string[] = [];
    for (const [id, item] of this.#items) {
      const parts = item.parts.map((part) => completePart(part, candidates) ?? part);
      if (parts.every((part, index) => part === item.parts[index])) continue;
      const words = parts.map(({ facts }) => facts.words).join('; ');
      const notes = [...new Set([...item.facts.notes, ...parts.flatMap((part) => part.notes)])];
      this.#items.set(id, { ...item, parts, facts: { ...item.facts, words, notes } });
      changed.push(id);
    }
    return changed;
  }

  #parts(): PartSet {
    return chosenParts(this.#items, this.#chosen);
  }

  /** Of the bundle that the transformer is chosen from. */
  #manifest(): NonNullable<Identified['bundle']>['manifest'] | undefined {
    const item = this.#chosen.dit && this.#items.get(this.#chosen.dit.item);
    return item?.bundle?.manifest;
  }

  #memory({ dit, vae, text }: PartSet): readonly MemoryPlan[] {
    if (!dit) return [];
    const { steps, guidance } = this.#manifest()?.defaults ?? usualDefaults;
    const model = { dit: dit.config, vae: vae?.model ?? null, text: text?.config ?? null, steps, guidance };
    const key = JSON.stringify([model, this.#profile]);
    const plansFor = (budget: number): readonly MemoryPlan[] =>
      storages.map((weights) => planMemory(model, weights, this.#profile, budget));
    if (this.#plans?.key !== key) this.#plans = { key, free: plansFor(Infinity), budget: NaN, plans: [] };
    const cache = this.#plans;
    // what fits a budget as it is has the plan that it has without one
    if (cache.free.every(({ total, problem }) => problem === null && total <= this.#budget))
      return cache.free;
    if (cache.budget !== this.#budget) {
      cache.plans = plansFor(this.#budget);
      cache.budget = this.#budget;
    }
    return cache.plans;
  }
}

/** Configurations that an item brings for parts of others: its own file, or those of a bundle. */
function configsOf({ loose, bundle }: Identified): ConfigCandidate[] {
  const near = (name: string, json: unknown): ConfigCandidate[] =>
    typeof json === 'object' && json !== null ? [{ name, json, rank: 'near' }] : [];
  if (loose) return near(loose.name, loose.json);
  if (!bundle) return [];
  return [bundle.dit, bundle.vae, bundle.text].flatMap(({ configName, config }) => near(configName, config));
}

/** A part that lacked its configuration, with one that fits; null when none does, or it lacked nothing. */
function completePart(
  { facts, found, file }: IdentifiedPart,
  candidates: readonly ConfigCandidate[],
): IdentifiedPart | null {
  if (facts.config || !found || !file) return null;
  const part = identifyPart(file, found, candidates);
  return part.content && part;
}

const labelled = (label: string, name: string): string => (label === '' ? name : `${label}: ${name}`);
