/**
 * The built page (dist/) in a real Chromium, for page tests: serves the folder, starts a headless browser with
 * WebGPU on SwiftShader and opens a page, collecting everything that went wrong in it.
 *
 * `npm test` builds dist/ before the page tests; running one of them alone needs `npm run build` first.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { BrowserContext, Page } from 'playwright-core';
import { chromium } from 'playwright-core';
import { findChromium, projectRoot } from '../../scripts/environment.mjs';
import { serveFolder } from '../../scripts/serve.mjs';

export interface OpenPageOptions {
  /** Viewport in CSS pixels; 1280 x 800 where not given. */
  width?: number;
  height?: number;
  /** Further Chromium flags. */
  flags?: readonly string[];
  /** Preferred colour scheme. */
  colorScheme?: 'light' | 'dark';
  /** Origins that the page may connect to besides those in its content security policy (a test's own server). */
  connect?: readonly string[];
  /** Folder of the browser profile, to come back to the same storage; a fresh profile where not given. */
  profile?: string;
}

export interface OpenedPage {
  page: Page;
  context: BrowserContext;
  /** Address of the served folder, ending with a slash. */
  url: string;
  /** Uncaught errors, console errors and failed requests so far, one line each; a test ends by expecting none. */
  errors: string[];
  /** Ends browser and server. */
  close: () => Promise<void>;
}

/** Flags of every page test: software WebGPU, and a browser that talks to nobody by itself. */
const baseFlags = [
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/**
 * Opens a page of dist/.
 *
 * @param path address inside dist/, for example `` (the page itself) or `?panel=train`
 * @throws Error when dist/ has not been built or no Chromium is found
 */
export async function openPage(path = '', options: OpenPageOptions = {}): Promise<OpenedPage> {
  const dist = join(projectRoot, 'dist');
  if (!existsSync(join(dist, 'index.html'))) {
    throw new Error('page test: dist/ must be built first (npm run build): there is no dist/index.html');
  }
  const executablePath = process.env.TABDIT_CHROMIUM ?? (await findChromium()).path;
  const connect = (options.connect ?? []).join(' ');
  const server = await serveFolder(dist, {
    policy: (text) => (connect === '' ? text : text.replace('connect-src', `connect-src ${connect}`)),
  });
  try {
    const context = await chromium.launchPersistentContext(options.profile ?? '', {
      executablePath,
      headless: true,
      args: [...baseFlags, ...(options.flags ?? [])],
      viewport: { width: options.width ?? 1280, height: options.height ?? 800 },
      colorScheme: options.colorScheme ?? 'light',
    });
    const errors: string[] = [];
    const page = context.pages()[0] ?? (await context.newPage());
    page.on('pageerror', (error) => errors.push(`uncaught: ${error.stack ?? error.message}`));
    page.on('console', (message) => {
      const at = message.location();
      if (message.type() === 'error') errors.push(`console: ${message.text()} (${at.url}:${at.lineNumber})`);
    });
    page.on('requestfailed', (request) => {
      const reason = request.failure()?.errorText ?? 'no reason given';
      if (reason !== 'net::ERR_ABORTED') errors.push(`request: ${request.url()}: ${reason}`);
    });
    page.on('crash', () => errors.push('the page crashed'));
    const close = async (): Promise<void> => {
      await context.close();
      await server.close();
    };
    await page.goto(new URL(path, server.url).href);
    return { page, context, url: server.url, errors, close };
  } catch (error) {
    await server.close();
    throw error;
  }
}
