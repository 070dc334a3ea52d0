/**
 * Counts a node again, for assertions that only tests run (`checks.strict`).
 *
 * Invariant: a node that this passes agrees with its entries, and with those of its children that
 * are in memory. It reads nothing and changes nothing.
 */

import { assert, assertCount } from '../../util/assert.ts';
import { compareBytes } from '../../util/bytes.ts';
import type { NodeEntries } from './entries.ts';
import { type Branch, longBit, type TreeNode } from './node.ts';

/** Throws `VARVE_INTERNAL` if a count of the node is wrong or its keys do not rise. */
export function checkNode(node: TreeNode): void {
  const entries = node.leaf ? node.entries : node.separators;
  let live = 0;
  for (let index = 0; index < entries.count; index++) live += entries.entryBytes(index);
  assertCount('bytes of the entries of a node', entries.live, live);
  checkOrder(entries);
  if (node.leaf) assertCount('long values of a leaf', node.longs, longsOf(entries));
  else checkChildren(node);
}

function checkOrder(entries: NodeEntries): void {
  for (let index = 1; index < entries.count; index++) {
    const order = compareBytes(entries.key(index - 1), entries.key(index));
    assert(order < 0, 'the keys of a node rise');
  }
}

function checkChildren(branch: Branch): void {
  const { refs, counts, separators } = branch;
  assertCount('separators of a branch', separators.count, refs.length - 1);
  assertCount('counts of a branch', counts.length, refs.length);
  for (const [at, { node }] of refs.entries()) {
    if (node === undefined) continue;
    assertCount('entries below a child', counts[at] as number, node.total);
    assertCount('level of a child', branch.level - 1, node.level);
    assert(!node.long || branch.isLong(at), 'a branch knows which children have long values');
  }
}

function longsOf(entries: NodeEntries): number {
  let longs = 0;
  for (let index = 0; index < entries.count; index++) longs += entries.word(index) & longBit;
  return longs;
}
