/**
 * The page's end of the protocol, and the only place that starts the engine's worker.
 *
 * A request gives its id at once and its answer as a promise; whatever else the engine says goes to the listeners, the
 * answers too, so that the page's state is made from one ordered stream. Errors of the engine come back as RemoteError
 * with their name, code and stack.
 */
import { TabditError } from '../core/errors';
import type {
  PageMessage,
  RequestId,
  RequestType,
  Results,
  WireError,
  WorkerMessage,
} from '../protocol/messages';

/** An error that the engine reported. `remoteStack` is the stack in the worker. */
export class RemoteError extends TabditError {
  readonly remoteName: string;
  readonly remoteStack: string;

  constructor(error: WireError) {
    super(error.code, error.message);
    this.remoteName = error.name;
    this.remoteStack = error.stack;
  }
}

/** The part of a Worker that the client uses; tests give their own. */
export interface EnginePort {
  postMessage(message: unknown, transfer: Transferable[]): void;
  addEventListener(type: 'message', listener: (event: MessageEvent) => void): void;
  addEventListener(type: 'error', listener: (event: ErrorEvent) => void): void;
  addEventListener(type: 'messageerror', listener: (event: MessageEvent) => void): void;
}

/** What a request of type K says besides its type and id. */
type Fields<K extends RequestType> = Omit<Extract<PageMessage, { type: K }>, 'type' | 'id'>;

export interface Asked<K extends RequestType> {
  readonly id: RequestId;
  readonly answer: Promise<Results[K]>;
}

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

export class EngineClient {
  readonly #port: EnginePort;
  readonly #waiting = new Map<RequestId, Waiting>();
  readonly #listeners = new Set<(message: WorkerMessage) => void>();
  #nextId = 1;
  #broken: WireError | null = null;

  constructor(port: EnginePort) {
    this.#port = port;
    port.addEventListener('message', (event) => this.#receive(event.data as WorkerMessage));
    port.addEventListener('error', (event) =>
      this.#break(event.message || 'the worker did not start', event.filename),
    );
    port.addEventListener('messageerror', () => this.#break('a message could not be read', ''));
  }

  /** Sends a request. `transfer` are buffers that the page gives away with it. */
  ask<K extends RequestType>(type: K, fields: Fields<K>, transfer: Transferable[] = []): Asked<K> {
    const id = this.#nextId++;
    const answer = new Promise<Results[K]>((resolve, reject) => {
      if (this.#broken) {
        reject(new RemoteError(this.#broken));
        return;
      }
      // the answer to a request of type K is Results[K]: the engine's switch is checked for that
      this.#waiting.set(id, { resolve: (value) => resolve(value as Results[K]), reject });
      this.#port.postMessage({ ...fields, type, id }, transfer);
    });
    return { id, answer };
  }

  /** Hears everything the engine says, answers before their promise settles. Gives the function that ends it. */
  listen(listener: (message: WorkerMessage) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #receive(message: WorkerMessage): void {
    for (const listener of this.#listeners) listener(message);
    switch (message.type) {
      case 'done':
        this.#take(message.id)?.resolve(message.value);
        break;
      case 'failed':
        this.#take(message.id)?.reject(new RemoteError(message.error));
        break;
      case 'state':
      case 'adapter':
      case 'model':
      case 'library':
      case 'job':
      case 'loadProgress':
      case 'progress':
      case 'preview':
      case 'checkRow':
        break;
      default:
        message satisfies never;
    }
  }

  #take(id: RequestId): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }

  /** The worker died or never started: everything asked fails, now and later. */
  #break(reason: string, where: string): void {
    const error: WireError = {
      name: 'EngineError',
      code: 'engine',
      message: `engine: its worker must run: ${reason}`,
      stack: where,
    };
    this.#broken = error;
    for (const listener of this.#listeners) listener({ type: 'state', state: { name: 'failed', error } });
    for (const { reject } of this.#waiting.values()) reject(new RemoteError(error));
    this.#waiting.clear();
  }
}

/** Starts the engine in a worker of its own. */
export function startEngine(): EngineClient {
  return new EngineClient(
    new Worker(new URL('../engine/worker.ts', import.meta.url), { type: 'module', name: 'tabdit engine' }),
  );
}
