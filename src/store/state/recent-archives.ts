/**
 * The archives of the last batches in memory, so that a checkpoint that follows soon need not read
 * the commit log.
 *
 * Invariant: the entry of a batch equals its record; for a batch without an entry the log is read.
 * It keeps at most some thousand batches and values: a little more than a megabyte.
 */

import type { GrainRun } from '../../format/log-record.ts';
import { assert } from '../../util/assert.ts';

/** The values and log that a checkpoint frees. */
export interface Freed {
  readonly values: readonly GrainRun[];
  /** Bytes of the commit log that it frees. */
  readonly logBytes: number;
}

const valuesMax = 16_384;
const batchesMax = 1024;

export class RecentArchives {
  /** By batch, oldest first. */
  readonly #batches = new Map<number, Freed>();
  #values = 0;
  #newest = 0;

  get(batch: number): Freed | undefined {
    return this.#batches.get(batch);
  }

  /** Requires: `batch` is the newest. */
  add(batch: number, archived: Freed): void {
    assert(batch > this.#newest, 'archives are added in batch order');
    this.#newest = batch;
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

  /** Drops the batches up to the checkpoint. */
  forgetUpTo(checkpoint: number): void {
    for (const batch of this.#batches.keys()) {
      if (batch > checkpoint) return;
      this.#forget(batch);
    }
  }
}
