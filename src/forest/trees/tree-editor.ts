/**
 * Changes one tree: copy on write in memory, from the root down to the leaf.
 *
 * Invariants:
 * - A node of another owner is never changed. It is copied and reported as replaced, so an earlier
 *   root still reaches its own state.
 * - Between calls the tree is whole: counts are right, and only an empty root has no entries.
 * - `put` reads every node that it needs before it changes the first one: a failed read leaves the
 *   tree and its edit as they were.
 *
 * It pushes and frees nothing (`Edit` does).
 */

import { assert, assertCount, checks, present } from '../../util/assert.ts';
import { newEntries } from '../nodes/entries.ts';
import {
  Branch,
  Leaf,
  longBit,
  NodeRef,
  type TreeNode,
  type TreeRoot,
  type TreeShape,
} from '../nodes/node.ts';
import { checkNode } from '../nodes/node-check.ts';
import { childrenOf, isTooLarge, isTooSmall, joinNodes, splitNode } from '../nodes/node-split.ts';
import type { NodeStore } from '../nodes/node-store.ts';
import { findEntry } from './tree-search.ts';

/** The edit that changes the tree; it receives what the tree no longer needs. */
export interface EditOwner {
  /** Nodes with this number may be changed. */
  readonly owner: number;
  /** `copy` replaces the node of `ref` in this tree. */
  replaced(ref: NodeRef, copy: TreeNode): void;
  /**
   * The tree no longer has the node of `ref`, nor anything below. `long`: some value may be long.
   */
  released(ref: NodeRef, level: number, long: boolean): void;
  /** The tree no longer has the long value that these bytes name. */
  releasedLong(bytes: Uint8Array): void;
}

/** A tree in an edit. */
export interface EditedTree {
  readonly nodes: NodeStore;
  readonly shape: TreeShape;
  readonly root: TreeRoot;
  readonly owner: EditOwner;
  /** Computes the reducer values that a node and those below it must be stored with. */
  summarize(ref: NodeRef): void;
}

/** Stores nodes of a tree anew; returns its root. The entries stay as they are. */
export type Rewrite = (tree: EditedTree) => TreeRoot;

/** The edit of a tree whose nodes no other tree has; `lose` receives the nodes it drops. */
export function unsharedEdit(
  edit: { readonly owner: number },
  lose: (ref: NodeRef) => void,
): EditOwner {
  return {
    get owner() {
      return edit.owner;
    },
    replaced: lose,
    released: lose,
    releasedLong: () => undefined,
  };
}

const noKey = new Uint8Array(0);

export class TreeEditor {
  #ref: NodeRef | undefined;
  #count: number;
  #long: boolean;
  readonly #shape: TreeShape;
  readonly #nodes: NodeStore;
  readonly #edit: EditOwner;
  /**
   * Branches on the path to the last leaf, and the index of the child that the path takes in each.
   */
  readonly #path: Branch[] = [];
  readonly #at: number[] = [];
  #depth = 0;

  constructor(nodes: NodeStore, shape: TreeShape, root: TreeRoot, edit: EditOwner) {
    this.#nodes = nodes;
    this.#shape = shape;
    this.#edit = edit;
    this.#ref = root.ref;
    this.#count = root.count;
    this.#long = root.long;
  }

