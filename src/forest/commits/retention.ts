/**
 * How far behind automatic checkpoints stay, so that readers in other processes have time
 * (`ForestOptions.retainMs`).
 *
 * Invariant: what it lets go was committed at least that long ago, by the times in the commit log
 * or, of this process's own commits, a little later. It keeps a bounded number of times, whatever
 * the number of commits: of batches between two of them it believes the younger.
 */

import type { BatchId, Store } from '../../index.ts';

/** So many times are kept for the time that is retained, about. */
const timesPerRetention = 64;

interface Committed {
  readonly batch: BatchId;
  readonly at: number;
}

export class Retention {
  readonly retainMs: number;
  /** Oldest first: everything up to the batch was committed at this time or before. */
  readonly #committed: Committed[] = [];

  constructor(retainMs: number) {
    this.retainMs = retainMs;
  }

  get timesKept(): number {
    return this.#committed.length;
  }

  /** Reads the times of batches that are not freed yet. Rejects as `Store.commitLog`. */
  async read(store: Store): Promise<void> {
    if (this.retainMs === 0 || store.readOnly) return;
    for await (const { batch, committedAt } of store.commitLog()) this.note(batch, committedAt);
  }

  /** A batch, later than those before, was committed at this time. */
  note(batch: BatchId, at: number): void {
    if (this.retainMs === 0) return;
    const [last, before] = [this.#committed.at(-1), this.#committed.at(-2)];
    // A clock that was set back makes nothing older than it is.
    const time = Math.max(at, last?.at ?? at);
    const isNear = before !== undefined && time - before.at < this.retainMs / timesPerRetention;
    if (isNear) this.#committed.pop();
    this.#committed.push({ batch, at: time });
  }

  /** How far a checkpoint that is asked for up to `batch` may go now. */
  limit(batch: BatchId): BatchId {
    if (this.retainMs === 0) return batch;
    const until = Date.now() - this.retainMs;
    let old = 0;
    for (const { batch: committed, at } of this.#committed) {
      if (at > until) break;
      old = committed;
    }
    const done = this.#committed.findIndex(({ batch: committed }) => committed >= old);
    if (done > 0) this.#committed.splice(0, done);
    return Math.min(batch, old);
  }
}
