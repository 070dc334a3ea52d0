/**
 * Bytes that values take in the file: whole grains, with prefix and padding.
 *
 * Invariant: it knows the grain sizes of the strata at its making; values that are stored later are
 * not asked for. It reads at most the block with a value's length.
 */

import { corrupt } from '../../errors.ts';
import { GrainId, type Store, type StoreStatistics } from '../../index.ts';
import type { NodeSource } from '../nodes/node-store.ts';

/** Length and CRC in front of each value; see "Values" in `spec/format.md`. */
const prefixBytes = 8;
/** Lengths that are read from the file at once. */
const readAtOnce = 32;

export class StoredSizes {
  readonly #store: Store;
  readonly #source: NodeSource;
  /** By basin and stratum. */
  readonly #grainBytes = new Map<number, number>();
  /** Bytes of all grains with values, also archived ones. */
  readonly allocatedBytes: number;

  constructor(store: Store, source: NodeSource, { strata }: StoreStatistics) {
    this.#store = store;
    this.#source = source;
    let bytes = 0;
    for (const { basin, stratum, grainBytes, allocated } of strata) {
      this.#grainBytes.set(keyOf(basin, stratum), grainBytes);
      bytes += allocated * grainBytes;
    }
    this.allocatedBytes = bytes;
  }

  /** Reads the blocks with the lengths of these values, without blocking, so that `of` need not. */
  async fetch(ids: readonly GrainId[]): Promise<void> {
    for (let at = 0; at < ids.length; at += readAtOnce) {
      const some = ids.slice(at, at + readAtOnce);
      await Promise.all(some.map((id) => this.#store.readRangeAsync(id, 0, 0)));
    }
  }

  /** Bytes of this number of grains, of the stratum that the id is in. */
  ofGrains(id: GrainId, count: number): number {
    const { basin, stratum } = GrainId.parts(id);
    const grainBytes = this.#grainBytes.get(keyOf(basin, stratum));
    if (grainBytes === undefined) {
      throw corrupt('a value is in a stratum that the store lacks', { grainId: id });
    }
    return count * grainBytes;
  }

  /** Bytes of the value, as the file has it. Throws `VARVE_CORRUPT` if it is missing. */
  of(id: GrainId): number {
    const length = this.#source.lengthOf(id);
    if (length === undefined) {
      throw corrupt('a value that the forest names is not in the store', { grainId: id });
    }
    const grainBytes = this.ofGrains(id, 1);
    return Math.ceil((length + prefixBytes) / grainBytes) * grainBytes;
  }
}

function keyOf(basin: number, stratum: number): number {
  return basin * 256 + stratum;
}
