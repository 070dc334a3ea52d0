/**
 * How far automatic checkpoints stay behind, so that readers in other processes have time
 * (`ForestOptions.retainMs`).
 *
 * Invariant: a checkpoint passes a batch only if it was committed at least `retainMs` ago. Times
 * come from the commit log; for this process's own commits they are slightly late. A bounded number
 * of times is kept: a batch between two kept times counts as committed at the later one.
 */

import type { BatchId, Store } from '../../index.ts';
import { assert } from '../../util/assert.ts';

/** Commit times that are kept for the retained period, about. */
const timesPerRetention = 64;

interface Committed {
  readonly batch: BatchId;
  readonly at: number;
}

export class Retention {
  readonly retainMs: number;
  /** Oldest first: every batch up to `batch` was committed at `at` or before. */
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

  /** Notes the time of a commit. Requires: `batch` is later than all noted before. */
  note(batch: BatchId, at: number): void {
    if (this.retainMs === 0) return;
    const [last, before] = [this.#committed.at(-1), this.#committed.at(-2)];
    assert(last === undefined || batch > last.batch, 'commits are noted in their order');
    // If the clock was set back, no batch may look older than it is.
    const time = Math.max(at, last?.at ?? at);
    const isNear = before !== undefined && time - before.at < this.retainMs / timesPerRetention;
    if (isNear) this.#committed.pop();
    this.#committed.push({ batch, at: time });
  }

  /** The last batch, at most `batch`, that a checkpoint may reach now. */
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
