/**
 * Shell patterns on the paths of a checkpoint, as Composer's load_ignore_keys has them: Python's fnmatch, so `*` and `?`
 * match slashes too, and every node of the nested checkpoint has a path, not only its leaves.
 */

/** A pattern as an expression: `*`, `?`, `[abc]`, `[a-z]`, `[!a]`; anything else is itself. */
export function globExpression(glob: string): RegExp {
  let source = '';
  for (let i = 0; i < glob.length; i++) {
    const char = glob[i]!;
    if (char === '*') source += '.*';
    else if (char === '?') source += '.';
    else if (char === '[') {
      // A bracket right at the start of a set belongs to it; without an end it is no set.
      const body = i + 1 + (glob[i + 1] === '!' ? 1 : 0);
      const end = glob.indexOf(']', glob[body] === ']' ? body + 1 : body);
      if (end < 0) source += '\\[';
      else {
        source += setExpression(glob.slice(i + 1, end));
        i = end;
      }
    } else source += escaped(char);
  }
  return new RegExp(`^${source}$`, 'su');
}

function setExpression(text: string): string {
  const negated = text.startsWith('!');
  const chars = [...(negated ? text.slice(1) : text)];
  let source = '';
  for (let i = 0; i < chars.length; i++) {
    const first = chars[i]!;
    const last = chars[i + 2];
    if (chars[i + 1] === '-' && last !== undefined) {
      if (first <= last) source += `${escaped(first)}-${escaped(last)}`; // a backward range holds nothing
      i += 2;
    } else source += escaped(first);
  }
  return `[${negated ? '^' : ''}${source}]`;
}

/** As an expression that is the character alone, inside a set or outside. */
const escaped = (char: string): string =>
  char.replace(/[\\^$.*+?()[\]{}|/-]/g, (sign) => (sign === '-' ? '\\x2d' : `\\${sign}`));

/** Every path of a node: those that end above it too, so that a pattern for a whole takes its parts. */
export function pathsAbove(leaf: string): string[] {
  const parts = leaf.split('/');
  return parts.map((_, i) => parts.slice(0, i + 1).join('/'));
}

/** What patterns take from paths. */
export interface GlobMatches {
  /** Leaves that are left. */
  readonly kept: ReadonlySet<string>;
  /** Of each pattern, in order: how many paths it matches (nodes and leaves). */
  readonly counts: readonly { readonly glob: string; readonly matches: number }[];
}

/** Removes the leaves that a pattern matches, itself or by something above. */
export function removeMatches(leaves: readonly string[], globs: readonly string[]): GlobMatches {
  const nodes = new Set(leaves.flatMap(pathsAbove));
  const removed = new Set<string>();
  const counts = globs.map((glob) => {
    const expression = globExpression(glob);
    const found = [...nodes].filter((path) => expression.test(path));
    found.forEach((path) => removed.add(path));
    return { glob, matches: found.length };
  });
  return {
    kept: new Set(leaves.filter((leaf) => !pathsAbove(leaf).some((path) => removed.has(path)))),
    counts,
  };
}
