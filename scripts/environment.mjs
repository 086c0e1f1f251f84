/**
 * What this project needs from the machine besides Node: a Chromium (page tests) and, for WebGPU in Node (kernel
 * tests, command line), a Vulkan driver with its loader. Both are found here, and on request installed; every step
 * that changes the machine is announced through `say` first.
 *
 * Plain Node without dependencies, because the launcher (bin/tabdit.mjs) uses it before anything is bundled, and
 * quick (a few file look-ups) for the same reason: Chromium is started for a check only when installing is allowed.
 *
 * Vulkan on Linux: Dawn loads libvulkan.so.1 (the loader), which reads driver manifests ("ICD" json files). In
 * order of preference: a real GPU's driver; SwiftShader, which every Chromium carries together with a loader;
 * Mesa's lavapipe. macOS (Metal) and Windows (D3D12) need nothing. The loader's folder can only be given by
 * LD_LIBRARY_PATH, which must be set before a process starts: callers pass `env` to a child process.
 */
import { spawn, spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readFileSync, readdirSync, realpathSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The project's root folder. */
export const projectRoot = resolve(dirname(fileURLToPath(import.meta.url)), '..');

/**
 * @typedef {(line: string) => void} Say
 * @typedef {{ path: string, origin: string }} Chromium `path` is the file to start, `origin` says where it is from
 * @typedef {'gpu' | 'swiftshader' | 'lavapipe'} DriverKind
 * @typedef {{ kind: DriverKind, name: string, icd: string, loader?: string }} Driver `loader`: folder of the
 *   libvulkan.so.1 that comes with the driver
 * @typedef {{ what: string, env: Record<string, string>, problem?: string }} Vulkan `what`: one sentence about the
 *   choice; `env`: additions for the child process; `problem`: what is missing and what to install, when nothing fits
 */

const platform = process.platform;
const noSay = () => {};

/** @param {string} folder @returns {string[]} names in a folder, none when it cannot be read */
function list(folder) {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}

/** @param {string} path */
function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

// ---- Chromium ----------------------------------------------------------------------------------------------------

/** Folders where browsers' own files lie when the command on the PATH is only a script or a link to one. */
const linuxBrowserFolders = [
  '/usr/lib/chromium',
  '/usr/lib64/chromium',
  '/usr/lib/chromium-browser',
  '/usr/lib64/chromium-browser',
  '/snap/chromium/current/usr/lib/chromium-browser',
  '/opt/google/chrome',
  '/opt/chromium.org/chromium',
  '/opt/microsoft/msedge',
];

/** @returns {Chromium[]} browsers at the standard places of this operating system, best first */
function systemChromiums() {
  /** @type {string[]} */
  const paths = [];
  if (platform === 'darwin') {
    for (const name of ['Google Chrome', 'Chromium', 'Microsoft Edge']) {
      for (const root of ['/Applications', join(homedir(), 'Applications')]) {
        paths.push(join(root, `${name}.app`, 'Contents', 'MacOS', name));
      }
    }
  } else if (platform === 'win32') {
    const roots = [process.env.PROGRAMFILES, process.env['PROGRAMFILES(X86)'], process.env.LOCALAPPDATA];
    for (const inner of [
      ['Google', 'Chrome', 'Application', 'chrome.exe'],
      ['Chromium', 'Application', 'chrome.exe'],
      ['Microsoft', 'Edge', 'Application', 'msedge.exe'],
    ]) {
      for (const root of roots) if (root) paths.push(join(root, ...inner));
    }
  } else {
    const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome'];
    const folders = (process.env.PATH ?? '').split(delimiter).filter(Boolean);
    for (const folder of ['/usr/bin', '/usr/local/bin', '/snap/bin']) {
      if (!folders.includes(folder)) folders.push(folder);
    }
    for (const name of names) for (const folder of folders) paths.push(join(folder, name));
    paths.push('/opt/google/chrome/chrome', '/opt/chromium.org/chromium/chrome');
  }
  return paths.filter(isExecutable).map((path) => ({ path, origin: 'installed on this system' }));
}

/** @returns {Chromium[]} what Playwright has downloaded, newest first, full browsers before headless shells */
function playwrightChromiums() {
  const given = process.env.PLAYWRIGHT_BROWSERS_PATH;
  const caches = {
    darwin: join(homedir(), 'Library', 'Caches'),
    win32: process.env.LOCALAPPDATA ?? join(homedir(), 'AppData', 'Local'),
  };
  const cache =
    platform === 'darwin' || platform === 'win32'
      ? caches[platform]
      : (process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'));
  const root =
    given === '0'
      ? join(projectRoot, 'node_modules', 'playwright-core', '.local-browsers')
      : (given ?? join(cache, 'ms-playwright'));
  /** @param {string} name */
  const revision = (name) => Number(name.slice(name.lastIndexOf('-') + 1));
  /** @type {Chromium[]} */
  const found = [];
  for (const family of ['chromium-', 'chromium_headless_shell-']) {
    const builds = list(root).filter((name) => name.startsWith(family));
    for (const build of builds.sort((a, b) => revision(b) - revision(a))) {
      for (const folder of list(join(root, build))) {
        const inner = join(root, build, folder);
        const candidates = [
          ...['chrome', 'headless_shell', 'chrome-headless-shell'].flatMap((name) => [name, `${name}.exe`]),
          ...list(inner)
            .filter((name) => name.endsWith('.app'))
            .map((name) => join(name, 'Contents', 'MacOS', name.slice(0, -'.app'.length))),
        ];
        for (const name of candidates) {
          if (isExecutable(join(inner, name))) {
            found.push({ path: join(inner, name), origin: "from Playwright's cache" });
          }
        }
      }
    }
  }
  return found;
}

/**
 * Whether a browser really starts. Ubuntu's `chromium-browser` package, for one, is a script that only asks for a
 * snap. On macOS and Windows `--version` would open a window, and no such stand-ins are known there.
 *
 * @param {string} path
 */
function starts(path) {
  if (platform !== 'linux') return true;
  const answer = spawnSync(path, ['--version'], { encoding: 'utf8', timeout: 60_000 });
  return answer.status === 0 && /\d+\.\d+\.\d+/.test(answer.stdout);
}

/** @returns {Chromium[]} all browsers that are there already */
function chromiumsHere() {
  const named = process.env.CHROMIUM;
  /** @type {Chromium[]} */
  const asked = named ? [{ path: named, origin: 'named by the environment variable CHROMIUM' }] : [];
  return [...asked.filter(({ path }) => existsSync(path)), ...systemChromiums(), ...playwrightChromiums()];
}

/**
 * Runs a command with its output passed through.
 *
 * @param {string} command
 * @param {string[]} args
 * @returns {Promise<boolean>} whether it ended with exit code 0
 */
function succeeds(command, args) {
  return new Promise((done) => {
    const child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit'], cwd: projectRoot });
    child.on('error', () => done(false));
    child.on('exit', (code) => done(code === 0));
  });
}

/** @returns whether apt-get can install packages here without asking for a password */
function canAptInstall() {
  return (
    platform === 'linux' &&
    process.getuid?.() === 0 &&
    existsSync('/etc/debian_version') &&
    isExecutable('/usr/bin/apt-get')
  );
}

/** Whether installing has been tried and has failed in this process: once is enough. */
let installFailed = false;

/**
 * Finds a Chromium, Chrome or Edge: the one named by CHROMIUM, an installed one, one in Playwright's cache. With
 * `install`, gets one when there is none (Playwright's build; as root on Debian or Ubuntu also the system package)
 * and checks that the one returned starts.
 *
 * @param {{ install?: boolean, say?: Say }} [options] `say` receives a line before each step that installs something
 * @returns {Promise<Chromium>}
 * @throws {Error} whose message says what to install
 */
export async function findChromium({ install = false, say = noSay } = {}) {
  const named = process.env.CHROMIUM;
  if (named && !existsSync(named)) {
    throw new Error(`Chromium: the environment variable CHROMIUM must name a file: ${named} does not exist`);
  }
  const here = chromiumsHere();
  if (!install && here[0]) return here[0];
  const working = here.find(({ path }) => starts(path));
  if (working) return working;

  if (install && !installFailed) {
    say('No Chromium found: installing the one of Playwright (playwright-core install chromium).');
    const cli = join(projectRoot, 'node_modules', 'playwright-core', 'cli.js');
    if (existsSync(cli) && (await succeeds(process.execPath, [cli, 'install', 'chromium']))) {
      const installed = playwrightChromiums().find(({ path }) => starts(path));
      if (installed) return installed;
      say('The Chromium of Playwright is installed but does not start here.');
    }
    if (canAptInstall()) {
      say('Installing the system package instead (apt-get install chromium).');
      const updated = await succeeds('apt-get', ['update', '-q']);
      const args = ['install', '-y', '-q', '--no-install-recommends', 'chromium'];
      if (updated && (await succeeds('apt-get', args))) {
        const installed = systemChromiums().find(({ path }) => starts(path));
        if (installed) return installed;
      }
    }
    installFailed = true;
  }
  throw new Error(
    'Chromium: one must be installed: none was found. Install Chromium or Google Chrome (Debian: apt-get install ' +
      'chromium), or run `npx playwright-core install --with-deps chromium`, or set CHROMIUM to its path.',
  );
}

// ---- Vulkan ------------------------------------------------------------------------------------------------------

/** @returns {string[]} folders that hold a browser's own files (driver and loader lie there) */
function browserFolders() {
  const beside = chromiumsHere().map(({ path }) => dirname(realpathSync(path)));
  return [...new Set([...beside, ...linuxBrowserFolders])];
}

const loaderName = 'libvulkan.so.1';

/** @returns whether the dynamic linker finds a Vulkan loader by itself */
function systemHasLoader() {
  try {
    // The linker's cache is binary, names in it are plain; the file itself may have gone since.
    const text = readFileSync('/etc/ld.so.cache', 'latin1');
    for (const match of text.matchAll(/\0(\/[^\0]*\/libvulkan\.so\.1)(?=\0)/g)) {
      if (match[1] && existsSync(match[1])) return true;
    }
  } catch {
    // No cache (musl, NixOS): the folders below decide.
  }
  const given = (process.env.LD_LIBRARY_PATH ?? '').split(':').filter(Boolean);
  const folders = [...given, '/usr/local/lib', '/usr/lib', '/usr/lib64', '/lib', '/lib64'];
  const triple = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' }[/** @type {'x64'} */ (process.arch)];
  if (triple) folders.push(`/usr/lib/${triple}`, `/lib/${triple}`);
  return folders.some((folder) => existsSync(join(folder, loaderName)));
}

const icdFolders = ['/etc/vulkan/icd.d', '/usr/local/etc/vulkan/icd.d', '/usr/local/share/vulkan/icd.d']
  .concat('/usr/share/vulkan/icd.d')
  .concat(join(process.env.XDG_DATA_HOME ?? join(homedir(), '.local', 'share'), 'vulkan', 'icd.d'));

/** @param {string} name manifest's file name @returns whether a device that this driver could drive is there */
function deviceFor(name) {
  if (/nvidia/i.test(name)) return list('/dev').some((entry) => /^nvidia\d+$/.test(entry));
  if (/dzn/i.test(name)) return existsSync('/dev/dxg');
  return list('/dev/dri').some((entry) => entry.startsWith('renderD'));
}

/** @returns {Driver[]} the Vulkan drivers of a Linux system that have something to drive, best first */
function linuxDrivers() {
  /** @type {Driver[]} */
  const gpus = [];
  /** @type {Driver[]} */
  const software = [];
  const loaders = browserFolders().filter((folder) => existsSync(join(folder, loaderName)));
  const swiftShader = loaders.find((folder) => existsSync(join(folder, 'vk_swiftshader_icd.json')));
  if (swiftShader) {
    const icd = join(swiftShader, 'vk_swiftshader_icd.json');
    software.push({ kind: 'swiftshader', name: 'SwiftShader', icd, loader: swiftShader });
  }
  // Manifests of other architectures (`intel_icd.i686.json`) lie beside ours.
  const foreign = process.arch === 'arm64' ? /x86_64|i[36]86|amd64/ : /i[36]86|aarch64|armv7/;
  for (const folder of icdFolders) {
    for (const name of list(folder)) {
      if (!name.endsWith('.json') || foreign.test(name)) continue;
      const icd = join(folder, name);
      if (/lvp_icd|lavapipe/i.test(name)) {
        software.push({ kind: 'lavapipe', name: 'Mesa lavapipe (llvmpipe)', icd, loader: loaders[0] });
      } else if (!/swiftshader|mock/i.test(name) && deviceFor(name)) {
        const driver = name.replace(/_?icd.*$/, '').replace(/\.json$/, '');
        gpus.push({ kind: 'gpu', name: `GPU driver ${driver}`, icd, loader: loaders[0] });
      }
    }
  }
  // The stock order is discrete GPUs first: Mesa's drivers also claim integrated ones.
  gpus.sort((a, b) => Number(/nvidia/i.test(b.name)) - Number(/nvidia/i.test(a.name)));
  return [...gpus, ...software];
}

/**
 * Which of the drivers the loader shall offer. Dawn takes the best adapter among those offered (a discrete GPU before
 * an integrated one before a software one), so `auto` adds one software driver behind the GPU's as a net.
 *
 * @param {Driver[]} drivers
 * @param {string} adapter
 */
function choose(drivers, adapter) {
  const gpus = drivers.filter(({ kind }) => kind === 'gpu');
  const software = drivers.filter(({ kind }) => kind !== 'gpu').slice(0, 1);
  if (adapter === 'auto') return [...gpus, ...software];
  if (adapter === 'gpu') return gpus;
  if (adapter === 'cpu') return software;
  // A name: a driver's, or a device's that only Dawn knows; then all drivers are offered.
  const wanted = adapter.toLowerCase();
  const matching = drivers.filter(({ name, icd }) => `${name} ${icd}`.toLowerCase().includes(wanted));
  return matching.length > 0 ? matching : drivers;
}

/**
 * Finds the Vulkan driver for WebGPU in Node.
 *
 * @param {{ adapter?: string, install?: boolean, say?: Say }} [options] `adapter`: `auto` (a GPU, else software),
 *   `gpu`, `cpu` (a software driver), or part of a driver's or device's name; `install`: get a Chromium for its
 *   SwiftShader when there is no driver at all
 * @returns {Promise<Vulkan>} never throws for a missing driver: `problem` then says what to install
 */
export async function findVulkan({ adapter = 'auto', install = false, say = noSay } = {}) {
  if (platform === 'darwin') return { what: 'WebGPU in Node uses Metal.', env: {} };
  if (platform === 'win32') return { what: 'WebGPU in Node uses Direct3D 12.', env: {} };
  const given = process.env.VK_DRIVER_FILES ?? process.env.VK_ICD_FILENAMES;
  if (given && adapter === 'auto') {
    const env = systemHasLoader() ? {} : withLoader(linuxDrivers().find(({ loader }) => loader)?.loader);
    return { what: `Vulkan driver as the environment names it: ${given}.`, env };
  }

  let drivers = choose(linuxDrivers(), adapter);
  if (drivers.length === 0 && install && adapter !== 'gpu') {
    say('No Vulkan driver found: a Chromium brings a software one (SwiftShader).');
    try {
      await findChromium({ install, say });
    } catch (error) {
      say(error instanceof Error ? error.message : String(error));
    }
    drivers = choose(linuxDrivers(), adapter);
  }
  const first = drivers[0];
  if (!first) {
    const problem =
      adapter === 'gpu'
        ? "Vulkan: a GPU's driver must be installed for `--adapter gpu`: no driver manifest with a device was found"
        : 'Vulkan: a driver must be installed: none was found. Install the driver of your GPU, or Chromium ' +
          '(it carries SwiftShader; Debian: apt-get install chromium), or Mesa 25 or later (mesa-vulkan-drivers).';
    return { what: 'No Vulkan driver.', env: {}, problem };
  }
  const loader = systemHasLoader() ? undefined : drivers.find((driver) => driver.loader)?.loader;
  if (loader === undefined && !systemHasLoader()) {
    const problem = `Vulkan: the loader must be installed: ${first.name} is there, ${loaderName} is not (Debian: apt-get install libvulkan1).`;
    return { what: 'No Vulkan loader.', env: {}, problem };
  }
  const files = drivers.map(({ icd }) => icd).join(':');
  return {
    what: `Vulkan driver: ${drivers.map(({ name, icd }) => `${name} (${icd})`).join(', then ')}.`,
    // The second name is the newer one; loaders that know it prefer it.
    env: { VK_ICD_FILENAMES: files, VK_DRIVER_FILES: files, ...withLoader(loader) },
  };
}

/** @param {string | undefined} folder @returns {Record<string, string>} */
function withLoader(folder) {
  const before = process.env.LD_LIBRARY_PATH;
  if (folder === undefined || before?.split(':').includes(folder)) return {};
  return { LD_LIBRARY_PATH: before ? `${folder}:${before}` : folder };
}

/**
 * Asks Dawn for an adapter, in a child process: a driver that crashes must not take the caller along.
 *
 * @param {Record<string, string>} env from findVulkan
 * @returns {{ name?: string, problem?: string }}
 */
export function probeAdapter(env) {
  const child = spawnSync(process.execPath, [join(projectRoot, 'scripts', 'probeAdapter.mjs')], {
    encoding: 'utf8',
    env: { ...process.env, ...env },
    timeout: 60_000,
  });
  const name = child.stdout.trim();
  if (child.status === 0 && name) return { name };
  const ended = child.signal ? `ended by ${child.signal}` : `exit code ${child.status}`;
  const said = child.stderr.trim().split('\n')[0];
  return { problem: said ? `${said} (${ended})` : ended };
}
