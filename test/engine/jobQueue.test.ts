import { describe, expect, test } from 'vitest';
import { CancelledError, DeviceLostError } from '../../src/core/errors';
import { JobQueue } from '../../src/engine/jobQueue';

const job = { kind: 'selfCheck' } as const;

/** A queue whose phases are written down, and work that ends when told. */
function setup() {
  const phases: string[] = [];
  const queue = new JobQueue((id, _job, phase) => phases.push(`${id} ${phase}`));
  const work = () => {
    let finish: (value: string) => void = () => {};
    let signal: AbortSignal | undefined;
    const run = (given: AbortSignal): Promise<string> => {
      signal = given;
      return new Promise((resolve) => {
        finish = resolve;
      });
    };
    return { run, finish: (value: string) => finish(value), aborted: () => signal?.aborted };
  };
  return { phases, queue, work };
}

describe('job queue', () => {
  test('one at a time, in the order of asking', async () => {
    const { phases, queue, work } = setup();
    const [a, b] = [work(), work()];
    const first = queue.add(1, job, a.run);
    const second = queue.add(2, job, b.run);
    expect(phases).toEqual(['1 queued', '1 running', '2 queued']);
    a.finish('one');
    expect(await first).toBe('one');
    await expect.poll(() => phases.at(-1)).toBe('2 running');
    b.finish('two');
    expect(await second).toBe('two');
  });

  test('a waiting job is cancelled at once, a running one when it stops', async () => {
    const { phases, queue, work } = setup();
    const [a, b] = [work(), work()];
    const first = queue.add(1, job, a.run);
    const second = queue.add(2, job, b.run);
    expect(queue.cancel(2)).toBe(true);
    await expect(second).rejects.toBeInstanceOf(CancelledError);
    expect(queue.cancel(1)).toBe(true);
    expect(phases.at(-1)).toBe('1 cancelling');
    expect(a.aborted()).toBe(true);
    // work that finishes all the same does not count
    a.finish('too late');
    await expect(first).rejects.toBeInstanceOf(CancelledError);
    expect(queue.cancel(1)).toBe(false);
    expect(queue.cancel(99)).toBe(false);
  });

  test('failing work frees the queue', async () => {
    const { queue } = setup();
    const failing = queue.add(1, job, () => Promise.reject(new Error('broken')));
    await expect(failing).rejects.toThrow('broken');
    expect(await queue.add(2, job, async () => 'next')).toBe('next');
  });

  test('all are given up at once, even one that hangs; later ones run', async () => {
    const { queue, work } = setup();
    const [hanging, waiting] = [work(), work()];
    const first = queue.add(1, job, hanging.run);
    const second = queue.add(2, job, waiting.run);
    queue.giveUpAll(new DeviceLostError('gone'));
    await expect(first).rejects.toThrow('gone');
    await expect(second).rejects.toThrow('gone');
    expect(await queue.add(3, job, async () => 'after')).toBe('after');
    hanging.finish('much later');
  });
});
