/**
 * Splits a node that is too large, and joins two neighbours.
 *
 * Invariant: keys keep their order. The separator comes after every key of the left node, and not
 * after the first key of the right one. It makes nodes; `tree-editor.ts` links them into branches.
 */

import { assert } from '../../util/assert.ts';
import { compareBytes } from '../../util/bytes.ts';
import { concatEntries, type NodeEntries } from './entries.ts';
import { type Branch, Leaf, nodeHeadBytes, type TreeNode, type TreeShape } from './node.ts';

export interface Split {
  readonly left: TreeNode;
  readonly right: TreeNode;
  readonly separator: Uint8Array;
}

/** A node smaller than its target size divided by this is joined with a neighbour. */
const shrunkShare = 4;
/** After this many puts in a row at one end, a split leaves the other side full. */
const runsMin = 3;
/** Children of a branch that may be split, at least. */
const branchMin = 6;

/**
 * A branch with few children is not too large, however long its separators are: otherwise each
 * split below it would add a level.
 */
export function isTooLarge(node: TreeNode, shape: TreeShape): boolean {
  const countMin = node.leaf ? 2 : branchMin;
  return childrenOf(node) >= countMin && node.size(shape) > shape.nodeBytes;
}

export function isTooSmall(node: TreeNode, shape: TreeShape): boolean {
  return node.size(shape) < shape.nodeBytes / shrunkShare;
}

export function childrenOf(node: TreeNode): number {
  return node.leaf ? node.entries.count : node.refs.length;
}

/**
 * Splits a node. `run` is above 0 if keys arrive in ascending order, below 0 if in descending
 * order.
 */
export function splitNode(node: TreeNode, shape: TreeShape, run: number): Split {
  assert(childrenOf(node) > 1, 'a node that is split has two parts');
  if (node.leaf) return splitLeaf(node, shape, run);
  const at = splitPoint(node, run);
  const separator = node.separators.key(at - 1).slice();
  return { left: node.slice(0, at), right: node.slice(at, node.refs.length), separator };
}

function splitLeaf(leaf: Leaf, shape: TreeShape, run: number): Split {
  const split = splitLeafAt(leaf, shape, splitPoint(leaf, run));
  if (run >= runsMin) (split.right as Leaf).run = run;
  if (run <= -runsMin) (split.left as Leaf).run = run;
  return split;
}

/** Splits a leaf so that the left one has as many entries as fit in this number of bytes. */
export function fillLeaf(leaf: Leaf, shape: TreeShape, bytesMax: number): Split {
  const { entries } = leaf;
  const whole = leaf.size(shape);
  const each = (whole - nodeHeadBytes - entries.live) / entries.count;
  let bytes = nodeHeadBytes;
  let at = 0;
  for (; at < entries.count; at++) {
    bytes += entries.entryBytes(at) + each;
    if (bytes > bytesMax) break;
  }
  return splitLeafAt(leaf, shape, Math.min(Math.max(at, 1), entries.count - 1));
}

/** `at`: the first entry of the right leaf. */
function splitLeafAt(leaf: Leaf, shape: TreeShape, at: number): Split {
  const { entries, owner } = leaf;
  const left = new Leaf(owner, entries.slice(0, at));
  const right = new Leaf(owner, entries.slice(at));
  if (leaf.longs > 0) {
    left.countLongs();
    right.countLongs();
  }
  assert(left.total + right.total === leaf.total, 'a split keeps all entries');
  assert(left.longs + right.longs === leaf.longs, 'a split keeps all long values');
  const separator = shape.keyBytes < 0 ? shortest(entries, at) : entries.key(at).slice();
  assert(compareBytes(entries.key(at - 1), separator) < 0, 'a separator is above the left node');
  assert(compareBytes(separator, entries.key(at)) <= 0, 'a separator is not above the right node');
  return { left, right, separator };
}

/** Index of the first child, or entry, of the right node. */
function splitPoint(node: TreeNode, run: number): number {
  const count = childrenOf(node);
  if (run >= runsMin) return count - 1;
  if (run <= -runsMin) return 1;
  if (!node.leaf) return count >>> 1;
  const { entries } = node;
  const half = entries.live / 2;
  let bytes = 0;
  let at = 0;
  // The entry on the border goes to the side that is shorter without it.
  while (at < count && bytes + entries.entryBytes(at) / 2 < half) {
    bytes += entries.entryBytes(at);
    at += 1;
  }
  return Math.min(Math.max(at, 1), count - 1);
}

/** The shortest separator that comes after key `at - 1` and not after key `at`. */
function shortest(entries: NodeEntries, at: number): Uint8Array {
  const before = entries.key(at - 1);
  const after = entries.key(at);
  let shared = 0;
  while (shared < before.length && before[shared] === after[shared]) shared += 1;
  return after.slice(0, shared + 1);
}

/** Joins two neighbours. Requires: they have the same owner. */
export function joinNodes(left: TreeNode, right: TreeNode, separator: Uint8Array): TreeNode {
  assert(left.owner === right.owner, 'the edit that joins two nodes owns both');
  assert(left.level === right.level, 'joined nodes have one level');
  if (left.leaf && right.leaf) {
    const both = new Leaf(left.owner, concatEntries(left.entries, right.entries));
    both.longs = left.longs + right.longs;
    assert(both.total === left.total + right.total, 'joined nodes keep all entries');
    return both;
  }
  const both = (left as Branch).concat(right as Branch, separator);
  assert(both.total === left.total + right.total, 'joined nodes keep all entries');
  return both;
}
