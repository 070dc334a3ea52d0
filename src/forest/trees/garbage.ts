/**
 * Nodes and values that no tree refers to any more. They travel from the edit that dropped them to
 * the group of its transaction and, if that group logs its changes, to the journal.
 *
 * Invariant: earlier states reach all of it, so a commit must archive what is stored of it. It
 * archives nothing itself.
 */

import type { GrainId } from '../../index.ts';
import { assert } from '../../util/assert.ts';
import type { NodeRef } from '../nodes/node.ts';

/** Tells a listener of each stored node and long value that an edit drops, even if it fails. */
export class Losses {
  #listener: ((id: GrainId) => void) | undefined;

  /** One listens at a time. The result ends it. */
  listen(listener: (id: GrainId) => void): () => void {
    assert(this.#listener === undefined, 'one listens to losses at a time');
    this.#listener = listener;
    return () => {
      this.#listener = undefined;
    };
  }

  ofNode(ref: NodeRef): void {
    if (this.#listener !== undefined && ref.stored) this.#listener(ref.id);
  }

  ofValue(id: GrainId): void {
    this.#listener?.(id);
  }
}

export class Garbage {
  /** Some may never have been stored. */
  readonly nodes: NodeRef[] = [];
  /** Values that were stored by themselves. */
  readonly values: GrainId[] = [];
  /** Bytes of memory of the nodes when they were dropped; nodes that were not in memory count 0. */
  bytes = 0;

  addNode(ref: NodeRef): void {
    this.nodes.push(ref);
    this.bytes += ref.node?.memoryBytes ?? 0;
  }

  addValue(id: GrainId): void {
    this.values.push(id);
  }

  add({ nodes, values, bytes }: Garbage): void {
    for (const ref of nodes) this.nodes.push(ref);
    for (const id of values) this.values.push(id);
    this.bytes += bytes;
  }

  /** As `add`, without the nodes that are in memory only and stay so. */
  addStored(other: Garbage, isKept: (ref: NodeRef) => boolean = isStored): void {
    const { meanBytes } = other;
    for (const ref of other.nodes) {
      if (!isKept(ref)) continue;
      this.nodes.push(ref);
      this.bytes += meanBytes;
    }
    for (const id of other.values) this.values.push(id);
  }

  /** Mean bytes of a node. */
  get meanBytes(): number {
    return this.bytes / Math.max(1, this.nodes.length);
  }
}

function isStored(ref: NodeRef): boolean {
  return ref.stored;
}
