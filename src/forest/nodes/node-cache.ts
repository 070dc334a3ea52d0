/**
 * Keeps nodes in memory: the clock algorithm over nodes that were read or written, within a budget
 * that other caches share (`util/memory-budget.ts`).
 *
 * Invariants:
 * - Cached nodes are stored and never change again. Nodes that are not stored are not cached: they
 *   stay with their holders, who reserve memory for them here.
 * - The last node that was added is not evicted. Any other may be, whenever memory is needed.
 */

import { assert } from '../../util/assert.ts';
import {
  evictableShareMin,
  type MemoryBudget,
  type MemoryShare,
  type MemoryUser,
} from '../../util/memory-budget.ts';
import type { NodeRef } from './node.ts';

export class NodeCache implements MemoryUser {
  readonly #budget: MemoryBudget;
  readonly #share: MemoryShare;
  /** The part of the budget that nodes may take. */
  readonly #bytesMax: number;
  readonly #refs: NodeRef[] = [];
  #bytes = 0;
  /** Bytes that are reserved for other uses. */
  #reserved = 0;
  #hand = 0;
  /** References in the list whose node has been dropped. */
  #dropped = 0;

  /** The node that was added last: its reader is not done with it. */
  #newest: NodeRef | undefined;

  constructor(budget: MemoryBudget, bytesMax = budget.bytesMax) {
    this.#budget = budget;
    this.#share = budget.join('nodes', this);
    this.#bytesMax = bytesMax;
  }

  /** Bytes of cached nodes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** References in its list. */
  get entryCount(): number {
    return this.#refs.length;
  }

  /** Reserves memory for nodes that are not stored and for `NodeMemory`. */
  reserve(bytes: number): void {
    this.#reserved = bytes;
    this.#shrink();
  }

  /** Evicts nodes beyond the cache's own bound, and whatever is beyond the budget. */
  #shrink(): void {
    const most = Math.max(this.#bytesMax - this.#reserved, this.#bytesMax * evictableShareMin);
    while (this.#bytes > most && this.#refs.length > 1) this.#turn();
    this.#hold();
    this.#budget.makeRoom();
  }

  /** Tells the budget what it holds. */
  #hold(): void {
    this.#share.hold(this.#bytes, { reservedBytes: this.#reserved });
  }

  pass(count: number): void {
    for (let left = count; left > 0 && this.#refs.length > 1; left--) this.#turn();
    this.#hold();
  }

  /** Adds a node that is in memory. */
  add(ref: NodeRef): void {
    if (ref.cachedBytes > 0 || ref.node === undefined) return;
    assert(ref.stored, 'a cached node is stored');
    ref.cachedBytes = ref.node.memoryBytes;
    this.#bytes += ref.cachedBytes;
    if (ref.isListed) this.#dropped -= 1;
    else this.#refs.push(ref);
    ref.isListed = true;
    assert(this.#dropped >= 0, 'the cache counts the nodes that it has dropped');
    this.#newest = ref;
    this.#shrink();
    if (this.#dropped > 1024 && this.#dropped * 2 > this.#refs.length) this.#sweep();
  }

  /** Looks at the node under the hand; evicts it if it was not used since the last look. */
  #turn(): void {
    if (this.#hand >= this.#refs.length) this.#hand = 0;
    const ref = this.#refs[this.#hand] as NodeRef;
    const { node } = ref;
    const isNewest = ref === this.#newest;
    if (isNewest || (ref.cachedBytes > 0 && node?.used === true)) {
      if (node !== undefined && !isNewest) node.used = false;
      this.#hand += 1;
      return;
    }
    if (ref.cachedBytes > 0) {
      this.#bytes -= ref.cachedBytes;
      ref.cachedBytes = 0;
      ref.node = undefined;
    } else this.#dropped -= 1;
    ref.isListed = false;
    const last = this.#refs.pop() as NodeRef;
    if (this.#hand < this.#refs.length) this.#refs[this.#hand] = last;
  }

  /** Evicts a node that left the trees. A reader of an older state loads it again. */
  drop(ref: NodeRef): void {
    if (ref.cachedBytes === 0) return;
    this.#bytes -= ref.cachedBytes;
    assert(this.#bytes >= 0, 'the cache counts the bytes of its nodes');
    ref.cachedBytes = 0;
    ref.node = undefined;
    this.#dropped += 1;
    this.#hold();
  }

  /** Drops all nodes and reserves nothing: its forest is closed, or its reader has moved on. */
  clear(): void {
    for (const ref of this.#refs) {
      ref.isListed = false;
      if (ref.cachedBytes === 0) continue;
      ref.cachedBytes = 0;
      ref.node = undefined;
    }
    this.#refs.length = 0;
    this.#bytes = 0;
    this.#reserved = 0;
    this.#hand = 0;
    this.#dropped = 0;
    this.#newest = undefined;
    this.#hold();
  }

  #sweep(): void {
    let kept = 0;
    for (const ref of this.#refs) {
      ref.isListed = ref.cachedBytes > 0;
      if (ref.isListed) this.#refs[kept++] = ref;
    }
    this.#refs.length = kept;
    this.#dropped = 0;
    this.#hand = 0;
  }
}
