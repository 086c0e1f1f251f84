/**
 * `npm test`: types, lint, layout, unit and kernel tests, kernel tests again with WebGPU's default limits, the
 * build, and page tests in Chromium. What is needed besides Node is found or installed first (environment.mjs).
 * Every part runs even if an earlier one failed; nothing is skipped. The last line is `N passed, N failed`: tests
 * as counted by Vitest, and one each for types, lint, layout and build; the exit code is 0 only if nothing failed.
 *
 * For developers: `node scripts/test.mjs [--only unit|page|lint|types|kernels|soak] [--soak]
 * [--adapter auto|gpu|cpu|NAME] [FILE FILTER...]`.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { findChromium, findVulkan, probeAdapter, projectRoot } from './environment.mjs';

const partNames = /** @type {const} */ (['types', 'lint', 'unit', 'kernels', 'page', 'soak']);

/**
 * @typedef {(typeof partNames)[number]} PartName
 * @typedef {{ part: string, passed: number, failed: number, seconds: number, notes: string[] }} Result
 * @typedef {{ code: number | null, output: string }} Ended
 * @typedef {Record<string, string>} Env
 */

const usage = `usage: npm test -- [--only ${partNames.join('|')}] [--soak] [--adapter auto|gpu|cpu|NAME] [FILE FILTER...]`;
const { values: options, positionals: filters } = readArguments();
/** @type {Result[]} */
const results = [];
/** @type {Set<string>} */
const notChecked = new Set();
const reportFolder = join(projectRoot, '.cache', 'test');