  get root(): TreeRoot {
    assert(
      (this.#ref === undefined) === (this.#count === 0),
      'only a tree without entries has no root',
    );
    const long = this.#long && this.#ref !== undefined;
    return { ref: this.#ref, count: this.#count, long };
  }

  /** Puts an entry. `word` has the length of `value` and the bit that marks a long one. */
  put(key: Uint8Array, value: Uint8Array, word: number): void {
    const leaf = this.#leafFor(key);
    const { entries } = leaf;
    const index = entries.search(key);
    if (index >= 0) {
      this.#releaseValue(leaf, index);
      entries.replace(index, value, word);
    } else {
      entries.insert(~index, key, value, word);
      leaf.run = runAfter(leaf.run, ~index, entries.count);
      this.#count += 1;
    }
    leaf.part = undefined;
    if ((word & longBit) !== 0) leaf.longs += 1;
    this.#upward(index >= 0 ? 0 : 1, leaf.longs > 0);
    if (checks.strict) this.#checkPath(leaf);
    if (isTooLarge(leaf, this.#shape)) this.#split(leaf);
  }

  #releaseValue(leaf: Leaf, index: number): void {
    if ((leaf.entries.word(index) & longBit) === 0) return;
    leaf.longs -= 1;
    assert(leaf.longs >= 0, 'a leaf counts its long values');
    this.#edit.releasedLong(leaf.entries.value(index));
  }

  /** Each branch of the path counts the entries that are below it. */
  #checkPath(leaf: Leaf): void {
    let below: TreeNode = leaf;
    for (let depth = this.#depth - 1; depth >= 0; depth--) {
      const branch = this.#path[depth] as Branch;
      assert(branch.owner === this.#edit.owner, 'the path to a changed leaf may be changed');
      assertCount('entries below', branch.counts[this.#at[depth] as number] as number, below.total);
      below = branch;
    }
    assertCount('entries of a tree', this.#count, below.total);
  }

  /** Updates the branches above a changed leaf. */
  #upward(added: number, long: boolean): void {
    if (long) this.#long = true;
    for (let depth = 0; depth < this.#depth; depth++) {
      const branch = this.#path[depth] as Branch;
      const at = this.#at[depth] as number;
      branch.counts[at] = (branch.counts[at] as number) + added;
      if (long) branch.setLong(at, true);
      branch.forgetPart(at);
    }
  }

  /**
   * The leaf that has the key, or would have it. The leaf and all branches above it may be changed.
   */
  #leafFor(key: Uint8Array): Leaf {
    this.#ref ??= this.#newLeaf();
    const leaf = this.#readPath(this.#ref, key);
    // Nodes are copied from the root down: whoever owns a leaf owns the path to it.
    if (leaf.owner === this.#edit.owner) return leaf;
    // From here on nothing is read: nodes that the cache evicts meanwhile are in `#path`.
    for (let depth = 0; depth < this.#depth; depth++) {
      const own = this.#ownRead(this.#refAt(depth), this.#path[depth] as Branch);
      this.#setRefAt(depth, own);
      this.#path[depth] = own.node as Branch;
    }
    const ref = this.#refAt(this.#depth);
    const own = this.#ownRead(ref, leaf);
    this.#setRefAt(this.#depth, own);
    return own.node as Leaf;
  }

  /** Reads the nodes on the path to the key's leaf, and notes the path. */
  #readPath(root: NodeRef, key: Uint8Array): Leaf {
    this.#depth = 0;
    let node = this.#nodes.load(root, this.#shape);
    while (!node.leaf) {
      const at = node.childOf(key);
      this.#path[this.#depth] = node;
      this.#at[this.#depth] = at;
      this.#depth += 1;
      node = this.#nodes.load(node.refs[at] as NodeRef, this.#shape);
    }
    return node;
  }

  /**
   * The reference to the node at this depth of the path. Requires: the edit owns the branches
   * above.
   */
  #refAt(depth: number): NodeRef {
    if (depth === 0) return this.#ref as NodeRef;
    return (this.#path[depth - 1] as Branch).refs[this.#at[depth - 1] as number] as NodeRef;
  }

  #setRefAt(depth: number, ref: NodeRef): void {
    if (depth === 0) this.#ref = ref;
    else (this.#path[depth - 1] as Branch).refs[this.#at[depth - 1] as number] = ref;
  }

  #newLeaf(): NodeRef {
    const { keyBytes, valueBytes, memory } = this.#shape;
    return new NodeRef(new Leaf(this.#edit.owner, newEntries(keyBytes, valueBytes, memory)));
  }

  /** The reference itself if its node may be changed, otherwise one to a copy of the node. */
  #own(ref: NodeRef): NodeRef {
    return this.#ownRead(ref, this.#nodes.load(ref, this.#shape));
  }

  /** As `#own`, for a node that was read already. */
  #ownRead(ref: NodeRef, node: TreeNode): NodeRef {
    const { owner } = this.#edit;
    if (node.owner === owner) return ref;
    const copy = node.copy(owner);
    this.#edit.replaced(ref, copy);
    return new NodeRef(copy);
  }

  #ownChild(branch: Branch, at: number): TreeNode {
    const child = this.#own(branch.refs[at] as NodeRef);
    branch.refs[at] = child;
    return present(child.node, 'the node of an edit');
  }

  /** Splits a leaf that is too large, and each branch above that becomes too large by it. */
  #split(grown: Leaf): void {
    let node: TreeNode = grown;
    let { run } = grown;
    while (isTooLarge(node, this.#shape)) {
      const { left, right, separator } = splitNode(node, this.#shape, run);
      // No reader sees a node that may be changed: the memory of its halves can come from it.
      (node.leaf ? node.entries : node.separators).forget();
      const depth = this.#depth - 1;
      if (depth < 0) {
        this.#ref = this.#newRoot(left, right, separator);
        return;
      }
      if (checks.strict) for (const part of [left, right]) checkNode(part);
      const parent = this.#path[depth] as Branch;
      const at = this.#at[depth] as number;
      (parent.refs[at] as NodeRef).node = left;
      parent.refresh(at);
      parent.insertChild(at + 1, new NodeRef(right), separator);
      // The run goes on in the parent only if the split was at the same end.
      const atEnd = run > 0 ? at + 2 === parent.refs.length : at === 0;
      if (!atEnd) run = 0;
      node = parent;
      this.#depth = depth;
    }
  }

  #newRoot(left: TreeNode, right: TreeNode, separator: Uint8Array): NodeRef {
    const separators = newEntries(this.#shape.keyBytes, 0, this.#shape.memory);
    const root = new Branch(this.#edit.owner, left.level + 1, separators);
    root.insertChild(0, new NodeRef(left), noKey);
    root.insertChild(1, new NodeRef(right), separator);
    return new NodeRef(root);
  }

  /** False if there is no such entry; then nothing is copied. */
  delete(key: Uint8Array): boolean {
    if (findEntry(this.#nodes, this.#shape, this.#ref, key) === undefined) return false;
    const leaf = this.#leafFor(key);
    const index = leaf.entries.search(key);
    assert(index >= 0, 'the copy of a leaf has the entries of the leaf');
    this.#releaseValue(leaf, index);
    leaf.entries.remove(index);
    leaf.part = undefined;
    leaf.run = 0;
    this.#count -= 1;
    this.#upward(-1, false);
    for (let depth = this.#depth - 1; depth >= 0; depth--) {
      if (!this.#mend(this.#path[depth] as Branch, this.#at[depth] as number)) break;
    }
    this.#lowerRoot();
    return true;
  }

  /** Deletes the entries from the position `from` on and before `to`, whole subtrees at once. */
  deleteAt(from: number, to: number): void {
    if (from >= to || this.#ref === undefined) return;
    assert(from >= 0 && to <= this.#count, 'deleted positions are in the tree');
    if (to - from >= this.#count) {
      this.drop();
      return;
    }
    this.#ref = this.#own(this.#ref);
    this.#deleteIn(this.#ref.node as TreeNode, from, to);
    this.#count -= to - from;
    if (checks.strict) checkNode(this.#ref.node as TreeNode);
    this.#lowerRoot();
  }

  /** Deletes everything. */
  drop(): void {
    if (this.#ref !== undefined) {
      const { level } = this.#nodes.load(this.#ref, this.#shape);
      this.#edit.released(this.#ref, level, this.#long);
    }
    this.#ref = undefined;
    this.#count = 0;
    this.#long = false;
  }

  /** Deletes entries within a node. Requires: some of its entries stay. */
  #deleteIn(node: TreeNode, from: number, to: number): void {
    node.part = undefined;
    if (node.leaf) {
      for (let index = from; index < to; index++) this.#releaseValue(node, index);
      node.entries.remove(from, to);
      node.run = 0;
      return;
    }
    let firstGone = -1;
    let lastGone = -1;
    const partial: number[] = [];
    for (const { at, low, high, isWhole } of node.between(from, to)) {
      if (!isWhole) {
        this.#deleteIn(this.#ownChild(node, at), low, high);
        node.refresh(at);
        partial.push(at);
      } else {
        this.#edit.released(node.refs[at] as NodeRef, node.level - 1, node.isLong(at));
        if (firstGone < 0) firstGone = at;
        lastGone = at;
      }
    }
    const gone = firstGone < 0 ? 0 : lastGone + 1 - firstGone;
    if (gone > 0) node.removeChildren(firstGone, lastGone + 1);
    for (const at of partial.reverse()) this.#mend(node, at > lastGone ? at - gone : at);
  }

  /**
   * If the child at `at` has become too small, joins it with a neighbour or evens out the two.
   * False if it was not too small.
   */
  #mend(parent: Branch, at: number): boolean {
    const child = this.#ownChild(parent, at);
    if (childrenOf(child) === 0) {
      parent.removeChildren(at, at + 1);
      return true;
    }
    if (!isTooSmall(child, this.#shape) || parent.refs.length < 2) return false;
    const first = at > 0 ? at - 1 : at;
    const left = this.#ownChild(parent, first);
    const right = this.#ownChild(parent, first + 1);
    const separator = parent.separators.key(first).slice();
    const both = joinNodes(left, right, separator);
    const seam = childrenOf(left);
    if (!both.leaf) this.#mendSeam(both, seam);
    (parent.refs[first] as NodeRef).node = both;
    if (isTooLarge(both, this.#shape)) this.#shareAlike(parent, first, both);
    else parent.removeChildren(first + 1, first + 2);
    parent.refresh(first);
    if (checks.strict) for (const node of [both, parent]) checkNode(node);
    return true;
  }

  /**
   * Children beside the seam of two joined branches may be too small: they had no neighbour there.
   */
  #mendSeam(both: Branch, seam: number): void {
    for (const at of [seam, seam - 1]) {
      const node = both.refs[at]?.node;
      if (node === undefined || node.owner !== this.#edit.owner) continue;
      this.#mend(both, at);
    }
  }

  #shareAlike(parent: Branch, first: number, both: TreeNode): void {
    const { left, right, separator } = splitNode(both, this.#shape, 0);
    (parent.refs[first] as NodeRef).node = left;
    (parent.refs[first + 1] as NodeRef).node = right;
    parent.refresh(first + 1);
    parent.separators.remove(first);
    parent.separators.insert(first, separator, noKey, 0);
  }

  /** Replaces a root that has one child by that child, and removes a root without entries. */
  #lowerRoot(): void {
    for (;;) {
      const node: TreeNode | undefined = this.#ref?.node;
      if (node === undefined || node.owner !== this.#edit.owner) return;
      if (childrenOf(node) === 0) this.#ref = undefined;
      else if (node.leaf || node.refs.length > 1) return;
      else this.#ref = node.refs[0];
    }
  }
}

function runAfter(run: number, index: number, count: number): number {
  if (index === count - 1) return run > 0 ? run + 1 : 1;
  if (index === 0) return run < 0 ? run - 1 : -1;
  return 0;
}
