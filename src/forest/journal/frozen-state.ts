/**
 * A durable state whose nodes are written bit by bit, by the commits that follow it.
 *
 * Invariants:
 * - It never changes: later transactions copy its nodes.
 * - Its nodes are pushed in one order, children before their parents.
 * - A node that it has yet to write stays in memory, also if later transactions have replaced it.
 * - Only durable commits count: if a commit fails, the next one pushes the same nodes.
 *
 * It pushes and archives nothing (`CommitPreparation` does).
 */

import { assert, present } from '../../util/assert.ts';
import type { NodeRef, TreeRoot, TreeShape } from '../nodes/node.ts';
import type { ForestContext } from '../trees/forest-context.ts';
import { historyShapeOf, shapeOf, type TreeRecord } from '../trees/tree-record.ts';
import type { Generation } from './generation.ts';

/**
 * A commit writes at least this number of nodes, or none: adjoining nodes are one write, and a
 * commit without nodes is a small one. The last commit writes what is left.
 */
const atOnce = 8;

/** A node to be pushed. */
export interface UnwrittenNode {
  readonly ref: NodeRef;
  readonly shape: TreeShape;
}

/** The trees of a state that the stored catalog and shares lack. */
export interface FrozenTrees {
  readonly records: ReadonlyMap<string, TreeRecord | undefined>;
  readonly shares: TreeRoot;
}

export class FrozenState {
  /** The changes that it has and the stored trees lack. */
  readonly generation: Generation;
  readonly records: ReadonlyMap<string, TreeRecord | undefined>;
  readonly shares: TreeRoot;
  /** Its nodes that were not stored when it was collected, children before their parents. */
  readonly #nodes: UnwrittenNode[] = [];
  /** Number of those that are durable. */
  #written = 0;
  /** Those that are not. */
  readonly #waiting = new Set<NodeRef>();
  /** Those of the waiting that later transactions have replaced. */
  readonly #replaced = new Set<NodeRef>();
  #isCollected = false;

  constructor(generation: Generation, { records, shares }: FrozenTrees) {
    this.generation = generation;
    this.records = records;
    this.shares = shares;
  }

  /** Finds its nodes that are not stored; the first commit does so. */
  *collect({ limits, sharesShape }: ForestContext): Generator<void> {
    if (this.#isCollected) return;
    for (const record of this.records.values()) {
      if (record === undefined) continue;
      const { config, main, history } = record;
      yield* this.#below(main.ref, shapeOf(config, limits));
      yield* this.#below(history.ref, historyShapeOf(config, limits));
    }
    yield* this.#below(this.shares.ref, sharesShape);
    this.#isCollected = true;
  }

  *#below(ref: NodeRef | undefined, shape: TreeShape): Generator<void> {
    if (ref === undefined || ref.stored) return;
    const node = present(ref.node, 'a node that is not stored');
    if (!node.leaf) {
      for (const child of node.refs) {
        // Most children are stored already, or leaves: each is one step of a loop.
        if (child.stored) continue;
        if (child.node?.leaf === true) this.#add(child, shape);
        else yield* this.#below(child, shape);
      }
    }
    this.#add(ref, shape);
    yield;
  }

  #add(ref: NodeRef, shape: TreeShape): void {
    this.#nodes.push({ ref, shape });
    this.#waiting.add(ref);
  }

  /** A commit that brings the state to this part of its nodes need not write any. */
  isAt(part: number): boolean {
    if (!this.#isCollected || this.isWhole(this.#written)) return false;
    return this.countOf(part) === this.#written;
  }

  /** Number of nodes that are durable once this part of them is written. */
  countOf(part: number): number {
    assert(this.#isCollected, 'a state is written after its nodes were found');
    const { length } = this.#nodes;
    const due = Math.ceil(length * Math.min(1, part));
    return due < length && due < this.#written + atOnce ? this.#written : due;
  }

  /** The nodes that a commit pushes so that `count` of them are durable. */
  upTo(count: number): readonly UnwrittenNode[] {
    return this.#nodes.slice(this.#written, count);
  }

  isWhole(count: number): boolean {
    return count === this.#nodes.length;
  }

  /** It has yet to write the node: the node must stay in memory. */
  awaits(ref: NodeRef): boolean {
    return this.#waiting.has(ref);
  }

  /** A durable commit has replaced a node that it awaits. */
  replaced(ref: NodeRef): void {
    this.#replaced.add(ref);
  }

  /** Notes that `count` of its nodes are durable. Yields those that are not needed any more. */
  *advance(count: number): Generator<NodeRef> {
    for (const { ref } of this.upTo(count)) {
      assert(ref.stored, 'a node that was written has an id');
      this.#waiting.delete(ref);
      if (this.#replaced.delete(ref)) yield ref;
    }
    this.#written = count;
  }
}
