/** Items made one ahead of whoever uses them. */
import { CancelledError } from '../core/errors';

/**
 * An endless list. While an item is in use the next one is made: not before the caller has the item in hand and gives
 * way (a timer of 0 ms), so that work for the GPU is submitted first and the making fills the time it takes.
 *
 * An error in making an item comes when that item is asked for, and ends the list. So does return(), which a loop calls
 * when it is left; what is then being made is thrown away.
 *
 * @param make the item after `before`, or the first one (null); never called again before it is done
 */
export function aheadByOne<T>(make: (before: T | null) => Promise<T>): AsyncIterableIterator<T> {
  let ended = false;
  let ahead: Promise<T> | null = null;
  /** The last call of next(): calls wait for one another. */
  let turn: Promise<unknown> = Promise.resolve();

  const makeLater = (before: T): Promise<T> => {
    const made = new Promise<T>((resolve, reject) => {
      setTimeout(() => {
        if (ended) reject(new CancelledError());
        else make(before).then(resolve, reject);
      }, 0);
    });
    made.catch(() => {}); // said when the item is asked for, which may be never
    return made;
  };
  const take = async (): Promise<IteratorResult<T>> => {
    if (ended) return { done: true, value: undefined };
    try {
      const item = await (ahead ?? make(null));
      ahead = makeLater(item);
      return { done: false, value: item };
    } catch (error) {
      const wasEnded = ended as boolean; // return() may have come while waiting
      ended = true;
      if (wasEnded) return { done: true, value: undefined };
      throw error;
    }
  };

  return {
    next: () => {
      const result = turn.then(take, take);
      turn = result;
      return result;
    },
    return: async () => {
      ended = true;
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
