/**
 * The store on a real browser's IndexedDB, in a worker: what was saved is there after a reload, a tab that is closed or
 * crashes in a save leaves the checkpoints before it, quota and versions are told in sentences.
 */
import { join } from 'node:path';
import { build } from 'esbuild';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { projectRoot } from '../../scripts/environment.mjs';
import type { OpenedPage } from '../helpers/page';
import { openElsewhere } from './standIn';
import type { Actions } from './storeWorker';

declare global {
  interface Window {
    askStore: (name: string, args: unknown[]) => Promise<unknown>;
    storeProgress: number[];
  }
}

let opened: OpenedPage;
let code: string;

beforeAll(async () => {
  const entryPoints = [join(projectRoot, 'test/page/storeWorker.ts')];
  const built = await build({ entryPoints, bundle: true, format: 'iife', write: false, target: 'es2022' });
  code = built.outputFiles[0]?.text ?? '';
  opened = await openElsewhere();
});
afterAll(async () => {
  expect(opened.errors).toEqual([]);
  await opened.close();
});

/** Starts the worker in a page that was just loaded. */
async function startWorker(page: Page): Promise<void> {
  await page.evaluate((text) => {
    const worker = new Worker(URL.createObjectURL(new Blob([text], { type: 'text/javascript' })));
    const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
    let next = 0;
    window.storeProgress = [];
    worker.onmessage = ({ data }) => {
      const { id, value, error, progress } = data as {
        id: number;
        value: unknown;
        error?: { code: string; message: string };
        progress?: number;
      };
      if (progress !== undefined) return void window.storeProgress.push(progress);
      if (error) waiting.get(id)?.reject(new Error(`[${error.code}] ${error.message}`));
      else waiting.get(id)?.resolve(value);
    };
    window.askStore = (name, args) =>
      new Promise((resolve, reject) => {
        waiting.set(++next, { resolve, reject });
        worker.postMessage({ id: next, name, args });
      });
  }, code);
}

/** A tab on an empty page of the served site: nothing but the store works here. */
async function openTab(browser = opened): Promise<Page> {
  const page = await browser.context.newPage();
  page.on('pageerror', (error) => opened.errors.push(`uncaught: ${error.message}`));
  await page.route('**/store-test.html', (route) =>
    route.fulfill({ contentType: 'text/html', body: '<!doctype html><link rel="icon" href="data:,">' }),
  );
  await page.goto(`${browser.url}store-test.html`);
  await startWorker(page);
  return page;
}

async function ask<N extends keyof Actions>(
  page: Page,
  name: N,
  ...args: Parameters<Actions[N]>
): Promise<Awaited<ReturnType<Actions[N]>>> {
  const call = [name, args] as const;
  return (await page.evaluate(([action, its]) => window.askStore(action, its as unknown[]), call)) as never;
}

test('what was saved is there after a reload, byte for byte', async () => {
  const page = await openTab();
  const { id } = await ask(page, 'create', 'emoji');
  await ask(page, 'save', id, 10, 'small');
  await ask(page, 'save', id, 20, 'small');
  const chunks = await ask(page, 'save', id, 30, 'small');
  expect(chunks).toBeGreaterThan(20);
  await page.reload();
  await startWorker(page);
  expect(await ask(page, 'load', id)).toEqual({ step: 30, refused: [], wrong: [] });
  const [run] = await ask(page, 'list');
  expect(run).toMatchObject({ id, run: { name: 'emoji', config: { steps: 100 } }, checkpoints: 2 });
  expect(run?.latest).toMatchObject({ step: 30, generation: 3 });
  expect(await ask(page, 'inventory', id)).toEqual({ states: ['complete', 'complete'], orphans: 0 });
  expect((await ask(page, 'room')).fits).toBe(true);
  expect(await ask(page, 'view')).toEqual([10, 10]);

  await ask(page, 'flip', `chunk/${id}/00000003/000004`);
  const fallen = await ask(page, 'load', id);
  expect(fallen).toMatchObject({ step: 20, wrong: [], refused: [{ generation: 3, step: 30 }] });
  expect(fallen.refused[0]?.reason).toMatch(/^chunk 5 of \d+: must have checksum/);
  await ask(page, 'delete', id);
  expect(await ask(page, 'keys')).toEqual([]);
  await page.close();
});

test('chunks of 16 MiB', async () => {
  const page = await openTab();
  const { id } = await ask(page, 'create', 'large');
  expect(await ask(page, 'save', id, 1, 'large')).toBe(4);
  await page.reload();
  await startWorker(page);
  expect(await ask(page, 'load', id)).toEqual({ step: 1, refused: [], wrong: [] });
  await ask(page, 'delete', id);
  await page.close();
});

