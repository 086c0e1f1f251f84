/**
 * Holds the import table of docs/architecture.md (section 4): which room may use which, no cycles, no default
 * exports, no barrels besides the registers, files of a readable length. Type imports count.
 */
import { describe, expect, test } from 'vitest';
import type { SourceFile } from './helpers/sourceGraph';
import { findCycles, parseSource, readSources } from './helpers/sourceGraph';

/** Room -> rooms it may use besides itself. `index.ts` is src/index.ts. */
const table: Record<string, readonly string[]> = {
  core: [],
  shaders: ['core'],
  random: ['core'],
  sources: ['core'],
  protocol: ['core'],
  graph: ['core'],
  formats: ['core', 'sources'],
  ops: ['core', 'graph', 'shaders'],
  reference: ['core', 'graph'],
  gpu: ['core', 'graph', 'ops', 'shaders'],
  models: ['core', 'graph', 'ops', 'formats', 'protocol'],
  diffusion: ['core', 'random', 'protocol', 'graph', 'ops', 'models'],
  train: ['core', 'random', 'protocol', 'graph', 'ops', 'models'],
  data: ['core', 'random', 'formats', 'sources', 'protocol'],
  store: ['core', 'formats', 'sources', 'protocol'],
  ui: ['core', 'protocol', 'store'],
};
const belowSessions = Object.keys(table).filter((room) => room !== 'store' && room !== 'ui');
table.sessions = belowSessions;
table.engine = ['sessions', 'store', ...belowSessions];
table['index.ts'] = ['sessions', 'store', ...belowSessions];
table.cli = ['sessions', ...belowSessions];

/** Packages that belong to some rooms only: the page must not need Node, nor the engine a screen. */
const packageRooms: readonly { packages: RegExp; mayUse: (path: string) => boolean; rule: string }[] = [
  {
    packages:
      /^(node:|(fs|path|os|url|util|crypto|zlib|stream|http|https|worker_threads|child_process)(\/|$))/,
    mayUse: (path) => path.startsWith('src/cli/') || /^src\/sources\/node[A-Z.]/.test(path),
    rule: "Node's modules are for src/cli and src/sources/node*.ts",
  },
  {
    packages: /^webgpu$/,
    mayUse: (path) => path.startsWith('src/cli/'),
    rule: 'Dawn for Node is for src/cli (others are handed a GPU object)',
  },
  {
    packages: /^(react|react-dom|@mantine\/.*|zustand|uplot)(\/|$)/i,
    mayUse: (path) => path.startsWith('src/ui/'),
    rule: 'React, its components and the page state are for src/ui',
  },
];

/** The one place that starts the engine, and what it starts. */
const worker = { from: 'src/ui/engineClient.ts', target: 'src/engine/worker.ts' };
const registers = ['src/ops/index.ts', 'src/reference/index.ts', 'src/index.ts'];
const maxLines = 450;

function roomOf(path: string): string {
  const [first = '', second = ''] = path.split('/');
  return first === 'src' ? second : first;
}

/** What breaks the table in one file, as `file:line: rule` lines. */
function checkImports(file: SourceFile): string[] {
  const room = roomOf(file.path);
  const allowed = table[room];
  if (!allowed) return [`${file.path}:1: no such room in docs/architecture.md: ${room}`];
  const problems: string[] = [];
  for (const { specifier, target, line, kind } of file.references) {
    const report = (rule: string): void => void problems.push(`${file.path}:${line}: ${rule}: ${specifier}`);
    if (kind === 'url') {
      const isEngineStart = file.path === worker.from && target === worker.target;
      if (!isEngineStart && roomOf(target ?? '') !== room) report(`only ${worker.from} starts the engine`);
    } else if (target === undefined) {
      for (const { packages, mayUse, rule } of packageRooms) {
        if (packages.test(specifier) && !mayUse(file.path)) report(rule);
      }
      if (room === 'core' || room === 'graph') report(`${room} uses no packages`);
    } else if (target === 'package.json') {
      if (room !== 'cli' && room !== 'protocol') report('package.json is read by cli and protocol only');
    } else if (!/^(src|shaders)\//.test(target)) {
      report('imports stay in src and shaders');
    } else if (roomOf(target) !== room && !allowed.includes(roomOf(target))) {
      report(`${room} may use ${allowed.length > 0 ? allowed.join(', ') : 'nothing'}`);
    }
  }
  return problems;
}

describe('imports', () => {
  const files = readSources();

  test('every room uses only what the table allows it', () => {
    expect(files.flatMap(checkImports)).toEqual([]);
  });

  test('there are no cycles between files', () => {
    expect(findCycles(files).map((cycle) => cycle.join(' -> '))).toEqual([]);
  });

  test('nothing is exported as default', () => {
    expect(
      files.flatMap(({ path, defaultExports }) => defaultExports.map((line) => `${path}:${line}`)),
    ).toEqual([]);
  });

  test('only the registers re-export whole modules', () => {
    const barrels = files.filter(
      ({ path, starExports }) => starExports.length > 0 && !registers.includes(path),
    );
    expect(barrels.map(({ path, starExports }) => `${path}:${starExports.join(',')}`)).toEqual([]);
  });

  test(`no file is longer than ${maxLines} lines`, () => {
    const long = files.filter(({ lines }) => lines > maxLines);
    expect(long.map(({ path, lines }) => `${path}: ${lines} lines`)).toEqual([]);
  });
});

describe('the import check itself', () => {
  const check = (path: string, text: string): string[] => checkImports(parseSource(path, text));

  test('sees every form of import', () => {
    const forms = [
      "import { TabditError } from '../core/errors';",
      "import type { TabditError } from '../core/errors';",
      "export { TabditError } from '../core/errors';",
      "const late = import('../core/errors');",
      "type T = import('../core/errors').TabditError;",
    ];
    for (const form of forms) {
      expect(parseSource('src/core/example.ts', form).references).toMatchObject([
        { target: 'src/core/errors.ts' },
      ]);
    }
  });

  test('reports file, line and rule', () => {
    expect(
      check('shaders/example.ts', "\nimport type { ByteSource } from '../src/sources/byteSource';"),
    ).toEqual(['shaders/example.ts:2: shaders may use core: ../src/sources/byteSource']);
    expect(check('src/formats/example.ts', "import { readFile } from 'node:fs/promises';")).toEqual([
      "src/formats/example.ts:1: Node's modules are for src/cli and src/sources/node*.ts: node:fs/promises",
    ]);
    expect(check('src/core/example.ts', "import { z } from 'zod';")).toEqual([
      'src/core/example.ts:1: core uses no packages: zod',
    ]);
  });

  test('finds cycles, default exports and barrels', () => {
    const file = (path: string, target: string): SourceFile => ({
      ...parseSource(path, ''),
      references: [{ specifier: target, target, line: 1, kind: 'import' }],
    });
    expect(findCycles([file('a', 'b'), file('b', 'c'), file('c', 'b')])).toEqual([['b', 'c', 'b']]);
    expect(parseSource('src/core/x.ts', 'export default function f() {}').defaultExports).toEqual([1]);
    expect(parseSource('src/core/x.ts', 'const a = 1;\nexport default a;').defaultExports).toEqual([2]);
    expect(parseSource('src/core/x.ts', "export * from './errors';").starExports).toEqual([1]);
  });
});
