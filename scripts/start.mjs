/**
 * `npm start`: builds the page when its sources are newer than the last build, serves it on this machine only and
 * opens the default browser where there is a screen.
 *
 * Options: `--port N` (first port to try, 8017), `--no-open`.
 */
import { spawn } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { projectRoot } from './environment.mjs';
import { serveFolder } from './serve.mjs';

/** What the build reads. */
const sources = ['src', 'shaders', 'public', 'index.html', 'vite.config.ts', 'package-lock.json'];

/** @param {string} path @returns {number} the latest change in a file or folder, ms since 1970; 0 where absent */
function latestChange(path) {
  const info = statSync(path, { throwIfNoEntry: false });
  if (!info) return 0;
  if (!info.isDirectory()) return info.mtimeMs;
  // A folder's own time tells of files that were removed.
  return readdirSync(path).reduce(
    (time, name) => Math.max(time, latestChange(join(path, name))),
    info.mtimeMs,
  );
}

/** @returns {Promise<void>} */
async function build() {
  const built = statSync(join(projectRoot, 'dist', 'index.html'), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (sources.every((source) => latestChange(join(projectRoot, source)) <= built)) return;
  console.log('Building the page.');
  const vite = await import('vite');
  await vite.build({ root: projectRoot, logLevel: 'warn' });
}

/** @returns whether a browser window could be seen here */
function hasScreen() {
  if (process.env.CI || process.env.SSH_CONNECTION) return false;
  if (process.platform === 'darwin' || process.platform === 'win32') return true;
  return Boolean(process.env.DISPLAY || process.env.WAYLAND_DISPLAY);
}

/** @param {string} url opened in the default browser; where that fails the printed address has to do */
function openBrowser(url) {
  const [command, ...args] =
    process.platform === 'darwin'
      ? ['open', url]
      : process.platform === 'win32'
        ? ['explorer.exe', url]
        : ['xdg-open', url];
  const child = spawn(command ?? '', args, { stdio: 'ignore', detached: true });
  child.on('error', () => console.log('No browser could be opened; open the address yourself.'));
  child.unref();
}

async function main() {
  const { values } = parseArgs({
    options: { port: { type: 'string', default: '8017' }, 'no-open': { type: 'boolean', default: false } },
  });
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 0 || port > 65535) {
    throw new Error(`--port: must be an integer from 0 to 65535: ${values.port}`);
  }
  await build();
  const server = await serveFolder(join(projectRoot, 'dist'), { port, tries: 20 });
  console.log(`tabdit is at ${server.url} (Ctrl-C ends it)`);
  if (!values['no-open'] && hasScreen()) openBrowser(server.url);
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => void server.close().then(() => process.exit(0)));
  }
}

main().catch((error) => {
  console.error(`start: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
});
