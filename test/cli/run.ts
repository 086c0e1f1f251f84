/** Runs the command line as a user does, through its launcher, and reads what it wrote. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { projectRoot } from '../../scripts/environment.mjs';
import { openTensorFile } from '../../src/formats/openTensorFile';
import { findTensor, loadFloats, loadInts } from '../../src/formats/tensorFile';
import { nodeFile } from '../../src/sources/node';

export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `tabdit` in the project's folder. */
export function tabdit(...args: readonly string[]): Ended {
  return spawnSync(process.execPath, [join(projectRoot, 'bin', 'tabdit.mjs'), ...args], {
    encoding: 'utf8',
    cwd: projectRoot,
    maxBuffer: 64 * 1024 * 1024,
  });
}

/** Runs `tabdit ... --json`, which must end with exit code 0, and gives what it printed. */
export function tabditJson<Result>(...args: readonly string[]): Result {
  const { status, stdout, stderr } = tabdit(...args, '--json');
  if (status !== 0) throw new Error(`tabdit ${args.join(' ')}: exit code ${String(status)}: ${stderr}`);
  return JSON.parse(stdout) as Result;
}

/** A folder for the file's tests, removed after them. Gives paths inside. */
export function temporaryFolder(): (...parts: readonly string[]) => string {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'tabdit-cli-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return (...parts) => join(folder, ...parts);
}

/** A tensor of a file as f32. */
export async function readFloats(path: string, name: string): Promise<Float32Array> {
  const file = await openTensorFile(await nodeFile(path));
  return loadFloats(file.source, findTensor(file, name));
}

/** A tensor of a file as integers. */
export async function readInts(path: string, name: string): Promise<Int32Array> {
  const file = await openTensorFile(await nodeFile(path));
  return loadInts(file.source, findTensor(file, name));
}

/** Names and shapes of a file's tensors. */
export async function readShapes(path: string): Promise<Record<string, readonly number[]>> {
  const file = await openTensorFile(await nodeFile(path));
  return Object.fromEntries([...file.tensors.values()].map(({ name, shape }) => [name, shape]));
}
