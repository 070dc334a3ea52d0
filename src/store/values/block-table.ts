/**
 * The index of the read cache: the slot of each block of the file, and the checked places in the
 * block.
 *
 * One typed array with 32 adjacent bytes for each block: in a large cache, any further place costs
 * another miss of the processor's cache. Open addressing with linear probing, at most half full.
 * Removal moves later cells back (Knuth vol. 3, 6.4, algorithm R), so there are no tombstones. A
 * cell number is valid until the next `add` or `remove`. It knows nothing of the bytes.
 */

import { assert } from '../../util/assert.ts';

const twoTo32 = 0x1_0000_0000;
/** A cell: low and high half of block + 1 (0: empty), slot, reference bit, checked places. */
const cellExp = 3;
const cellWords = 1 << cellExp;
const slotWord = 2;
const referencedWord = 3;
const checkedWord = 4;
/** Places of a block that can be marked: every 32 bytes of 4 KiB. */
const placeExp = 5;
const firstCellsExp = 6;
/** 2^32 divided by the golden ratio: blocks in a row land far apart (Knuth vol. 3, 6.4). */
const scatter = 0x9e3779b1;

export class BlockTable {
  #cells = new Int32Array(cellWords << firstCellsExp);
  /** 32 less the exponent of the number of cells. */
  #shift = 32 - firstCellsExp;
  #size = 0;

  /** Number of blocks. */
  get size(): number {
    return this.#size;
  }

  /** Memory of the table. */
  get bytes(): number {
    return this.#cells.byteLength;
  }

  /** Start of the block's cell; -1 if the block is not in it. */
  find(block: number): number {
    const cells = this.#cells;
    const low = (block + 1) | 0;
    const high = Math.floor((block + 1) / twoTo32);
    let at = this.#home(low, high);
    for (;;) {
      const found = cells[at] as number;
      if (found === low && cells[at + 1] === high) return at;
      if (found === 0 && cells[at + 1] === 0) return -1;
      at = (at + cellWords) & (cells.length - 1);
    }
  }

  #home(low: number, high: number): number {
    return (Math.imul(low ^ Math.imul(high, scatter), scatter) >>> this.#shift) << cellExp;
  }

  /**
   * Adds a block, neither referenced nor checked; returns its cell. Requires: the block is not in
   * it.
   */
  add(block: number, slot: number): number {
    assert(this.find(block) < 0, 'a block has one cell');
    if ((this.#size + 1) * 2 > this.#cells.length >>> cellExp) this.#grow();
    const at = this.#place((block + 1) | 0, Math.floor((block + 1) / twoTo32));
    this.#cells[at + slotWord] = slot;
    this.#cells[at + referencedWord] = 0;
    this.uncheck(at);
    this.#size += 1;
    return at;
  }

  /** Takes the first empty cell from the block's home on. */
  #place(low: number, high: number): number {
    const cells = this.#cells;
    let at = this.#home(low, high);
    while (cells[at] !== 0 || cells[at + 1] !== 0) at = (at + cellWords) & (cells.length - 1);
    cells[at] = low;
    cells[at + 1] = high;
    return at;
  }

  #grow(): void {
    const old = this.#cells;
    this.#cells = new Int32Array(old.length * 2);
    this.#shift -= 1;
    for (let from = 0; from < old.length; from += cellWords) {
      const low = old[from] as number;
      const high = old[from + 1] as number;
      if (low === 0 && high === 0) continue;
      this.#cells.set(old.subarray(from, from + cellWords), this.#place(low, high));
    }
  }

  /** Removes the block of the cell. */
  remove(cell: number): void {
    const cells = this.#cells;
    assert(cells[cell] !== 0 || cells[cell + 1] !== 0, 'the cell of a block is removed once');
    const mask = cells.length - 1;
    let gap = cell;
    let at = cell;
    for (;;) {
      at = (at + cellWords) & mask;
      const low = cells[at] as number;
      const high = cells[at + 1] as number;
      if (low === 0 && high === 0) break;
      // A block may move back to the gap unless the gap is before its home cell.
      if (((at - this.#home(low, high)) & mask) < ((at - gap) & mask)) continue;
      cells.copyWithin(gap, at, at + cellWords);
      gap = at;
    }
    cells[gap] = 0;
    cells[gap + 1] = 0;
    this.#size -= 1;
  }

  slot(cell: number): number {
    return this.#cells[cell + slotWord] as number;
  }

  /** The block of the cell is in another slot now. */
  moveTo(cell: number, slot: number): void {
    this.#cells[cell + slotWord] = slot;
  }

  /** The block was used since it was added or `unreference`. */
  isReferenced(cell: number): boolean {
    return this.#cells[cell + referencedWord] !== 0;
  }

  reference(cell: number): void {
    this.#cells[cell + referencedWord] = 1;
  }

  unreference(cell: number): void {
    this.#cells[cell + referencedWord] = 0;
  }

  /** True if the place at byte `within` of the block is marked as checked. */
  isChecked(cell: number, within: number): boolean {
    const place = within >>> placeExp;
    const word = this.#cells[cell + checkedWord + (place >>> 5)] as number;
    return (word & (1 << (place & 31))) !== 0;
  }

  /** Marks the place as checked. Requires: at most one value begins in these 32 bytes. */
  check(cell: number, within: number): void {
    const place = within >>> placeExp;
    const at = cell + checkedWord + (place >>> 5);
    this.#cells[at] = (this.#cells[at] as number) | (1 << (place & 31));
  }

  /** Clears all marks of the block. */
  uncheck(cell: number): void {
    this.#cells.fill(0, cell + checkedWord, cell + cellWords);
  }

  /** Clears the mark of the place. */
  uncheckPlace(cell: number, within: number): void {
    const place = within >>> placeExp;
    const at = cell + checkedWord + (place >>> 5);
    this.#cells[at] = (this.#cells[at] as number) & ~(1 << (place & 31));
  }
}
