/** Devices and models in the words and numbers of the protocol. */
import type { Device } from '../gpu/device';
import type { WeightStorage } from '../protocol/generate';
import type { AdapterDescription, DeviceReport, ModelDescription } from '../protocol/messages';
import type { GenerateSession } from '../sessions/generate';
import type { SessionResources } from '../sessions/resources';

export function describeAdapter(device: Device): AdapterDescription {
  const { adapter, profile } = device;
  return {
    words: adapter.words,
    vendor: adapter.vendor,
    architecture: adapter.architecture,
    device: adapter.device,
    description: adapter.description,
    software: adapter.software,
    features: adapter.features,
    limits: adapter.limits,
    usedFeatures: profile.features,
    usedLimits: { ...profile.limits },
  };
}

/** `base`, `weights`: as asked for; `loadMs`: time from asking to ready. */
export async function describeModel(
  session: GenerateSession,
  base: string,
  weights: WeightStorage,
  loadMs: number,
): Promise<ModelDescription> {
  const { manifest } = session.bundle;
  const facts = await session.describe();
  return {
    base,
    name: manifest.name,
    title: manifest.title,
    licence: manifest.licence,
    imageSize: manifest.image_size,
    weights,
    defaults: manifest.defaults,
    parameters: facts.parameters,
    memory: facts.memory,
    plans: facts.plans,
    loadMs,
  };
}

export function describeDevice({ device, state, scratch }: SessionResources): DeviceReport {
  return {
    adapter: describeAdapter(device),
    pipelines: device.pipelineCount,
    memory: [
      { purpose: 'weights and state', bytes: state.bytes() },
      { purpose: 'scratch', bytes: scratch.bytes },
    ],
  };
}
