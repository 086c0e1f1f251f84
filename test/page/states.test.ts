/**
 * States that a working machine rarely shows: no WebGPU, no adapter, an address that is not secure, a model that does not
 * load, a crash of the engine, a queue, notes and dialogs. Most of them with a stand-in for the engine's worker.
 */
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { projectRoot } from '../../scripts/environment.mjs';
import { serveFolder } from '../../scripts/serve.mjs';
import type { WireError } from '../../src/protocol/messages';
import type { OpenedPage } from '../helpers/page';
import { openPage } from '../helpers/page';
import type { FakeOptions } from './fakeEngine';
import { namelessControls, openElsewhere, openStandIn } from './standIn';

const generateButton = (page: Page) => page.getByRole('button', { name: 'Generate', exact: true });
const pictures = (page: Page) => page.getByRole('list', { name: /^Pictures made here/ }).getByRole('button');

const wireError = (code: string, message: string): WireError => ({
  name: 'TabditError',
  code,
  message,
  stack: 'at x',
});

/** Puts a line of code before the engine's worker. */
async function beforeEngine(page: Page, code: string): Promise<void> {
  await page.route(/assets\/worker-.*\.js$/, async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: `${code}\n${await response.text()}` });
  });
}

describe('with a stand-in for the engine', () => {
  let opened: OpenedPage;
  let page: Page;
  beforeAll(async () => {
    opened = await openElsewhere();
  });
  afterAll(() => opened.close());

  /** A fresh page with a stand-in. */
  async function start(options: Partial<FakeOptions> = {}): Promise<void> {
    page = await openStandIn(opened, options);
  }

  async function end(): Promise<void> {
    await page.close();
    expect(opened.errors).toEqual([]);
  }

  test('a queue: shown, taken from, worked off', async () => {
    await start({ stepMs: 30 });
    // a key does nothing before the model is there
    await page.getByRole('button', { name: 'Model: Emoji 64 px (demo)' }).waitFor();
    for (const prompt of ['first', 'second', 'third']) {
      await page.getByRole('textbox', { name: 'Prompt' }).fill(prompt);
      await page.keyboard.press('Control+Enter');
    }
    const queue = page.getByRole('list', { name: 'Queue' });
    await queue.getByText('third').waitFor();
    expect(await queue.getByRole('listitem').count()).toBe(2);
    await queue.getByRole('listitem').filter({ hasText: 'second' }).getByRole('button').click();
    await generateButton(page).waitFor();
    await page.getByRole('button', { name: 'Open “third”, seed 0' }).waitFor();
    expect(await page.getByRole('button', { name: 'Open “second”, seed 0' }).count()).toBe(0);
    await end();
  });

  test('steps are a bar with the noise level of each', async () => {
    await start({ stepMs: 250 });
    await generateButton(page).click();
    const bar = page.getByRole('progressbar', { name: 'Steps' });
    await page.getByText(/^Step [4-9] of 16, noise level σ/).waitFor();
    await bar.hover({ position: { x: 4, y: 8 } });
    await page.getByText(/^Step 1: noise level σ 61\.8 after it$/).waitFor();
    expect(Number(await bar.getAttribute('aria-valuenow'))).toBeGreaterThan(3);
    await generateButton(page).waitFor();
    await end();
  });

  test('full view: arrow keys, use these, vary, remove and undo', async () => {
    await start();
    await generateButton(page).waitFor();
    const earlier = await pictures(page).count();
    await page.getByRole('textbox', { name: 'Pictures at once' }).fill('2');
    await page.getByRole('textbox', { name: 'Seed' }).fill('41');
    await generateButton(page).click();
    await pictures(page)
      .nth(earlier + 1)
      .waitFor();
    await page.getByRole('textbox', { name: 'Seed' }).fill('0');

    await pictures(page).first().click();
    const dialog = page.getByRole('dialog');
    await dialog.getByText('1 of 2').waitFor();
    await page.keyboard.press('ArrowRight');
    await dialog.getByText('2 of 2').waitFor();
    await page.keyboard.press('ArrowLeft');
    await dialog.getByText('1 of 2').waitFor();
    expect(await page.evaluate(namelessControls)).toEqual([]);
    await dialog.getByRole('button', { name: 'Use these settings' }).click();
    await dialog.waitFor({ state: 'hidden' });
    expect(await page.getByRole('textbox', { name: 'Seed' }).inputValue()).toBe('41');
    await page.getByRole('button', { name: 'Undo' }).click();
    expect(await page.getByRole('textbox', { name: 'Seed' }).inputValue()).toBe('0');

    const before = await pictures(page).count();
    await pictures(page).first().click();
    await dialog.getByRole('button', { name: 'Remove from the filmstrip' }).click();
    await page.keyboard.press('Escape');
    expect(await pictures(page).count()).toBe(before - 1);
    await page.getByRole('button', { name: 'Undo' }).click();
    await pictures(page)
      .nth(before - 1)
      .waitFor();

    await pictures(page).first().click();
    await dialog.getByRole('button', { name: 'Vary with a new seed' }).click();
    await pictures(page)
      .nth(before + 1)
      .waitFor();
    expect(await page.getByRole('textbox', { name: 'Seed' }).inputValue()).not.toBe('0');
    await end();
  });

  test('fields that differ from the model can be set back', async () => {
    await start();
    await generateButton(page).waitFor();
    await page.getByRole('textbox', { name: 'Steps' }).fill('40');
    await page.getByRole('button', { name: 'Set steps back to 16' }).click();
    expect(await page.getByRole('textbox', { name: 'Steps' }).inputValue()).toBe('16');
    await page.getByRole('button', { name: 'Draw a new seed' }).click();
    const drawn = await page.getByRole('textbox', { name: 'Seed' }).inputValue();
    expect(drawn).toMatch(/^\d+$/);
    await page.getByRole('button', { name: 'Set the seed back to 0' }).click();
    expect(await page.getByRole('textbox', { name: 'Seed' }).inputValue()).toBe('0');
    await page.getByRole('button', { name: 'blue heart' }).click();
    expect(await page.getByRole('textbox', { name: 'Prompt' }).inputValue()).toBe('blue heart');
    await end();
  });

  test('a model that does not load says why, with what to do and details to copy', async () => {
    await start({ model: 'fails' });
    const alert = page.getByRole('alert');
    await alert.getByText('The model was not loaded.').waitFor();
    expect(
      await alert
        .getByText(/tabdit\.json: must be on the server: status 404$/)
        .first()
        .isVisible(),
    ).toBe(true);
    await alert.getByRole('button', { name: 'Details' }).click();
    await alert.getByRole('button', { name: 'Copy details' }).waitFor();
    const asked = await page.evaluate(() => window.fakeEngine.received.length);
    await alert.getByRole('button', { name: 'Try again' }).click();
    await page.waitForFunction((count) => window.fakeEngine.received.length > count, asked);
    await end();
  });

  test('a lost device is said, then that it is back', async () => {
    await start();
    await generateButton(page).waitFor();
    await page.evaluate(() => {
      const state = { name: 'device-lost', message: 'driver reset', attempt: 2, attempts: 5 } as const;
      window.fakeEngine.say({ type: 'state', state });
    });
    await page.getByText('The browser took the GPU away').waitFor();
    await page.getByText('attempt 2 of 5').waitFor();
    expect(await generateButton(page).getAttribute('aria-disabled')).toBe('true');
    await page.evaluate(() => window.fakeEngine.say({ type: 'state', state: { name: 'ready', rebuilt: 1 } }));
    await page.getByText('The GPU is back.').waitFor();
    await page.getByRole('button', { name: 'Close this note' }).click();
    expect(await page.getByText('The GPU is back.').count()).toBe(0);
    await end();
  });

  test('a failed generation stands beside its button', async () => {
    await start({ stepMs: 0 });
    await generateButton(page).click();
    await page.evaluate(
      (error) => {
        const request = window.fakeEngine.received.find((message) => message.type === 'generate');
        window.fakeEngine.say({ type: 'failed', id: request?.id ?? 0, of: 'generate', error });
      },
      wireError('out-of-memory', 'GPU memory: scratch page 0 needs 9 bytes and the device has no room'),
    );
    const alert = page.getByRole('region', { name: 'What to make' }).getByRole('alert');
    await alert.getByText('The picture was not made.').waitFor();
    expect(await alert.textContent()).toContain('Make fewer pictures at once');
    await end();
  });

  test('an engine that crashes says so', async () => {
    await start();
    await generateButton(page).waitFor();
    await page.evaluate(() => window.fakeEngine.crash('out of memory'));
    await page.getByRole('heading', { name: 'The engine stopped' }).waitFor();
    await page.getByRole('button', { name: 'Reload the page' }).waitFor();
    await end();
  });

  test('no adapter: what helps, and trying again', async () => {
    await start({ state: 'no-adapter' });
    await page.getByRole('heading', { name: 'No graphics chip can be used' }).waitFor();
    await page.getByRole('button', { name: 'Try again' }).click();
    await page.waitForFunction(
      () => window.fakeEngine.received.filter(({ type }) => type === 'init').length === 2,
    );
    expect(await page.getByRole('navigation').count()).toBe(0);
    await end();
  });

  test('keys: the sheet, single keys, switching them off', async () => {
    await start();
    await generateButton(page).waitFor();
    await page.keyboard.press('?');
    const sheet = page.getByRole('dialog', { name: 'Keys' });
    await sheet.waitFor();
    expect(await page.evaluate(namelessControls)).toEqual([]);
    await page.keyboard.press('d');
    await page.keyboard.press('Escape');
    await sheet.waitFor({ state: 'hidden' });
    expect(page.url()).not.toContain('panel=device');
    await page.keyboard.press('d');
    await page.getByRole('heading', { name: 'Example GPU 9000' }).waitFor();
    expect(page.url()).toContain('?panel=device');
    expect(await page.evaluate(namelessControls)).toEqual([]);
    await page.keyboard.press('/');
    await page.waitForFunction(() => document.activeElement?.id === 'prompt');
    await page.keyboard.type('d?r');
    expect(await page.getByRole('textbox', { name: 'Prompt' }).inputValue()).toContain('d?r');
    await page.getByRole('button', { name: 'Keys' }).click();
    await sheet.getByRole('switch').click({ force: true });
    await page.keyboard.press('Escape');
    await sheet.waitFor({ state: 'hidden' });
    await page.keyboard.press('d');
    expect(page.url()).not.toContain('panel=device');
    await end();
  });

  test('the theme follows the system until one is chosen, and the choice stays', async () => {
    await start();
    const scheme = () => page.evaluate(() => document.documentElement.dataset['mantineColorScheme']);
    await page.emulateMedia({ colorScheme: 'dark' });
    await page.waitForFunction(() => document.documentElement.dataset['mantineColorScheme'] === 'dark');
    await page.getByRole('button', { name: /^Theme: as the system/ }).click();
    expect(await scheme()).toBe('light');
    await page.reload();
    await generateButton(page).waitFor();
    expect(await scheme()).toBe('light');
    await page.emulateMedia({ colorScheme: null });
    await end();
  });

  test('every control has a name, on wide and narrow screens', async () => {
    await start({ stepMs: 60 });
    for (const [width, height] of [
      [1440, 900],
      [390, 844],
    ] as const) {
      await page.setViewportSize({ width, height });
      await generateButton(page).click();
      await page.getByRole('progressbar', { name: 'Steps' }).waitFor();
      expect(await page.evaluate(namelessControls)).toEqual([]);
      await generateButton(page).waitFor();
      expect(await page.evaluate(namelessControls)).toEqual([]);
      // nothing sticks out at the side
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      expect(overflow).toBeLessThanOrEqual(0);
    }
    await end();
  });
});

