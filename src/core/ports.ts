/**
 * Ports: what the sessions need from the world around them, so that the page's worker, the command line and tests can
 * each give their own. Small on purpose; a session takes only the ports it uses.
 */

/** Time for measuring and pacing. */
export interface Clock {
  /** Milliseconds from some fixed start; never goes back. */
  now(): number;
}

/** Where a job tells how far it is. Calls are cheap and never throw; the receiver decides what to show. */
export interface Report {
  /** A new stage begins, such as `reading weights`. Its progress starts at 0. */
  stage(name: string): void;
  /** `done` of `total` units of the current stage; `total` may be NaN when nobody knows. */
  progress(done: number, total: number): void;
  /** Something worth telling that is not an error, such as an ignored config field. */
  note(text: string): void;
}

/** A Report that goes nowhere. */
export const silentReport: Report = { stage: () => {}, progress: () => {}, note: () => {} };

/** Named bytes that outlive the program: IndexedDB and OPFS in the page, a folder on the command line. */
export interface Storage {
  /** The bytes under `key`, or undefined when there are none. */
  read(key: string): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** Resolves when the bytes are durable; an earlier value is replaced whole or not at all. */
  write(key: string, bytes: Uint8Array): Promise<void>;
  /** Every key that begins with `prefix`, sorted by code unit. */
  list(prefix: string): Promise<string[]>;
  /** Removes `key`; nothing happens when it is absent. */
  remove(key: string): Promise<void>;
}
