/**
 * One line about the first thing that a schema minds in a file: `field: rule: actual value`. Takes zod's issues by their
 * structure, so that core needs no package.
 */

/** An issue as zod reports it; unions carry what each of their branches minds. */
export interface SchemaIssue {
  readonly message: string;
  readonly path: readonly PropertyKey[];
  readonly errors?: readonly (readonly SchemaIssue[])[];
}

/** The deepest first issue. `value` is what was checked. */
export function issueText(issues: readonly SchemaIssue[], value: unknown): string {
  let issue = issues[0];
  const path: PropertyKey[] = [...(issue?.path ?? [])];
  // Of a union's branches the one meant is the one that got furthest before it stumbled, then the one that minds least.
  while (issue?.errors && issue.errors.length > 0) {
    const branch = [...issue.errors].sort((a, b) => depthOf(b) - depthOf(a) || a.length - b.length)[0];
    if (!branch?.[0]) break;
    issue = branch[0];
    path.push(...issue.path);
  }
  let at = value;
  for (const key of path) at = at == null ? undefined : (at as Record<PropertyKey, unknown>)[key];
  const rule = (issue?.message ?? 'is not what it should be').replace(/^Invalid input: /, '');
  return `${path.map(String).join('.') || 'the file'}: ${rule}: ${shown(at)}`;
}

function depthOf(issues: readonly SchemaIssue[]): number {
  return Math.max(0, ...issues.map((issue) => issue.path.length));
}

function shown(value: unknown): string {
  if (value === undefined) return 'it is missing';
  if (Array.isArray(value) && value.length > 8) return `a list of ${value.length}`;
  const text = JSON.stringify(value) ?? typeof value;
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}
