/**
 * How a node that has grown too large becomes two, and two become one or share alike.
 *
 * Invariant: keys keep their order, and the separator given is after every key of the left node
 * and not after the first of the right one. Decides and makes nodes; whose they are and which
 * branch names them is `tree-editor.ts`.
 */

import { concatEntries, type NodeEntries } from './entries.ts';
import { type Branch, Leaf, type TreeNode, type TreeShape } from './node.ts';

export interface Split {
  readonly left: TreeNode;
  readonly right: TreeNode;
  readonly separator: Uint8Array;
}

/** A node below this share of its target size is joined with a neighbour. */
const leastShare = 4;
/** So many entries in a row at one end, and a split leaves the other side full. */
const runsLeast = 3;
/** Children of a branch that may be divided. */
const branchLeast = 6;

/**
 * A branch has children enough for two before it is too large, however long its separators are:
 * else each split below would add a level.
 */
export function isTooLarge(node: TreeNode, shape: TreeShape): boolean {
  const least = node.leaf ? 2 : branchLeast;
  return childrenOf(node) >= least && node.size(shape) > shape.nodeBytes;
}

export function isTooSmall(node: TreeNode, shape: TreeShape): boolean {
  return node.size(shape) < shape.nodeBytes / leastShare;
}

export function childrenOf(node: TreeNode): number {
  return node.leaf ? node.entries.count : node.refs.length;
}

/** Two of one; `run` above 0 where keys come in order, below 0 where in reverse. */
export function splitNode(node: TreeNode, shape: TreeShape, run: number): Split {
  if (node.leaf) return splitLeaf(node, shape, run);
  const at = splitPoint(node, run);
  const separator = node.separators.key(at - 1).slice();
  return { left: node.slice(0, at), right: node.slice(at, node.refs.length), separator };
}

function splitLeaf(leaf: Leaf, shape: TreeShape, run: number): Split {
  const { entries, owner } = leaf;
  const at = splitPoint(leaf, run);
  const left = new Leaf(owner, entries.slice(0, at));
  const right = new Leaf(owner, entries.slice(at));
  if (leaf.longs > 0) {
    left.countLongs();
    right.countLongs();
  }
  if (run >= runsLeast) right.run = run;
  if (run <= -runsLeast) left.run = run;
  const separator = shape.keyBytes < 0 ? shortest(entries, at) : entries.key(at).slice();
  return { left, right, separator };
}

/** Index of the first child, or entry, of the right node. */
function splitPoint(node: TreeNode, run: number): number {
  const count = childrenOf(node);
  if (run >= runsLeast) return count - 1;
  if (run <= -runsLeast) return 1;
  if (!node.leaf) return count >>> 1;
  const { entries } = node;
  const half = entries.live / 2;
  let bytes = 0;
  let at = 0;
  // The entry on the border goes to the side that is the shorter without it.
  while (at < count && bytes + entries.entryBytes(at) / 2 < half) {
    bytes += entries.entryBytes(at);
    at += 1;
  }
  return Math.min(Math.max(at, 1), count - 1);
}

/** The shortest bytes that are after the entry before `at`, and not after that one. */
function shortest(entries: NodeEntries, at: number): Uint8Array {
  const before = entries.key(at - 1);
  const after = entries.key(at);
  let shared = 0;
  while (shared < before.length && before[shared] === after[shared]) shared += 1;
  return after.slice(0, shared + 1);
}

/** One node of two neighbours, of the owner of both. */
export function joinNodes(left: TreeNode, right: TreeNode, separator: Uint8Array): TreeNode {
  if (left.leaf && right.leaf) {
    const both = new Leaf(left.owner, concatEntries(left.entries, right.entries));
    both.longs = left.longs + right.longs;
    return both;
  }
  return (left as Branch).concat(right as Branch, separator);
}
