/**
 * The memory of pushed values until they are in the file: a few slabs that all sessions share and
 * reuse.
 *
 * Invariant: bytes that were given out are not given out again before their holder has released the
 * slab, so a write in flight reads unchanged bytes. Reuse saves time: for new memory the system
 * clears each page on first use. Values pushed in a row lie side by side in a slab. Slabs are not
 * cleared: the holder must write all bytes that it takes.
 */

import { assert } from '../../util/assert.ts';

/** Bytes that a session keeps in memory before it writes them ahead; also the size of a slab. */
export const stagedBytesMax = 1024 * 1024;
/** Slabs kept without a holder. */
const spareMax = 2;

/** A piece of memory with parts for several holders. */
export interface StagingSlab {
  readonly bytes: Uint8Array;
  used: number;
  holders: number;
}

export class StagingMemory {
  #current: StagingSlab | undefined;
  readonly #spare: StagingSlab[] = [];

  /** Takes `length` bytes for the holder of `slabs`, and adds their slab to that list. */
  take(length: number, slabs: StagingSlab[]): Uint8Array {
    let slab = this.#current;
    if (slab === undefined || slab.used + length > slab.bytes.length) {
      assert(length <= stagedBytesMax, 'longer values are written, not staged');
      slab = this.#spare.pop() ?? { bytes: new Uint8Array(stagedBytesMax), used: 0, holders: 0 };
      this.#current = slab;
    }
    const from = slab.used;
    slab.used = from + length;
    assert(slab.used <= slab.bytes.length, 'a slab has room for what is taken of it');
    if (!slabs.includes(slab)) {
      slabs.push(slab);
      slab.holders += 1;
    }
    return slab.bytes.subarray(from, slab.used);
  }

  /** Moves the slabs of one holder to the list of another. */
  join(slabs: StagingSlab[], others: StagingSlab[]): void {
    for (const slab of others) {
      if (slabs.includes(slab)) slab.holders -= 1;
      else slabs.push(slab);
    }
    others.length = 0;
  }

  /**
   * Releases all that the holder of `slabs` took. Requires: no write of these bytes is in flight.
   */
  release(slabs: StagingSlab[]): void {
    for (const slab of slabs) {
      assert(slab.holders > 0, 'each holder releases a slab once');
      slab.holders -= 1;
      if (slab.holders > 0) continue;
      slab.used = 0;
      if (slab !== this.#current && this.#spare.length < spareMax) this.#spare.push(slab);
    }
    slabs.length = 0;
  }
}
