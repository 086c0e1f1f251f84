/**
 * The public module, for other programs: the same sessions that page and command line drive.
 *
 *   const engine = await createEngine({ gpu: navigator.gpu });
 *   const model = await engine.load(httpFolder('models/emoji-64/', names));
 *   const { pictures } = await model.generate({ prompts: ['red apple'], steps: 16, guidance: 3, seed: '1', noiseLayout: 'cuda' });
 *   model.dispose(); engine.destroy();
 */
import { readBundle } from './formats/bundle';
import { openDevice, type OpenOptions } from './gpu/device';
import { GenerateSession } from './sessions/generate';
import type { LoadModelOptions } from './sessions/loadedModel';
import { bundleParts } from './sessions/modelSet';
import { makeResources, releaseResources, type SessionResources } from './sessions/resources';
import { TrainSession } from './sessions/trainSession';
import type { TensorFile } from './formats/tensorFile';
import { resolveDitConfig } from './models/dit/config';
import type { SourceFolder } from './sources/byteSource';

export { readBundle } from './formats/bundle';
export { openTensorFile } from './formats/openTensorFile';
export type { GenerateSettings, Picture } from './protocol/generate';
export { GenerateSession } from './sessions/generate';
export { TrainSession } from './sessions/trainSession';
export { blobFolder, fileListFolder } from './sources/blob';
export { httpFolder } from './sources/http';

/** One device and what runs on it. */
export interface Engine {
  readonly resources: SessionResources;
  /** Loads a bundle (a folder with a tabdit.json) for generating. @throws FormatError, NotFoundError, OutOfMemoryError */
  load(folder: SourceFolder, options?: LoadModelOptions): Promise<GenerateSession>;
  /** Loads a transformer for training, from its weights and its configuration as JSON. */
  train(file: TensorFile, config: unknown): Promise<TrainSession>;
  /** Frees the device and everything on it. */
  destroy(): void;
}

/**
 * Opens a device on `gpu` (navigator.gpu, or Dawn's in Node).
 * @throws NoDeviceError when there is none
 */
export async function createEngine(
  options: OpenOptions & { readonly gpu: GPU | undefined },
): Promise<Engine> {
  const resources = makeResources(await openDevice(options.gpu, options));
  return {
    resources,
    load: async (folder, load) =>
      GenerateSession.load(resources, await bundleParts(await readBundle(folder)), load),
    train: (file, config) => TrainSession.load(resources, resolveDitConfig(config).config, file),
    destroy: () => releaseResources(resources),
  };
}
