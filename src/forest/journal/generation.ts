/**
 * A generation of the journal: the changes of consecutive commits that no stored node has.
 *
 * Invariant: it only counts and collects. Its garbage is archived once stored nodes have its
 * changes.
 */

import type { NodeRef } from '../nodes/node.ts';
import { Garbage } from '../trees/garbage.ts';
import type { TreeChanges } from './forest-root.ts';

/** The changes of a commit. */
export interface LoggedChanges {
  /** Bytes of the logs of its changes. */
  readonly logBytes: number;
  /** Puts and deletes in these logs. */
  readonly changes: number;
  readonly logs: readonly TreeChanges[];
  /** Nodes and values that it replaces or drops. */
  readonly garbage: Garbage;
}

/** The changes that an open finds in the roots. */
export interface FoundChanges {
  readonly changes: readonly TreeChanges[];
  readonly garbage: Garbage;
  /** Number of roots that log them. */
  readonly roots: number;
  readonly valueBytes: number;
}

export class Generation {
  /** Trees that it changes. */
  readonly trees = new Set<string>();
  /** Nodes and values that the state after it does not reach, stored or yet to be stored. */
  readonly garbage = new Garbage();
  /** Puts and deletes of the commits since the forest was opened, and the bytes of their logs. */
  readonly counted = { changes: 0, bytes: 0 };
  #valueBytes = 0;
  #bytes = 0;
  #roots = 0;

  /** Bytes in the file of the values in the garbage. */
  get valueBytes(): number {
    return this.#valueBytes;
  }

  /** Bytes of its logs. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Approximate bytes of memory of its logs, and of the nodes that its state awaits. */
  get memoryBytes(): number {
    return this.garbage.bytes + this.#bytes * 2;
  }

  /** Number of roots that log them. */
  get roots(): number {
    return this.#roots;
  }

  #enter(logs: readonly TreeChanges[]): void {
    for (const { tree, log } of logs) {
      this.trees.add(tree);
      this.#bytes += log.length;
    }
  }

  found({ changes, garbage, roots, valueBytes }: FoundChanges): void {
    this.#enter(changes);
    this.garbage.add(garbage);
    this.#roots += roots;
    this.#valueBytes += valueBytes;
  }

  /**
   * A root logs these changes. `isKept`: whether a replaced node is stored, or will be.
   * `valueBytes`: bytes in the file of the values that they replace.
   */
  logged(
    { logs, logBytes, changes, garbage }: LoggedChanges,
    isKept: (ref: NodeRef) => boolean,
    valueBytes: number,
  ): void {
    this.#enter(logs);
    this.counted.changes += changes;
    this.counted.bytes += logBytes;
    this.garbage.addStored(garbage, isKept);
    this.#valueBytes += valueBytes;
    this.#roots += 1;
  }
}
