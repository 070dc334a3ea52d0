/**
 * What the last batches archived, kept in memory: a checkpoint that follows soon need not read it
 * back from the commit log.
 *
 * Invariant: what it gives for a batch is what the batch's record says; for a batch that it does
 * not have, the record does. It keeps no more than some thousand batches and values: a little more
 * than a megabyte.
 */

import type { GrainRun } from '../../format/log-record.ts';

/** What a checkpoint frees. */
export interface Freed {
  readonly values: readonly GrainRun[];
  /** Bytes of the commit log that it forgets. */
  readonly logBytes: number;
}

const valuesMax = 16_384;
const batchesMax = 1024;

export class RecentArchives {
  /** By batch, oldest first. */
  readonly #batches = new Map<number, Freed>();
  #values = 0;

  get(batch: number): Freed | undefined {
    return this.#batches.get(batch);
  }

  /** `batch` is the newest. */
  add(batch: number, archived: Freed): void {
    this.#batches.set(batch, archived);
    this.#values += archived.values.length;
    for (const oldest of this.#batches.keys()) {
      if (this.#values <= valuesMax && this.#batches.size <= batchesMax) return;
      this.#forget(oldest);
    }
  }

  #forget(batch: number): void {
    this.#values -= this.#batches.get(batch)?.values.length ?? 0;
    this.#batches.delete(batch);
  }

  /** The checkpoint has passed this batch. */
  forgetUpTo(checkpoint: number): void {
    for (const batch of this.#batches.keys()) {
      if (batch > checkpoint) return;
      this.#forget(batch);
    }
  }
}
