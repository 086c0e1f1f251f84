/**
 * The sampler as upstream runs it: every evaluation of the network on its own, from the caption on, with nothing kept from
 * one to the next; the unconditional half through the whole network with a caption of zeros; the steps between evaluations
 * a loop in float64. What the sampler's plans save is measured and checked against this.
 */
import { karrasSigmas, precondition } from '../../src/diffusion/edm';
import { Graph } from '../../src/graph/graph';
import { ditForward } from '../../src/models/dit/forward';
import { timestepRows, type DitSession, type SampleRequest } from '../../src/sessions/ditSession';
import { prepareRun } from '../../src/sessions/resources';
import { testResources } from './device';

/** Final latents [N, C, h, w] of `request`. */
export async function literalSample(
  session: DitSession,
  request: Pick<SampleRequest, 'captions' | 'captionLength' | 'noise' | 'samples' | 'steps' | 'guidance'>,
): Promise<Float64Array> {
  const { captions, captionLength, noise, samples, steps, guidance } = request;
  const resources = await testResources();
  const graph = new Graph();
  const shape = { samples, captionLength, guidance, keptTokens: null };
  graph.output('F', ditForward(graph, session.weights(graph), session.layout, shape));
  const run = await prepareRun(resources, graph);
  const denoise = async (x: Float64Array, sigma: number): Promise<Float64Array> => {
    const { cSkip, cOut, cIn, cNoise } = precondition(sigma);
    run.write(
      'x',
      Float32Array.from(x, (value) => cIn * value),
    );
    run.write('y', captions);
    run.write('features', timestepRows([cNoise], samples));
    await resources.pacer.execute(run);
    const F = await run.read('F');
    return x.map((value, i) => cSkip * value + cOut * F[i]!);
  };
  try {
    const sigmas = karrasSigmas(steps);
    let x = Float64Array.from(noise, (value) => value * sigmas[0]!);
    for (let i = 0; i < steps; i++) {
      const [from, to] = [sigmas[i]!, sigmas[i + 1]!];
      const first = await denoise(x, from);
      const d = x.map((value, j) => (value - first[j]!) / from);
      let next = x.map((value, j) => value + (to - from) * d[j]!);
      if (i < steps - 1) {
        const second = await denoise(next, to);
        const d2 = next.map((value, j) => (value - second[j]!) / to);
        next = x.map((value, j) => value + (to - from) * (0.5 * d[j]! + 0.5 * d2[j]!));
      }
      x = next;
    }
    return x;
  } finally {
    run.destroy();
  }
}
