/**
 * Reads of the newest state of a store that another process may be writing to: opening a forest and
 * refreshing it.
 *
 * Invariant: it ends, whatever the writer does or the file holds. It keeps no state.
 */

import { isVarveError } from '../errors.ts';
import type { Store } from '../index.ts';
import { Breather } from '../util/breather.ts';

/** Tries without a newer batch before the error is thrown: then the writer is not its cause. */
const stuckMax = 20;

/**
 * Runs `read` on the newest state. Beside a writer the state may be gone before all of it was read:
 * then refreshes and tries again.
 */
export async function atNewest<T>(store: Store, read: () => T): Promise<T> {
  for (let stuck = 0; ; ) {
    try {
      return read();
    } catch (error) {
      if (!isVarveError(error, 'VARVE_SNAPSHOT_GONE') || stuck === stuckMax) throw error;
    }
    const before = store.currentBatch;
    await new Breather().turn();
    stuck = (await store.refresh()) === before ? stuck + 1 : 0;
  }
}
