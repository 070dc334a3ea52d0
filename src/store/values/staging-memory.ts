/**
 * The memory that pushed values wait in until they are in the file: a few slabs that all sessions
 * share and that are used again.
 *
 * Invariant: bytes that were given out are not given out again before their holder has released
 * the slab, so what a write under way reads does not change. New memory costs more than copying
 * into it (the system clears each page when it is first touched); that used before is at hand, and
 * values pushed one after another lie side by side in it. What is in it is not cleared: whoever
 * takes memory writes all of it.
 */

import { assert } from '../../util/assert.ts';

/** Bytes that a session keeps in memory before it writes them ahead; one slab has as many. */
export const stagedBytesMax = 1024 * 1024;
/** Slabs kept that nobody holds. */
const spareMax = 2;

/** A piece of memory that several holders have parts of. */
export interface StagingSlab {
  readonly bytes: Uint8Array;
  used: number;
  holders: number;
}

export class StagingMemory {
  #current: StagingSlab | undefined;
  readonly #spare: StagingSlab[] = [];

  /** `length` bytes for the holder of `slabs`, to which the slab is added that they are of. */
  take(length: number, slabs: Set<StagingSlab>): Uint8Array {
    let slab = this.#current;
    if (slab === undefined || slab.used + length > slab.bytes.length) {
      assert(length <= stagedBytesMax, 'longer values are written, not staged');
      slab = this.#spare.pop() ?? { bytes: new Uint8Array(stagedBytesMax), used: 0, holders: 0 };
      this.#current = slab;
    }
    const from = slab.used;
    slab.used = from + length;
    if (!slabs.has(slab)) {
      slabs.add(slab);
      slab.holders += 1;
    }
    return slab.bytes.subarray(from, slab.used);
  }

  /** The holder of `slabs` has no more use for what it took, nor has any write under way. */
  release(slabs: Set<StagingSlab>): void {
    for (const slab of slabs) {
      slab.holders -= 1;
      if (slab.holders > 0) continue;
      slab.used = 0;
      if (slab !== this.#current && this.#spare.length < spareMax) this.#spare.push(slab);
    }
    slabs.clear();
  }
}
