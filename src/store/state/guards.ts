/**
 * Checkpoint guards: how far a checkpoint may go.
 *
 * Invariant: while a guard of batch b lives, no checkpoint goes past b. In memory only: guards end
 * with the store.
 */

import type { BatchId } from './batch-id.ts';

/** Holds back checkpoints past `batch` until it is released. */
export interface CheckpointGuard extends Disposable {
  readonly batch: BatchId;
  release(): void;
}

export class Guards {
  /** Live guards of each batch. */
  readonly #counts = new Map<BatchId, number>();

  /** The batch that the oldest live guard holds. */
  get oldest(): BatchId | undefined {
    let oldest: BatchId | undefined;
    for (const batch of this.#counts.keys()) {
      if (oldest === undefined || batch < oldest) oldest = batch;
    }
    return oldest;
  }

  /** How far a checkpoint to `batch` may go now. */
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
