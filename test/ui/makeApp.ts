import type { PageMessage, RequestType, Results, WorkerMessage } from '../../src/protocol/messages';
import { App } from '../../src/ui/app';
import { EngineClient } from '../../src/ui/engineClient';
import { Gallery } from '../../src/ui/state/gallery';
import { createKeptStore } from '../../src/ui/state/keptStore';
import { port } from './port';

/** An app whose engine the test speaks for, started. */
export function makeApp() {
  const worker = port();
  const opened: string[] = [];
  const nothing = { load: async () => [], save: async () => {}, remove: async () => {} };
  const app = new App({
    client: new EngineClient(worker.engine),
    kept: createKeptStore(null),
    gallery: new Gallery(nothing, { create: () => 'blob:', revoke: () => {} }),
    demo: 'http://x/models/',
    assets: 'http://x/',
    now: () => 5,
    goTo: (panel) => opened.push(panel),
  });
  app.start();
  const last = <K extends RequestType>(type: K): Extract<PageMessage, { type: K }> | undefined =>
    worker.sent.findLast((message): message is Extract<PageMessage, { type: K }> => message.type === type);
  /** Answers the newest request of a type. */
  const answer = <K extends RequestType>(type: K, value: Results[K]): void => {
    // the type and its value go together, which the compiler cannot follow
    worker.say({ type: 'done', id: last(type)!.id, of: type, value } as WorkerMessage);
  };
  const fail = (of: RequestType, code: string): void => {
    const error = { name: 'E', code, message: code, stack: '' };
    worker.say({ type: 'failed', id: last(of)!.id, of, error });
  };
  /** Texts of the notes that are shown. */
  const notes = (): string[] => app.notices.store.getState().notices.map(({ text }) => text);
  return { ...worker, app, opened, last, answer, fail, notes };
}
