/**
 * The keys of a tree's history: each change of a versioned tree by its sequence number.
 *
 * Invariant: keys of one history sort by sequence number, and a bound lies between two of them.
 * Layout: `spec/forest.md`. `changes.ts` and `open-tree.ts` define the values.
 */

import { assert } from '../../util/assert.ts';
import { setU64BigEndian } from '../../util/big-endian.ts';
import { historyHeadBytes } from './tree-record.ts';
import type { KeyBound } from './tree-search.ts';

export const historyPut = 1;
export const historyDelete = 0;
const noKey = new Uint8Array(0);

/** Sequence number, operation and key. */
export function historyKey(sequence: number, operation: number, key: Uint8Array): Uint8Array {
  assert(Number.isSafeInteger(sequence) && sequence > 0, 'changes are numbered from 1');
  const bytes = new Uint8Array(historyHeadBytes + key.length);
  setU64BigEndian(bytes, 0, sequence);
  bytes[historyHeadBytes - 1] = operation;
  bytes.set(key, historyHeadBytes);
  return bytes;
}

/** The bound behind the change `sequence`. */
export function historyBound(sequence: number): KeyBound {
  return { key: historyKey(sequence + 1, historyDelete, noKey), including: false };
}
