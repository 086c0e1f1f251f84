/**
 * EDM's training pair: edmInput noises the latents and scales them for the network, edmLoss compares what it gave with
 * the clean latents, over all patches or over the kept ones.
 */
import {
  edmInputShader,
  edmLossBackwardShader,
  edmLossChunk,
  edmLossFinishShader,
  edmLossPartialsShader,
} from '../../shaders/edmLoss.wgsl';
import { elementsPerWorkgroup } from '../../shaders/lib/elementwise';
import { InternalError, ShapeError } from '../core/errors';
import { sameShape, shapeText } from '../core/shape';
import type { Graph } from '../graph/graph';
import { touchedBytes, type OpDef } from '../graph/op';
import type { Tensor } from '../graph/tensor';
import { add } from './add';
import { canVector, emit, f32, grid, type Operand } from './kernel';

/** Columns of a sample's coefficients, f32 [B, 8]; the shader has them as numbers. `rest` is 1 - cSkip. */
export const edmColumns = { count: 8, sigma: 0, cSkip: 1, cOut: 2, cIn: 3, weight: 4, rest: 5 } as const;

function checkCoefficients(op: string, coefficients: Tensor, latents: Tensor): void {
  if (latents.rank !== 4 || !sameShape(coefficients.shape, [latents.dim(0), edmColumns.count])) {
    throw new ShapeError(
      `${op}: coefficients are [B, ${edmColumns.count}] for latents [B, C, h, w]: ${coefficients.describe()}, latents ${latents.describe()}`,
    );
  }
}

export const edmInputOp: OpDef<null> = {
  name: 'edmInput',
  infer([latents, noise, coefficients]) {
    checkCoefficients('edmInput', coefficients!, latents!);
    if (!sameShape(noise!.shape, latents!.shape)) {
      throw new ShapeError(
        `edmInput: noise has the shape of the latents: ${noise!.describe()}, ${latents!.describe()}`,
      );
    }
    const spec = { shape: latents!.shape, dtype: 'f32' as const };
    return [spec, spec];
  },
  // latents and noise are data
  vjp: null,
  lower(ctx) {
    const [latents, noise, coefficients] = ctx.inputs as readonly [Tensor, Tensor, Tensor];
    const [noised, xIn] = ctx.outputs as readonly [Tensor, Tensor];
    const sample = latents.elements / latents.dim(0);
    const wide = canVector(ctx, sample, [latents, noise, noised, xIn]);
    const vector = wide ? 4 : 1;
    emit(ctx, {
      shader: 'edmInput',
      variant: { wide },
      text: (header) => edmInputShader({ wide }, header),
      operands: [
        { name: 'latents', tensor: latents, access: 'read', vector },
        { name: 'noise', tensor: noise, access: 'read', vector },
        { name: 'coefficients', tensor: coefficients, access: 'read' },
        { name: 'noised', tensor: noised, access: 'write', vector },
        { name: 'xIn', tensor: xIn, access: 'write', vector },
      ],
      uniforms: { count: latents.elements, sample },
      workgroups: grid(Math.ceil(latents.elements / elementsPerWorkgroup), ctx.profile),
    });
  },
  cost: (node) => ({ macs: 0, bytes: touchedBytes(node) }),
};

/** Noised latents x + sigma n, and what the network sees, cIn times that. `noise` is unit normal. */
export function edmInput(
  graph: Graph,
  latents: Tensor,
  noise: Tensor,
  coefficients: Tensor,
): { noised: Tensor; xIn: Tensor } {
  const [noised, xIn] = graph.append(edmInputOp, [latents, noise, coefficients], null);
  return { noised: noised!, xIn: xIn! };
}

export interface EdmLossAttrs {
  readonly patch: number;
}

/** Elements of a sample, and its patches: what both directions put into their uniforms. */
function sizes(latents: Tensor, patch: number): Readonly<Record<string, number>> {
  const [height, width] = [latents.dim(2), latents.dim(3)];
  return {
    sample: latents.elements / latents.dim(0),
    height,
    width,
    patchSize: patch,
    tokens: Math.floor(height / patch) * Math.floor(width / patch),
  };
}

