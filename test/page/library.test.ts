/**
 * Dropped files with the real engine, on a software adapter: the demo's own files, as a bundle and loose, become a model
 * that makes pictures; weights, budget and values are what the files and the device give.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { projectRoot } from '../../scripts/environment.mjs';
import type { OpenedPage } from '../helpers/page';
import { openPage } from '../helpers/page';

/** Software adapters take seconds for what a graphics chip does at once. */
const patience = { timeout: 240_000 };
const folder = 'models/emoji-64';

/** Drops files of the demo model under other paths. */
async function drop(page: Page, files: Readonly<Record<string, string>>): Promise<void> {
  await page.evaluate(
    async ({ base, paths }) => {
      const entries = await Promise.all(
        Object.entries(paths).map(async ([path, from]) => {
          const blob = await (await fetch(`${base}/${from}`)).blob();
          const name = path.split('/').at(-1) ?? path;
          const file = (give: (file: File) => void): void => give(new File([blob], name));
          return { isFile: true, isDirectory: false, name, fullPath: `/${path}`, file };
        }),
      );
      const items = entries.map((entry) => ({
        kind: 'file',
        webkitGetAsEntry: () => entry,
        getAsFile: () => null,
      }));
      const event = new DragEvent('drop', { bubbles: true, cancelable: true });
      Object.defineProperty(event, 'dataTransfer', { value: { types: ['Files'], items } });
      document.body.dispatchEvent(event);
    },
    { base: folder, paths: files },
  );
}

const box = (page: Page, name: string) =>
  page.getByRole('list', { name: 'Parts of the next model' }).getByRole('listitem').filter({ hasText: name });

describe('dropped files and the real engine', () => {
  let opened: OpenedPage;
  let page: Page;
  beforeAll(async () => {
    opened = await openPage('?panel=models');
    page = opened.page;
    await page.getByRole('heading', { name: 'Loaded: Emoji 64 px (demo)' }).waitFor(patience);
  }, 300_000);
  afterAll(() => opened.close());

  test('loose files: what is missing, then what they make', async () => {
    await drop(page, { 'mine/face.safetensors': 'dit.safetensors', 'mine/face.json': 'dit.json' });
    await page
      .getByRole('region', { name: 'Notes' })
      .getByText(/Still missing: an autoencoder/)
      .waitFor(patience);
    await box(page, 'Transformer').getByText('mine/face.safetensors').waitFor();
    expect(await box(page, 'Autoencoder').getByText('Missing.').isVisible()).toBe(true);
    await drop(page, {
      'mine/vae/decoder.safetensors': 'vae.safetensors',
      'mine/vae/config.json': 'vae.json',
      'mine/text/tower.safetensors': 'text_encoder.safetensors',
      'mine/text/open_clip_config.json': 'open_clip_config.json',
      'mine/text/tokenizer.json': 'tokenizer.json',
    });
    await page.getByRole('button', { name: 'Load it' }).waitFor(patience);
    for (const part of ['Transformer', 'Autoencoder', 'Text tower', 'Tokenizer']) {
      expect(await box(page, part).getAttribute('data-state')).toBe('filled');
    }
    expect(opened.errors).toEqual([]);
  }, 300_000);

  test('int8 weights: loaded, their errors told, and a picture made', async () => {
    await page.getByRole('radio', { name: /^int8/ }).click();
    await page.getByRole('button', { name: 'Load', exact: true }).click();
    await page.getByRole('heading', { name: 'Loaded: face' }).waitFor(patience);
    expect(await page.getByText('int8, 8 bits a number, one scale a row', { exact: true }).isVisible()).toBe(
      true,
    );
    await page.getByRole('button', { name: /^What int8 costs in exactness/ }).click();
    const rows = page.getByRole('region', { name: /^Errors of int8/ }).getByRole('row');
    // the fold opens when the page gets to it
    await rows.nth(10).waitFor({ state: 'attached' });
    const shares = (await rows.locator('td:nth-child(2)').allTextContents()).map(Number.parseFloat);
    expect(shares).toEqual(shares.toSorted((a, b) => b - a));
    expect(shares[0]).toBeLessThan(5);

    await page.getByRole('link', { name: 'Generate' }).click();
    expect(await page.getByRole('textbox', { name: 'Steps' }).inputValue()).toBe('30');
    await page.getByRole('textbox', { name: 'Steps' }).fill('2');
    await page.getByRole('textbox', { name: 'Prompt' }).fill('grinning face');
    await page.getByRole('button', { name: 'Generate', exact: true }).click();
    await page.getByRole('img', { name: 'grinning face' }).waitFor(patience);
    expect(opened.errors).toEqual([]);
  }, 400_000);

  test('the tensors of a file and the values of one', async () => {
    await page.getByRole('link', { name: 'Models' }).click();
    await page.getByRole('button', { name: 'Tensors of face.safetensors' }).click();
    const panel = page.getByRole('dialog');
    const text = readFileSync(join(projectRoot, 'public', folder, 'dit.safetensors'));
    const header = JSON.parse(text.toString('utf8', 8, 8 + Number(text.readBigUInt64LE(0)))) as object;
    const tensors = Object.keys(header).filter((name) => name !== '__metadata__');
    await panel.getByText(`${tensors.length} tensors, `, { exact: false }).waitFor();
    await panel.getByRole('textbox', { name: 'Filter tensors' }).fill('pos_embed');
    await panel.getByRole('option', { name: /^pos_embed/ }).click();
    const values = panel.getByRole('region', { name: 'Values of the chosen tensor' });
    // sines and cosines
    await values.getByText('Greatest', { exact: true }).waitFor(patience);
    const facts = await values.locator('dl > div').allTextContents();
    expect(facts).toContain('Greatest1');
    expect(facts).toContain('Not finite0');
    await values.getByRole('img', { name: /^Histogram from -/ }).waitFor();
    await page.keyboard.press('Escape');
    await panel.waitFor({ state: 'hidden' });
    expect(opened.errors).toEqual([]);
  }, 300_000);

  test('plans and the loaded model go by the budget', async () => {
    await page.getByRole('radio', { name: /^f32/ }).click();
    const budget = page.getByRole('textbox', { name: 'Memory budget' });
    // the demo is small: no budget that can be asked for is too small for it
    await budget.fill('0.1');
    await page.getByText('100 MB', { exact: true }).first().waitFor(patience);
    await page.getByRole('radio', { name: /^f32.*fits/ }).waitFor();
    await page.getByRole('button', { name: 'Load', exact: true }).click();
    await page.getByText('f32, 32 bits a number', { exact: true }).waitFor(patience);
    expect(opened.errors).toEqual([]);
  }, 300_000);

  test('a bundle is one thing, with its own title and defaults', async () => {
    const names = readdirSync(join(projectRoot, 'public', folder));
    await drop(page, Object.fromEntries(names.map((name) => [`bundle/${name}`, name])));
    await page
      .getByRole('region', { name: 'Notes' })
      .getByText(/“bundle” holds /)
      .waitFor(patience);
    const card = page.locator('ul[aria-label="Library"] > li').filter({ hasText: 'bundle' });
    expect(await card.count()).toBe(1);
    await page.getByRole('button', { name: 'Load', exact: true }).click();
    await page.getByRole('heading', { name: 'Loaded: Emoji 64 px (demo)' }).waitFor(patience);
    await page.getByRole('link', { name: 'Generate' }).click();
    await page.getByRole('button', { name: /^Set steps back to 16/ }).waitFor();
    expect(opened.errors).toEqual([]);
  }, 300_000);
});
