/**
 * The sampler on the GPU: sampleInput makes the network's input from the state, heunStep does everything that follows
 * an evaluation. The state is pictures; the network's side is tokens, cut and put together on the way. The state stays on the device; which evaluation it is, is one number that the host writes before each
 * replay.
 */
import { elementsPerWorkgroup } from '../../shaders/lib/elementwise';
import { heunStepShader, sampleInputShader } from '../../shaders/heunStep.wgsl';
import { ShapeError } from '../core/errors';
import { sameShape, shapeText } from '../core/shape';
import type { Graph } from '../graph/graph';
import { touchedBytes, type OpDef } from '../graph/op';
import type { Tensor } from '../graph/tensor';
import { canVector, emit, f32, grid } from './kernel';
import { checkCut, patchUniforms } from './patches';

/** Columns of the table, f32 [evaluations, 8]; the shader has them as numbers. */
export const heunColumns = {
  count: 8,
  cIn: 0,
  slopeX: 1,
  slopeF: 2,
  cSkip: 3,
  cOut: 4,
  dt: 5,
  stage: 6,
  sigma: 7,
} as const;

/** Values of the column `stage`. */
export const heunStages = { predict: 0, correct: 1, last: 2 } as const;

function checkSchedule(op: string, table: Tensor, step: Tensor): void {
  if (table.rank !== 2 || table.width !== heunColumns.count || table.dtype !== 'f32') {
    throw new ShapeError(`${op}: table is f32 [evaluations, ${heunColumns.count}]: ${table.describe()}`);
  }
  if (step.elements !== 1 || step.dtype !== 'u32') {
    throw new ShapeError(`${op}: step is u32 [1]: ${step.describe()}`);
  }
}

export interface SampleInputAttrs {
  /** Side of a patch. */
  readonly patch: number;
  /** Twice the rows: conditional first, then unconditional. */
  readonly guided: boolean;
}

export const sampleInputOp: OpDef<SampleInputAttrs> = {
  name: 'sampleInput',
  infer([xEval, table, step], { guided, patch }) {
    checkSchedule('sampleInput', table!, step!);
    if (xEval!.rank !== 4 || xEval!.dtype !== 'f32') {
      throw new ShapeError(`sampleInput: xEval is f32 [B, C, h, w]: ${xEval!.describe()}`);
    }
    const [channels, height, width] = [xEval!.dim(1), xEval!.dim(2), xEval!.dim(3)];
    checkCut('sampleInput', { patch }, height, width);
    const area = patch * patch;
    const samples = xEval!.dim(0) * (guided ? 2 : 1);
    return [{ shape: [samples, (height * width) / area, channels * area], dtype: 'f32' }];
  },
  // sampling is not differentiated
  vjp: null,
  lower(ctx) {
    const [xEval, table, step] = ctx.inputs as readonly [Tensor, Tensor, Tensor];
    const xIn = ctx.outputs[0]!;
    const { guided, patch } = ctx.attrs;
    const wide = canVector(ctx, xEval.elements, [xEval]);
    const vector = wide ? 4 : 1;
    emit(ctx, {
      shader: 'sampleInput',
      variant: { wide, guided },
      text: (header) => sampleInputShader({ wide, guided }, header),
      operands: [
        { name: 'xEval', tensor: xEval, access: 'read', vector },
        { name: 'table', tensor: table, access: 'read' },
        { name: 'step', tensor: step, access: 'read' },
        { name: 'xIn', tensor: xIn, access: 'write' },
      ],
      uniforms: { count: xEval.elements, ...patchUniforms(xEval, patch) },
      workgroups: grid(Math.ceil(xEval.elements / elementsPerWorkgroup), ctx.profile),
    });
  },
  cost: (node) => ({ macs: 0, bytes: touchedBytes(node) }),
};

export interface HeunStepAttrs {
  readonly patch: number;
  readonly guided: boolean;
  readonly guidance: number;
}

const stateNames = ['x', 'xEval', 'slope', 'denoised'];

