/**
 * The entries of a leaf and the separators of a branch, of fixed or varying lengths.
 *
 * Invariant: the tree's shape decides the kind. All leaves of a tree have one kind, and so have all
 * its branches.
 */

import { FixedEntries } from './fixed-entries.ts';
import type { NodeMemory } from './node-memory.ts';
import { SortedEntries } from './sorted-entries.ts';

export type NodeEntries = FixedEntries | SortedEntries;

/** Makes empty entries. A length of -1 means that lengths vary. */
export function newEntries(keyBytes: number, valueBytes: number, memory: NodeMemory): NodeEntries {
  if (keyBytes >= 0 && valueBytes >= 0) return new FixedEntries(keyBytes, valueBytes, memory);
  return new SortedEntries(memory);
}

/**
 * The entries of `one`, then those of `other`. Requires: both have the same kind, and all keys of
 * `other` come after.
 */
export function concatEntries(one: NodeEntries, other: NodeEntries): NodeEntries {
  if (one instanceof FixedEntries) return one.concat(other as FixedEntries);
  return one.concat(other as SortedEntries);
}
