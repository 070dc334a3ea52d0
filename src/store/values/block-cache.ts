/**
 * The read cache: blocks of the file in memory, written through, within a budget that other caches
 * share (`util/memory-budget.ts`), evicted by the clock algorithm (Corbató 1969).
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
import type { MemoryBudget, MemoryShare, MemoryUser } from '../../util/memory-budget.ts';
import { BlockTable } from './block-table.ts';

export const blockBytes = pageBytes;
/** Slabs of up to 256 KiB: the first value read costs little more memory than its block. */
const slabExpMax = 6;
/** A slab is at most this part of the budget, if that has this number of blocks. */
const slabsMin = 64;
/** With a smaller budget it is not used: it has room for the longest value read through it. */
const blocksMin = 32;

export class BlockCache implements MemoryUser {
  #file: Pick<StorageFile, 'readSync'>;
  readonly #budget: MemoryBudget;
  readonly #share: MemoryShare;
  /** Blocks of a slab are a power of two; this is its exponent. */
  readonly #slabExp: number;
  #table = new BlockTable();
  #slabs: Uint8Array[] = [];
  /** Block in each slot; -1 if it is empty. */
  #blockOf = new Float64Array(0);
  /** Slots without a block. */
  #empty: number[] = [];
  readonly #hasEmpty = (): boolean => this.#empty.length > 0;
  #hand = 0;

  constructor(file: Pick<StorageFile, 'readSync'>, budget: MemoryBudget) {
    this.#file = file;
    this.#budget = budget;
    this.#share = budget.join('blocks', this);
    const blocks = Math.max(1, budget.bytesMax / blockBytes / slabsMin);
    this.#slabExp = Math.min(slabExpMax, Math.floor(Math.log2(blocks)));
  }

  /** Slots with and without a block. */
  get entryCount(): number {
    return this.#slabs.length << this.#slabExp;
  }

  /** Reads blocks from `file` from now on: another reader of the same file. */
  readFrom(file: Pick<StorageFile, 'readSync'>): void {
    this.#file = file;
  }

  /** False if the bound is too small for the longest value that is read through it. */
  get usable(): boolean {
    return this.#budget.bytesMax >= blocksMin * blockBytes;
  }

  /** The slab that holds `slot`. */
  slab(slot: number): Uint8Array {
    return this.#slabs[slot >>> this.#slabExp] as Uint8Array;
  }

  /** Start of `slot` in its slab. */
  slotStart(slot: number): number {
    return (slot & ((1 << this.#slabExp) - 1)) * blockBytes;
  }

  /** Slot of the block; reads it from the file if it is not in memory. Throws the file's errors. */
  slotFor(block: number): number {
    const found = this.#table.find(block);
    if (found < 0) return this.#read(block);
    this.#table.reference(found);
    return this.#table.slot(found);
  }

  #read(block: number): number {
    const slot = this.#emptySlot();
    const start = this.slotStart(slot);
    const target = this.slab(slot).subarray(start, start + blockBytes);
    const read = this.#file.readSync(target, block * blockBytes);
    if (read < blockBytes) target.fill(0, read);
    assert(this.#blockOf[slot] === -1, 'a block is read into an empty slot');
    this.#table.add(block, slot);
    this.#blockOf[slot] = block;
    this.#empty.pop();
    this.#hold();
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

  /** An empty slot: one whose block was not used lately, or one of a new slab. */
  #emptySlot(): number {
    // The index may have grown beyond the budget with the last block.
    this.#budget.makeRoom();
    if (this.#empty.length === 0) {
      const hasRoom = this.#budget.makeRoom(blockBytes << this.#slabExp, this.#hasEmpty);
      if (!this.#hasEmpty()) {
        // If what others hold cannot go, its own blocks have gone. It has one slab in any case.
        assert(hasRoom || this.#slabs.length === 0, 'a slab has room in the budget');
        this.#addSlab();
      }
    }
    return this.#empty.at(-1) as number;
  }

  #addSlab(): void {
    const from = this.entryCount;
    this.#slabs.push(new Uint8Array(blockBytes << this.#slabExp));
    const end = this.entryCount;
    if (end > this.#blockOf.length) {
      const blockOf = new Float64Array(Math.max(end, this.#blockOf.length * 2)).fill(-1);
      blockOf.set(this.#blockOf);
      this.#blockOf = blockOf;
    }
    for (let slot = end - 1; slot >= from; slot--) this.#empty.push(slot);
    this.#hold();
  }

  /** Tells the budget what it holds. */
  #hold(): void {
    const reservedBytes = this.#table.bytes + this.#blockOf.byteLength;
    this.#share.hold(this.entryCount * blockBytes, { reservedBytes });
  }

  /** Evicts blocks that were not used; gives slabs back whose blocks others have room for. */
  pass(count: number): void {
    for (let left = Math.min(count, this.entryCount); left > 0; left--) this.#lookAtNext();
    while (this.#slabs.length > 0 && this.#empty.length >= this.#emptyMax) this.#dropSlab();
  }

  /**
   * Empty slots for which a slab is given back. If it is not the only one, as many are left: new
   * blocks come soon, and a slab that comes and goes costs more than its blocks.
   */
  get #emptyMax(): number {
    return Math.min(2, this.#slabs.length) << this.#slabExp;
  }

  /** Looks at the slot under the hand: evicts its block if it was not used since the last look. */
  #lookAtNext(): void {
    const slot = this.#hand;
    this.#hand = slot + 1 === this.entryCount ? 0 : slot + 1;
    const block = this.#blockOf[slot] as number;
    if (block < 0) return;
    const cell = this.#table.find(block);
    assert(cell >= 0, 'the block of a slot is in the table');
    if (this.#table.isReferenced(cell)) this.#table.unreference(cell);
    else this.#clear(cell);
  }

  #clear(cell: number): void {
    const slot = this.#table.slot(cell);
    this.#table.remove(cell);
    this.#blockOf[slot] = -1;
    this.#empty.push(slot);
  }

  /** Gives back the last slab. Moves its blocks to empty slots of the others. */
  #dropSlab(): void {
    const end = this.entryCount;
    const from = end - (1 << this.#slabExp);
    this.#empty = this.#empty.filter((slot) => slot < from);
    for (let slot = from; slot < end; slot++) {
      const block = this.#blockOf[slot] as number;
      if (block < 0) continue;
      const to = this.#empty.pop() as number;
      const start = this.slotStart(slot);
      this.slab(to).set(this.slab(slot).subarray(start, start + blockBytes), this.slotStart(to));
      this.#blockOf[to] = block;
      this.#blockOf[slot] = -1;
      this.#table.moveTo(this.#table.find(block), to);
    }
    this.#slabs.pop();
    if (this.#hand >= from) this.#hand = 0;
    this.#hold();
  }

  /** Drops all blocks. */
  clear(): void {
    this.#table = new BlockTable();
    this.#slabs = [];
    this.#blockOf = new Float64Array(0);
    this.#empty = [];
    this.#hand = 0;
    this.#hold();
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
      if (cell >= 0) this.#clear(cell);
    }
  }
}
