/** The text tower against golden hidden states, in open_clip's and Hugging Face's names. */
import { readFileSync } from 'node:fs';
import { afterAll, afterEach, test } from 'vitest';
import { openTensorFile } from '../../src/formats/openTensorFile';
import { Graph } from '../../src/graph/graph';
import { textParameters, textTower } from '../../src/models/text/tower';
import { parseTextConfig } from '../../src/protocol/schemas';
import { groupWeights, loadWeights } from '../../src/sessions/loadWeights';
import { nodeFile } from '../../src/sources/node';
import { expectClose } from '../helpers/compare';
import { runGraph, testResources, useTestGpu } from '../helpers/device';
import { describeFixtures, fixturePath } from '../helpers/fixtures';
import { openTensors } from '../helpers/tensors';

useTestGpu();
afterEach(async () => (await testResources()).state.releaseAll());

const report: string[] = [];
afterAll(() => {
  for (const line of report) console.log(line);
});

const towers: [golden: string, file: string, config: string][] = [
  ['clip-quick', 'model.safetensors', 'config.json'],
  ['clip-quick', 'open_clip_pytorch_model.bin', 'open_clip_config.json'],
  ['clip-gelu', 'open_clip_pytorch_model.bin', 'open_clip_config.json'],
  ['clip-gelu', 'pytorch_model.bin', 'config.json'],
];

describeFixtures('text tower, golden hidden states', () => {
  for (const [name, fileName, configName] of towers) {
    test(`${name}, ${fileName}`, async () => {
      const config = parseTextConfig(
        configName,
        JSON.parse(readFileSync(fixturePath(`text/${name}/${configName}`), 'utf8')),
      ).config;
      const { state } = await testResources();
      const file = await openTensorFile(await nodeFile(fixturePath(`text/${name}/${fileName}`)));
      const specs = textParameters(config);
      await loadWeights(state, 'text', file, specs, { storage: 'f32' });
      const golden = await openTensors(fixturePath(`text/${name}.golden.safetensors`));
      const [samples, length] = golden.shape('ids') as [number, number];
      const graph = new Graph();
      const ids = graph.input('ids', [samples, length], 'u32');
      const hidden = textTower(graph, groupWeights(graph, 'text', specs, 'f32'), config, ids, (at, value) =>
        graph.output(at, value),
      );
      graph.output('hidden', hidden);
      const { outputs } = await runGraph(graph, { ids: new Uint32Array(await golden.ints('ids')) });
      let worst = 0;
      for (const [at, bytes] of outputs) {
        const { error } = expectClose(
          new Float32Array(bytes),
          await golden.floats(at),
          2e-5,
          `${name} ${at}`,
        );
        worst = Math.max(worst, error);
      }
      report.push(`${name} from ${fileName}: ${outputs.size} values, worst ${worst.toExponential(1)}`);
    });
  }
});
