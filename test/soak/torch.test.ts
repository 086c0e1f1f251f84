/** torch files at their largest and most damaged: a full-size checkpoint, and thousands of broken copies. */
import { expect, it } from 'vitest';
import { openTensorFile } from '../../src/formats/openTensorFile';
import { findTensor, loadFloats, streamTensor } from '../../src/formats/tensorFile';
import { nodeFile } from '../../src/sources/node';
import { readMutants, readPickleMutants } from '../formats/mutants';
import { describeFixtures } from '../helpers/fixtures';
import { fullSizeFiles, heldBytes, MB, watched } from './memory';

describeFixtures('the full-size checkpoint', () => {
  const pathOf = fullSizeFiles({ 'xl.pt': [] });

  it('is recognised within a second and 200 MB, by ranges of at most 16 MiB', async () => {
    const lengths: number[] = [];
    const before = heldBytes();
    const started = performance.now();
    const file = await openTensorFile(watched(await nodeFile(pathOf('xl.pt')), lengths));
    const milliseconds = performance.now() - started;
    const growth = heldBytes() - before;
    const total = lengths.reduce((sum, length) => sum + length, 0);
    console.log(
      `index: ${file.tensors.size} tensors in ${milliseconds.toFixed(0)} ms, ${lengths.length} reads of ${total} bytes, ` +
        `largest ${Math.max(...lengths)}, growth ${(growth / MB).toFixed(1)} MB`,
    );
    expect(file.tensors.size).toBe(478);
    expect(milliseconds).toBeLessThan(1000);
    expect(growth).toBeLessThan(200 * MB);
    expect(total).toBeLessThan(1 * MB);
    // The last tensors lie beyond 4 GiB.
    const names = [...file.tensors.keys()];
    const last = findTensor(file, names.at(-1) ?? '');
    const values = await loadFloats(file.source, last);
    expect(values.every((value) => Math.abs(value) < 4)).toBe(true);
    expect(values.some((value) => value !== 0)).toBe(true);
  });

  it('streams whole within 200 MB', async () => {
    const lengths: number[] = [];
    const file = await openTensorFile(watched(await nodeFile(pathOf('xl.pt')), lengths));
    const before = heldBytes();
    let peak = before;
    let bytes = 0;
    const started = performance.now();
    for (const entry of file.tensors.values()) {
      await streamTensor(file.source, entry, (chunk) => {
        bytes += chunk.length;
        peak = Math.max(peak, heldBytes());
      });
    }
    const seconds = (performance.now() - started) / 1000;
    console.log(
      `data: ${bytes} bytes in ${seconds.toFixed(1)} s, ${lengths.length} reads, largest ${Math.max(...lengths)}, ` +
        `peak growth ${((peak - before) / MB).toFixed(1)} MB`,
    );
    expect(bytes).toBe([...file.tensors.values()].reduce((sum, entry) => sum + entry.bytes, 0));
    expect(Math.max(...lengths)).toBeLessThanOrEqual(16 * 2 ** 20);
    expect(peak - before).toBeLessThan(200 * MB);
  });
});

describeFixtures('damaged torch files', () => {
  const files = [
    ...[
      'state-f32',
      'module',
      'parameters',
      'rebuild-parameter-with-state',
      'strided',
      'expanded',
      'slices',
      'tied',
    ],
    ...[
      'nested',
      'int-keys',
      'python-objects',
      'unicode-keys',
      'many',
      'list-root',
      'tensor-root',
      'protocol-4',
    ],
    ...[
      'optimizer',
      'legacy',
      'legacy-parameters',
      'rezipped-deflate',
      'hand-big-endian',
      'hand-plain',
      'complex64',
    ],
    ...['rebuild-from-type-v2', 'unsigned-wide', 'zip-comment', 'empty', 'zero-dim', 'big-ints', 'f8-e4m3'],
  ];
  it.each(files)('refuses or reads 4,000 damaged copies of %s', async (name) => {
    const outcome = await readMutants(`formats/torch/${name}.pt`, 101, 0, 4000);
    console.log(
      `${name}: ${outcome.read} read, ${outcome.refused} refused, slowest ${outcome.slowest.toFixed(0)} ms`,
    );
    expect(outcome.problems).toEqual([]);
    expect(outcome.slowest).toBeLessThan(5000);
  });

  it.each(files.filter((name) => !name.startsWith('legacy')))(
    'refuses or reads 4,000 copies of %s with a damaged pickle',
    async (name) => {
      const outcome = await readPickleMutants(`formats/torch/${name}.pt`, 103, 0, 4000);
      console.log(
        `${name}, pickle: ${outcome.read} read, ${outcome.refused} refused, slowest ${outcome.slowest.toFixed(0)} ms`,
      );
      expect(outcome.problems).toEqual([]);
      expect(outcome.slowest).toBeLessThan(5000);
    },
  );

  it.each(['ep0-ba3-rank0', 'v0.24-ep0-ba3-rank0', 'minimal-resume'])(
    'refuses or reads 400 damaged copies of %s',
    async (name) => {
      const outcome = await readMutants(`formats/composer/${name}.pt`, 102, 0, 400);
      console.log(
        `${name}: ${outcome.read} read, ${outcome.refused} refused, slowest ${outcome.slowest.toFixed(0)} ms`,
      );
      expect(outcome.problems).toEqual([]);
      expect(outcome.slowest).toBeLessThan(5000);
    },
  );
});
