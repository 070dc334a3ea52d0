/**
 * Waits for the writer's lock of a file: opens the file again and again until no other writer has
 * it.
 *
 * Invariants:
 * - Each try opens the file anew: it may have been replaced. A refused one leaves nothing open.
 * - Pauses between tries grow from about a millisecond to a tenth of a second. Their length is
 *   random in part: writers that wait together do not keep refusing each other.
 * - The last try begins when the time is over. Nothing waits after that, nor after an abort.
 *
 * It asks no other writer for its lock, and there is no order among those that wait.
 */

import { systemCode } from '../../errors.ts';
import { onAbort } from '../../util/abort-listeners.ts';

const pauseMsMin = 2;
const pauseMsMax = 100;

export interface LockWait {
  /** Milliseconds from the call; 0: one try. */
  readonly waitForLockMs: number;
  readonly signal: AbortSignal | undefined;
}

/**
 * The result of `open`, which is called until it does not reject with `VARVE_LOCKED`. Rejects with
 * its last error, or with the reason of the signal.
 */
export async function openWhenFree<T>(
  open: () => Promise<T>,
  { waitForLockMs, signal }: LockWait,
): Promise<T> {
  const until = performance.now() + waitForLockMs;
  for (let pauseMs = pauseMsMin; ; pauseMs = Math.min(pauseMs * 2, pauseMsMax)) {
    try {
      return await open();
    } catch (error) {
      const leftMs = until - performance.now();
      if (leftMs <= 0 || !isLocked(error)) throw error;
      const randomMs = pauseMs * (1 - Math.random() / 2);
      await pause(Math.min(randomMs, leftMs), signal);
    }
  }
}

/** By the code: a file system may come from another copy of the library. */
function isLocked(error: unknown): boolean {
  return systemCode(error) === 'VARVE_LOCKED';
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const timer = setTimeout(() => {
      forget?.();
      resolve();
    }, ms);
    const forget =
      signal &&
      onAbort(signal, () => {
        clearTimeout(timer);
        reject(signal.reason);
      });
  });
}
