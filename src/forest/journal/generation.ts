/**
 * A generation of the journal: the changes of consecutive commits that no stored node has.
 *
 * Invariant: it only counts and collects. Its garbage is archived by the commit that writes the
 * last node with its changes.
 */

import { Garbage } from '../trees/garbage.ts';
import type { TreeChanges } from './forest-root.ts';

export class Generation {
  /** Trees that it changes. */
  readonly trees = new Set<string>();
  /** Stored nodes and values that the state after it does not reach. */
  readonly garbage = new Garbage();
  /** Bytes in the file of these values. */
  valueBytes = 0;
  /** Bytes of its logs. */
  bytes = 0;
  /** Puts and deletes of the commits since the forest was opened, and the bytes of their logs. */
  readonly counted = { changes: 0, bytes: 0 };
  /** Number of roots that log them. */
  roots = 0;

  enter(changes: readonly TreeChanges[]): void {
    for (const { tree, log } of changes) {
      this.trees.add(tree);
      this.bytes += log.length;
    }
  }

  count(changes: number, bytes: number): void {
    this.counted.changes += changes;
    this.counted.bytes += bytes;
  }

  /** Takes in the generation that follows it. */
  add({ trees, garbage, valueBytes, bytes, counted, roots }: Generation): void {
    for (const tree of trees) this.trees.add(tree);
    this.garbage.add(garbage);
    this.valueBytes += valueBytes;
    this.bytes += bytes;
    this.count(counted.changes, counted.bytes);
    this.roots += roots;
  }
}
