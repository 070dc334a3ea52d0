/**
 * Keeps nodes in memory: the clock algorithm over nodes that were read or written.
 *
 * Invariant: cached nodes are stored and never change again. Without the last one added, they take
 * at most `bytesMax` less the reserved bytes. Nodes that are not stored are not cached: they stay
 * with their holders.
 */

import { assert } from '../../util/assert.ts';
import type { NodeRef } from './node.ts';

/** Share of the cache's memory that can be reserved, at most. */
export const reservedShareMax = 3 / 4;

export class NodeCache {
  readonly #bytesMax: number;
  readonly #refs: NodeRef[] = [];
  #bytes = 0;
  /** Bytes that are reserved for other uses. */
  #reserved = 0;
  #hand = 0;
  /** References in the list whose node has been dropped. */
  #dropped = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Reserves memory for nodes that are not stored and for `NodeMemory`. */
  reserve(bytes: number): void {
    this.#reserved = Math.min(bytes, this.#bytesMax * reservedShareMax);
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
    while (this.#bytes + this.#reserved > this.#bytesMax && this.#refs.length > 1) this.#turn(ref);
    if (this.#dropped > 1024 && this.#dropped * 2 > this.#refs.length) this.#sweep();
  }

  /** Looks at the node under the hand; evicts it if it was not used since the last look. */
  #turn(kept: NodeRef): void {
    if (this.#hand >= this.#refs.length) this.#hand = 0;
    const ref = this.#refs[this.#hand] as NodeRef;
    const { node } = ref;
    if (ref === kept || (ref.cachedBytes > 0 && node?.used === true)) {
      if (node !== undefined && ref !== kept) node.used = false;
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