describe('with the real engine', () => {
  test('a browser without WebGPU: what it means, which have it, how to switch it on', async () => {
    const opened = await openElsewhere();
    try {
      const { page } = opened;
      await beforeEngine(
        page,
        "Object.defineProperty(WorkerNavigator.prototype, 'gpu', { value: undefined });",
      );
      await page.goto(opened.url);
      await page.getByRole('heading', { name: 'This browser does not offer WebGPU' }).waitFor();
      for (const name of ['Chrome, Edge', 'Safari', 'Firefox']) {
        expect(await page.getByRole('rowheader', { name }).isVisible()).toBe(true);
      }
      expect(await page.getByText('chrome://flags/#enable-unsafe-webgpu').isVisible()).toBe(true);
      expect(await page.evaluate(namelessControls)).toEqual([]);
      expect(opened.errors).toEqual([]);
    } finally {
      await opened.close();
    }
  });

  test('an adapter that cannot be had', async () => {
    const opened = await openElsewhere();
    try {
      await beforeEngine(opened.page, 'GPU.prototype.requestAdapter = async () => null;');
      await opened.page.goto(opened.url);
      await opened.page.getByRole('heading', { name: 'No graphics chip can be used' }).waitFor();
      expect(opened.errors).toEqual([]);
    } finally {
      await opened.close();
    }
  });

  test('an address that is not secure', async () => {
    const opened = await openPage('manifest.webmanifest', {
      flags: ['--host-resolver-rules=MAP page.test 127.0.0.1'],
    });
    try {
      await opened.page.goto(opened.url.replace('127.0.0.1', 'page.test'));
      await opened.page
        .getByRole('heading', { name: 'This address is not secure enough for WebGPU' })
        .waitFor();
    } finally {
      await opened.close();
    }
  });

  test('the page works from any path', async () => {
    const root = mkdtempSync(join(tmpdir(), 'tabdit-path-'));
    symlinkSync(join(projectRoot, 'dist'), join(root, 'deep'), 'dir');
    const server = await serveFolder(root);
    const opened = await openElsewhere();
    try {
      await opened.page.goto(`${server.url}deep/`);
      await opened.page
        .getByRole('button', { name: 'Model: Emoji 64 px (demo)' })
        .waitFor({ timeout: 240_000 });
      expect(opened.errors).toEqual([]);
    } finally {
      await opened.close();
      await server.close();
      rmSync(root, { recursive: true, force: true });
    }
  }, 300_000);
});
