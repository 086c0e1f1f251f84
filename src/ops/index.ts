/**
 * The register of ops. The interpreter's counterpart is src/reference/index.ts; a test asserts that every op here has its
 * shader, reference and test. `stem` names the four files.
 */
import type { OpDef } from '../graph/op';
import { activationBackwardOp, activationOp } from './activation';
import { accumulateOp, addOp } from './add';
import { attentionBackwardOp, attentionOp } from './attention';
import { columnSumOp, repeatRowsOp } from './columnSum';
import { combineExpertsOp, combineExpertsBackwardOp } from './combineExperts';
import { conv2dBackwardInputOp, conv2dBackwardWeightOp, conv2dOp } from './conv2d';
import { edmInputOp, edmLossBackwardOp, edmLossOp } from './edmLoss';
import { expertRouteOp } from './expertRoute';
import { gatedSiluBackwardOp, gatedSiluOp } from './gatedSilu';
import { gatherRowsOp } from './gatherRows';
import {
  groupNormApplyOp,
  groupNormBackwardOp,
  groupNormOp,
  groupNormStatsOp,
  groupNormSumsOp,
} from './groupNorm';
import { heunStepOp, sampleInputOp } from './heunStep';
import { layerNormBackwardOp, layerNormOp } from './layerNorm';
import { linearAccumulateOp, linearOp } from './linear';
import { mulRowsOp } from './mulRows';
import { normFirstOp } from './normFirst';
import { adamWOp, clipScaleOp, emaUpdateOp, squareSumOp, zeroOp } from './optimizer';
import { patchifyOp, unpatchifyOp } from './patches';
import { permuteOp } from './permute';
import { softmaxOp, softmaxBackwardOp } from './softmax';
import { splitColumnsBackwardOp, splitColumnsOp } from './splitColumns';
import { assignOp, concatRowsOp, reshapeOp, sliceRowsOp } from './view';

export interface RegisteredOp {
  readonly stem: string;
  readonly op: OpDef;
}

const entry = <A>(stem: string, ...ops: readonly OpDef<A>[]): RegisteredOp[] =>
  ops.map((op) => ({ stem, op: op }));

/** Every op, in the order of their stems. */
export const ops: readonly RegisteredOp[] = [
  ...entry('activation', activationOp, activationBackwardOp),
  ...entry('add', addOp, accumulateOp),
  ...entry('attention', attentionOp, attentionBackwardOp),
  ...entry('columnSum', columnSumOp),
  ...entry('columnSum', repeatRowsOp),
  ...entry('combineExperts', combineExpertsOp, combineExpertsBackwardOp),
  ...entry('conv2d', conv2dOp),
  ...entry('conv2d', conv2dBackwardInputOp, conv2dBackwardWeightOp),
  ...entry('edmLoss', edmInputOp),
  ...entry('edmLoss', edmLossOp),
  ...entry('edmLoss', edmLossBackwardOp),
  ...entry('expertRoute', expertRouteOp),
  ...entry('gatedSilu', gatedSiluOp, gatedSiluBackwardOp),
  ...entry('gatherRows', gatherRowsOp),
  ...entry('groupNorm', groupNormOp, groupNormSumsOp, groupNormBackwardOp),
  ...entry('groupNorm', groupNormStatsOp),
  ...entry('groupNorm', groupNormApplyOp),
  ...entry('heunStep', heunStepOp),
  ...entry('heunStep', sampleInputOp),
  ...entry('layerNorm', layerNormOp, layerNormBackwardOp),
  ...entry('linear', linearOp, linearAccumulateOp),
  ...entry('mulRows', mulRowsOp),
  ...entry('normFirst', normFirstOp),
  ...entry('optimizer', squareSumOp, adamWOp, emaUpdateOp, zeroOp),
  ...entry('optimizer', clipScaleOp),
  ...entry('patches', patchifyOp, unpatchifyOp),
  ...entry('permute', permuteOp),
  ...entry('softmax', softmaxOp, softmaxBackwardOp),
  ...entry('splitColumns', splitColumnsOp),
  ...entry('splitColumns', splitColumnsBackwardOp),
  ...entry('view', reshapeOp),
  ...entry('view', sliceRowsOp),
  ...entry('view', concatRowsOp, assignOp),
];
