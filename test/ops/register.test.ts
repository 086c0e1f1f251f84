/** The register of ops: every op has its four files, and both registers know the same names. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { projectRoot } from '../../scripts/environment.mjs';
import { ops } from '../../src/ops/index';
import { references } from '../../src/reference/index';

const filesOf = (stem: string): string[] => [
  `shaders/${stem}.wgsl.ts`,
  `src/ops/${stem}.ts`,
  `src/reference/${stem}.ts`,
  `test/ops/${stem}.test.ts`,
];

describe('register', () => {
  test('every stem has shader, op, reference and test', () => {
    const stems = new Set(ops.map(({ stem }) => stem));
    const missing = [...stems].flatMap((stem) =>
      filesOf(stem).filter((path) => !existsSync(join(projectRoot, path))),
    );
    expect(missing).toEqual([]);
  });

  test('names are unique', () => {
    const names = ops.map(({ op }) => op.name);
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
  });

  test('every op has a reference, and every reference an op', () => {
    const names = ops.map(({ op }) => op.name).sort();
    expect([...references.keys()].sort()).toEqual(names);
  });

  test('every op is registered under the file that defines it', async () => {
    for (const { stem, op } of ops) {
      const module = (await import(`../../src/ops/${stem}.ts`)) as Record<string, unknown>;
      expect(Object.values(module), `${op.name} in src/ops/${stem}.ts`).toContain(op);
    }
  });

  test('every op of a file is registered', async () => {
    const known = new Set(ops.map(({ op }) => op));
    const isOp = (value: unknown): value is (typeof ops)[number]['op'] =>
      typeof value === 'object' && value !== null && 'infer' in value && 'lower' in value && 'vjp' in value;
    for (const file of readdirSync(join(projectRoot, 'src/ops'))) {
      if (file === 'index.ts') continue;
      const module = (await import(`../../src/ops/${file.slice(0, -3)}.ts`)) as Record<string, unknown>;
      const forgotten = Object.entries(module).filter(([, value]) => isOp(value) && !known.has(value));
      expect(
        forgotten.map(([name]) => name),
        `ops of ${file} that src/ops/index.ts does not list`,
      ).toEqual([]);
    }
  });

  test('every shader belongs to a stem', () => {
    const stems = new Set(ops.map(({ stem }) => `${stem}.wgsl.ts`));
    const shaders = readdirSync(join(projectRoot, 'shaders')).filter((name) => name.endsWith('.ts'));
    expect(shaders.filter((name) => !stems.has(name))).toEqual([]);
  });
});
