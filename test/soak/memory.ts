/** What full-size checks measure: bytes held by the process, lengths of reads, and a full-size checkpoint to read. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import type { ByteSource } from '../../src/sources/byteSource';
import { fixturePath } from '../helpers/fixtures';

export const MB = 1e6;

/** Bytes that this process holds in its heap and beside it. */
export function heldBytes(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** The largest growth of `heldBytes` while it watches. */
export class PeakWatch {
  readonly #before = heldBytes();
  #peak = 0;
  readonly #timer = setInterval(() => this.note(), 2);

  note(): void {
    this.#peak = Math.max(this.#peak, heldBytes() - this.#before);
  }

  end(): number {
    clearInterval(this.#timer);
    this.note();
    return this.#peak;
  }
}

/** A source that notes every read's length, and the memory at that moment. */
export function watched(source: ByteSource, lengths: number[], watch?: PeakWatch): ByteSource {
  return {
    ...source,
    read: async (offset, length, signal) => {
      lengths.push(length);
      const bytes = await source.read(offset, length, signal);
      watch?.note();
      return bytes;
    },
  };
}

/**
 * Writes full-size checkpoints into a folder of their own for a suite; gives the function that names one. With
 * TABDIT_FULL_SIZE they are written into that folder and stay there for the next run.
 */
export function fullSizeFiles(files: Readonly<Record<string, readonly string[]>>): (name: string) => string {
  const kept = process.env['TABDIT_FULL_SIZE'];
  let folder = '';
  beforeAll(() => {
    folder = kept ?? mkdtempSync(join(tmpdir(), 'tabdit-'));
    const needed = 5e9 * Object.keys(files).length;
    const { bavail, bsize } = statfsSync(folder);
    if (bavail * bsize < needed) {
      throw new Error(`${folder}: ${needed} bytes must be free: ${bavail * bsize} bytes are`);
    }
    for (const [name, args] of Object.entries(files)) {
      if (existsSync(join(folder, name))) continue;
      execFileSync(process.execPath, [fixturePath('big/make.mjs'), join(folder, name), ...args], {
        stdio: 'ignore',
      });
    }
  }, 1_800_000);
  afterAll(() => {
    if (kept === undefined) rmSync(folder, { recursive: true, force: true });
  });
  return (name) => join(folder, name);
}
