/** The safetensors library's files, sound and broken, against what its expected.json says. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { expect, it } from 'vitest';
import { FormatError } from '../../src/core/errors';
import { decodeNumbers } from '../../src/formats/elements';
import { readSafetensors } from '../../src/formats/safetensors/reader';
import { encodeSafetensors } from '../../src/formats/safetensors/writer';
import { loadBytes } from '../../src/formats/tensorFile';
import { memorySource } from '../../src/sources/memory';
import { nodeFile } from '../../src/sources/node';
import { describeFixtures, fixturePath } from '../helpers/fixtures';

interface Expected {
  outcome: 'tensors' | 'refused' | 'refused or tensors';
  metadata?: Record<string, string>;
  tensors?: {
    path: string;
    dtype: string;
    shape: number[];
    first: (number | string)[];
    sum: number | string;
    sha256: string;
  }[];
}

describeFixtures('safetensors files of the reference library', () => {
  const folder = 'formats/safetensors';
  const expected = JSON.parse(readFileSync(fixturePath(`${folder}/expected.json`), 'utf8')) as Record<
    string,
    Expected
  >;

  it.each(Object.entries(expected))('%s', async (name, want) => {
    const source = await nodeFile(fixturePath(`${folder}/${name}`), name);
    const started = performance.now();
    const file = await readSafetensors(source).catch((error: unknown) => {
      expect(error).toBeInstanceOf(FormatError);
      return undefined;
    });
    expect(performance.now() - started).toBeLessThan(2000);
    if (want.outcome === 'refused') expect(file).toBeUndefined();
    if (want.outcome === 'tensors') expect(file).toBeDefined();
    if (!file || !want.tensors) return;

    expect(Object.fromEntries(file.metadata)).toEqual(want.metadata ?? {});
    expect([...file.tensors.keys()].sort()).toEqual(want.tensors.map((tensor) => tensor.path).sort());
    for (const tensor of want.tensors) {
      const entry = file.tensors.get(tensor.path);
      expect(entry).toMatchObject({ dtype: tensor.dtype, shape: tensor.shape });
      if (!entry) continue;
      const bytes = await loadBytes(source, entry);
      expect(createHash('sha256').update(bytes).digest('hex')).toBe(tensor.sha256);
      const numbers = decodeNumbers(bytes, entry.dtype);
      expect([...numbers.subarray(0, tensor.first.length)]).toEqual(tensor.first.map(Number));
      expect(numbers.reduce((sum, value) => sum + value, 0)).toBeCloseTo(Number(tensor.sum), 6);
    }
  });

  it.each(['dtypes', 'float8', 'shapes', 'names', 'many', 'metadata'])(
    'writes %s byte for byte as the library',
    async (name) => {
      const path = fixturePath(`${folder}/${name}.safetensors`);
      const source = await nodeFile(path);
      const file = await readSafetensors(source);
      const tensors = [];
      for (const entry of file.tensors.values())
        tensors.push({ ...entry, data: await loadBytes(source, entry) });
      expect(
        Buffer.from(encodeSafetensors(tensors.reverse(), file.metadata)).equals(readFileSync(path)),
      ).toBe(true);
    },
  );

  it.each(['dtypes', 'names', 'shapes'])('refuses or reads 1,000 damaged copies of %s', async (name) => {
    const { mutant } = (await import(pathToFileURL(fixturePath('formats/check/mutate.mjs')).href)) as {
      mutant: (bytes: Uint8Array, seed: number, i: number) => { kind: string; bytes: Uint8Array };
    };
    const good = new Uint8Array(readFileSync(fixturePath(`${folder}/${name}.safetensors`)));
    for (let i = 0; i < 1000; i++) {
      const { kind, bytes } = mutant(good, 7, i);
      const source = memorySource(`${i}-${kind}`, bytes);
      try {
        const file = await readSafetensors(source);
        for (const entry of file.tensors.values())
          expect((await loadBytes(source, entry)).length).toBe(entry.bytes);
      } catch (error) {
        expect(error, source.name).toBeInstanceOf(FormatError);
      }
    }
  });
});
