/**
 * Bundles: a folder with a manifest (tabdit.json) and the ordinary files of a whole text-to-image model. Opening one
 * reads manifest, configurations and tokenizer, and opens the weight files without reading them.
 */
import { FormatError, NotFoundError } from '../core/errors';
import type { ByteSource, SourceFolder } from '../sources/byteSource';
import { readJson } from './json';
import type { BundleManifest, BundlePart } from './manifest';
import { manifestName, parseManifest } from './manifest';

/** A model part: its weights, and its configuration as the file gives it (unchecked JSON). */
export interface OpenedPart {
  readonly file: ByteSource;
  readonly config: unknown;
  /** What messages about the configuration name. */
  readonly configName: string;
}

/** An opened bundle. */
export interface Bundle {
  readonly manifest: BundleManifest;
  readonly folder: SourceFolder;
  readonly dit: OpenedPart;
  readonly vae: OpenedPart;
  /** With its tokenizer.json, unchecked. */
  readonly text: OpenedPart & {
    readonly tokenizer: unknown;
    readonly tokenizerName: string;
    readonly tokenizerBytes: number;
  };
}

/**
 * Opens the bundle in a folder.
 * @throws NotFoundError when there is no manifest or a file that it names, FormatError when one is damaged
 */
export async function readBundle(folder: SourceFolder, signal?: AbortSignal): Promise<Bundle> {
  const source = await folder.open(manifestName).catch((error: unknown) => {
    if (!(error instanceof NotFoundError)) throw error;
    throw new NotFoundError(`${folder.name}: a bundle must have a ${manifestName}: there is none`);
  });
  const manifest = parseManifest(source.name, await readJson(source, signal));
  const open = async (role: string, path: string): Promise<ByteSource> => {
    try {
      return await folder.open(path);
    } catch (error) {
      if (error instanceof NotFoundError) {
        throw new NotFoundError(
          `${source.name}: ${role}: the file must be in the bundle: ${JSON.stringify(path)} is not`,
        );
      }
      if (error instanceof FormatError) throw new FormatError(`${source.name}: ${role}: ${error.message}`);
      throw error;
    }
  };
  const openPart = async (role: string, part: BundlePart): Promise<OpenedPart> => {
    const config = await open(`${role}.config`, part.config);
    const file = await open(`${role}.file`, part.file);
    return { file, config: await readJson(config, signal), configName: config.name };
  };
  const [dit, vae, text] = [
    await openPart('dit', manifest.dit),
    await openPart('vae', manifest.vae),
    await openPart('text', manifest.text),
  ];
  const tokenizer = await open('text.tokenizer', manifest.text.tokenizer);
  return {
    manifest,
    folder,
    dit,
    vae,
    text: {
      ...text,
      tokenizer: await readJson(tokenizer, signal),
      tokenizerName: tokenizer.name,
      tokenizerBytes: tokenizer.size,
    },
  };
}
