/** Exit codes, error lines, the help: what every command has in common. */
import { describe, expect, test } from 'vitest';
import { tabdit } from './run';

describe('tabdit', () => {
  test('the help lists the commands, and each has its own', () => {
    const { status, stdout } = tabdit('--help');
    expect(status).toBe(0);
    for (const name of [
      'generate',
      'inspect',
      'forward',
      'loss',
      'train',
      'encode-text',
      'decode',
      'noise',
      'bench',
    ]) {
      expect(stdout).toContain(`  ${name} `);
    }
    const own = tabdit('generate', '--help');
    expect(own.status).toBe(0);
    expect(own.stdout).toContain('usage: tabdit generate [options] [PROMPT...]');
    expect(own.stdout).toContain('--caption-latents-in FILE');
  });

  test('wrong usage is exit code 2 with one line', () => {
    for (const [args, line] of [
      [['convert', 'a', 'b'], /^tabdit: command: must be one of generate, .*: convert\n$/],
      [
        ['generate', '--steps', '1', 'a cat'],
        /^tabdit: generate: --steps must be a whole number from 2: "1"\n$/,
      ],
      [['train', '--steps', '5'], /^tabdit: train: --replay must be given: it is not\n$/],
    ] as const) {
      const { status, stdout, stderr } = tabdit(...args);
      expect([status, stdout]).toEqual([2, '']);
      expect(stderr).toMatch(line);
    }
  });

  test('a failure is exit code 1 with one line; as JSON where asked for', () => {
    const plain = tabdit('forward', '--in', 'no-such-file.safetensors');
    expect([plain.status, plain.stdout]).toEqual([1, '']);
    expect(plain.stderr).toBe(
      'tabdit: no-such-file.safetensors: must exist and be readable: there is no such file\n',
    );
    const json = tabdit('forward', '--in', 'no-such-file.safetensors', '--json');
    expect([json.status, json.stdout]).toEqual([1, '']);
    expect(JSON.parse(json.stderr)).toEqual({
      error: {
        code: 'not-found',
        message: 'no-such-file.safetensors: must exist and be readable: there is no such file',
      },
    });
  });

  test('an adapter that is not there is named with those that are', () => {
    const ended = tabdit('bench', '--case', 'gemm', '--adapter', 'no-such-adapter', '--json');
    expect([ended.status, ended.stdout]).toEqual([1, '']);
    // drivers may have said something of their own before
    const { error } = JSON.parse(ended.stderr.trim().split('\n').at(-1)!) as {
      error: { code: string; message: string };
    };
    expect(error.code).toBe('no-device');
    expect(error.message).toMatch(/^WebGPU: an adapter must match --adapter no-such-adapter: there is ./);
  });
});
