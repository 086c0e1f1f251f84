/**
 * Reads src/ and shaders/ as a graph of imports, for the tests that hold the architecture: static imports, `import
 * type`, re-exports, `import()` in code and in types, `require` and `new URL(..., import.meta.url)`.
 */
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import ts from 'typescript';
import { projectRoot } from '../../scripts/environment.mjs';

export interface Reference {
  /** What the source says. */
  specifier: string;
  /** The file it resolves to, relative to the project with slashes; undefined for packages and Node's modules. */
  target: string | undefined;
  line: number;
  kind: 'import' | 'url';
}

export interface SourceFile {
  /** Relative to the project, with slashes: `src/graph/plan.ts`. */
  path: string;
  lines: number;
  references: Reference[];
  /** Lines of default exports, and of `export * from`. */
  defaultExports: number[];
  starExports: number[];
}

const extensions = ['', '.ts', '.tsx', '.json', '/index.ts', '/index.tsx'];

/** Relative specifiers to files; undefined for packages. That the file exists is the compiler's business. */
function resolveSpecifier(from: string, specifier: string): string | undefined {
  if (!specifier.startsWith('.')) return undefined;
  // Vite's suffixes (`?url`, `?worker`) are not part of the file's name.
  const bare = specifier.replace(/\?.*$/, '');
  const base = resolve(projectRoot, dirname(from), bare);
  const file = extensions.map((extension) => base + extension).find((path) => isFile(path)) ?? base;
  return relative(projectRoot, file).split(sep).join('/');
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}

function isImportMetaUrl(node: ts.Expression | undefined): boolean {
  return node !== undefined && node.getText().replace(/\s/g, '') === 'import.meta.url';
}

/** Parses one file. `text` is the file's text; `path` as in SourceFile. */
export function parseSource(path: string, text: string): SourceFile {
  const kind = path.endsWith('x') ? ts.ScriptKind.TSX : ts.ScriptKind.TS;
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true, kind);
  const lineOf = (node: ts.Node): number => source.getLineAndCharacterOfPosition(node.getStart()).line + 1;
  const file: SourceFile = {
    path,
    lines: text.split('\n').length - (text.endsWith('\n') ? 1 : 0),
    references: [],
    defaultExports: [],
    starExports: [],
  };
  const add = (node: ts.Node, literal: ts.Node | undefined, referenceKind: Reference['kind']): void => {
    if (literal === undefined || !ts.isStringLiteralLike(literal)) return;
    const target = resolveSpecifier(path, literal.text);
    file.references.push({ specifier: literal.text, target, line: lineOf(node), kind: referenceKind });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      add(node, node.moduleSpecifier, 'import');
    } else if (ts.isExportDeclaration(node)) {
      add(node, node.moduleSpecifier, 'import');
      if (node.moduleSpecifier && !node.exportClause) file.starExports.push(lineOf(node));
      if (node.exportClause && ts.isNamedExports(node.exportClause)) {
        const named = node.exportClause.elements.some((element) => element.name.text === 'default');
        if (named) file.defaultExports.push(lineOf(node));
      }
    } else if (ts.isExportAssignment(node)) {
      file.defaultExports.push(lineOf(node));
    } else if (ts.isImportTypeNode(node)) {
      add(node, ts.isLiteralTypeNode(node.argument) ? node.argument.literal : undefined, 'import');
    } else if (ts.isCallExpression(node)) {
      const { expression } = node;
      const isRequire = ts.isIdentifier(expression) && expression.text === 'require';
      if (expression.kind === ts.SyntaxKind.ImportKeyword || isRequire)
        add(node, node.arguments[0], 'import');
    } else if (ts.isNewExpression(node)) {
      const isUrl = ts.isIdentifier(node.expression) && node.expression.text === 'URL';
      if (isUrl && isImportMetaUrl(node.arguments?.[1])) {
        const literal = node.arguments?.[0];
        if (literal && ts.isStringLiteralLike(literal) && /\.tsx?$/.test(literal.text))
          add(node, literal, 'url');
      }
    }
    if (ts.canHaveModifiers(node)) {
      const isDefault = ts.getModifiers(node)?.some(({ kind: k }) => k === ts.SyntaxKind.DefaultKeyword);
      if (isDefault) file.defaultExports.push(lineOf(node));
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return file;
}

/** Every TypeScript file of src/ and shaders/ but declarations (.d.ts), parsed, in the order of their paths. */
export function readSources(): SourceFile[] {
  return ['src', 'shaders'].flatMap((folder) =>
    readdirSync(join(projectRoot, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.tsx?$/.test(name) && !name.endsWith('.d.ts'))
      .map((name) => `${folder}/${name.split(sep).join('/')}`)
      .sort()
      .map((path) => parseSource(path, readFileSync(join(projectRoot, path), 'utf8'))),
  );
}

/** Import cycles: each as the list of files along it, each cycle found once, type imports counted. */
export function findCycles(files: readonly SourceFile[]): string[][] {
  const edges = new Map<string, string[]>();
  for (const file of files) {
    const targets = file.references.filter(({ kind }) => kind === 'import').map(({ target }) => target);
    edges.set(file.path, [...new Set(targets.filter((target) => target !== undefined))]);
  }
  const cycles: string[][] = [];
  const done = new Set<string>();
  const walk = (path: string, trail: string[]): void => {
    const at = trail.indexOf(path);
    if (at >= 0) {
      cycles.push([...trail.slice(at), path]);
      return;
    }
    if (done.has(path)) return;
    trail.push(path);
    for (const next of edges.get(path) ?? []) walk(next, trail);
    trail.pop();
    done.add(path);
  };
  for (const path of edges.keys()) walk(path, []);
  return cycles;
}
