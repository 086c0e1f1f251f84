/** The register of references: op name to float64 implementation. */
import { activationBackwardReference, activationReference } from './activation';
import { accumulateReference, addReference } from './add';
import { attentionBackwardReference, attentionReference } from './attention';
import { columnSumReference, repeatRowsReference } from './columnSum';
import { combineExpertsBackwardReference, combineExpertsReference } from './combineExperts';
import { conv2dBackwardInputReference, conv2dBackwardWeightReference, conv2dReference } from './conv2d';
import { edmInputReference, edmLossBackwardReference, edmLossReference } from './edmLoss';
import { expertRouteReference } from './expertRoute';
import { gatedSiluBackwardReference, gatedSiluReference } from './gatedSilu';
import { gatherRowsReference } from './gatherRows';
import {
  groupNormApplyReference,
  groupNormBackwardReference,
  groupNormReference,
  groupNormStatsReference,
  groupNormSumsReference,
} from './groupNorm';
import { heunStepReference, sampleInputReference } from './heunStep';
import { layerNormBackwardReference, layerNormReference } from './layerNorm';
import { linearReference } from './linear';
import { mulRowsReference } from './mulRows';
import { normFirstReference } from './normFirst';
import {
  adamWReference,
  clipScaleReference,
  emaUpdateReference,
  squareSumReference,
  zeroReference,
} from './optimizer';
import { patchifyReference, unpatchifyReference } from './patches';
import { permuteReference } from './permute';
import type { Reference } from './reference';
import { softmaxBackwardReference, softmaxReference } from './softmax';
import { splitColumnsBackwardReference, splitColumnsReference } from './splitColumns';
import { assignReference, concatRowsReference, reshapeReference, sliceRowsReference } from './view';

export const references: ReadonlyMap<string, Reference> = new Map<string, Reference>([
  ['activation', activationReference],
  ['activationBackward', activationBackwardReference],
  ['add', addReference],
  ['accumulate', accumulateReference],
  ['attention', attentionReference],
  ['attentionBackward', attentionBackwardReference],
  ['columnSum', columnSumReference],
  ['repeatRows', repeatRowsReference],
  ['combineExperts', combineExpertsReference],
  ['combineExpertsBackward', combineExpertsBackwardReference],
  ['conv2d', conv2dReference],
  ['conv2dBackwardInput', conv2dBackwardInputReference],
  ['conv2dBackwardWeight', conv2dBackwardWeightReference],
  ['gatedSilu', gatedSiluReference],
  ['gatedSiluBackward', gatedSiluBackwardReference],
  ['gatherRows', gatherRowsReference],
  ['groupNorm', groupNormReference],
  ['groupNormSums', groupNormSumsReference],
  ['groupNormBackward', groupNormBackwardReference],
  ['groupNormStats', groupNormStatsReference],
  ['groupNormApply', groupNormApplyReference],
  ['layerNorm', layerNormReference],
  ['layerNormBackward', layerNormBackwardReference],
  ['linear', linearReference],
  ['linearAccumulate', linearReference],
  ['mulRows', mulRowsReference],
  ['normFirst', normFirstReference],
  ['patchify', patchifyReference],
  ['unpatchify', unpatchifyReference],
  ['permute', permuteReference],
  ['softmax', softmaxReference],
  ['softmaxBackward', softmaxBackwardReference],
  ['splitColumns', splitColumnsReference],
  ['splitColumnsBackward', splitColumnsBackwardReference],
  ['reshape', reshapeReference],
  ['sliceRows', sliceRowsReference],
  ['concatRows', concatRowsReference],
  ['assign', assignReference],
  ['edmInput', edmInputReference],
  ['edmLoss', edmLossReference],
  ['edmLossBackward', edmLossBackwardReference],
  ['expertRoute', expertRouteReference],
  ['heunStep', heunStepReference],
  ['sampleInput', sampleInputReference],
  ['squareSum', squareSumReference],
  ['clipScale', clipScaleReference],
  ['adamW', adamWReference],
  ['emaUpdate', emaUpdateReference],
  ['zero', zeroReference],
]);
