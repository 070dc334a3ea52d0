/**
 * Reducers over trees: computes the value of a range from the values that nodes keep, and the
 * values of changed nodes.
 *
 * Invariant: the value that a branch keeps of a child is the reducer's value for the entries below
 * it, or undefined. Before a branch is stored, all of them are known. A range uses the values of
 * children that it covers completely: O(log n) nodes.
 */

import { encodePart, guarded, type Reducer } from '../../codecs/codec.ts';
import { assert } from '../../util/assert.ts';
import { compareBytes } from '../../util/bytes.ts';
import type { Branch, Leaf, NodeRef, TreeNode } from '../nodes/node.ts';
import type { NodeStore } from '../nodes/node-store.ts';
import type { TreeSchema } from '../trees/tree-schema.ts';
import { entryKey, entryValue } from './tree-entries.ts';

export class Summaries<K, V, R> {
  readonly #nodes: NodeStore;
  readonly #schema: TreeSchema<K, V, R>;
  readonly #reducer: Reducer<K, V, R>;

  constructor(nodes: NodeStore, schema: TreeSchema<K, V, R>, reducer: Reducer<K, V, R>) {
    this.#nodes = nodes;
    this.#schema = schema;
    this.#reducer = reducer;
  }

  #reduce(parts: readonly R[]): R {
    return guarded(this.#reducer, 'reduce', () => this.#reducer.reduce(parts));
  }

  /** The value over the entries from the position `from` on and before `to`. */
  range(root: NodeRef | undefined, from: number, to: number): R {
    if (root === undefined || from >= to) return this.#reduce([]);
    const parts: R[] = [];
    this.#collect(this.#load(root), from, to, parts);
    return this.#reduce(parts);
  }

  #load(ref: NodeRef): TreeNode {
    return this.#nodes.load(ref, this.#schema.shape);
  }

  #collect(node: TreeNode, from: number, to: number, parts: R[]): void {
    assert(from >= 0 && to <= node.total, 'summed entries are in their node');
    if (node.leaf) {
      if (to - from === node.total) parts.push(this.whole(node));
      else for (let index = from; index < to; index++) parts.push(this.#map(node, index));
      return;
    }
    for (const { at, low, high, isWhole } of node.between(from, to)) {
      if (isWhole) parts.push(this.#partOf(node, at));
      else this.#collect(this.#load(node.refs[at] as NodeRef), low, high, parts);
    }
  }

  #map(leaf: Leaf, index: number): R {
    const key = entryKey(this.#schema, leaf, index);
    const value = entryValue(this.#nodes, this.#schema, leaf, index);
    return guarded(this.#reducer, 'map', () => this.#reducer.map(key, value));
  }

  /** The value over all entries below the node. */
  whole(node: TreeNode): R {
    if (node.part === undefined) {
      node.part = this.#fresh(node);
    }
    return node.part as R;
  }

  #partOf(branch: Branch, at: number): R {
    const known = branch.parts[at];
    if (known !== undefined) return known as R;
    const stored = branch.storedParts[at];
    const part =
      stored === undefined
        ? this.whole(this.#load(branch.refs[at] as NodeRef))
        : guarded(this.#reducer, 'decode', () => this.#reducer.decode(stored.slice()));
    if (branch.parts.length === 0) branch.parts = Array.from({ length: branch.refs.length });
    branch.parts[at] = part;
    return part;
  }

  /** The stored value of a child differs from the reducer's value for its entries. */
  differs(branch: Branch, at: number): boolean {
    const stored = branch.storedParts[at];
    if (stored === undefined) return true;
    const whole = this.#fresh(this.#load(branch.refs[at] as NodeRef));
    return compareBytes(encodePart(this.#reducer, whole), stored) !== 0;
  }

  /** Computes the value of a node from its entries or children, without the remembered one. */
  #fresh(node: TreeNode): R {
    const parts: R[] = [];
    const count = node.leaf ? node.total : node.refs.length;
    for (let at = 0; at < count; at++) {
      parts.push(node.leaf ? this.#map(node, at) : this.#partOf(node, at));
    }
    return this.#reduce(parts);
  }

  /** Computes all values that changed nodes must be stored with. */
  complete(root: NodeRef | undefined): void {
    const node = root?.node;
    if (root === undefined || root.stored || node === undefined || node.leaf) return;
    if (node.storedParts.length === 0) {
      node.storedParts = Array.from({ length: node.refs.length });
    }
    for (const [at, child] of node.refs.entries()) {
      if (node.storedParts[at] !== undefined) continue;
      this.complete(child);
      const part = this.#partOf(node, at);
      node.storedParts[at] = encodePart(this.#reducer, part).slice();
    }
    assert(node.storedParts.length === node.refs.length, 'each child has its value');
  }
}
