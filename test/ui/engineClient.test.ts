import { describe, expect, test } from 'vitest';
import { EngineClient, RemoteError } from '../../src/ui/engineClient';
import { port } from './port';

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
    const { answer } = client.ask('init', { assets: 'http://x/' });
    crash('boom');
    await expect(answer).rejects.toMatchObject({
      code: 'engine',
      message: 'engine: its worker must run: boom',
    });
    await expect(client.ask('init', { assets: 'http://x/' }).answer).rejects.toMatchObject({
      code: 'engine',
    });
    expect(states).toEqual(['failed']);
  });
});
