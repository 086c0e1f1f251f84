#!/usr/bin/env node
/**
 * The `tabdit` command: a launcher in plain JavaScript around src/cli/main.ts, so that no install script and no
 * build step is needed. It bundles the TypeScript into .cache/ on first use and whenever a source changed, chooses
 * the Vulkan driver, and runs the bundle in a child process (the Vulkan loader's folder can only be given to a
 * process before it starts). Arguments, standard streams, signals and the exit code pass through.
 *
 * The child finds in its environment: TABDIT_ROOT, the project's folder (for public/), and where no Vulkan driver
 * was found TABDIT_ADAPTER_PROBLEM, a sentence for the error about a missing adapter.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { findVulkan, projectRoot } from '../scripts/environment.mjs';

const cacheFolder = join(projectRoot, '.cache');
const staleAfterMs = 3_600_000;

/** @param {import('node:crypto').Hash} hash @param {string} folder relative to the project */
function addStamps(hash, folder) {
  const entries = readdirSync(join(projectRoot, folder), { withFileTypes: true });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) {
      addStamps(hash, path);
    } else {
      const { mtimeMs, size } = statSync(join(projectRoot, path));
      hash.update(`${path}\0${mtimeMs}\0${size}\n`);
    }
  }
}

/** @returns {string} stamp of all sources: paths, times and sizes, and the versions of what is bundled with them */
function sourceStamp() {
  const hash = createHash('sha256');
  for (const folder of ['src', 'shaders']) addStamps(hash, folder);
  for (const file of ['package.json', 'package-lock.json', 'bin/tabdit.mjs']) {
    hash.update(readFileSync(join(projectRoot, file)));
  }
  return hash.digest('hex').slice(0, 16);
}

/** @returns {Promise<string>} path of the bundle for the sources as they are now */
async function bundle() {
  const path = join(cacheFolder, `tabdit-${sourceStamp()}.mjs`);
  if (existsSync(path)) return path;
  const { build } = await import('esbuild');
  mkdirSync(cacheFolder, { recursive: true });
  const { outputFiles } = await build({
    entryPoints: [join(projectRoot, 'src/cli/main.ts')],
    outfile: path,
    write: false,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    external: ['webgpu'],
    sourcemap: true,
    keepNames: true,
    logLevel: 'error',
    // CommonJS packages in the bundle ask for Node's own modules through `require`.
    banner: {
      js: "import { createRequire as requireFor } from 'node:module'; const require = requireFor(import.meta.url);",
    },
  });
  // Written under another name first (two commands may start at the same time), the map before what names it.
  for (const file of outputFiles.sort((a, b) => b.path.length - a.path.length)) {
    const part = `${file.path}.${process.pid}.part`;
    writeFileSync(part, file.contents);
    renameSync(part, file.path);
  }
  const name = basename(path);
  for (const old of readdirSync(cacheFolder)) {
    const stale = /^tabdit-[0-9a-f]{16}\.mjs(\.map)?$/.test(old) && !old.startsWith(name);
    const age = Date.now() - (statSync(join(cacheFolder, old), { throwIfNoEntry: false })?.mtimeMs ?? 0);
    // Younger ones may belong to a command that has yet to load it.
    if (stale && age > staleAfterMs) rmSync(join(cacheFolder, old), { force: true });
  }
  return path;
}

/** @param {string[]} args @returns {string} the last `--adapter`, else the environment's, else `auto` */
function adapterFrom(args) {
  let adapter = process.env.TABDIT_ADAPTER ?? 'auto';
  for (const [i, arg] of args.entries()) {
    if (arg === '--') break;
    if (arg === '--adapter') adapter = args[i + 1] ?? adapter;
    else if (arg.startsWith('--adapter=')) adapter = arg.slice('--adapter='.length);
  }
  return adapter;
}

/** @param {string} script @param {string[]} args @param {Record<string, string>} env */
function run(script, args, env) {
  const child = spawn(process.execPath, ['--enable-source-maps', script, ...args], {
    stdio: 'inherit',
    env: { ...process.env, ...env },
  });
  /** @type {NodeJS.Signals[]} */
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) {
    process.on(signal, () => {
      // A terminal sends Ctrl-C to the child as well; twice would mean "at once" to it.
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
    });
  }
  child.on('error', (error) => {
    console.error(`tabdit: Node must start again for the command: ${error.message}`);
    process.exit(1);
  });
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    for (const name of signals) process.removeAllListeners(name);
    process.kill(process.pid, signal);
  });
}

try {
  const args = process.argv.slice(2);
  const vulkan = await findVulkan({ adapter: adapterFrom(args) });
  run(await bundle(), args, {
    ...vulkan.env,
    TABDIT_ROOT: projectRoot,
    ...(vulkan.problem === undefined ? {} : { TABDIT_ADAPTER_PROBLEM: vulkan.problem }),
  });
} catch (error) {
  console.error(`tabdit: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
}
