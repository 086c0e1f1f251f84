/**
 * The library of the stand-in engine: files are known by their names, nothing is read. `dit…`, `vae…`, `clip…` are the
 * parts of a model, with "16" in the path those of 16 channels; `composer…` holds all three, a zip is a bundle, `broken…`
 * is refused, `encoder…` cannot fill its place. Runs inside the browser, so it uses nothing from outside the function.
 */
import type {
  LibraryItem,
  LibraryPart,
  LibraryView,
  PartChoice,
  Role,
  TensorFacts,
  TensorStatistics,
} from '../../src/protocol/library';
import type { DroppedFile } from '../../src/protocol/messages';

export interface FakeLibrary {
  add(files: readonly DroppedFile[]): LibraryItem[];
  remove(id: string): void;
  choose(role: Role, choice: PartChoice | null): void;
  setBudget(bytes: number): void;
  view(): LibraryView;
  tensors(): TensorFacts[];
  statistics(): TensorStatistics;
}

/** Puts the maker of libraries into the window. */
export function fakeLibraryScript(): void {
  window.fakeLibrary = make;

  function make(defaultBudget: number, tensors: number): FakeLibrary {
    let budget = defaultBudget;
    const items = new Map<string, LibraryItem>();
    const wishes = new Map<Role, PartChoice | null>();
    const part = (role: Role, words: string, change: Partial<LibraryPart> = {}): LibraryPart => {
      const kinds = { dit: 'dit', vae: 'autoencoder-kl', text: 'clip-text', tokenizer: 'tokenizer' } as const;
      return {
        ...{ role, kind: kinds[role], words, prefix: '', config: {}, configFrom: 'its shapes' },
        ...{ parameters: 1_165_442_320, dtypes: { F32: 1_165_442_320 }, bytes: 4_665_963_648, problem: null },
        ...change,
      };
    };
    const dit = (channels: number, prefix = ''): LibraryPart =>
      part('dit', `MicroDiT_XL_2 for 512 px, ${channels} latent channels`, {
        prefix,
        config: { depth: 28, dim: 1024, num_experts: 8, input_size: 64, in_channels: channels },
      });
    const vae = (channels: number, prefix = ''): LibraryPart =>
      part('vae', `AutoencoderKL, ${channels} latent channels`, {
        prefix,
        ...{ parameters: 83_653_863, dtypes: { F32: 83_653_863 }, bytes: 334_615_452, half: 'both' },
        config: {
          latent_channels: channels,
          block_out_channels: [128, 256, 512, 512],
          scaling_factor: 0.13025,
        },
        configFrom: 'vae/config.json',
      });
    const text = (prefix = ''): LibraryPart =>
      part('text', 'CLIP text tower, 24 layers of width 1024', {
        prefix,
        ...{ parameters: 352_984_064, dtypes: { F32: 352_984_064 }, bytes: 1_411_936_256 },
        config: { layers: 24, width: 1024, heads: 16, context: 77 },
      });
    const whatItIs = ({ path, file }: DroppedFile): LibraryItem => {
      const name = path.split('/').at(-1) ?? path;
      const item = (change: Partial<LibraryItem>): LibraryItem => ({
        ...{
          id: `item ${path}`,
          path,
          kind: 'other',
          format: 'unknown',
          words: 'Nothing this program uses.',
        },
        ...{ bytes: file.size, parts: [], tensors: 0, notes: [], problem: null, ...change },
      });
      const model = (format: string, words: string, ...parts: LibraryPart[]): LibraryItem =>
        item({
          ...{ kind: 'model', format, words, parts, tensors: tensors },
          bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0),
        });
      const channels = /16/.test(path) ? 16 : 4;
      if (/^broken/.test(name)) {
        const problem = `${path}: the zip's central directory must lie inside the file: it starts at 9 of 7 bytes`;
        return item({ kind: 'refused', format: 'torch zip', words: 'A damaged checkpoint.', problem });
      }
      if (/\.zip$/.test(name)) {
        const bundle = model('zip', 'A bundle: Foxes 512', dit(4), vae(4), text());
        return { ...bundle, kind: 'bundle' };
      }
      if (/^composer/.test(name)) {
        const words = 'A Composer checkpoint with a whole model.';
        return model(
          'torch zip',
          words,
          dit(4, 'state.model.dit.'),
          vae(4, 'state.model.vae.'),
          text('state.model.text.'),
        );
      }
      if (/^encoder/.test(name)) {
        const problem = 'only the encoder is in the file: a decoder is needed to make pictures';
        const half = { ...vae(4), half: 'encoder' as const, problem };
        return model('safetensors', 'Half of an autoencoder.', half);
      }
      if (/dit/.test(name)) return model('torch zip', 'A released transformer.', dit(channels));
      if (/vae|diffusion_pytorch_model/.test(path) && /\.safetensors$/.test(name))
        return model('safetensors', 'An autoencoder as diffusers saves it.', vae(channels));
      if (/clip/.test(name)) {
        const notes = [`${path}: 391 tensors of the picture tower are passed over`];
        return { ...model('torch zip', 'CLIP with both towers.', text()), notes };
      }
      if (/\.json$/.test(name))
        return item({ kind: 'config', format: 'JSON', words: 'A configuration of an autoencoder.' });
      if (/\.png$/.test(name))
        return item({ kind: 'picture', format: 'PNG', words: 'A picture without settings.' });
      return item({});
    };
    const view = (): LibraryView => {
      const all = [...items.values()];
      const partOf = (choice: PartChoice | null): LibraryPart | undefined =>
        choice ? items.get(choice.item)?.parts[choice.part] : undefined;
      const choose = (role: Role): PartChoice | null => {
        const wish = wishes.get(role);
        if (wish === null || (wish && partOf(wish))) return wish;
        for (const { id, parts } of all) {
          const index = parts.findIndex((candidate) => candidate.role === role && candidate.problem === null);
          if (index >= 0) return { item: id, part: index };
        }
        return null;
      };
      const chosen = {
        dit: choose('dit'),
        vae: choose('vae'),
        text: choose('text'),
        tokenizer: choose('tokenizer'),
      };
      const channelsOf = (choice: PartChoice | null): string =>
        /(\d+) latent/.exec(partOf(choice)?.words ?? '')?.[1] ?? '';
      const [wants, has] = [channelsOf(chosen.dit), channelsOf(chosen.vae)];
      const needs: Readonly<Record<Role, readonly [string, string]>> = {
        dit: ['a transformer', 'VSehwag24/MicroDiT, ckpts/dit_4_channel_37M_real_and_synthetic_data.pt'],
        vae: [
          `an autoencoder for ${wants || 'its'} latent channels`,
          wants === '16' ? 'ostris/vae-kl-f8-d16' : 'stabilityai/stable-diffusion-xl-base-1.0, folder vae',
        ],
        text: [
          'a CLIP text tower of width 1024',
          'apple/DFN5B-CLIP-ViT-H-14-378, open_clip_pytorch_model.bin',
        ],
        tokenizer: ['', ''],
      };
      const missing = (['dit', 'vae', 'text'] as const)
        .filter((role) => chosen[role] === null)
        .map((role) => ({ role, words: needs[role][0], where: needs[role][1] }));
      const conflicts =
        wants && has && wants !== has
          ? [
              `The transformer has ${wants} latent channels and the autoencoder ${has}: choose an autoencoder for ${wants}.`,
            ]
          : [];
      const sizes = { f32: [6.9e9, 4.9e9], f16: [3.6e9, 2.5e9], int8: [2.1e9, 1.4e9] } as const;
      const plans = (['f32', 'f16', 'int8'] as const).map((weights) => {
        const [total, staged] = sizes[weights];
        const fit =
          total <= budget
            ? ('resident' as const)
            : staged <= budget
              ? ('staged' as const)
              : ('none' as const);
        const parts = [
          { purpose: 'transformer weights', bytes: 0.6 * total },
          { purpose: 'text tower weights', bytes: 0.18 * total },
          { purpose: 'autoencoder weights', bytes: 0.05 * total },
          { purpose: 'scratch', bytes: 0.17 * total },
        ];
        return { weights, parts, total, staged, fit, problem: null };
      });
      const complete = missing.length === 0 && conflicts.length === 0;
      return { items: all, chosen, missing, conflicts, plans: complete ? plans : [], budget };
    };

    return {
      add: (files) => {
        const added = files.map(whatItIs);
        for (const item of added) items.set(item.id, item);
        return added;
      },
      remove: (id) => void items.delete(id),
      choose: (role, choice) => void wishes.set(role, choice),
      setBudget: (bytes) => void (budget = bytes),
      view,
      tensors: () =>
        Array.from({ length: tensors }, (_, index) => {
          const kinds = ['attn.qkv.weight', 'attn.proj.weight', 'mlp.fc1.weight', 'norm1.weight'];
          const name = `blocks.${Math.floor(index / 4)}.${kinds[index % 4] ?? ''}`;
          const shape = index % 4 === 3 ? [1024] : [3072, 1024];
          return { name, dtype: 'F32', shape, bytes: 4 * shape.reduce((size, edge) => size * edge, 1) };
        }),
      statistics: () => ({
        ...{
          count: 3_145_728,
          min: -0.31,
          max: 0.298,
          mean: 0.000_12,
          deviation: 0.0214,
          zeros: 12,
          notFinite: 0,
        },
        histogram: Array.from({ length: 64 }, (_, bin) =>
          Math.round(9e5 * Math.exp(-(((bin - 31.5) / 9) ** 2))),
        ),
      }),
    };
  }
}