export const heunStepOp: OpDef<HeunStepAttrs> = {
  name: 'heunStep',
  effect: true,
  infer([f, x, xEval, slope, denoised, table, step], { guided, patch }) {
    checkSchedule('heunStep', table!, step!);
    const states = [x!, xEval!, slope!, denoised!];
    states.forEach((state, index) => {
      if (state.node.kind !== 'state' || state.dtype !== 'f32' || !sameShape(state.shape, x!.shape)) {
        throw new ShapeError(
          `heunStep: x, xEval, slope and denoised are f32 state of one shape: ${stateNames[index]!} is ${state.node.kind} ${state.describe()}, x ${x!.describe()}`,
        );
      }
    });
    if (new Set(states).size < states.length) {
      throw new ShapeError(
        `heunStep: x, xEval, slope and denoised are four tensors: ${states.map((state) => state.node.name).join(', ')}`,
      );
    }
    if (x!.rank !== 4) throw new ShapeError(`heunStep: x is [B, C, h, w]: ${x!.describe()}`);
    const [samples, channels, height, width] = x!.shape as readonly [number, number, number, number];
    checkCut('heunStep', { patch }, height, width);
    const area = patch * patch;
    const tokens = [samples * (guided ? 2 : 1), (height * width) / area, area * channels];
    if (!sameShape(f!.shape, tokens) || f!.dtype !== 'f32') {
      throw new ShapeError(
        `heunStep: F is the tokens of x${guided ? ', twice (guidance)' : ''}, f32 ${shapeText(tokens)}: F ${f!.describe()}, x ${x!.describe()}`,
      );
    }
    return states.map((state) => ({ shape: state.shape, dtype: 'f32' as const }));
  },
  vjp: null,
  alias: () => stateNames.map((_, output) => ({ output, input: output + 1, offset: 0 })),
  lower(ctx) {
    const [f, x, xEval, slope, denoised, table, step] = ctx.inputs;
    const { guided, guidance, patch } = ctx.attrs;
    const count = x!.elements;
    const wide = canVector(ctx, count, [x, xEval, slope, denoised]);
    const vector = wide ? 4 : 1;
    emit(ctx, {
      shader: 'heunStep',
      variant: { wide, guided },
      text: (header) => heunStepShader({ wide, guided }, header),
      operands: [
        { name: 'f', tensor: f!, access: 'read' },
        { name: 'x', tensor: x!, access: 'write', vector },
        { name: 'xEval', tensor: xEval!, access: 'write', vector },
        { name: 'slope', tensor: slope!, access: 'write', vector },
        { name: 'denoised', tensor: denoised!, access: 'write', vector },
        { name: 'table', tensor: table!, access: 'read' },
        { name: 'step', tensor: step!, access: 'read' },
      ],
      uniforms: { count, ...patchUniforms(x!, patch), ...(guided ? { guidance: f32(guidance) } : {}) },
      workgroups: grid(Math.ceil(count / elementsPerWorkgroup), ctx.profile),
    });
  },
  cost: (node) => ({ macs: 0, bytes: touchedBytes(node) }),
};

/** Where the sampler stands and where it goes; see heunColumns for the table. */
export interface HeunSchedule {
  /** f32 [evaluations, 8] */
  readonly table: Tensor;
  /** u32 [1]: number of the evaluation, a row of the table. */
  readonly step: Tensor;
  /** Classifier-free guidance: the network sees each sample twice. */
  readonly guided: boolean;
  /** Side of a patch, one token of the network. */
  readonly patch: number;
}

export interface SampleInputOptions extends HeunSchedule {
  /** The point at which the network is evaluated, [B, C, h, w]. */
  readonly xEval: Tensor;
}

/**
 * What the network sees: cIn xEval as tokens [B, T, C p p], channels slowest; with guidance the same twice, [2 B, T, C p p].
 * @throws ShapeError
 */
export function sampleInput(graph: Graph, options: SampleInputOptions): Tensor {
  const { xEval, table, step, guided, patch } = options;
  return graph.append(sampleInputOp, [xEval, table, step], { guided, patch })[0]!;
}

export interface HeunStepOptions extends HeunSchedule {
  /** The network's output, tokens [B, T, p p C], channels fastest; [2 B, ...] with guidance: conditional rows first. */
  readonly F: Tensor;
  /** State: the point from which the current step starts; at the beginning unit noise times the first sigma. */
  readonly x: Tensor;
  /** State: the point at which the network is evaluated next; at the beginning equal to x. */
  readonly xEval: Tensor;
  /** State: first slope of the current step; its content does not matter at the beginning. */
  readonly slope: Tensor;
  /** State: the denoised estimate of this evaluation, for previews. After the last evaluation it equals x. */
  readonly denoised: Tensor;
  /** f = u + guidance (c - u); used when guided. */
  readonly guidance: number;
}

/** Advances the sampler's state by one evaluation, an effect. @throws ShapeError */
export function heunStep(graph: Graph, options: HeunStepOptions): void {
  const { F, x, xEval, slope, denoised, table, step, guided, guidance, patch } = options;
  graph.append(heunStepOp, [F, x, xEval, slope, denoised, table, step], { guided, guidance, patch });
}
