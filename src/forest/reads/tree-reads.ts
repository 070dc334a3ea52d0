/**
 * The reads that a tree, a snapshot of it and a transaction's tree have in common.
 *
 * Invariant: each call reads one state of the tree, the one that its `ReadPoint` returns during the
 * call, and iterators stay with it. It changes nothing.
 *
 * Rule: codecs and reducers are the user's code and may commit. If a state is read after such a
 * call, it must be held during the call. No hold is needed for varve's own codecs, nor for a codec
 * that is called last: reads of one entry take all bytes first.
 */

import { VarveError } from '../../errors.ts';
import type { Range, ReadableTree } from '../contract.ts';
import type { Leaf, TreeRoot } from '../nodes/node.ts';
import type { NodeStore } from '../nodes/node-store.ts';
import type { TreeSchema } from '../trees/tree-schema.ts';
import { type FoundEntry, findEntry, readPathTo, TreeCursor } from '../trees/tree-search.ts';
import { limited, type Positions, positionsAsync, positionsOf, readRange } from './range.ts';
import { AsyncEntries, Entries, type Hold, type TreeRange } from './range-iterators.ts';
import { Summaries } from './summaries.ts';
import { entryKey, entryOf, entryValue, entryValueAsync } from './tree-entries.ts';

/** The source of the state that is read. */
export interface ReadPoint {
  /** The nodes of the state that `root` returns now. */
  readonly nodes: NodeStore;
  /** The tree's root now. Throws if nothing can be read any more. */
  root(): TreeRoot;
  /** Keeps the state of `root` readable until it is released. */
  hold(): Hold;
  /** As `hold`, for a read that ends before its caller goes on. */
  holdBriefly(): Hold;
}

export class TreeReads<K, V, R> implements ReadableTree<K, V, R> {
  readonly #schema: TreeSchema<K, V, R>;
  readonly #point: ReadPoint;

  constructor(schema: TreeSchema<K, V, R>, point: ReadPoint) {
    this.#schema = schema;
    this.#point = point;
  }

  /**
   * The value of the key; undefined if there is none. Throws `VARVE_CODEC`, `VARVE_CORRUPT`,
   * `VARVE_VAULT`, `VARVE_CLOSED`, `VARVE_IO`; in a snapshot `VARVE_SNAPSHOT_RELEASED`, in a
   * transaction `VARVE_TRANSACTION_ENDED`. All methods below throw these too.
   */
  get(key: K): V | undefined {
    // Encode the key before the root is taken, here and below: the user's codec may commit.
    const { keys } = this.#schema;
    const bytes = keys.encode(key);
    const { nodes } = this.#point;
    const found = this.#find(nodes, bytes);
    keys.recycle(bytes);
    return this.#valueOf(nodes, found);
  }

  /** As `get`, with an encoded key. */
  getEncoded(bytes: Uint8Array): V | undefined {
    const { nodes } = this.#point;
    return this.#valueOf(nodes, this.#find(nodes, bytes));
  }

  #find(nodes: NodeStore, key: Uint8Array): FoundEntry | undefined {
    return findEntry(nodes, this.#schema.shape, this.#point.root().ref, key);
  }

  #valueOf(nodes: NodeStore, found: FoundEntry | undefined): V | undefined {
    if (found === undefined) return undefined;
    return entryValue(nodes, this.#schema, found.leaf, found.index);
  }

  async getAsync(key: K): Promise<V | undefined> {
    const bytes = this.#schema.keys.encodeKept(key);
    const source = this.#source();
    if (source.root.ref === undefined) return undefined;
    const hold = this.#point.hold();
    try {
      const leaf = await readPathTo(source, bytes);
      const index = leaf.entries.search(bytes);
      if (index < 0) return undefined;
      return await entryValueAsync(source.nodes, this.#schema, leaf, index);
    } finally {
      hold.release();
      // If the state has ended meanwhile, neither the result nor an error counts.
      hold.check();
    }
  }

  has(key: K): boolean {
    const { keys } = this.#schema;
    const bytes = keys.encode(key);
    const found = this.#find(this.#point.nodes, bytes);
    keys.recycle(bytes);
    return found !== undefined;
  }

  range(range: Range<K> = {}): IterableIterator<[K, V]> {
    const { nodes } = this.#point;
    return this.#iterate(range, (leaf, index) => entryOf(nodes, this.#schema, leaf, index));
  }

  keys(range: Range<K> = {}): IterableIterator<K> {
    return this.#iterate(range, (leaf, index) => entryKey(this.#schema, leaf, index));
  }

  values(range: Range<K> = {}): IterableIterator<V> {
    const { nodes } = this.#point;
    return this.#iterate(range, (leaf, index) => entryValue(nodes, this.#schema, leaf, index));
  }

  #iterate<T>(range: Range<K>, give: (leaf: Leaf, index: number) => T): IterableIterator<T> {
    const asked = readRange(this.#schema, range);
    const source = this.#source(asked.reverse);
    const positions = limited(positionsOf(source, asked), asked);
    return new Entries(source, positions, this.#point.hold(), give);
  }

  #source(reverse = false): TreeRange {
    const { nodes } = this.#point;
    return { nodes, shape: this.#schema.shape, root: this.#point.root(), reverse };
  }

  rangeAsync(range: Range<K> = {}): AsyncIterableIterator<[K, V]> {
    const asked = readRange(this.#schema, range);
    const source = this.#source(asked.reverse);
    const find = (): Promise<Positions> => positionsAsync(source, asked);
    return new AsyncEntries(source, find, this.#point.hold(), async (leaf, index) => [
      entryKey(this.#schema, leaf, index),
      await entryValueAsync(source.nodes, this.#schema, leaf, index),
    ]);
  }

  count(range: Range<K> = {}): number {
    const asked = readRange(this.#schema, range);
    const { from, to } = positionsOf(this.#source(), asked);
    return to - from;
  }

  /** Throws `VARVE_TREE_MISMATCH` if the tree has no reducer. */
  reduce(range: Range<K> = {}): R {
    const { reducer, name } = this.#schema;
    if (reducer === undefined) {
      throw new VarveError('VARVE_TREE_MISMATCH', `the tree '${name}' has no reducer`);
    }
    const asked = readRange(this.#schema, range);
    const source = this.#source();
    const hold = this.#point.holdBriefly();
    try {
      const { from, to } = positionsOf(source, asked);
      return new Summaries(source.nodes, this.#schema, reducer).range(source.root.ref, from, to);
    } finally {
      hold.release();
    }
  }

  first(): [K, V] | undefined {
    return this.#at(() => 0);
  }

  last(): [K, V] | undefined {
    return this.#at((count) => count - 1);
  }

  #at(positionIn: (count: number) => number): [K, V] | undefined {
    const source = this.#source();
    if (source.root.ref === undefined) return undefined;
    const { leaf, index } = new TreeCursor(source, positionIn(source.root.count));
    return entryOf(source.nodes, this.#schema, leaf, index);
  }
}
