/**
 * Finds entries in a tree: by key, and by position among all entries in order.
 *
 * Invariant: reads at most one node of each level, and changes nothing. A position is the number
 * of entries before one.
 */

import { assert } from '../../util/assert.ts';
import type { Branch, Leaf, NodeRef, TreeNode, TreeRoot, TreeShape } from '../nodes/node.ts';
import type { NodeStore } from '../nodes/node-store.ts';

/** One state of a tree, to read. */
export interface TreeSource {
  readonly nodes: NodeStore;
  readonly shape: TreeShape;
  readonly root: TreeRoot;
}

/** An entry: its leaf, and its index there. */
export interface FoundEntry {
  readonly leaf: Leaf;
  readonly index: number;
}

export function findEntry(
  nodes: NodeStore,
  shape: TreeShape,
  root: NodeRef | undefined,
  key: Uint8Array,
): FoundEntry | undefined {
  if (root === undefined) return undefined;
  let node = nodes.load(root, shape);
  while (!node.leaf) node = nodes.load(node.refs[node.childOf(key)] as NodeRef, shape);
  const index = node.entries.search(key);
  return index < 0 ? undefined : { leaf: node, index };
}

/** Reads, without blocking, the nodes on the path to the key. Requires: the tree has entries. */
export async function readPathTo(tree: TreeSource, key: Uint8Array): Promise<Leaf> {
  const { nodes, shape } = tree;
  let node = await nodes.loadAsync(tree.root.ref as NodeRef, shape);
  while (!node.leaf) node = await nodes.loadAsync(node.refs[node.childOf(key)] as NodeRef, shape);
  return node;
}

/** A key, and whether an entry that has it lies before the bound. */
export interface KeyBound {
  readonly key: Uint8Array;
  readonly including: boolean;
}

/** Number of entries before the bound. */
export function positionOf({ nodes, shape, root }: TreeSource, bound: KeyBound): number {
  if (root.ref === undefined) return 0;
  let position = 0;
  let node = nodes.load(root.ref, shape);
  while (!node.leaf) {
    const at = node.childOf(bound.key);
    position += node.entriesBefore(at);
    node = nodes.load(node.refs[at] as NodeRef, shape);
  }
  const index = node.entries.search(bound.key);
  position += index < 0 ? ~index : index + (bound.including ? 1 : 0);
  assert(position <= root.count, 'a position is within its tree');
  return position;
}

/** Index of the child that has the entry at this position of the branch. */
function childAt({ counts }: Branch, position: number): number {
  assert(position >= 0, 'a position counts the entries before it');
  let at = 0;
  while (at < counts.length - 1 && position >= (counts[at] as number)) {
    position -= counts[at] as number;
    at += 1;
  }
  return at;
}

/** Walks through a tree in both directions, one entry at a time. */
export class TreeCursor {
  readonly #tree: TreeSource;
  readonly #path: Branch[] = [];
  readonly #at: number[] = [];
  /** The leaf of the entry that the cursor is at. */
  leaf: Leaf;
  index: number;

  /** Starts at the entry at `position`. Requires: there is one. */
  constructor(tree: TreeSource, position: number) {
    this.#tree = tree;
    const { nodes, shape } = tree;
    let node = nodes.load(tree.root.ref as NodeRef, shape);
    while (!node.leaf) {
      const at = childAt(node, position);
      position -= node.entriesBefore(at);
      this.#path.push(node);
      this.#at.push(at);
      node = nodes.load(node.refs[at] as NodeRef, shape);
    }
    assert(position >= 0 && position < node.entries.count, 'a cursor begins at an entry');
    this.leaf = node;
    this.index = position;
  }

  /** Moves to the next entry. Requires: there is one. */
  forward(): void {
    this.index += 1;
    if (this.index < this.leaf.entries.count) return;
    this.leaf = this.#neighbour(1);
    this.index = 0;
  }

  backward(): void {
    this.index -= 1;
    if (this.index >= 0) return;
    this.leaf = this.#neighbour(-1);
    this.index = this.leaf.entries.count - 1;
  }

  #neighbour(step: 1 | -1): Leaf {
    let depth = this.#path.length - 1;
    for (; ; depth--) {
      assert(depth >= 0, 'a cursor goes on to an entry that is there');
      const at = (this.#at[depth] as number) + step;
      const branch = this.#path[depth] as Branch;
      if (at < 0 || at >= branch.refs.length) continue;
      this.#at[depth] = at;
      break;
    }
    let node: TreeNode = this.#path[depth] as Branch;
    for (; !node.leaf; depth++) {
      if (node !== this.#path[depth]) {
        this.#path[depth] = node;
        this.#at[depth] = step > 0 ? 0 : node.refs.length - 1;
      }
      const ref = node.refs[this.#at[depth] as number] as NodeRef;
      node = this.#tree.nodes.load(ref, this.#tree.shape);
    }
    return node;
  }
}

/** Reads, without blocking, the nodes on the path to the entry at `position`. */
export async function readPathToPosition(tree: TreeSource, position: number): Promise<void> {
  const { nodes, shape } = tree;
  let node = await nodes.loadAsync(tree.root.ref as NodeRef, shape);
  while (!node.leaf) {
    const at = childAt(node, position);
    position -= node.entriesBefore(at);
    node = await nodes.loadAsync(node.refs[at] as NodeRef, shape);
  }
  assert(position >= 0 && position < node.entries.count, 'the path leads to an entry');
}
