/**
 * Checkpoint guards limit checkpoints.
 *
 * Invariant: while a guard of batch b lives, no checkpoint passes b. Guards are in memory only:
 * they end with the store.
 */

import type { BatchId } from './batch-id.ts';

/** Holds checkpoints at `batch` until it is released. */
export interface CheckpointGuard extends Disposable {
  readonly batch: BatchId;
  release(): void;
}

export class Guards {
  /** Live guards of each batch. */
  readonly #counts = new Map<BatchId, number>();

  /** The batch of the oldest live guard. */
  get oldest(): BatchId | undefined {
    let oldest: BatchId | undefined;
    for (const batch of this.#counts.keys()) {
      if (oldest === undefined || batch < oldest) oldest = batch;
    }
    return oldest;
  }

  /** The last batch that a checkpoint to `batch` may reach now. */
  limit(batch: BatchId): BatchId {
    return Math.min(batch, this.oldest ?? batch);
  }

  hold(batch: BatchId): CheckpointGuard {
    this.#counts.set(batch, (this.#counts.get(batch) ?? 0) + 1);
    let held = true;
    const release = (): void => {
      if (!held) return;
      held = false;
      const rest = (this.#counts.get(batch) ?? 0) - 1;
      if (rest > 0) this.#counts.set(batch, rest);
      else this.#counts.delete(batch);
    };
    return Object.freeze({ batch, release, [Symbol.dispose]: release });
  }

  releaseAll(): void {
    this.#counts.clear();
  }
}
