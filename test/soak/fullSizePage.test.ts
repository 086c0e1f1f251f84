/**
 * A released model as a user has it, in the page: a transformer of 4.67 GB, an SDXL autoencoder and a CLIP-H text tower
 * as Files from disk, recognised at once and loaded while the page's memory stays small. Text tower and autoencoder are
 * sparse files of the right shapes. Takes 6 GB of disk and 4 GB of memory for the device.
 */
import { ftruncateSync, openSync, closeSync, readFileSync, writeSync } from 'node:fs';
import { expect, it } from 'vitest';
import { planSafetensors } from '../../src/formats/safetensors/writer';
import type { ParameterSpec } from '../../src/models/parameters';
import { textParameters } from '../../src/models/text/tower';
import { klParameters } from '../../src/models/vae/parameters';
import { parseKlConfig, type TextConfig } from '../../src/protocol/schemas';
import { describeFixtures } from '../helpers/fixtures';
import { openPage, type OpenedPage } from '../helpers/page';
import { fullSizeFiles, MB } from './memory';

const sdxl = parseKlConfig('sdxl', {
  block_out_channels: [128, 256, 512, 512],
  latent_channels: 4,
  layers_per_block: 2,
  norm_num_groups: 32,
  scaling_factor: 0.13025,
}).config;

const clip: TextConfig = {
  ...{ width: 1024, heads: 16, layers: 24, context: 77, vocab: 49408 },
  ...{ mlpRatio: 4, eps: 1e-5 },
  act: 'quick_gelu',
};

/** A file of these tensors, all f16 and 0, which takes no room on disk. */
function writeSparse(path: string, specs: readonly ParameterSpec[]): void {
  const { header, size } = planSafetensors(
    specs.map(({ name, shape }) => ({ name, shape, dtype: 'F16' as const })),
  );
  const file = openSync(path, 'w');
  writeSync(file, header);
  ftruncateSync(file, size);
  closeSync(file);
}

/** Bytes of the process that runs the page and its worker: everything it has written to, GPU memory aside. */
async function rendererBytes({ context }: OpenedPage): Promise<number> {
  const session = await context.browser()!.newBrowserCDPSession();
  const { processInfo } = (await session.send('SystemInfo.getProcessInfo')) as {
    processInfo: readonly { readonly type: string; readonly id: number }[];
  };
  await session.detach();
  const sizes = processInfo
    .filter(({ type }) => type === 'renderer')
    .map(({ id }) => {
      const status = readFileSync(`/proc/${id}/status`, 'utf8');
      return 1024 * Number(/RssAnon:\s+(\d+) kB/.exec(status)?.[1] ?? 0);
    });
  return Math.max(...sizes);
}

describeFixtures('MicroDiT_XL_2 in the page', () => {
  const pathOf = fullSizeFiles({ '4-channel.pt': ['--size', '32'] });

  it('is recognised within a second and loaded within 200 MB', async () => {
    const text = pathOf('text.safetensors');
    const vae = pathOf('vae.safetensors');
    writeSparse(text, textParameters(clip));
    writeSparse(vae, klParameters(sdxl));
    const opened = await openPage('?panel=models');
    const { page } = opened;
    try {
      // the demo model is on the device then
      await page.getByText('Emoji 64 px', { exact: false }).first().waitFor({ timeout: 120_000 });
      await page.getByRole('heading', { name: /^Loaded/ }).waitFor({ timeout: 120_000 });
      const before = await rendererBytes(opened);
      const began = performance.now();
      await page.getByTestId('files').setInputFiles(pathOf('4-channel.pt'));
      await page.getByText('MicroDiT_XL_2', { exact: false }).first().waitFor();
      const recognisedMs = performance.now() - began;
      await page.getByTestId('files').setInputFiles([text, vae]);
      const load = page.getByRole('button', { name: 'Load', exact: true });
      await expect.poll(() => load.getAttribute('aria-disabled'), { timeout: 60_000 }).toBe('false');

      let peak = 0;
      let ended = false;
      const watching = (async () => {
        while (!ended) {
          peak = Math.max(peak, (await rendererBytes(opened)) - before);
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
      })();
      const loading = performance.now();
      await load.click();
      await page.getByRole('heading', { name: 'Loaded: 4-channel' }).waitFor({ timeout: 1_800_000 });
      const loadedMs = performance.now() - loading;
      ended = true;
      await watching;
      console.log(
        `page: recognised in ${recognisedMs.toFixed(0)} ms, loaded in ${(loadedMs / 1000).toFixed(1)} s, ` +
          `its process grew by ${(peak / MB).toFixed(0)} MB at most`,
      );
      expect(opened.errors).toEqual([]);
      expect(recognisedMs).toBeLessThan(1000);
      expect(peak).toBeLessThan(200 * MB);
    } finally {
      await opened.close();
    }
  });
});
