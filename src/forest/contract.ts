/**
 * What programs see of trees, transactions and snapshots.
 *
 * Shapes and promises only: the classes that keep them are beside this file, and none of them is
 * exported. Every method says what it throws where that is not said of all: reads throw
 * `VARVE_CODEC`, `VARVE_CORRUPT`, `VARVE_VAULT`, `VARVE_IO` and `VARVE_CLOSED`, and
 * `VARVE_INVALID_ARGUMENT` for keys and ranges that are none.
 */

import type { BatchId, GrainId } from '../index.ts';

/**
 * A bound that is present must have a value: undefined, and properties that are not listed here,
 * are `VARVE_INVALID_ARGUMENT`. So a bound that is misspelt or missing never means the whole tree.
 */
export interface Range<K> {
  gt?: K;
  gte?: K;
  lt?: K;
  lte?: K;
  reverse?: boolean | undefined;
  /** Default: no limit. */
  limit?: number | undefined;
}

/** Bytes that come back are the caller's own. */
export interface ReadableTree<K, V, R> {
  get(key: K): V | undefined;
  /** As `get`, without blocking the event loop on the disk. */
  getAsync(key: K): Promise<V | undefined>;
  has(key: K): boolean;
  /**
   * Lazy, in key order; reading on while the tree changes yields the state at the time of the call.
   * Holds a guard until its end, its `return()` (a `break` does it) or its collection; in a
   * transaction it ends with it.
   */
  range(range?: Range<K>): IterableIterator<[K, V]>;
  rangeAsync(range?: Range<K>): AsyncIterableIterator<[K, V]>;
  keys(range?: Range<K>): IterableIterator<K>;
  values(range?: Range<K>): IterableIterator<V>;
  /** Number of entries in the range, `limit` and `reverse` left aside; O(log n). */
  count(range?: Range<K>): number;
  /**
   * The reducer over the range, `limit` and `reverse` left aside; O(log n). Throws
   * `VARVE_TREE_MISMATCH` for a tree without one.
   */
  reduce(range?: Range<K>): R;
  first(): [K, V] | undefined;
  last(): [K, V] | undefined;
}

/** One change of a versioned tree; `value` is undefined where the key was deleted. */
export interface TreeChange<K, V> {
  sequence: number;
  key: K;
  value: V | undefined;
}

/** Reads see the last durable commit. */
export interface Tree<K, V, R> extends ReadableTree<K, V, R> {
  readonly name: string;
  /** Rejects as `Forest.transaction`. */
  put(key: K, value: V): Promise<BatchId>;
  /** Resolves to whether the key was there. */
  delete(key: K): Promise<boolean>;
  /**
   * Reads and writes in one transaction; returning null deletes. Resolves to the new value. A
   * promise from `change` rejects with `VARVE_INVALID_ARGUMENT`, nothing stored.
   */
  update(key: K, change: (current: V | undefined) => V | null): Promise<V | null>;
  /**
   * For a versioned tree: its newest sequence number; each put or delete takes the next, from 1. A
   * tree that is dropped keeps its number, and goes on above it when it is made again. Throws
   * `VARVE_TREE_MISMATCH` for a tree that is not versioned, as `changes` does.
   */
  readonly lastSequence: number;
  /**
   * For a versioned tree: every change after `after`, oldest first. Without it, or with 0: from the
   * oldest kept. Throws `VARVE_LOG_TRUNCATED` when a change above `after` (not 0) has been trimmed,
   * or dropped with its tree; the newest trimmed sequence itself is a valid `after`. Throws
   * `VARVE_INVALID_ARGUMENT` above `lastSequence`.
   */
  changes(options?: {
    after?: number | undefined;
    limit?: number | undefined;
  }): IterableIterator<TreeChange<K, V>>;
}

/** Reads see the transaction's own changes. */
export interface WritableTree<K, V, R> extends ReadableTree<K, V, R> {
  put(key: K, value: V): void;
  delete(key: K): boolean;
  /** Deletes a whole range, as far as its limit; returns the number of entries deleted. */
  deleteRange(range: Range<K>): number;
  /**
   * For a versioned tree: forgets the changes up to and including this sequence number. Throws
   * `VARVE_TREE_MISMATCH` for a tree that is not versioned.
   */
  trimHistory(through: number): void;
}

/** Ends with its body; later use throws `VARVE_TRANSACTION_ENDED`. */
export interface Transaction {
  /** Throws `VARVE_TREE_MISMATCH` where the tree has been made with another config meanwhile. */
  tree<K, V, R>(tree: Tree<K, V, R>): WritableTree<K, V, R>;
  /**
   * Makes `to` a copy of `from` in O(1): they share every node until one of them changes. A missing
   * `from` leaves `to` missing; a `to` that exists throws `VARVE_EXISTS`.
   */
  fork(from: string, to: string): void;
  /** Of a missing tree: nothing. */
  drop(name: string): void;
  /**
   * A value of the user's own in the same commit, through the vault, to be named from a tree: a
   * blob beside its key.
   */
  push(data: Uint8Array): GrainId;
  /**
   * A pushed value, this transaction's own included, and those of transactions before it that are
   * not durable yet; otherwise as `Forest.get`.
   */
  get(id: GrainId): Uint8Array<ArrayBuffer> | undefined;
  /**
   * Archives a pushed value, as `Session.archive` does. Throws `VARVE_NOT_FOUND`,
   * `VARVE_ALREADY_ARCHIVED`, `VARVE_INVALID_ARGUMENT` for the forest's root. Never archive the
   * ids of nodes and long values, here or through `Forest.store`: the trees that reach them are
   * damaged when they are freed.
   */
  archive(id: GrainId): void;
}

/** The whole forest as of one durable commit, until it is released or collected. */
export interface Snapshot extends Disposable {
  readonly batch: BatchId;
  /** Throws `VARVE_SNAPSHOT_RELEASED` after `release`; so do reads of what it gave before. */
  tree<K, V, R>(tree: Tree<K, V, R>): ReadableTree<K, V, R>;
  release(): void;
}
