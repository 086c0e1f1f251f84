import type { PageMessage, WorkerMessage } from '../../src/protocol/messages';
import type { EnginePort } from '../../src/ui/engineClient';

/** A worker that the test speaks for. */
export function port() {
  const listeners = new Map<string, (event: never) => void>();
  const sent: PageMessage[] = [];
  const engine: EnginePort = {
    postMessage: (message) => void sent.push(message as PageMessage),
    addEventListener: (type: string, listener: (event: never) => void) => void listeners.set(type, listener),
  };
  return {
    engine,
    sent,
    say: (data: WorkerMessage) => listeners.get('message')?.({ data } as never),
    crash: (message: string) => listeners.get('error')?.({ message, filename: 'worker.js' } as never),
  };
}
