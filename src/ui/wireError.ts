/** Whatever was thrown, in the form in which the page shows errors. */
import { TabditError, messageOf } from '../core/errors';
import type { WireError } from '../protocol/messages';
import { RemoteError } from './engineClient';

/** Anything thrown, in the form that is shown and copied. */
export function wireError(thrown: unknown): WireError {
  if (thrown instanceof RemoteError) {
    return { name: thrown.remoteName, code: thrown.code, message: thrown.message, stack: thrown.remoteStack };
  }
  const code = thrown instanceof TabditError ? thrown.code : 'internal';
  const [name, stack] = thrown instanceof Error ? [thrown.name, thrown.stack ?? ''] : ['Error', ''];
  return { name, code, message: messageOf(thrown), stack };
}
