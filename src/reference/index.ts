/** The register of references: op name to float64 implementation. */
import { activationBackwardReference, activationReference } from './activation';
import { accumulateReference, addReference } from './add';
import { columnSumReference, repeatRowsReference } from './columnSum';
import { expertRouteReference } from './expertRoute';
import { gatedSiluBackwardReference, gatedSiluReference } from './gatedSilu';
import { gatherRowsReference } from './gatherRows';
import { groupNormBackwardReference, groupNormReference, groupNormSumsReference } from './groupNorm';
import { linearReference } from './linear';
import { mulRowsReference } from './mulRows';
import { patchifyReference, unpatchifyReference } from './patches';
import { permuteReference } from './permute';
import type { Reference } from './reference';
import { softmaxBackwardReference, softmaxReference } from './softmax';
import { assignReference, concatRowsReference, reshapeReference, sliceRowsReference } from './view';

export const references: ReadonlyMap<string, Reference> = new Map<string, Reference>([
  ['activation', activationReference],
  ['activationBackward', activationBackwardReference],
  ['add', addReference],
  ['accumulate', accumulateReference],
  ['columnSum', columnSumReference],
  ['repeatRows', repeatRowsReference],
  ['expertRoute', expertRouteReference],
  ['gatedSilu', gatedSiluReference],
  ['gatedSiluBackward', gatedSiluBackwardReference],
  ['gatherRows', gatherRowsReference],
  ['groupNorm', groupNormReference],
  ['groupNormSums', groupNormSumsReference],
  ['groupNormBackward', groupNormBackwardReference],
  ['linear', linearReference],
  ['linearAccumulate', linearReference],
  ['mulRows', mulRowsReference],
  ['patchify', patchifyReference],
  ['unpatchify', unpatchifyReference],
  ['permute', permuteReference],
  ['softmax', softmaxReference],
  ['softmaxBackward', softmaxBackwardReference],
  ['reshape', reshapeReference],
  ['sliceRows', sliceRowsReference],
  ['concatRows', concatRowsReference],
  ['assign', assignReference],
]);
