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

const noValues: readonly GrainRun[] = [];

export class RecentArchives {
  /** By batch, modulo `batchesMax`. An object for each batch would make a small commit slower. */
  readonly #valuesOf: (readonly GrainRun[])[] = [];
  readonly #logBytesOf: number[] = [];
  #values = 0;
  /** The batches after `#oldest` up to `#newest` have entries. */
  #oldest = 0;
  #newest = 0;

  get(batch: number): Freed | undefined {
    if (batch <= this.#oldest || batch > this.#newest) return undefined;
    const at = batch % batchesMax;
    return { values: this.#valuesOf[at] ?? noValues, logBytes: this.#logBytesOf[at] ?? 0 };
  }

  /** Requires: `batch` is the one after the last that was added, if any was. */
  add(batch: number, { values, logBytes }: Freed): void {
    if (this.#newest === 0) this.#oldest = batch - 1;
    else assert(batch === this.#newest + 1, 'archives are added in batch order');
    if (batch - this.#oldest > batchesMax) this.#forgetOldest();
    const at = batch % batchesMax;
    this.#valuesOf[at] = values;
    this.#logBytesOf[at] = logBytes;
    this.#newest = batch;
    this.#values += values.length;
    while (this.#values > valuesMax) this.#forgetOldest();
  }

  #forgetOldest(): void {
    this.#oldest += 1;
    const at = this.#oldest % batchesMax;
    this.#values -= this.#valuesOf[at]?.length ?? 0;
    this.#valuesOf[at] = noValues;
  }

  /** Drops the batches up to the checkpoint. */
  forgetUpTo(checkpoint: number): void {
    while (this.#oldest < Math.min(checkpoint, this.#newest)) this.#forgetOldest();
  }
}
