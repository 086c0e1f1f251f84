/** The engine without a page: what it answers where there is no device, and that it survives losing one. */
import { create, globals } from 'webgpu';
import { afterAll, describe, expect, test } from 'vitest';
import { DeviceKeeper } from '../../src/engine/deviceKeeper';
import { Engine } from '../../src/engine/engine';
import { finishPictures } from '../../src/engine/pictureFiles';
import type { PageMessage, WorkerMessage } from '../../src/protocol/messages';

Object.assign(globalThis, globals);

/** An engine and everything it said. */
function start(gpu: GPU | undefined, secure = true) {
  const said: WorkerMessage[] = [];
  const engine = new Engine({ gpu, secure, post: (message) => void said.push(message) });
  const ask = async (message: PageMessage): Promise<WorkerMessage> => {
    engine.receive(message);
    const answer = () =>
      said.find((reply) => (reply.type === 'done' || reply.type === 'failed') && reply.id === message.id);
    await expect.poll(answer, { timeout: 60_000 }).toBeDefined();
    return answer()!;
  };
  return { said, ask };
}

const settings = { prompts: ['fox'], steps: 2, guidance: 3, seed: '0', noiseLayout: 'cuda' } as const;

describe('where there is no device', () => {
  test('without WebGPU', async () => {
    for (const secure of [true, false]) {
      const { said, ask } = start(undefined, secure);
      expect(await ask({ type: 'init', id: 1, assets: 'http://x/' })).toMatchObject({
        type: 'failed',
        of: 'init',
        error: { code: 'no-device' },
      });
      expect(said).toContainEqual({ type: 'state', state: { name: 'no-webgpu', secure } });
    }
  });

  test('without an adapter: said again on every attempt', async () => {
    const { said, ask } = start({ requestAdapter: async () => null } as unknown as GPU);
    for (const id of [1, 2]) {
      expect(await ask({ type: 'init', id, assets: 'http://x/' })).toMatchObject({
        type: 'failed',
        error: { code: 'no-device' },
      });
    }
    const states = said.flatMap((message) => (message.type === 'state' ? [message.state.name] : []));
    expect(states).toEqual(['starting', 'no-adapter', 'starting', 'no-adapter']);
  });

  test('every request is answered once, work with its phases', async () => {
    const { said, ask } = start(undefined);
    expect(await ask({ type: 'generate', id: 1, settings })).toMatchObject({ error: { code: 'not-found' } });
    expect(await ask({ type: 'selfCheck', id: 2 })).toMatchObject({ error: { code: 'no-device' } });
    expect(await ask({ type: 'describeDevice', id: 3 })).toMatchObject({ error: { code: 'no-device' } });
    expect(
      await ask({ type: 'loadModel', id: 4, source: { kind: 'bundle', base: 'http://x/' }, weights: 'f16' }),
    ).toMatchObject({
      type: 'failed',
    });
    expect(await ask({ type: 'cancel', id: 5, job: 1 })).toMatchObject({ type: 'done', value: null });
    expect(said.filter(({ type }) => type === 'done' || type === 'failed')).toHaveLength(5);
    expect(said).toContainEqual({ type: 'job', id: 1, job: { kind: 'generate', settings }, phase: 'queued' });
    expect(said).toContainEqual({
      type: 'job',
      id: 1,
      job: { kind: 'generate', settings },
      phase: 'running',
    });
  });
});

test('settings go into a picture file and come out of it', async () => {
  const { ask } = start(undefined);
  const picture = { width: 2, height: 1, rgb: Uint8Array.of(1, 2, 3, 4, 5, 6) };
  const [file] = await finishPictures([picture], settings, 'emoji-64');
  const answer = await ask({ type: 'readPicture', id: 1, name: 'a.png', bytes: file!.png });
  expect(answer).toMatchObject({
    type: 'done',
    value: { prompt: 'fox', model: 'emoji-64', index: 0, count: 1 },
  });
  const noPng = await ask({ type: 'readPicture', id: 2, name: 'a.txt', bytes: Uint8Array.of(65, 66) });
  expect(noPng).toMatchObject({ type: 'failed', error: { code: 'format' } });
});

describe('device keeper', () => {
  // the entry point must stay referenced as long as its devices are used
  let gpu: GPU | null = create([]);
  afterAll(() => {
    gpu = null;
  });

  /** Gives `count` adapters, then none. */
  const limited = (count: number): GPU => {
    let given = 0;
    return {
      requestAdapter: () => (given++ < count ? gpu!.requestAdapter() : Promise.resolve(null)),
    } as unknown as GPU;
  };

  test('opens a lost device again and says so', async () => {
    const events: string[] = [];
    const keeper = new DeviceKeeper(
      limited(2),
      {
        onOpen: () => events.push('open'),
        onLost: (_message, attempt, attempts) => events.push(`lost ${attempt}/${attempts}`),
        onNone: () => events.push('none'),
      },
      [1, 1],
    );
    await keeper.open();
    await keeper.open();
    const { device } = keeper.resources;
    device.gpu.destroy();
    await expect.poll(() => events, { timeout: 20_000 }).toEqual(['open', 'lost 1/2', 'open']);
    expect(keeper.resources.device).not.toBe(device);
    keeper.resources.device.gpu.destroy();
    await expect.poll(() => events.slice(3), { timeout: 20_000 }).toEqual(['lost 1/2', 'lost 2/2', 'none']);
    expect(keeper.isOpen).toBe(false);
    expect(() => keeper.resources).toThrow('GPU device: must be open');
  });
});
