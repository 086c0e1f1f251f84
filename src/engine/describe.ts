/** Devices and models in the words and numbers of the protocol. */
import type { Device } from '../gpu/device';
import type { WeightChoice } from '../protocol/generate';
import type { AdapterDescription, DeviceReport, ModelDescription, ModelSource } from '../protocol/messages';
import type { GenerateSession } from '../sessions/generate';
import type { SessionResources } from '../sessions/resources';
import { defaultBudget } from './budget';

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
    defaultBudget: defaultBudget(adapter),
  };
}

/** `source`, `weightChoice`: as asked for; `began`: when it was asked for. */
export async function describeModel(
  session: GenerateSession,
  asked: { readonly source: ModelSource; readonly weightChoice: WeightChoice; readonly began: number },
): Promise<ModelDescription> {
  const { model, parts, imageSize } = session;
  const facts = await model.describe();
  return {
    source: asked.source,
    name: parts.name,
    title: parts.title,
    licence: parts.licence,
    imageSize,
    weights: model.storage,
    weightChoice: asked.weightChoice,
    residency: model.residency.kind,
    budget: model.budget,
    quantization: model.quantization,
    defaults: parts.defaults,
    parameters: facts.parameters,
    memory: facts.memory,
    plans: facts.plans,
    loadMs: performance.now() - asked.began,
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
