/** Damaged copies of weight files: every one must be read or refused with an error of this program, soon. */
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { TabditError } from '../../src/core/errors';
import { openTensorFile } from '../../src/formats/openTensorFile';
import { streamTensor } from '../../src/formats/tensorFile';
import { readMember } from '../../src/formats/torch/members';
import { readZip } from '../../src/formats/torch/zip';
import { identify } from '../../src/sessions/identify';
import type { ByteSource } from '../../src/sources/byteSource';
import { memorySource } from '../../src/sources/memory';
import { fixturePath } from '../helpers/fixtures';
import type { MemberCase } from './torchCases';
import { buildZip, sparseSource } from './torchCases';

interface Outcome {
  read: number;
  refused: number;
  /** Other errors, and tensors of the wrong size: what a test must find empty. */
  problems: string[];
  /** Milliseconds. */
  slowest: number;
}

type Mutant = (
  bytes: Uint8Array,
  seed: number,
  i: number,
) => { kind: string; bytes: Uint8Array<ArrayBuffer> };

/** Opens damaged copies `from` to `to` of a fixture and reads every tensor of those that open. */
export async function readMutants(path: string, seed: number, from: number, to: number): Promise<Outcome> {
  const mutant = await loadMutant();
  const good = new Uint8Array(readFileSync(fixturePath(path)));
  return readAll(from, to, (i) => {
    const { kind, bytes } = mutant(good, seed, i);
    return memorySource(`${path} ${i}-${kind}`, bytes);
  });
}

/**
 * As readMutants, but only the pickle of a ZIP fixture is damaged, and its checksum is none, so that the damage reaches
 * the pickle machine.
 */
export async function readPickleMutants(
  path: string,
  seed: number,
  from: number,
  to: number,
): Promise<Outcome> {
  const mutant = await loadMutant();
  const archive = await readZip(memorySource(path, new Uint8Array(readFileSync(fixturePath(path)))));
  const members: MemberCase[] = [];
  for (const member of archive.members.values()) {
    members.push({ name: member.name, data: await readMember(archive, member, member.bytes), crc: 0 });
  }
  const pickle = members.findIndex((member) => member.name.endsWith('/data.pkl'));
  const good = members[pickle]?.data as Uint8Array;
  return readAll(from, to, (i) => {
    const { kind, bytes } = mutant(good, seed, i);
    const damaged = members.map((member, at) => (at === pickle ? { ...member, data: bytes } : member));
    return sparseSource(`${path} ${i}-${kind}`, buildZip(damaged));
  });
}

async function loadMutant(): Promise<Mutant> {
  const url = pathToFileURL(fixturePath('formats/check/mutate.mjs')).href;
  return ((await import(url)) as { mutant: Mutant }).mutant;
}

async function readAll(from: number, to: number, sourceOf: (i: number) => ByteSource): Promise<Outcome> {
  const outcome: Outcome = { read: 0, refused: 0, problems: [], slowest: 0 };
  for (let i = from; i < to; i++) {
    const source = sourceOf(i);
    const started = performance.now();
    try {
      const file = await openTensorFile(source);
      for (const entry of file.tensors.values()) {
        let read = 0;
        await streamTensor(file.source, entry, (piece) => void (read += piece.length));
        if (read !== entry.bytes) outcome.problems.push(`${source.name}: ${entry.name} has ${read} bytes`);
      }
      outcome.read++;
      if (i % 10 === 0) await recogniseAlone(source, outcome.problems);
    } catch (error) {
      if (error instanceof TabditError) {
        outcome.refused++;
        if (i % 10 === 0) await recogniseAlone(source, outcome.problems);
      } else {
        const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
        outcome.problems.push(`${source.name}: ${text}`);
      }
    }
    outcome.slowest = Math.max(outcome.slowest, performance.now() - started);
  }
  return outcome;
}

/** The library says what a file is, whatever it is: it never throws. */
async function recogniseAlone(source: ByteSource, problems: string[]): Promise<void> {
  try {
    const items = await identify({ name: 'drop', list: async () => ['file'], open: async () => source });
    // one item, or the members of what still is a ZIP archive but no checkpoint any more
    if (items.length === 0) problems.push(`${source.name}: recognised as nothing`);
  } catch (error) {
    problems.push(
      `${source.name}: recognising throws ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
    );
  }
}
