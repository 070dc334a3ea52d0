/**
 * The read cache: blocks of the file in memory, within a bound, written through.
 *
 * Invariant: whatever part of a block has been written since it was read is in it, because every
 * write is told of when it returns (`written`) and a block is read in one synchronous call; reads
 * that may overlap a write under way (`get` without blocking) do not go through here at all.
 * Evicts by the clock algorithm (Corbató 1969). It checks nothing: checksums are the caller's.
 */

import type { StorageFile } from './file-system.ts';

export const blockBytes = 4096;
const blocksPerSlab = 256;
export class BlockCache {
  readonly #file: Pick<StorageFile, 'readSync'>;
  readonly #slotsMax: number;
  readonly #slotOf = new Map<number, number>();
  readonly #slabs: Uint8Array[] = [];
  #blockOf = new Float64Array(blocksPerSlab);
  #referenced = new Uint8Array(blocksPerSlab);
  #slots = 0;
  #hand = 0;
  /** Block and slot found last: values read one after another share blocks. */
  #lastBlock = -1;
  #lastSlot = 0;

  constructor(file: Pick<StorageFile, 'readSync'>, cacheBytes: number) {
    this.#file = file;
    this.#slotsMax = Math.floor(cacheBytes / blockBytes);
  }

  /** False where the bound leaves no room for the longest value that is read through it. */
  get usable(): boolean {
    return this.#slotsMax >= 32;
  }

  /** The slab that holds `slot`. */
  slab(slot: number): Uint8Array {
    return this.#slabs[Math.floor(slot / blocksPerSlab)] as Uint8Array;
  }

  /** Where in its slab `slot` begins. */
  slotStart(slot: number): number {
    return (slot % blocksPerSlab) * blockBytes;
  }

  /** Slot of a block that is in memory, else -1. */
  #find(block: number): number {
    if (block === this.#lastBlock) return this.#lastSlot;
    const slot = this.#slotOf.get(block);
    if (slot === undefined) return -1;
    this.#referenced[slot] = 1;
    this.#lastBlock = block;
    this.#lastSlot = slot;
    return slot;
  }

  /** Slot of the block, read from the file where it is not in memory. Throws the file's errors. */
  slotFor(block: number): number {
    const found = this.#find(block);
    if (found >= 0) return found;
    const slot = this.#claimSlot();
    const start = this.slotStart(slot);
    const target = this.slab(slot).subarray(start, start + blockBytes);
    const read = this.#file.readSync(target, block * blockBytes);
    if (read < blockBytes) target.fill(0, read);
    this.#slotOf.set(block, slot);
    this.#blockOf[slot] = block;
    this.#referenced[slot] = 1;
    return slot;
  }

  /** A slot that holds nothing: a new one, or one whose block was not asked for lately. */
  #claimSlot(): number {
    if (this.#slots < this.#slotsMax) return this.#newSlot();
    for (;;) {
      const slot = this.#hand;
      this.#hand = (slot + 1) % this.#slots;
      if (this.#referenced[slot] === 0) {
        this.#forget(slot);
        return slot;
      }
      this.#referenced[slot] = 0;
    }
  }

  #newSlot(): number {
    const slot = this.#slots;
    this.#slots += 1;
    if (slot >= this.#slabs.length * blocksPerSlab) {
      const blocks = Math.min(blocksPerSlab, this.#slotsMax - slot);
      this.#slabs.push(new Uint8Array(blocks * blockBytes));
    }
    if (slot >= this.#blockOf.length) {
      const blockOf = new Float64Array(this.#blockOf.length * 2);
      blockOf.set(this.#blockOf);
      this.#blockOf = blockOf;
      const referenced = new Uint8Array(this.#referenced.length * 2);
      referenced.set(this.#referenced);
      this.#referenced = referenced;
    }
    this.#blockOf[slot] = -1;
    return slot;
  }

  #forget(slot: number): void {
    const block = this.#blockOf[slot] as number;
    if (this.#slotOf.get(block) === slot) this.#slotOf.delete(block);
    this.#blockOf[slot] = -1;
    if (this.#lastBlock === block) this.#lastBlock = -1;
  }

  /** Takes `length` bytes at `offset` of the file into `target` at `at`. */
  copy(offset: number, length: number, target: Uint8Array, at: number): void {
    let from = offset;
    let to = at;
    const end = offset + length;
    while (from < end) {
      const block = Math.floor(from / blockBytes);
      const within = from - block * blockBytes;
      const step = Math.min(blockBytes - within, end - from);
      const slot = this.slotFor(block);
      const start = this.slotStart(slot) + within;
      target.set(this.slab(slot).subarray(start, start + step), to);
      from += step;
      to += step;
    }
  }

  /** These chunks were written at `offset`, or may have been: blocks in memory take them over. */
  written(chunks: readonly Uint8Array[], offset: number): void {
    if (this.#slotOf.size === 0) return;
    let at = offset;
    for (const chunk of chunks) {
      this.#patch(chunk, at);
      at += chunk.length;
    }
  }

  #patch(chunk: Uint8Array, offset: number): void {
    let done = 0;
    while (done < chunk.length) {
      const block = Math.floor((offset + done) / blockBytes);
      const within = offset + done - block * blockBytes;
      const step = Math.min(blockBytes - within, chunk.length - done);
      const slot = this.#slotOf.get(block);
      if (slot !== undefined) {
        const start = this.slotStart(slot) + within;
        this.slab(slot).set(chunk.subarray(done, done + step), start);
      }
      done += step;
    }
  }

  /** A write to this stretch failed: what the file holds there is unknown. */
  forget(offset: number, length: number): void {
    const last = Math.floor((offset + length - 1) / blockBytes);
    for (let block = Math.floor(offset / blockBytes); block <= last; block++) {
      const slot = this.#slotOf.get(block);
      if (slot === undefined) continue;
      this.#slotOf.delete(block);
      this.#referenced[slot] = 0;
      if (this.#lastBlock === block) this.#lastBlock = -1;
    }
  }
}
