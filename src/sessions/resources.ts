/** What every session works with: one device, its state, its scratch memory, its pacer. */
import type { Device } from '../gpu/device';
import { Pacer } from '../gpu/pacer';
import { StateStore } from '../gpu/pages';
import { Run, ScratchPool } from '../gpu/run';
import type { Graph } from '../graph/graph';
import { planGraph } from '../graph/plan';

export interface SessionResources {
  readonly device: Device;
  readonly state: StateStore;
  readonly scratch: ScratchPool;
  readonly pacer: Pacer;
}

/** Resources for a freshly opened device. */
export function makeResources(device: Device): SessionResources {
  return {
    device,
    state: new StateStore(device),
    scratch: new ScratchPool(device),
    pacer: new Pacer(device),
  };
}

/** Frees everything, the device too. */
export function releaseResources(resources: SessionResources): void {
  resources.state.releaseAll();
  resources.scratch.destroy();
  resources.device.destroy();
}

/** Plans and binds a traced graph on the device. */
export function prepareRun(resources: SessionResources, graph: Graph): Promise<Run> {
  return Run.create(planGraph(graph, resources.device.profile), resources);
}
