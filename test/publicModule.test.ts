/** The public module opens an engine and loads the bundled model. */
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { create, globals } from 'webgpu';
import { createEngine } from '../src/index';
import { nodeFolder } from '../src/sources/node';

test('createEngine loads a bundle and frees everything', async () => {
  Object.assign(globalThis, globals);
  const gpu = create([]);
  const engine = await createEngine({ gpu });
  const model = await engine.load(
    await nodeFolder(resolve(import.meta.dirname, '../public/models/emoji-64')),
  );
  expect(model.parts.name).toBe('emoji-64');
  expect(engine.resources.state.bytes('dit')).toBeGreaterThan(3_600_000);
  model.dispose();
  expect(engine.resources.state.bytes()).toBe(0);
  engine.destroy();
  await expect(createEngine({ gpu: undefined })).rejects.toMatchObject({ code: 'no-device' });
});
