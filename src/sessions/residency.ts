/**
 * Residency: parts of a model on the device within a budget. A part that is asked for is loaded; where it does not fit
 * beside the others, those go first that its user names first. Scratch is one pool that the present parts share, so it
 * counts once, by the largest.
 */
import { InternalError, LimitError } from '../core/errors';
import type { SessionResources } from './resources';

/** Bytes that a part takes while it is on the device. */
export interface GuestSize {
  /** Of its own: weights, state, inputs and outputs. */
  readonly bytes: number;
  readonly scratch: number;
}

/** Something that lives on the device. */
export interface Resident {
  dispose(): void;
}

/** A part that can be loaded. */
export interface Guest<T extends Resident> {
  /** For messages: "the transformer". */
  readonly words: string;
  load(signal?: AbortSignal): Promise<T>;
}

/** Parts by name. */
export class Residency<Parts extends { [Name in keyof Parts]: Resident }> {
  readonly #resources: SessionResources;
  readonly #guests: { readonly [Name in keyof Parts]?: Guest<Parts[Name]> };
  readonly #present = new Map<keyof Parts, Resident>();
  readonly #sizes = new Map<keyof Parts, GuestSize>();
  readonly budget: number;

  constructor(
    resources: SessionResources,
    guests: { readonly [Name in keyof Parts]?: Guest<Parts[Name]> },
    budget: number,
  ) {
    this.#resources = resources;
    this.#guests = guests;
    this.budget = budget;
  }

  /** How much a part takes from now on: it depends on the job. */
  resize(name: keyof Parts, size: GuestSize): void {
    this.#sizes.set(name, size);
  }

  /** Whether the part is there, or fits without sending another away. */
  fits(name: keyof Parts): boolean {
    return this.#present.has(name) || this.#bytesWith(name) <= this.budget;
  }

  /** The part where it is on the device; null otherwise. */
  peek<Name extends keyof Parts>(name: Name): Parts[Name] | null {
    return (this.#present.get(name) as Parts[Name] | undefined) ?? null;
  }

  /**
   * The part, loaded if need be, with room for what it takes now. `leaving`: who goes first to make it.
   * @throws LimitError when it does not fit even alone; whatever loading throws
   */
  async get<Name extends keyof Parts>(
    name: Name,
    leaving: readonly (keyof Parts)[],
    signal?: AbortSignal,
  ): Promise<Parts[Name]> {
    const guest = this.#guest(name);
    for (const other of leaving) {
      if (this.#bytesWith(name) <= this.budget) break;
      await this.#evict(other);
    }
    const needed = this.#bytesWith(name);
    if (needed > this.budget) {
      throw new LimitError(
        `memory: ${guest.words} must fit the budget of ${this.budget} bytes: it needs ${needed} bytes`,
      );
    }
    const present = this.peek(name);
    if (present) return present;
    const loaded = await guest.load(signal);
    this.#present.set(name, loaded);
    return loaded;
  }

  disposeAll(): void {
    for (const part of this.#present.values()) part.dispose();
    this.#present.clear();
  }

  #guest<Name extends keyof Parts>(name: Name): Guest<Parts[Name]> {
    const guest = this.#guests[name];
    if (!guest) throw new InternalError(`memory: the model has no part '${String(name)}'`);
    return guest;
  }

  #bytesWith(name: keyof Parts): number {
    const sizes = [...new Set([...this.#present.keys(), name])].map((key) => {
      const size = this.#sizes.get(key);
      if (!size) throw new InternalError(`memory: nobody said how much '${String(key)}' takes`);
      return size;
    });
    return sizes.reduce((sum, { bytes }) => sum + bytes, 0) + Math.max(...sizes.map((s) => s.scratch));
  }

  async #evict(name: keyof Parts): Promise<void> {
    const part = this.#present.get(name);
    if (!part) return;
    await this.#resources.pacer.idle();
    part.dispose();
    this.#present.delete(name);
    // the next run to execute makes what it needs anew
    this.#resources.scratch.trim();
  }
}