test('a tab that is closed or crashes during saves leaves a whole checkpoint', async () => {
  const watcher = await openTab();
  const { id } = await ask(watcher, 'create', 'killed');
  await ask(watcher, 'save', id, 1, 'small');
  let reached = 1;
  const left: number[] = [];
  for (const end of ['close', 'crash', 'close', 'crash'] as const) {
    const page = await openTab();
    await page.evaluate(([run, first]) => void window.askStore('saveForever', [run, first]).catch(() => {}), [
      id,
      reached + 1,
    ] as const);
    // into the third save at least, somewhere in its middle
    await page.waitForFunction(() => {
      const all = window.storeProgress;
      const last = all.at(-1) ?? 1;
      return all.filter((part) => part === 1).length >= 2 && last > 0.3 && last < 0.9;
    });
    if (end === 'close') {
      await page.close();
    } else {
      const session = await opened.context.newCDPSession(page);
      const crashed = page.waitForEvent('crash');
      session.send('Page.crash').catch(() => {});
      await crashed;
      await page.close();
    }
    const { step, refused, wrong } = await ask(watcher, 'load', id);
    expect(refused).toEqual([]);
    expect(wrong).toEqual([]);
    // both saves that had ended count
    expect(step).toBeGreaterThanOrEqual(reached + 2);
    reached = step;
    left.push(await ask(watcher, 'sweep', id));
    expect((await ask(watcher, 'inventory', id)).states.slice(0, 2)).toEqual(['complete', 'complete']);
  }
  // a loaded machine may end a tab just between two saves, but not every time
  expect(Math.max(...left)).toBeGreaterThan(0);
  await ask(watcher, 'delete', id);
  expect(await ask(watcher, 'keys')).toEqual([]);
  await watcher.close();
});

test('the second tab is told that a run is held, until the first is gone', async () => {
  const [first, second] = [await openTab(), await openTab()];
  const { id } = await ask(first, 'create', 'held');
  await ask(first, 'lock', id);
  await expect(ask(second, 'lock', id)).rejects.toThrow(/\[storage-held\] run .*: another tab has it open/);
  await expect(ask(second, 'delete', id)).rejects.toThrow(/\[storage-held\]/);
  await expect(ask(second, 'waitInVain', id)).rejects.toThrow(/\[cancelled\]/);
  await first.close();
  await expect
    .poll(() => ask(second, 'lock', id).then(() => 'taken', String), { timeout: 10_000 })
    .toBe('taken');
  await ask(second, 'unlock');
  await ask(second, 'delete', id);
  await second.close();
});

test('a full disk is told, and the checkpoint before stays', async () => {
  // a browser of its own: Chromium remembers for a while how much room there was
  const narrow = await openElsewhere();
  try {
    const page = await openTab(narrow);
    const session = await narrow.context.newCDPSession(page);
    const origin = new URL(narrow.url).origin;
    await session.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 40e6 });
    const { id } = await ask(page, 'create', 'full');
    await ask(page, 'save', id, 1, 'small');
    await expect(ask(page, 'save', id, 2, 'large')).rejects.toThrow(
      /\[quota\] checkpoint: the browser must have room for 50\.3 MB more: .* its quota is used up; earlier checkpoints are as they were/,
    );
    // it was refused midway, not at the start
    const reached = (await page.evaluate(() => window.storeProgress.at(-1))) ?? 0;
    expect(reached).toBeGreaterThan(0.3);
    expect(reached).toBeLessThan(1);
    expect(await ask(page, 'load', id)).toEqual({ step: 1, refused: [], wrong: [] });
    expect(await ask(page, 'inventory', id)).toEqual({ states: ['complete'], orphans: 0 });
  } finally {
    await narrow.close();
  }
});

// the last one: it leaves a database of a newer version
test('versions of the database: brought up to date, blocked, and too new', async () => {
  const old = await openTab();
  const { id } = await ask(old, 'create', 'kept');
  await expect(ask(old, 'openBlocked')).rejects.toThrow(
    /\[storage-blocked\] tabdit-runs: must be brought up to date: another tab has it open/,
  );
  const newer = await openTab();
  expect(await ask(newer, 'openNewer')).toBe(1);
  await expect(ask(old, 'load', id)).rejects.toThrow(
    /\[storage-newer\] tabdit-runs: .*another tab has opened a newer one; reload this page/,
  );
  await old.reload();
  await startWorker(old);
  await expect(ask(old, 'load', id)).rejects.toThrow(
    /\[storage-newer\] tabdit-runs: listing manifest\/.*: this program knows version 1 of this data: a newer version/,
  );
  await old.close();
  await newer.close();
});