function checkLoss(
  op: string,
  [F, noised, latents, coefficients, mask]: readonly Tensor[],
  patch: number,
): void {
  checkCoefficients(op, coefficients!, latents!);
  if (!sameShape(F!.shape, latents!.shape) || !sameShape(noised!.shape, latents!.shape)) {
    throw new ShapeError(
      `${op}: F, noised and latents have one shape: ${F!.describe()}, ${noised!.describe()}, ${latents!.describe()}`,
    );
  }
  if (!mask) return;
  const [height, width] = [latents!.dim(2), latents!.dim(3)];
  if (!Number.isInteger(patch) || patch < 1 || height % patch !== 0 || width % patch !== 0) {
    throw new ShapeError(`${op}: patches cover the latents: patch ${patch}, latents ${latents!.describe()}`);
  }
  const wanted = [latents!.dim(0), (height / patch) * (width / patch)];
  if (!sameShape(mask.shape, wanted)) {
    throw new ShapeError(`${op}: the mask is [B, T] = ${shapeText(wanted)}: ${mask.describe()}`);
  }
}

export const edmLossOp: OpDef<EdmLossAttrs> = {
  name: 'edmLoss',
  infer(inputs, { patch }) {
    checkLoss('edmLoss', inputs, patch);
    const samples = inputs[2]!.dim(0);
    return [
      { shape: [1], dtype: 'f32' },
      { shape: [samples], dtype: 'f32' },
      // weight / kept elements, saved for the backward pass
      { shape: [samples], dtype: 'f32' },
    ];
  },
  vjp({ graph, inputs, outputs, grads, needs, attrs }) {
    if (needs.some((need, index) => need && index !== 0)) {
      throw new InternalError('edmLoss: only F is differentiated: latents, coefficients and mask are data');
    }
    if (grads[2]) throw new InternalError('edmLoss: its saved output is not differentiated');
    const [dLoss, dPerSample] = grads;
    const samples = inputs[2]!.dim(0);
    const backward = (upstream: Tensor, scale: number): Tensor =>
      graph.append(edmLossBackwardOp, [upstream, outputs[2]!, ...inputs], { ...attrs, scale })[0]!;
    if (!needs[0]) return inputs.map(() => null);
    let dF: Tensor | null = null;
    if (dPerSample) {
      const both = dLoss ? add(graph, dPerSample, dLoss, { beta: 1 / samples }) : dPerSample;
      dF = backward(both, 1);
    } else if (dLoss) {
      dF = backward(dLoss, 1 / samples);
    }
    return inputs.map((_, index) => (index === 0 ? dF : null));
  },
  lower(ctx) {
    const [F, noised, latents, coefficients, mask] = ctx.inputs;
    const [loss, perSample, factor] = ctx.outputs as readonly [Tensor, Tensor, Tensor];
    const samples = latents!.dim(0);
    const shape = sizes(latents!, ctx.attrs.patch);
    const chunks = Math.ceil(shape['sample']! / edmLossChunk);
    const partials = ctx.temp({ shape: [samples, chunks, 2], dtype: 'f32' });
    const masked = mask !== undefined;
    emit(ctx, {
      shader: 'edmLossPartials',
      variant: { masked },
      text: (header) => edmLossPartialsShader({ masked }, header),
      operands: [
        ...lossOperands(F!, noised!, latents!, coefficients!, mask),
        { name: 'partials', tensor: partials, access: 'write' },
      ],
      uniforms: { ...shape, chunks },
      workgroups: [chunks, samples, 1],
    });
    const variant = { loss: ctx.isUsed(0), perSample: ctx.isUsed(1), factor: ctx.isUsed(2) };
    const operands: Operand[] = [
      { name: 'partials', tensor: partials, access: 'read' },
      { name: 'coefficients', tensor: coefficients!, access: 'read' },
    ];
    if (variant.loss) operands.push({ name: 'loss', tensor: loss, access: 'write' });
    if (variant.perSample) operands.push({ name: 'perSample', tensor: perSample, access: 'write' });
    if (variant.factor) operands.push({ name: 'factor', tensor: factor, access: 'write' });
    emit(ctx, {
      shader: 'edmLossFinish',
      variant,
      text: (header) => edmLossFinishShader(variant, header),
      operands,
      uniforms: { samples, chunks },
      workgroups: [1, 1, 1],
    });
  },
  cost: (node) => ({ macs: 0, bytes: touchedBytes(node) }),
};

