/**
 * Entry of the engine's worker: connects an Engine to the page's messages. A dedicated worker, so that neither compiling
 * nor waiting for the GPU ever holds up the page.
 */
import type { PageMessage } from '../protocol/messages';
import { Engine } from './engine';

const scope = self as unknown as DedicatedWorkerGlobalScope;

const engine = new Engine({
  // absent in browsers without WebGPU, whatever the types say
  gpu: (scope.navigator as { gpu?: GPU }).gpu,
  secure: scope.isSecureContext,
  post: (message, transfer = []) => scope.postMessage(message, transfer),
});

scope.addEventListener('message', (event: MessageEvent) => engine.receive(event.data as PageMessage));
