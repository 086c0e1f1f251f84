/** `tabdit train --replay` against a run of the reference, and `tabdit bench`. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { describeFixtures, fixturePath } from '../helpers/fixtures';
import { goldenPath } from '../helpers/golden';
import { readFloats, tabdit, tabditJson, temporaryFolder } from './run';

interface LogLine {
  step: number;
  loss: number;
  grad_norm: number;
  lr: number;
}

describeFixtures('train --replay', () => {
  const temporary = temporaryFolder();

  test('losses, norms and learning rates of the first steps; weights and moments', async () => {
    const replay = fixturePath('dit/micro-a.train20.safetensors');
    const [log, out] = [temporary('log.jsonl'), temporary('run')];
    const weights = goldenPath('micro-a.weights.safetensors');
    const printed = tabditJson<{ steps: number; log: LogLine[]; files: string[] }>(
      ...['train', '--replay', replay, '--model', weights, '--steps', '5', '--log', log, '--out', out],
    );
    const lines = readFileSync(log, 'utf8').trim().split('\n');
    expect(lines.map((line) => JSON.parse(line) as LogLine)).toEqual(printed.log);
    const names = ['loss', 'grad_norm', 'lr'] as const;
    const golden = await Promise.all(names.map((name) => readFloats(replay, name)));
    printed.log.forEach((line, index) => {
      expect(line.step).toBe(index);
      names.forEach((name, which) => {
        const expected = golden[which]![index]!;
        expect(Math.abs(line[name] - expected), `${name} of step ${index}`).toBeLessThanOrEqual(
          1e-5 * expected,
        );
      });
      expect(Math.fround(line.loss)).toBe(line.loss);
    });
    expect(printed.files.map((file) => file.slice(out.length + 1))).toEqual([
      'model.safetensors',
      'exp_avg.safetensors',
      'exp_avg_sq.safetensors',
      'ema.safetensors',
    ]);
    // the average starts as a copy of the weights after step 5
    const name = 'blocks.0.attn.qkv.weight';
    expect(await readFloats(printed.files[3]!, name)).toEqual(await readFloats(printed.files[0]!, name));
  });

  test('more steps than recorded are refused', () => {
    const replay = fixturePath('dit/micro-a.train20.safetensors');
    const weights = goldenPath('micro-a.weights.safetensors');
    const ended = tabdit('train', '--replay', replay, '--model', weights, '--steps', '21');
    expect(ended).toMatchObject({
      status: 1,
      stdout: '',
      stderr: 'tabdit: train: --steps must be at most the recorded 20: 21\n',
    });
  });
});

describe('bench', () => {
  test('blocks of the demo or Tiny, each against naive kernels', () => {
    const { cases } = tabditJson<{ cases: Record<string, number>[] }>('bench', '--case', 'block');
    expect(cases.map((row) => row.case)).toEqual(['block', 'block']);
    for (const row of cases) {
      expect(row.ms).toBeGreaterThan(0);
      expect(row.min_ms).toBeLessThanOrEqual(row.ms!);
      expect(row.ratio).toBeCloseTo(row.naive_ms! / row.ms!, 6);
      expect(row.gflops).toBeCloseTo((2 * row.macs!) / row.ms! / 1e6, 6);
      expect(row.difference).toBeLessThan(1e-3);
    }
  });
});
