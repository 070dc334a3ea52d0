/**
 * Values that are put one at a time, each with its own commit.
 *
 * Invariant: a small value is copied at the call. A large one is written to its grains without a
 * copy, and closing the store waits until that has settled. The grains of a failed put are free
 * again.
 */

import type { GrainId } from '../format/grain-id.ts';
import type { Committer } from './commit/committer.ts';
import { SessionWork } from './commit/session-work.ts';
import { writeLargeValue } from './commit/value-writer.ts';
import type { Reservation } from './grains/atlas.ts';
import type { BatchId } from './state/batch-id.ts';
import type { StoreCore } from './state/core.ts';
import { stagedBytesMax } from './values/staging-memory.ts';

/** A durable value. */
export interface PutValue {
  id: GrainId;
  batch: BatchId;
}

export class SinglePuts {
  readonly #core: StoreCore;
  readonly #committer: Committer;
  /** Puts of large values that have not settled: closing waits for them as for commits. */
  readonly #writing = new Set<Promise<unknown>>();

  constructor(core: StoreCore, committer: Committer) {
    this.#core = core;
    this.#committer = committer;
  }

  /** A put of a large value is under way. */
  get areWriting(): boolean {
    return this.#writing.size > 0;
  }

  /** Resolves when every put of a large value that is under way has settled. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.#writing]);
  }

  async put(data: Uint8Array): Promise<PutValue> {
    const place = this.#core.atlas.reserve(data.length, undefined);
    const isSmall = place.count * place.stratum.grainBytes <= stagedBytesMax;
    if (isSmall) return await this.#putSmall(place, data);
    const put = this.#putLarge(place, data);
    this.#writing.add(put);
    try {
      return await put;
    } finally {
      this.#writing.delete(put);
    }
  }

  async #putSmall(place: Reservation, data: Uint8Array): Promise<PutValue> {
    const work = new SessionWork(this.#core.staging);
    const { id } = work.stage(place, data);
    work.beginCommit();
    return { id, batch: await this.#committer.commit(work) };
  }

  async #putLarge(place: Reservation, data: Uint8Array): Promise<PutValue> {
    const core = this.#core;
    const work = new SessionWork(core.staging);
    let crc: number;
    try {
      crc = await writeLargeValue(core, place, data, { method: 'Store.put' });
    } catch (error) {
      place.stratum.release(place.index, place.count);
      throw error;
    }
    const { id } = work.add(place, data.length, crc);
    work.beginCommit();
    return { id, batch: await this.#committer.commit(work) };
  }
}
