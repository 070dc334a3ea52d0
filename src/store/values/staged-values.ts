/**
 * Values of one session that are in memory until they are in the file.
 *
 * Invariants:
 * - A staged value is in memory until `forget`, or until the write of its batch has returned.
 * - Grains that are being written are not given back: `withdraw` and `leaveToBatches` leave that to
 *   the end of the write. Otherwise another value could be written there before it.
 *
 * It writes nothing, and knows nothing of commits.
 */

import type { GrainRun } from '../../format/log-record.ts';
import type { Stratum } from '../grains/stratum.ts';
import type { StagingMemory, StagingSlab } from './staging-memory.ts';

/** A value that may be in memory. */
export interface StagedBytes extends GrainRun {
  readonly home: Stratum;
  /** Prefix, bytes and padding to the end of its grains; undefined once they are in the file. */
  bytes: Uint8Array | undefined;
  withdrawn: boolean;
}

/** Staged values that are being written without blocking, and their memory. */
export interface StagedBatch<Value> {
  readonly values: readonly Value[];
  readonly slabs: StagingSlab[];
  /** Given back meanwhile: their grains are free when the write has returned. */
  readonly givenBack: Value[];
}

export class StagedValues<Value extends StagedBytes> {
  readonly #memory: StagingMemory;
  #values: Value[] = [];
  #bytes = 0;
  #slabs: StagingSlab[] = [];
  /** Made with the first. */
  #batches: Set<StagedBatch<Value>> | undefined;

  constructor(memory: StagingMemory) {
    this.#memory = memory;
  }

  /** Bytes in memory, without those that are being written. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The values in memory, without those that are being written. */
  get values(): readonly Value[] {
    return this.#values;
  }

  /** Memory for a value to be added. */
  take(length: number): Uint8Array {
    return this.#memory.take(length, this.#slabs);
  }

  add(value: Value): void {
    this.#values.push(value);
    this.#bytes += value.bytes?.length ?? 0;
  }

  /** Gives the grains of a value back, now or when its write has returned. */
  withdraw(value: Value): void {
    value.withdrawn = true;
    const batch = this.#batchOf(value);
    if (batch !== undefined) {
      batch.givenBack.push(value);
      return;
    }
    value.home.release(value.index, value.count);
    this.#bytes -= value.bytes?.length ?? 0;
    value.bytes = undefined;
    if (this.#bytes === 0) this.forget();
  }

  #batchOf(value: Value): StagedBatch<Value> | undefined {
    if (this.#batches === undefined || value.bytes === undefined) return undefined;
    for (const batch of this.#batches) if (batch.values.includes(value)) return batch;
    return undefined;
  }

  /** Removes withdrawn values from the list. */
  leaveOut(): void {
    this.#values = this.#values.filter(({ withdrawn }) => !withdrawn);
  }

  /** Releases the memory of all values. Requires: no write of them is in flight. */
  forget(): void {
    for (const value of this.#values) value.bytes = undefined;
    this.#values = [];
    this.#bytes = 0;
    this.#memory.release(this.#slabs);
  }

  /** Takes all values, to be written without blocking. */
  beginBatch(): StagedBatch<Value> {
    const batch = { values: this.#values, slabs: this.#slabs, givenBack: [] };
    this.#batches ??= new Set();
    this.#batches.add(batch);
    this.#values = [];
    this.#slabs = [];
    this.#bytes = 0;
    return batch;
  }

  /** The write has returned: releases the memory, and the grains that were given back meanwhile. */
  endBatch(batch: StagedBatch<Value>): void {
    this.#batches?.delete(batch);
    for (const value of batch.values) value.bytes = undefined;
    for (const { home, index, count } of batch.givenBack) home.release(index, count);
    this.#memory.release(batch.slabs);
  }

  /** The session ends: returns the values whose grains are given back at the end of their write. */
  leaveToBatches(): ReadonlySet<Value> {
    const left = new Set<Value>();
    for (const batch of this.#batches ?? []) {
      for (const value of batch.values) {
        if (value.withdrawn) continue;
        left.add(value);
        batch.givenBack.push(value);
      }
    }
    return left;
  }

  /** Takes over what another session has staged. Requires: none of it is being written. */
  adopt(other: StagedValues<Value>): void {
    for (const value of other.#values) this.#values.push(value);
    this.#bytes += other.#bytes;
    this.#memory.join(this.#slabs, other.#slabs);
    other.#values = [];
    other.#bytes = 0;
  }
}
