/**
 * The read cache: blocks of the file in memory, bounded, written through, evicted by the clock
 * algorithm (Corbató 1969).
 *
 * Invariant: a block has all writes since it was read. Each write of a value reports here when it
 * has returned (`written`), and a block is read in one synchronous call. Reads that may overlap a
 * write in flight (`get` without blocking) do not use the cache. It checks no content, but keeps
 * marks of places that its user has checked; a write to the block clears them.
 */

import { pageBytes } from '../../format/layout.ts';
import type { StorageFile } from '../../io/file-system.ts';
import { assert } from '../../util/assert.ts';
import { copyRun } from '../../util/bytes.ts';
import { BlockTable } from './block-table.ts';

export const blockBytes = pageBytes;
/** Slabs of 256 KiB: the first value read costs little more memory than its block. */
const slabExp = 6;
const blocksPerSlab = 1 << slabExp;

export class BlockCache {
  #file: Pick<StorageFile, 'readSync'>;
  readonly #slotsMax: number;
  readonly #table = new BlockTable();
  readonly #slabs: Uint8Array[] = [];
  /** Block in each slot; -1 if it is empty. */
  #blockOf = new Float64Array(blocksPerSlab);
  #slots = 0;
  #hand = 0;

  constructor(file: Pick<StorageFile, 'readSync'>, cacheBytes: number) {
    this.#file = file;
    this.#slotsMax = Math.floor(cacheBytes / blockBytes);
  }

  /** Reads blocks from `file` from now on: another reader of the same file. */
  readFrom(file: Pick<StorageFile, 'readSync'>): void {
    this.#file = file;
  }

  /** False if the bound is too small for the longest value that is read through it. */
  get usable(): boolean {
    return this.#slotsMax >= 32;
  }

  /** The slab that holds `slot`. */
  slab(slot: number): Uint8Array {
    return this.#slabs[slot >>> slabExp] as Uint8Array;
  }

  /** Start of `slot` in its slab. */
  slotStart(slot: number): number {
    return (slot & (blocksPerSlab - 1)) * blockBytes;
  }

  /** Slot of the block; reads it from the file if it is not in memory. Throws the file's errors. */
  slotFor(block: number): number {
    const found = this.#table.find(block);
    if (found < 0) return this.#read(block);
    this.#table.reference(found);
    return this.#table.slot(found);
  }

  #read(block: number): number {
    const slot = this.#claimSlot();
    const start = this.slotStart(slot);
    const target = this.slab(slot).subarray(start, start + blockBytes);
    const read = this.#file.readSync(target, block * blockBytes);
    if (read < blockBytes) target.fill(0, read);
    assert(this.#blockOf[slot] === -1, 'a block is read into an empty slot');
    this.#table.add(block, slot);
    this.#blockOf[slot] = block;
    return slot;
  }

  /**
   * Slot of the block with byte `offset` of the file, if it is in memory and the place is marked as
   * checked; otherwise -1.
   */
  slotOfChecked(offset: number): number {
    const block = Math.floor(offset / blockBytes);
    const cell = this.#table.find(block);
    if (cell < 0 || !this.#table.isChecked(cell, offset - block * blockBytes)) return -1;
    this.#table.reference(cell);
    return this.#table.slot(cell);
  }

  /**
   * Marks the place at byte `offset` as checked. A mark covers 32 bytes: at most one value may
   * begin in them. Any write to the block clears it.
   */
  check(offset: number): void {
    const block = Math.floor(offset / blockBytes);
    const cell = this.#table.find(block);
    if (cell >= 0) this.#table.check(cell, offset - block * blockBytes);
  }

  /** Clears the mark of the place at byte `offset`. */
  uncheck(offset: number): void {
    const block = Math.floor(offset / blockBytes);
    const cell = this.#table.find(block);
    if (cell >= 0) this.#table.uncheckPlace(cell, offset - block * blockBytes);
  }

  /** An empty slot: a new one, or one whose block was not used lately. */
  #claimSlot(): number {
    if (this.#slots < this.#slotsMax) return this.#newSlot();
    for (;;) {
      const slot = this.#hand;
      this.#hand = (slot + 1) % this.#slots;
      const block = this.#blockOf[slot] as number;
      const cell = block < 0 ? -1 : this.#table.find(block);
      if (cell < 0) return slot;
      if (!this.#table.isReferenced(cell)) {
        this.#table.remove(cell);
        this.#blockOf[slot] = -1;
        return slot;
      }
      this.#table.unreference(cell);
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
    }
    this.#blockOf[slot] = -1;
    return slot;
  }

  /** Copies `length` bytes at `offset` of the file into `target` at `at`. */
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
      copyRun({ bytes: this.slab(slot), from: start, length: step }, target, to);
      from += step;
      to += step;
    }
  }

  /** These chunks were written at `offset`, or may have been: updates the blocks in memory. */
  written(chunks: readonly Uint8Array[], offset: number): void {
    if (this.#table.size === 0) return;
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
      const cell = this.#table.find(block);
      if (cell >= 0) {
        const slot = this.#table.slot(cell);
        const start = this.slotStart(slot) + within;
        this.slab(slot).set(chunk.subarray(done, done + step), start);
        this.#table.uncheck(cell);
      }
      done += step;
    }
  }

  /** A write of this range failed, so the file's content is unknown: drops its blocks. */
  forget(offset: number, length: number): void {
    const last = Math.floor((offset + length - 1) / blockBytes);
    for (let block = Math.floor(offset / blockBytes); block <= last; block++) {
      const cell = this.#table.find(block);
      if (cell < 0) continue;
      this.#blockOf[this.#table.slot(cell)] = -1;
      this.#table.remove(cell);
    }
  }
}