function lossOperands(
  F: Tensor,
  noised: Tensor,
  latents: Tensor,
  coefficients: Tensor,
  mask: Tensor | undefined,
): Operand[] {
  const operands: Operand[] = [
    { name: 'f', tensor: F, access: 'read' },
    { name: 'noised', tensor: noised, access: 'read' },
    { name: 'latents', tensor: latents, access: 'read' },
    { name: 'coefficients', tensor: coefficients, access: 'read' },
  ];
  if (mask) operands.push({ name: 'mask', tensor: mask, access: 'read' });
  return operands;
}

export interface EdmLossBackwardAttrs extends EdmLossAttrs {
  /** Factor of the incoming gradient: 1 / B for that of the mean. */
  readonly scale: number;
}

export const edmLossBackwardOp: OpDef<EdmLossBackwardAttrs> = {
  name: 'edmLossBackward',
  infer([dLoss, factor, ...inputs], { patch }) {
    checkLoss('edmLossBackward', inputs, patch);
    const samples = inputs[2]!.dim(0);
    if ((dLoss!.elements !== 1 && dLoss!.elements !== samples) || factor!.elements !== samples) {
      throw new ShapeError(
        `edmLossBackward: the gradient is [1] or [B], the factor [B], B ${samples}: ${dLoss!.describe()}, ${factor!.describe()}`,
      );
    }
    return [{ shape: inputs[0]!.shape, dtype: 'f32' }];
  },
  vjp: null,
  lower(ctx) {
    const [dLoss, factor, F, noised, latents, coefficients, mask] = ctx.inputs;
    const variant = { masked: mask !== undefined, each: dLoss!.elements > 1 };
    const count = F!.elements;
    emit(ctx, {
      shader: 'edmLossBackward',
      variant,
      text: (header) => edmLossBackwardShader(variant, header),
      operands: [
        { name: 'dLoss', tensor: dLoss!, access: 'read' },
        { name: 'factor', tensor: factor!, access: 'read' },
        ...lossOperands(F!, noised!, latents!, coefficients!, mask),
        { name: 'dF', tensor: ctx.outputs[0]!, access: 'write' },
      ],
      uniforms: { ...sizes(latents!, ctx.attrs.patch), count, scale: f32(2 * ctx.attrs.scale) },
      workgroups: grid(Math.ceil(count / 64), ctx.profile),
    });
  },
  cost: (node) => ({ macs: 0, bytes: touchedBytes(node) }),
};

/**
 * The training loss. F is the network's output, f32 [B, C, h, w], noised comes from edmInput, coefficients are f32
 * [B, 8] (edmColumns). `loss` [1] is the mean over samples of `perSample` [B], the weighted squared error of the denoised
 * estimate, averaged over the sample or, with `mask` (f32 [B, T], 1 = removed), over its kept patches. A sample of
 * which nothing is kept counts as 0.
 * @param options.patch side of a patch; only used with a mask
 * @throws ShapeError
 */
export function edmLoss(
  graph: Graph,
  F: Tensor,
  noised: Tensor,
  latents: Tensor,
  coefficients: Tensor,
  mask: Tensor | null | undefined,
  options: EdmLossAttrs,
): { loss: Tensor; perSample: Tensor } {
  const inputs = mask ? [F, noised, latents, coefficients, mask] : [F, noised, latents, coefficients];
  const [loss, perSample] = graph.append(edmLossOp, inputs, { patch: options.patch });
  return { loss: loss!, perSample: perSample! };
}
