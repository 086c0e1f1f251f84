/**
 * Keys of stored things, and small records: JSON behind one line that says what it is, its version and its checksum, so
 * that a flipped bit is noticed in them as in tensors.
 *
 *     run/<run>                                   a run's name and configuration
 *     manifest/<run>/<generation>                 what a checkpoint holds; written last
 *     chunk/<run>/<generation>/<number>           its bytes
 */
import { crc32 } from '../core/crc32';
import { FormatError, InputError, messageOf, StorageError } from '../core/errors';
import { z } from '../protocol/schema';

/** Version of everything written here. A reader refuses newer ones and knows all older ones. */
export const recordVersion = 1;

/** Plain data: what JSON holds. Numbers are finite. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

export const jsonSchema: z.ZodType<Json> = z.lazy(() =>
  z.union([
    z.null(),
    z.boolean(),
    z.number(),
    z.string(),
    z.array(jsonSchema),
    z.record(z.string(), jsonSchema),
  ]),
);

export type RecordKind = 'run' | 'checkpoint';

const digits = (value: number, count: number): string => String(value).padStart(count, '0');

export const runPrefix = 'run/';
export const manifestPrefix = (run: string): string => `manifest/${run}/`;
export const chunkPrefix = (run: string): string => `chunk/${run}/`;
export const runKey = (run: string): string => `${runPrefix}${run}`;
export const manifestKey = (run: string, generation: number): string =>
  `${manifestPrefix(run)}${digits(generation, 8)}`;
export const generationChunkPrefix = (run: string, generation: number): string =>
  `${chunkPrefix(run)}${digits(generation, 8)}/`;
export const chunkKey = (run: string, generation: number, chunk: number): string =>
  `${generationChunkPrefix(run, generation)}${digits(chunk, 6)}`;

/** The generation that a manifest's or chunk's key belongs to. */
export function generationOf(key: string): number {
  return Number(key.split('/')[2]);
}

/** Ids become parts of keys. @throws InputError */
export function checkRunId(run: string): void {
  if (!/^[\w-]{1,64}$/.test(run)) {
    throw new InputError(`run id: must be 1 to 64 letters, digits, _ or -: ${JSON.stringify(run)}`);
  }
}

/** A record's bytes. */
export function encodeRecord(kind: RecordKind, value: unknown): Uint8Array<ArrayBuffer> {
  const json = new TextEncoder().encode(JSON.stringify(value));
  const head = new TextEncoder().encode(`tabdit ${kind} ${recordVersion} ${hex(crc32(json))}\n`);
  const bytes = new Uint8Array(head.length + json.length);
  bytes.set(head);
  bytes.set(json, head.length);
  return bytes;
}

/**
 * What a record holds, not checked further.
 *
 * @param what names the record in messages
 * @throws FormatError when it is damaged, StorageError (`storage-newer`) when a newer version of the program wrote it
 */
export function decodeRecord(what: string, kind: RecordKind, bytes: Uint8Array): unknown {
  const end = bytes.indexOf(0x0a);
  const head = new TextDecoder().decode(bytes.subarray(0, Math.max(0, Math.min(end, 64))));
  const [, version, stated] = new RegExp(`^tabdit ${kind} (\\d+) ([0-9a-f]{8})$`).exec(head) ?? [];
  if (version === undefined || stated === undefined) {
    throw new FormatError(`${what}: must begin as a ${kind} record: it does not (damaged)`);
  }
  const json = bytes.subarray(end + 1);
  const actual = hex(crc32(json));
  if (actual !== stated) {
    throw new FormatError(`${what}: must have checksum ${stated}: it has ${actual} (damaged)`);
  }
  if (Number(version) > recordVersion) {
    throw new StorageError(
      'storage-newer',
      `${what}: this program reads version ${recordVersion}: a newer version of the program wrote it (version ${version})`,
    );
  }
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(json)) as unknown;
  } catch (thrown) {
    throw new FormatError(`${what}: must hold JSON: ${messageOf(thrown)}`, { cause: thrown });
  }
}

function hex(crc: number): string {
  return crc.toString(16).padStart(8, '0');
}
