/**
 * The page as people use it, in a real Chromium on a software adapter: the demo model loads by itself, a picture is made
 * and is the reference's, it can be cancelled, queued, taken along and brought back; what was typed survives a reload.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { decodePng, readPngSettings } from '../../src/formats/png/png';
import { toPictures } from '../../src/sessions/pictures';
import { openGolden } from '../helpers/golden';
import type { OpenedPage } from '../helpers/page';
import { openPage } from '../helpers/page';

/** Software adapters take seconds for what a graphics chip does at once. */
const patience = { timeout: 240_000 };

const generateButton = (page: Page) => page.getByRole('button', { name: 'Generate', exact: true });
const cancelButton = (page: Page) => page.getByRole('button', { name: 'Cancel', exact: true });
const filmstrip = (page: Page) => page.getByRole('list', { name: /^Pictures made here/ }).getByRole('button');
const field = (page: Page, name: string) => page.getByRole('textbox', { name, exact: true });

/** Waits until the model is there and nothing runs. */
async function ready(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Model: Emoji 64 px (demo)' }).waitFor(patience);
  await generateButton(page).waitFor(patience);
}

describe('Generate', () => {
  let opened: OpenedPage;
  let page: Page;
  const folder = mkdtempSync(join(tmpdir(), 'tabdit-page-'));
  beforeAll(async () => {
    opened = await openPage('', { profile: join(folder, 'profile') });
    page = opened.page;
    await ready(page);
  }, 300_000);
  afterAll(async () => {
    await opened.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test('a first visit finds a model, a prompt and one thing to press', async () => {
    expect(await field(page, 'Prompt').inputValue()).toBe('grinning face');
    expect(await generateButton(page).getAttribute('aria-disabled')).toBe('false');
    expect(await page.getByText('Your picture appears here').isVisible()).toBe(true);
    expect(await page.getByRole('dialog').count()).toBe(0);
    expect(opened.errors).toEqual([]);
  });

  test('the picture is the one that the reference makes', async () => {
    const golden = await openGolden('emoji-64.samples');
    const prompts = golden.json('prompts') as string[];
    await field(page, 'Prompt').fill(prompts[0]!);
    await field(page, 'Steps').fill('8');
    await field(page, 'Seed').fill('7');
    await page.getByRole('button', { name: 'More', exact: true }).click();
    await page.getByRole('radiogroup', { name: 'Random numbers as on' }).getByText('CPU').click();
    await generateButton(page).click();
    await filmstrip(page).first().waitFor(patience);
    await generateButton(page).waitFor(patience);

    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Download, settings inside' }).click(),
    ]);
    expect(download.suggestedFilename()).toBe(`${prompts[0]!.replace(/ /g, '-')}-seed-7.png`);
    const path = join(folder, 'picture.png');
    await download.saveAs(path);
    const bytes = new Uint8Array(readFileSync(path));
    expect(await readPngSettings('picture.png', bytes)).toEqual({
      program: 'tabdit',
      model: 'emoji-64',
      prompt: prompts[0],
      steps: 8,
      guidance: 3,
      seed: '7',
      noiseLayout: 'cpu',
      index: 0,
      count: 1,
    });

    const { picture } = await decodePng('picture.png', bytes);
    const [expected] = toPictures(await golden.floats('image_8'), prompts.length, 64, 64);
    const differences = Array.from(picture.data, (value, i) => Math.abs(value - expected!.rgb[i]!));
    // float32 on both sides, in another order: a value may round to the neighbouring byte
    expect(Math.max(...differences)).toBeLessThanOrEqual(2);
    expect(opened.errors).toEqual([]);
  }, 400_000);

  test('a dropped picture brings its settings back, and undo what stood there', async () => {
    await field(page, 'Prompt').fill('something else');
    await field(page, 'Seed').fill('12345');
    const file = [...readFileSync(join(folder, 'picture.png'))];
    const transfer = await page.evaluateHandle((bytes) => {
      const data = new DataTransfer();
      data.items.add(new File([new Uint8Array(bytes)], 'picture.png', { type: 'image/png' }));
      return data;
    }, file);
    await page.dispatchEvent('body', 'dragenter', { dataTransfer: transfer });
    await page.getByText('Drop a model, a picture, a folder or a zip').waitFor();
    await page.dispatchEvent('body', 'drop', { dataTransfer: transfer });
    await page.getByText('Settings of “picture.png” are in the fields.').waitFor();
    expect(await field(page, 'Seed').inputValue()).toBe('7');
    expect(await field(page, 'Prompt').inputValue()).not.toBe('something else');
    await page.getByRole('button', { name: 'Undo' }).click();
    expect(await field(page, 'Prompt').inputValue()).toBe('something else');
    expect(await field(page, 'Seed').inputValue()).toBe('12345');
    expect(await page.getByText('Drop a model, a picture, a folder or a zip').count()).toBe(0);
  });

  test('Ctrl + Enter makes, Cancel ends it, and the next one works', async () => {
    const before = await filmstrip(page).count();
    await field(page, 'Steps').fill('100');
    await field(page, 'Prompt').press('Control+Enter');
    await page.getByRole('progressbar', { name: 'Steps' }).waitFor(patience);
    await cancelButton(page).click();
    await generateButton(page).waitFor(patience);
    expect(await filmstrip(page).count()).toBe(before);
    expect(await page.getByRole('alert').count()).toBe(0);

    await field(page, 'Steps').fill('2');
    await field(page, 'Prompt').press('Control+Enter');
    await page.waitForFunction(
      (count) => document.querySelectorAll('ul[aria-label^="Pictures made here"] button').length > count,
      before,
      patience,
    );
    expect(opened.errors).toEqual([]);
  }, 400_000);

  test('a reload keeps what was typed and made', async () => {
    const made = await filmstrip(page).count();
    await field(page, 'Prompt').fill('a cat that is not finished yet');
    await field(page, 'Seed').fill('no seed');
    await page.reload();
    await page.getByRole('button', { name: /^Model: Emoji/ }).waitFor(patience);
    expect(await field(page, 'Prompt').inputValue()).toBe('a cat that is not finished yet');
    expect(await field(page, 'Seed').inputValue()).toBe('no seed');
    expect(await page.getByText('A seed is a whole number', { exact: false }).first().isVisible()).toBe(true);
    expect(await generateButton(page).getAttribute('aria-disabled')).toBe('true');
    expect(await field(page, 'Steps').inputValue()).toBe('2');
    expect(await filmstrip(page).count()).toBe(made);
    await field(page, 'Seed').fill('0');
    expect(opened.errors).toEqual([]);
  }, 300_000);

  test('the page recovers when the GPU process dies while it works', async () => {
    await ready(page);
    await field(page, 'Steps').fill('100');
    await field(page, 'Prompt').press('Control+Enter');
    await page.getByRole('progressbar', { name: 'Steps' }).waitFor(patience);
    const session = await opened.context.newCDPSession(page);
    await session.send('Browser.crashGpuProcess');
    await page.getByText('The GPU is back.').waitFor(patience);
    await page.getByText('The picture was not made.').waitFor(patience);
    await ready(page);
    expect(await field(page, 'Prompt').inputValue()).toBe('a cat that is not finished yet');
    await field(page, 'Steps').fill('2');
    const before = await filmstrip(page).count();
    await page.getByRole('button', { name: 'Try again' }).click();
    await page.waitForFunction(
      (count) => document.querySelectorAll('ul[aria-label^="Pictures made here"] button').length > count,
      before,
      patience,
    );
    expect(await page.getByRole('alert').count()).toBe(0);
  }, 600_000);
});

describe('Device', () => {
  test('every kernel is right', async () => {
    const opened = await openPage('?panel=device');
    try {
      const { page } = opened;
      await page.getByRole('button', { name: /^Model: Emoji/ }).waitFor(patience);
      await page.getByRole('button', { name: 'Check the kernels' }).click();
      const verdict = page.getByText(/kernels are (right|wrong)/);
      await verdict.waitFor({ timeout: 500_000 });
      expect(await verdict.textContent()).toMatch(/^All \d+ kernels are right: \d+ cases in /);
      expect(await page.getByText('wrong', { exact: true }).count()).toBe(0);
      expect(await page.getByText('maxStorageBufferBindingSize').isVisible()).toBe(true);
      expect(opened.errors).toEqual([]);
    } finally {
      await opened.close();
    }
  }, 600_000);
});
