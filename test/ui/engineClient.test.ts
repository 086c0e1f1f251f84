import { describe, expect, test } from 'vitest';
import type { PageMessage, WorkerMessage } from '../../src/protocol/messages';
import { App } from '../../src/ui/app';
import { EngineClient, RemoteError, type EnginePort } from '../../src/ui/engineClient';
import { Gallery } from '../../src/ui/state/gallery';
import { createKeptStore } from '../../src/ui/state/keptStore';

/** A worker that the test speaks for. */
function port() {
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

describe('engine client', () => {
  test('answers go to their request, everything to the listeners', async () => {
    const { engine, sent, say } = port();
    const client = new EngineClient(engine);
    const heard: string[] = [];
    const stop = client.listen((message) => heard.push(message.type));
    const first = client.ask('cancel', { job: 3 });
    const second = client.ask('readPicture', { name: 'x', bytes: new Uint8Array(1) });
    expect(sent).toMatchObject([
      { type: 'cancel', id: first.id, job: 3 },
      { type: 'readPicture', id: second.id },
    ]);
    say({ type: 'state', state: { name: 'starting' } });
    say({ type: 'done', id: second.id, of: 'readPicture', value: null });
    say({
      type: 'failed',
      id: first.id,
      of: 'cancel',
      error: { name: 'E', code: 'c', message: 'm', stack: 's' },
    });
    expect(await second.answer).toBeNull();
    await expect(first.answer).rejects.toMatchObject({
      code: 'c',
      message: 'm',
      remoteName: 'E',
      remoteStack: 's',
    });
    await expect(first.answer).rejects.toBeInstanceOf(RemoteError);
    expect(heard).toEqual(['state', 'done', 'failed']);
    stop();
    say({ type: 'state', state: { name: 'starting' } });
    expect(heard).toHaveLength(3);
  });

  test('a worker that dies fails what was asked and what will be', async () => {
    const { engine, crash } = port();
    const client = new EngineClient(engine);
    const states: string[] = [];
    client.listen((message) => message.type === 'state' && states.push(message.state.name));
    const { answer } = client.ask('init', {});
    crash('boom');
    await expect(answer).rejects.toMatchObject({
      code: 'engine',
      message: 'engine: its worker must run: boom',
    });
    await expect(client.ask('init', {}).answer).rejects.toMatchObject({ code: 'engine' });
    expect(states).toEqual(['failed']);
  });
});

describe('app', () => {
  const make = () => {
    const worker = port();
    const nothing = { load: async () => [], save: async () => {}, remove: async () => {} };
    const app = new App({
      client: new EngineClient(worker.engine),
      kept: createKeptStore(null),
      gallery: new Gallery(nothing, { create: () => 'blob:', revoke: () => {} }),
      demo: 'http://x/models/',
      now: () => 5,
    });
    app.start();
    return { app, ...worker };
  };

  test('loads the model whenever the engine gets ready, and not again without need', () => {
    const { sent, say } = make();
    const loads = () => sent.filter(({ type }) => type === 'loadModel').length;
    say({ type: 'state', state: { name: 'ready', rebuilt: 0 } });
    expect(sent.at(-1)).toMatchObject({ type: 'loadModel', base: 'http://x/models/', weights: 'f16' });
    say({ type: 'state', state: { name: 'ready', rebuilt: 0 } });
    expect(loads()).toBe(1);
    say({ type: 'state', state: { name: 'device-lost', message: '', attempt: 1, attempts: 2 } });
    say({ type: 'state', state: { name: 'ready', rebuilt: 1 } });
    expect(loads()).toBe(2);
  });

  test('makes nothing without a model or with a bad seed', () => {
    const { app, sent } = make();
    app.generate();
    app.kept.getState().setDraft({ seed: 'x' });
    app.generate();
    expect(sent.map(({ type }) => type)).toEqual(['init']);
  });

  test('a file without settings is answered with a sentence', async () => {
    const { app, sent, say } = make();
    const opened = app.openPicture(new File([Uint8Array.of(1)], 'cat.png'));
    await expect.poll(() => sent.at(-1)?.type).toBe('readPicture');
    say({ type: 'done', id: sent.at(-1)!.id, of: 'readPicture', value: null });
    await opened;
    expect(app.notices.store.getState().notices).toMatchObject([
      { tone: 'problem', text: expect.stringContaining('“cat.png” carries no settings') as string },
    ]);
  });
});
