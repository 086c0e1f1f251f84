/** Pages on the stand-in for the engine, files dropped into them, and what assistive technology makes of them. */
import axe from 'axe-core';
import type { Page } from 'playwright-core';
import type { OpenedPage, OpenPageOptions } from '../helpers/page';
import { openPage } from '../helpers/page';
import { fakeEngine, type FakeOptions } from './fakeEngine';

/** A browser on a file of dist/ that is no page, so that a test can prepare what the page will find. */
export async function openElsewhere(options: OpenPageOptions = {}): Promise<OpenedPage> {
  const opened = await openPage('favicon.svg', options);
  await opened.page.waitForLoadState();
  await opened.page.goto('about:blank');
  // the browser asks for an icon of the file, which has none
  opened.errors.length = 0;
  return opened;
}

/** A fresh page with a stand-in, with nothing kept from the pages before. What goes wrong in it is added to `opened`. */
export async function openStandIn(
  opened: OpenedPage,
  options: Partial<FakeOptions> = {},
  search = '',
): Promise<Page> {
  const page = await opened.context.newPage();
  page.on('pageerror', (error) => opened.errors.push(`uncaught: ${error.message}`));
  page.on('console', (message) => {
    if (message.type() === 'error') opened.errors.push(`console: ${message.text()}`);
  });
  // nothing here computes: what takes longer does not come
  page.setDefaultTimeout(20_000);
  await fakeEngine(page, options);
  await page.goto(opened.url + search);
  await page.evaluate(() => window.localStorage.clear());
  await page.reload();
  return page;
}

/** Drops files of a few bytes, as a browser does that has no entries for them. */
export async function dropFiles(page: Page, names: readonly string[]): Promise<void> {
  await page.evaluate((all) => {
    const dataTransfer = new DataTransfer();
    for (const name of all) dataTransfer.items.add(new File([new Uint8Array(9)], name));
    document.body.dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }));
  }, names);
}

/** A folder's content: folders as objects, files as their size. */
export interface Folder {
  readonly [name: string]: Folder | number;
}

/** Drops folders and files as a browser's file system shows them: a hundred entries of a folder at a time. */
export async function dropFolders(page: Page, content: Folder): Promise<void> {
  await page.evaluate((root) => {
    const entry = (name: string, its: Folder | number, above: string): object => {
      const fullPath = `${above}/${name}`;
      if (typeof its === 'number') {
        const file = (give: (file: File) => void): void => give(new File([new Uint8Array(its)], name));
        return { isFile: true, isDirectory: false, name, fullPath, file };
      }
      const createReader = (): object => {
        const waiting = Object.entries(its).map(([child, content]) => entry(child, content, fullPath));
        return { readEntries: (give: (some: object[]) => void) => give(waiting.splice(0, 100)) };
      };
      return { isFile: false, isDirectory: true, name, fullPath, createReader };
    };
    let over = false;
    const items = Object.entries(root).map(([name, its]) => ({
      kind: 'file',
      // a browser gives entries within the event only
      webkitGetAsEntry: () => (over ? null : entry(name, its, '')),
      getAsFile: () => null,
    }));
    const event = new DragEvent('drop', { bubbles: true, cancelable: true });
    Object.defineProperty(event, 'dataTransfer', { value: { types: ['Files'], items } });
    document.body.dispatchEvent(event);
    over = true;
  }, content);
}

/** Breaches of WCAG A and AA that axe finds, as lines. */
export async function axeProblems(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  return page.evaluate(async () => {
    const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
    const { violations } = await (window as unknown as { axe: typeof axe }).axe.run(document, {
      runOnly: { type: 'tag', values: tags },
    });
    return violations.flatMap(({ id, help, nodes }) =>
      nodes.map(({ html, any, all, none }) => {
        const [check] = [...any, ...all, ...none];
        return `${id}: ${help}: ${html.slice(0, 160)}: ${check?.message ?? ''}`;
      }),
    );
  });
}

/**
 * What assistive technology would stumble over, as lines: controls without a name, pictures without a text, ids that
 * come twice. Runs in the browser.
 */
export function namelessControls(): string[] {
  const problems: string[] = [];
  const seen = new Set<string>();
  for (const element of document.querySelectorAll('[id]')) {
    if (seen.has(element.id)) problems.push(`id twice: ${element.id}`);
    seen.add(element.id);
  }
  for (const image of document.querySelectorAll('img:not([alt]), canvas:not([aria-label])')) {
    problems.push(`picture without a text: ${image.outerHTML.slice(0, 120)}`);
  }
  const controls =
    'button, a[href], input:not([type=hidden], [type=file]), textarea, select, [role=slider], [role=progressbar]';
  for (const element of document.querySelectorAll<HTMLElement>(controls)) {
    if (!element.checkVisibility()) continue;
    const labels =
      element instanceof HTMLInputElement || element instanceof HTMLTextAreaElement ? element.labels : null;
    const labelledBy = (element.getAttribute('aria-labelledby') ?? '')
      .split(' ')
      .map((id) => document.getElementById(id));
    const names = [
      element.getAttribute('aria-label'),
      ...labelledBy.map((label) => label?.textContent),
      ...[...(labels ?? [])].map((label) => label.textContent),
      element.textContent,
      element.querySelector('img')?.alt,
    ];
    // stepping arrows of number fields are for the mouse only
    if (element.tabIndex < 0 && element.getAttribute('aria-hidden') === 'true') continue;
    if (!names.some((name) => name?.trim())) problems.push(`no name: ${element.outerHTML.slice(0, 160)}`);
  }
  return problems;
}
