/**
 * The entries of a leaf and the separators of a branch, whichever way they are kept.
 *
 * Invariant: what a tree's shape says decides it, so all leaves of one tree are alike, and so are
 * all of its branches.
 */

import { FixedEntries } from './fixed-entries.ts';
import type { NodeMemory } from './node-memory.ts';
import { SortedEntries } from './sorted-entries.ts';

export type NodeEntries = FixedEntries | SortedEntries;

/** None yet. A length of -1: they differ. */
export function newEntries(keyBytes: number, valueBytes: number, memory: NodeMemory): NodeEntries {
  if (keyBytes >= 0 && valueBytes >= 0) return new FixedEntries(keyBytes, valueBytes, memory);
  return new SortedEntries(memory);
}

/** These entries and then those of `other`, kept in the same way, whose keys all come after. */
export function concatEntries(one: NodeEntries, other: NodeEntries): NodeEntries {
  if (one instanceof FixedEntries) return one.concat(other as FixedEntries);
  return one.concat(other as SortedEntries);
}