function readArguments() {
  try {
    const parsed = parseArgs({
      allowPositionals: true,
      options: {
        only: { type: 'string' },
        soak: { type: 'boolean', default: false },
        adapter: { type: 'string', default: process.env.TABDIT_ADAPTER ?? 'auto' },
      },
    });
    const { only } = parsed.values;
    if (only !== undefined && !partNames.some((name) => name === only)) {
      throw new Error(`--only: must be one of ${partNames.join(', ')}: ${only}`);
    }
    return parsed;
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n${usage}`);
    process.exit(2);
  }
}

/** @param {PartName} name */
function wants(name) {
  return options.only === undefined ? name !== 'soak' || options.soak : options.only === name;
}

/** @param {number} since from performance.now() */
function secondsSince(since) {
  return (performance.now() - since) / 1000;
}

/**
 * Runs one of the installed tools with its output shown and kept.
 *
 * @param {string} script path inside node_modules of the tool's JavaScript entry (no shell, no .cmd wrappers)
 * @param {string[]} args
 * @param {Env} [env]
 * @returns {Promise<Ended>}
 */
function runTool(script, args, env = {}) {
  return new Promise((done) => {
    const colour = process.stdout.isTTY ? { FORCE_COLOR: '1' } : {};
    const child = spawn(process.execPath, [join(projectRoot, 'node_modules', script), ...args], {
      cwd: projectRoot,
      env: { ...process.env, ...colour, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const [from, to] of /** @type {const} */ ([
      [child.stdout, process.stdout],
      [child.stderr, process.stderr],
    ])) {
      from.setEncoding('utf8');
      from.on('data', (text) => {
        output += text;
        to.write(text);
      });
    }
    child.on('error', (error) => done({ code: null, output: `${output}${error.message}` }));
    child.on('close', (code) => done({ code, output }));
  });
}

/** @param {Result} result */
function record(result) {
  results.push(result);
  for (const note of result.notes) console.log(`${result.part}: ${note}`);
  console.log(`${result.part}: ${describeResult(result)}\n`);
}

/** @param {Result} result */
function describeResult({ passed, failed, seconds }) {
  const counted = passed + failed === 1 ? (failed ? 'failed' : 'ok') : `${passed} ok, ${failed} not ok`;
  return `${counted}, ${seconds.toFixed(1)} s`;
}

/**
 * A part that counts as one test: it passes when the tool ends with exit code 0.
 *
 * @param {string} part
 * @param {string} script
 * @param {string[]} args
 */
async function runCheck(part, script, args) {
  console.log(`== ${part}`);
  const start = performance.now();
  const { code } = await runTool(script, args);
  const failed = code === 0 ? 0 : 1;
  record({ part, passed: 1 - failed, failed, seconds: secondsSince(start), notes: [] });
  return failed === 0;
}

/**
 * Runs one Vitest project and counts from its JSON report. A file that fails before its first test, a run that
 * breaks off and a skipped test count as failures: none of them has shown anything.
 *
 * @param {string} part
 * @param {string} project
 * @param {string[]} files filters on file paths
 * @param {Env} env
 */
async function runVitest(part, project, files, env) {
  console.log(`== ${part}`);
  const start = performance.now();
  const report = join(reportFolder, `${part.replace(/\W+/g, '-')}.json`);
  rmSync(report, { force: true });
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const { code, output } = await runTool(
    'vitest/vitest.mjs',
    ['run', '--project', project, ...reporters, ...files],
    env,
  );
  for (const [line] of output.matchAll(/^not checked here: .*$/gm)) notChecked.add(line);

  /** @type {string[]} */
  const notes = [];
  let passed = 0;
  /** @type {number} */
  let failed;
  if (existsSync(report)) {
    const json = JSON.parse(readFileSync(report, 'utf8'));
    passed = json.numPassedTests;
    failed = json.numFailedTests;
    const skipped = json.numPendingTests + json.numTodoTests;
    if (skipped > 0) {
      failed += skipped;
      notes.push(`${skipped} skipped, which counts as failed`);
    }
    for (const file of json.testResults) {
      if (file.status === 'failed' && !file.assertionResults.some(isFailed)) {
        failed += 1;
        notes.push(`failed outside its tests: ${file.name}`);
      }
    }
    if (passed + failed === 0) {
      failed = 1;
      notes.push(`no tests found${files.length > 0 ? ` for ${files.join(' ')}` : ''}`);
    }
  } else {
    failed = 1;
    notes.push('Vitest broke off without a report');
  }
  if (code !== 0 && failed === 0) {
    failed = 1;
    notes.push(`Vitest ended with exit code ${code}, see above`);
  }
  record({ part, passed, failed, seconds: secondsSince(start), notes });
}

/** @param {{ status: string }} assertion */
function isFailed(assertion) {
  return assertion.status === 'failed';
}

/** @param {string} part @param {string} problem */
function fail(part, problem) {
  record({ part, passed: 0, failed: 1, seconds: 0, notes: [problem] });
}

/**
 * The environment under which Dawn gives an adapter, tried and named.
 *
 * @returns {Promise<Env>} empty, with a failure recorded, where there is none
 */
async function prepareVulkan() {
  const say = console.log;
  // A GPU's driver may be installed without working (a container, say): then the software driver serves.
  const choices = options.adapter === 'auto' ? ['auto', 'cpu'] : [options.adapter];
  let problem = '';
  for (const adapter of choices) {
    const vulkan = await findVulkan({ adapter, install: true, say });
    say(vulkan.what);
    const probe = vulkan.problem === undefined ? probeAdapter(vulkan.env) : { problem: vulkan.problem };
    if (probe.name !== undefined) {
      say(`WebGPU adapter in Node: ${probe.name}.`);
      return { ...vulkan.env, TABDIT_ADAPTER: adapter };
    }
    problem = probe.problem ?? '';
    if (vulkan.problem !== undefined) break;
  }
  fail('adapter', `kernel tests need a WebGPU adapter in Node: Dawn gives none: ${problem}`);
  return {};
}

/** @returns {Promise<Env>} with the browser for page tests; empty, with a failure recorded, where there is none */
async function prepareChromium() {
  try {
    const { path, origin } = await findChromium({ install: true, say: console.log });
    console.log(`Chromium: ${path} (${origin}).`);
    return { TABDIT_CHROMIUM: path };
  } catch (error) {
    fail('chromium', error instanceof Error ? error.message : String(error));
    return {};
  }
}

async function main() {
  const start = performance.now();
  mkdirSync(reportFolder, { recursive: true });
  const needsVulkan = wants('unit') || wants('kernels') || wants('soak');
  // Chromium first: where it gets installed it brings a Vulkan driver along.
  const chromium = wants('page') ? await prepareChromium() : {};
  const env = { ...chromium, ...(needsVulkan ? await prepareVulkan() : {}) };

  if (wants('types')) await runCheck('types', 'typescript/bin/tsc', ['--noEmit']);
  if (wants('lint')) {
    await runCheck('lint', 'eslint/bin/eslint.js', ['.', '--max-warnings', '0']);
    await runCheck('layout', 'prettier/bin/prettier.cjs', ['--check', '.']);
  }
  if (wants('unit')) await runVitest('unit and kernels', 'node', filters, env);
  if (wants('kernels')) {
    const files = filters.length > 0 ? filters : ['test/ops/'];
    if (options.only === 'kernels') await runVitest('kernels', 'node', files, env);
    await runVitest('kernels, default limits', 'node', files, { ...env, TABDIT_DEFAULT_LIMITS: '1' });
  }
  if (wants('page')) {
    // A failed build must not leave the page tests with the one before.
    rmSync(join(projectRoot, 'dist'), { recursive: true, force: true });
    await runCheck('build', 'vite/bin/vite.js', ['build', '--logLevel', 'warn']);
    await runVitest('page', 'page', filters, env);
  }
  if (wants('soak')) await runVitest('soak', 'soak', filters, env);

  for (const result of results) console.log(`${result.part.padEnd(24)} ${describeResult(result)}`);
  console.log(`${'all'.padEnd(24)} ${secondsSince(start).toFixed(1)} s`);
  for (const line of [...notChecked].sort()) console.log(line);
  if (notChecked.size > 0) {
    console.log(`${notChecked.size} suites were not checked: they compare with recorded reference values.`);
  }
  const passed = results.reduce((sum, result) => sum + result.passed, 0);
  const failed = results.reduce((sum, result) => sum + result.failed, 0);
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}

await main();
