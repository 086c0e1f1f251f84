/** A torch file at its largest: a full-size checkpoint, its index and all of its data. */
import { expect, it } from 'vitest';
import { openTensorFile } from '../../src/formats/openTensorFile';
import { findTensor, loadFloats, streamTensor } from '../../src/formats/tensorFile';
import { nodeFile } from '../../src/sources/node';
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
