/**
 * How a run goes on from a checkpoint, as Composer does it: what is taken, what begins afresh, from where batches are
 * counted and at which rate the first of them runs. Pure: a description of the checkpoint in, a plan out.
 *
 * Two ways. Weights only: counters, optimizer and schedule are new. All: they go on, so the run's length is cumulative,
 * and names are never checked strictly. Either way `start.ignore` first takes parts out of the checkpoint.
 */
import { FormatError } from '../core/errors';
import { shapeText, sameShape, type Shape } from '../core/shape';
import { ditParameters } from '../models/dit/parameters';
import type { TrainConfig } from '../protocol/trainConfig';
import { removeMatches, type GlobMatches } from './pathGlob';
import { usedFactor } from './schedule';
import type { TrainRecipe } from './recipe';

/** What is in a checkpoint, as far as going on depends on it. Names are the transformer's, without "dit.". */
export interface CheckpointDescription {
  /** How it is called in messages. */
  readonly name: string;
  readonly weights: ReadonlyMap<string, Shape>;
  /** Parameters with both moments of AdamW; absent: weights alone. */
  readonly moments?: ReadonlySet<string>;
  /** Optimizer steps that were made. */
  readonly batch: number;
  /** Rate of the optimizer: the one that the next batch would have had. Absent: no optimizer in the file. */
  readonly lr?: number;
  /** Base rate of the scheduler; absent: no scheduler in the file. */
  readonly baseLr?: number;
}

/** Where a tensor of the new run comes from. */
export interface StartWeights {
  /** From the checkpoint. */
  readonly kept: readonly string[];
  /** As a new model has them. */
  readonly fresh: readonly string[];
  /** Computed for this run's size: pos_embed. */
  readonly remade: readonly string[];
  /** In the checkpoint, but not in the model. */
  readonly unexpected: readonly string[];
}

/** How a run starts. */
export interface StartPlan {
  readonly weights: StartWeights;
  /** Parameters whose moments go on; others have zeros. */
  readonly moments: ReadonlySet<string>;
  /** Batches that already count: the next one has this number. */
  readonly batch: number;
  /** Batches until the end; 0 when the checkpoint is already there. */
  readonly batchesLeft: number;
  readonly baseLr: number;
  /** Rate of the first batch where it is not the schedule's: Composer goes on with the optimizer's. */
  readonly firstLr: number | null;
  /** What each pattern of start.ignore took. */
  readonly ignored: GlobMatches['counts'];
  readonly notes: readonly string[];
}

const modelPath = (name: string): string => `state/model/dit.${name}`;
const momentPath = (name: string, which: string): string =>
  `state/optimizers/AdamW/state/dit.${name}/${which}`;
const groupPath = (field: string): string => `state/optimizers/AdamW/param_groups/0/${field}`;
const schedulerPath = (field: string): string => `state/schedulers/LambdaLR/${field}`;
const batchPath = 'state/timestamp/Timestamp/batch';

/** Paths of a checkpoint's leaves as in Composer's file; list indices are parts of them. */
export function checkpointPaths(checkpoint: CheckpointDescription): string[] {
  const { weights, moments, lr, baseLr } = checkpoint;
  const paths = [...weights.keys()].map(modelPath);
  for (const name of moments ?? []) {
    for (const which of ['step', 'exp_avg', 'exp_avg_sq']) paths.push(momentPath(name, which));
  }
  if (lr !== undefined) {
    paths.push(...['lr', 'initial_lr', 'eps', 'weight_decay', 'betas/0', 'betas/1'].map(groupPath));
  }
  if (baseLr !== undefined) {
    paths.push(...['base_lrs/0', '_last_lr/0', 'last_epoch', '_step_count'].map(schedulerPath));
  }
  paths.push(batchPath);
  return paths;
}

/**
 * The plan of a run with `recipe`, from a checkpoint or from nothing.
 * @throws FormatError for tensors of another shape, and with weights only and `strict` for names that differ
 */
