/**
 * The nodes and long values of a forest that have several referents, and what a measurement knows
 * of each: which trees reach it, and in which it was counted.
 *
 * Invariant: its size is fixed when it is made: 32 to 64 bytes for each thing that the shares list,
 * whatever the trees hold. It reads no nodes.
 */

import { assert } from '../../util/assert.ts';

/** The halves of a GrainId. */
export interface IdHalves {
  readonly low: number;
  readonly high: number;
}

/** Several trees reach it. */
const many = 0xffff_ffff;

export class ShareTable {
  readonly #mask: number;
  /** Low and high half of each id, both 0 in an empty slot. */
  readonly #ids: Uint32Array;
  /** The tree that reached it first, `many`, or 0. */
  readonly #owners: Uint32Array;
  /** The tree that it was counted in last, or 0. */
  readonly #counted: Uint32Array;

  /** For up to `count` ids. */
  constructor(count: number) {
    let slots = 8;
    while (slots < count * 2) slots *= 2;
    this.#mask = slots - 1;
    this.#ids = new Uint32Array(slots * 2);
    this.#owners = new Uint32Array(slots);
    this.#counted = new Uint32Array(slots);
  }

  add(id: IdHalves): void {
    const slot = this.#slotOf(id);
    assert(this.#isEmpty(slot), 'the shares list an id once');
    this.#ids[slot * 2] = id.low;
    this.#ids[slot * 2 + 1] = id.high;
  }

  /** Its slot, or -1 if it has one referent only. */
  find(id: IdHalves): number {
    const slot = this.#slotOf(id);
    return this.#isEmpty(slot) ? -1 : slot;
  }

  #isEmpty(slot: number): boolean {
    return this.#ids[slot * 2] === 0 && this.#ids[slot * 2 + 1] === 0;
  }

  #slotOf({ low, high }: IdHalves): number {
    const wanted = low >>> 0;
    const above = high >>> 0;
    let slot = (Math.imul(wanted ^ Math.imul(above, 0x9e37_79b1), 0x85eb_ca6b) >>> 7) & this.#mask;
    for (; !this.#isEmpty(slot); slot = (slot + 1) & this.#mask) {
      if (this.#ids[slot * 2] === wanted && this.#ids[slot * 2 + 1] === above) break;
    }
    return slot;
  }

  /** Notes that the tree (from 1) reaches it. False if a tree did before. */
  reach(slot: number, tree: number): boolean {
    const owner = this.#owners[slot];
    if (owner === 0) {
      this.#owners[slot] = tree;
      return true;
    }
    if (owner !== tree) this.#owners[slot] = many;
    return false;
  }

  /** Several trees reach it. */
  isOfMany(slot: number): boolean {
    return this.#owners[slot] === many;
  }

  /** Several trees reach it by way of something else. Slot -1: it has one referent only. */
  giveToMany(slot: number): void {
    if (slot >= 0) this.#owners[slot] = many;
  }

  /** Nothing is counted any more. */
  forgetCounts(): void {
    this.#counted.fill(0);
  }

  /** Counts it in the tree: whether it was counted in this tree before, or in any. */
  count(slot: number, tree: number): 'first' | 'other tree' | 'again' {
    const before = this.#counted[slot];
    this.#counted[slot] = tree;
    if (before === 0) return 'first';
    return before === tree ? 'again' : 'other tree';
  }
}
