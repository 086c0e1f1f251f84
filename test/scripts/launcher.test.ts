/** The `tabdit` launcher: bundling on demand, arguments and exit codes. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { projectRoot } from '../../scripts/environment.mjs';

function tabdit(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [join(projectRoot, 'bin', 'tabdit.mjs'), ...args], { encoding: 'utf8' });
}

describe('launcher', () => {
  test('bundles the command line once and passes arguments, output and exit codes through', () => {
    expect(tabdit('--version')).toMatchObject({ status: 0, stdout: '0.1.0\n', stderr: '' });
    const bundles = (): string[] =>
      readdirSync(join(projectRoot, '.cache')).filter((name) => /^tabdit-/.test(name));
    const before = bundles();
    expect(
      before.some((name) => name.endsWith('.mjs') && existsSync(join(projectRoot, '.cache', `${name}.map`))),
    ).toBe(true);
    const help = tabdit('--help');
    expect([help.status, help.stderr]).toEqual([0, '']);
    expect(help.stdout).toContain('tabdit');
    expect(bundles()).toEqual(before);
    const wrong = tabdit('no-such-command');
    expect([wrong.status, wrong.stdout]).toEqual([2, '']);
    expect(wrong.stderr).toMatch(/^tabdit: /);
  });
});