export function planStart(
  start: TrainConfig['start'],
  recipe: TrainRecipe,
  checkpoint: CheckpointDescription | null,
): StartPlan {
  const table = ditParameters(recipe.model);
  if (!checkpoint) {
    return {
      weights: { kept: [], fresh: table.map(({ name }) => name), remade: [], unexpected: [] },
      ...{ moments: new Set<string>(), batch: 0, batchesLeft: recipe.batches },
      ...{ baseLr: recipe.lr, firstLr: null, ignored: [], notes: [] },
    };
  }
  const notes: string[] = [];
  const { kept, counts } = removeMatches(checkpointPaths(checkpoint), start.ignore);
  for (const { glob, matches } of counts) {
    if (matches === 0) notes.push(`${checkpoint.name}: nothing is ignored by ${glob}: no path matches it`);
  }
  const weights = startWeights(table, checkpoint, kept, start, notes);
  const all = !start.weights_only;
  const moments = new Set<string>();
  if (all) {
    const trained = new Set(table.filter(({ role }) => role !== 'buffer').map(({ name }) => name));
    for (const name of checkpoint.moments ?? []) {
      const whole = ['step', 'exp_avg', 'exp_avg_sq'].every((which) => kept.has(momentPath(name, which)));
      if (whole && trained.has(name)) moments.add(name);
    }
    if (checkpoint.lr !== undefined && moments.size < trained.size) {
      notes.push(
        `${checkpoint.name}: moments of ${trained.size - moments.size} of ${trained.size} parameters start at zero`,
      );
    }
  }
  const batch = all && kept.has(batchPath) ? checkpoint.batch : 0;
  const batchesLeft = Math.max(0, recipe.batches - batch);
  if (batchesLeft === 0) {
    notes.push(
      `train.max_duration: the checkpoint's batches count too: ${recipe.batches} in all, ${batch} made already`,
    );
  }
  const hasBase = all && checkpoint.baseLr !== undefined && kept.has(schedulerPath('base_lrs/0'));
  const baseLr = hasBase ? checkpoint.baseLr : recipe.lr;
  if (baseLr !== recipe.lr) {
    notes.push(
      `train.lr: the checkpoint's schedule goes on from its own base of ${baseLr}: not ${recipe.lr}`,
    );
  }
  return {
    ...{ weights, moments, batch, batchesLeft, baseLr, ignored: counts, notes },
    firstLr: all && recipe.lag ? firstRate(checkpoint, kept, recipe, baseLr, batch) : null,
  };
}

/** What the optimizer has when the first batch begins: the scheduler speaks up only after it. */
function firstRate(
  checkpoint: CheckpointDescription,
  kept: ReadonlySet<string>,
  recipe: TrainRecipe,
  baseLr: number,
  batch: number,
): number | null {
  if (checkpoint.lr !== undefined && kept.has(groupPath('lr'))) return checkpoint.lr;
  return batch > 0 ? baseLr * usedFactor(recipe.schedule, 0) : null;
}

function startWeights(
  table: ReturnType<typeof ditParameters>,
  checkpoint: CheckpointDescription,
  keptPaths: ReadonlySet<string>,
  start: TrainConfig['start'],
  notes: string[],
): StartWeights {
  const kept: string[] = [];
  const fresh: string[] = [];
  const remade: string[] = [];
  const names = new Set(table.map(({ name }) => name));
  for (const { name, shape } of table) {
    const found = checkpoint.weights.get(name);
    const isThere = found !== undefined && keptPaths.has(modelPath(name));
    if (name === 'pos_embed') {
      if (isThere && sameShape(found, shape)) kept.push(name);
      else {
        remade.push(name);
        if (isThere) {
          notes.push(
            `${checkpoint.name}: pos_embed is made anew for ${shapeText(shape)}: it has ${shapeText(found)}; ` +
              'Composer wants it among the ignored',
          );
        }
      }
    } else if (!isThere) fresh.push(name);
    else if (sameShape(found, shape)) kept.push(name);
    else {
      throw new FormatError(
        `${checkpoint.name}: ${name} has the shape ${shapeText(shape)} in this model: ${shapeText(found)}`,
      );
    }
  }
  const unexpected = [...checkpoint.weights.keys()].filter(
    (name) => !names.has(name) && keptPaths.has(modelPath(name)),
  );
  const absent = [...fresh, ...remade.filter((name) => !keptPaths.has(modelPath(name)))];
  for (const [which, list] of [
    ['missing', absent],
    ['not in the model', unexpected],
  ] as const) {
    if (list.length === 0) continue;
    const text = `${list.length} ${list.length === 1 ? 'tensor' : 'tensors'} ${which}: ${list.slice(0, 3).join(', ')}`;
    if (start.weights_only && start.strict) {
      throw new FormatError(
        `${checkpoint.name}: start.strict wants the model's tensors, no more and no less: ${text}`,
      );
    }
    notes.push(`${checkpoint.name}: ${text}`);
  }
  return { kept, fresh, remade, unexpected };
}

/** The rate of batch `batch` (counted over the whole run) in a run that started by `plan`. */
export function learningRate(
  plan: Pick<StartPlan, 'batch' | 'baseLr' | 'firstLr'>,
  recipe: TrainRecipe,
  batch: number,
): number {
  if (batch === plan.batch && plan.firstLr !== null) return plan.firstLr;
  return plan.baseLr * usedFactor(recipe.schedule, batch, recipe.lag);
}

/** What a checkpoint after `batch` batches holds: everything, and the rate that the next batch would have. */
export function describeAfter(
  plan: StartPlan,
  recipe: TrainRecipe,
  batch: number,
  name: string,
): CheckpointDescription {
  const table = ditParameters(recipe.model);
  return {
    name,
    weights: new Map(table.map((spec) => [spec.name, spec.shape])),
    moments: new Set(table.filter(({ role }) => role !== 'buffer').map((spec) => spec.name)),
    batch,
    lr: plan.baseLr * usedFactor(recipe.schedule, batch, recipe.lag),
    baseLr: plan.baseLr,
  };
}
