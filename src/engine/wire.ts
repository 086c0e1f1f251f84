/** Anything thrown, in the form that crosses to the page. */
import { messageOf, TabditError } from '../core/errors';
import type { WireError } from '../protocol/messages';

export function toWireError(thrown: unknown): WireError {
  const isError = thrown instanceof Error;
  return {
    name: isError ? thrown.name : 'Error',
    code: codeOf(thrown),
    message: messageOf(thrown),
    stack: isError ? (thrown.stack ?? '') : '',
  };
}

/** `fetch` and other parts of the platform answer an abort with an error of their own. */
function codeOf(thrown: unknown): string {
  if (thrown instanceof TabditError) return thrown.code;
  if (thrown instanceof Error && thrown.name === 'AbortError') return 'cancelled';
  return 'internal';
}
