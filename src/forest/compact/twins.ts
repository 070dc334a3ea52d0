/**
 * The twins of shared nodes and long values. If a compaction stores a shared one anew for one tree,
 * each other tree that has the old one takes the new one, its *twin*: forks go on sharing.
 *
 * Invariant: a node and its twin have the same entries, and trees refer to both. It forgets a pair
 * as soon as a transaction drops one of the two (`lost`), since ids are used again.
 */

import type { GrainId } from '../../index.ts';
import type { NodeRef } from '../nodes/node.ts';
import { longId } from '../nodes/node-store.ts';

/** Nodes that need nothing are remembered up to this number: beyond it they are looked at again. */
const cleanMax = 2 ** 16;

/** A node as a walk found it, on the path to the key where the walk stopped. */
export interface PassedNode {
  /** Undefined if it was not stored, or if a transaction has dropped it since. */
  first: NodeRef | undefined;
  /** The node of another tree that takes its place. */
  readonly twin: NodeRef | undefined;
  /** Other trees refer to it too. */
  readonly isShared: boolean;
}

export class Twins {
  readonly #nodes = new Map<GrainId, NodeRef>();
  /** The 16 bytes by which a leaf names a long value. */
  readonly #longs = new Map<GrainId, Uint8Array>();
  /** From a new id to the old one. */
  readonly #old = new Map<GrainId, GrainId>();
  /** Shared nodes of which nothing has to be stored anew. */
  readonly #clean = new Set<GrainId>();
  /** The nodes on that path, by level. */
  readonly #passed: (PassedNode | undefined)[] = [];

  node(id: GrainId): NodeRef | undefined {
    return this.#nodes.get(id);
  }

  /** Trees still have this twin. */
  has(twin: NodeRef): boolean {
    return this.#old.has(twin.id);
  }

  long(id: GrainId): Uint8Array | undefined {
    return this.#longs.get(id);
  }

  isClean(id: GrainId): boolean {
    return this.#clean.has(id);
  }

  /** Requires: `ref` is stored. */
  addNode(old: GrainId, ref: NodeRef): void {
    this.#nodes.set(old, ref);
    this.#old.set(ref.id, old);
  }

  addLong(old: GrainId, named: Uint8Array): void {
    this.#longs.set(old, named);
    this.#old.set(longId(named, 0), old);
  }

  addClean(id: GrainId): void {
    if (this.#clean.size < cleanMax) this.#clean.add(id);
  }

  passed(level: number): PassedNode | undefined {
    return this.#passed[level];
  }

  setPassed(level: number, passed: PassedNode): void {
    this.#passed[level] = passed;
  }

  forgetPassed(): void {
    this.#passed.length = 0;
  }

  /** A transaction has dropped this node or long value. */
  lost(id: GrainId): void {
    this.#nodes.delete(id);
    this.#longs.delete(id);
    this.#clean.delete(id);
    const old = this.#old.get(id);
    if (old !== undefined) {
      this.#old.delete(id);
      this.#nodes.delete(old);
      this.#longs.delete(old);
    }
    for (const passed of this.#passed) {
      if (passed?.first?.id === id) passed.first = undefined;
    }
  }

  clear(): void {
    this.#nodes.clear();
    this.#longs.clear();
    this.#old.clear();
    this.#clean.clear();
    this.forgetPassed();
  }
}
