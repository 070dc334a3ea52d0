/**
 * The public types of trees, transactions and snapshots.
 *
 * Types and promises only: the classes that implement them are beside this file and not exported.
 * All reads throw `VARVE_CODEC`, `VARVE_CORRUPT`, `VARVE_VAULT`, `VARVE_IO` and `VARVE_CLOSED`, and
 * `VARVE_INVALID_ARGUMENT` for a wrong key or range. Methods name the other errors that they throw.
 */

import type { BatchId, GrainId, PushStreamOptions } from '../index.ts';

/**
 * A bound that is present must have a value: undefined, and properties that are not listed here,
 * are `VARVE_INVALID_ARGUMENT`. Therefore a misspelt or missing bound never means the whole tree.
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

/** Returned bytes are the caller's own. */
export interface ReadableTree<K, V, R> {
  get(key: K): V | undefined;
  /** As `get`, without blocking the event loop on the disk. */
  getAsync(key: K): Promise<V | undefined>;
  has(key: K): boolean;
  /**
   * Lazy, in key order; yields the state at the time of the call, also if the tree changes
   * meanwhile. Holds a guard until its end, its `return()` (a `break` calls it) or its collection.
   * In a transaction it ends with the transaction.
   */
  range(range?: Range<K>): IterableIterator<[K, V]>;
  rangeAsync(range?: Range<K>): AsyncIterableIterator<[K, V]>;
  keys(range?: Range<K>): IterableIterator<K>;
  values(range?: Range<K>): IterableIterator<V>;
  /** Number of entries in the range; ignores `limit` and `reverse`. O(log n). */
  count(range?: Range<K>): number;
  /**
   * The reducer's value over the range; ignores `limit` and `reverse`. O(log n). Throws
   * `VARVE_TREE_MISMATCH` for a tree without a reducer.
   */
  reduce(range?: Range<K>): R;
  first(): [K, V] | undefined;
  last(): [K, V] | undefined;
}

/** One change of a versioned tree; `value` is undefined if the key was deleted. */
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
   * Reads and writes in one transaction; a null from `change` deletes. Resolves to the new value.
   * If `change` returns a promise, rejects with `VARVE_INVALID_ARGUMENT` and stores nothing.
   */
  update(key: K, change: (current: V | undefined) => V | null): Promise<V | null>;
  /**
   * The newest sequence number of a versioned tree; each put or delete takes the next one, from 1.
   * A dropped tree keeps its number, and a new tree of its name goes on above it. Throws
   * `VARVE_TREE_MISMATCH` for a tree that is not versioned, as `changes` does.
   */
  readonly lastSequence: number;
  /**
   * Every change of a versioned tree after `after`, oldest first. Without `after`, or with 0: from
   * the oldest that is kept. Throws:
   * - `VARVE_LOG_TRUNCATED` if a change above `after` (not 0) was trimmed, or dropped with its
   *   tree. The newest trimmed number itself is a valid `after`.
   * - `VARVE_INVALID_ARGUMENT` if `after` is above `lastSequence`.
   */
  changes(options?: {
    after?: number | undefined;
    limit?: number | undefined;
  }): IterableIterator<TreeChange<K, V>>;
}

/**
 * Reads see the transaction's own changes. If the commit that it stands on has failed they throw
 * what that failed with, `VARVE_POISONED` included.
 */
export interface WritableTree<K, V, R> extends ReadableTree<K, V, R> {
  put(key: K, value: V): void;
  delete(key: K): boolean;
  /** Deletes the entries of a range, up to its limit; returns their number. */
  deleteRange(range: Range<K>): number;
  /**
   * Deletes the changes of a versioned tree up to and including this sequence number. Throws
   * `VARVE_TREE_MISMATCH` for a tree that is not versioned.
   */
  trimHistory(through: number): void;
}

/** Ends with its body; later use throws `VARVE_TRANSACTION_ENDED`. */
export interface Transaction {
  /** Throws `VARVE_TREE_MISMATCH` if the tree was made with another config meanwhile. */
  tree<K, V, R>(tree: Tree<K, V, R>): WritableTree<K, V, R>;
  /**
   * Makes `to` a copy of `from` in O(1): they share every node until one of them changes it. If
   * `from` is missing, `to` stays missing. Throws `VARVE_EXISTS` if `to` exists.
   */
  fork(from: string, to: string): void;
  /** Drops a tree; does nothing if it is missing. */
  drop(name: string): void;
  /**
   * Pushes a value of your own in the same commit, through the vault. An entry of a tree can hold
   * its id: a blob beside its key.
   */
  push(data: Uint8Array): GrainId;
  /**
   * A value that this transaction or an earlier one has pushed, durable or not; otherwise as
   * `Forest.get`.
   */
  get(id: GrainId): Uint8Array<ArrayBuffer> | undefined;
  /**
   * Archives a pushed value, as `Session.archive` does. Throws `VARVE_NOT_FOUND`,
   * `VARVE_ALREADY_ARCHIVED`, and `VARVE_INVALID_ARGUMENT` for the forest's root. Never archive the
   * ids of nodes and long values, here or through `Forest.store`: that damages the trees that reach
   * them.
   */
  archive(id: GrainId): void;
  /**
   * Makes everything done in a session of `Forest.session` a part of this transaction; the session
   * ends. Its values can be read and archived here like those of `push`. If the transaction fails,
   * now or later, the session is abandoned with it. If a write of the session's `push` has failed,
   * the commit rejects with `VARVE_IO`.
   *
   * Throws, and leaves the session as it was:
   * - `VARVE_BUSY` while a push of the session is in flight;
   * - `VARVE_SESSION_ENDED` for one that was abandoned or adopted before;
   * - `VARVE_INVALID_ARGUMENT` for a session of another forest, or of a store.
   */
  adopt(session: ForestSession): void;
}

/**
 * Values that belong to a later transaction: pushed now, through the vault, while no transaction
 * waits for them, and committed by `Transaction.adopt` or not at all. A session that is never
 * adopted is abandoned when it is garbage-collected or when the forest closes.
 *
 * After its end everything but `abandon` throws or rejects with `VARVE_SESSION_ENDED`, or with
 * `VARVE_CLOSED` if closing ended it.
 */
export interface ForestSession extends Disposable {
  /** As `Transaction.push`, and as `Session.push` of a store. Throws `VARVE_VAULT`. */
  push(data: Uint8Array): GrainId;
  /** As `push`, without blocking, and as `Session.pushAsync` of a store. */
  pushAsync(data: Uint8Array): Promise<GrainId>;
  /**
   * As `Session.pushStream` of a store. With a vault the bytes are sealed in frames of 64 KiB.
   * Rejects with `VARVE_INVALID_ARGUMENT` if the vault has no `overheadBytes`, and with
   * `VARVE_VAULT`.
   */
  pushStream(
    source: AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>,
    options: PushStreamOptions,
  ): Promise<GrainId>;
  /**
   * Archives a durable pushed value when the session is adopted; until then no other session or
   * transaction can archive it. Withdraws a value of this session: its grains are free again.
   * Throws as `Transaction.archive`, and `VARVE_NOT_FOUND` for a value of a transaction that is not
   * durable yet.
   */
  archive(id: GrainId): void;
  /** A value of this session; otherwise as `Forest.get`. */
  get(id: GrainId): Uint8Array<ArrayBuffer> | undefined;
  /**
   * Moves all work of another session of the same forest into this one; `other` ends. Throws as
   * `Transaction.adopt`.
   */
  adopt(other: ForestSession): void;
  /** Rejects with `VARVE_INVALID_ARGUMENT`: a transaction commits it (`Transaction.adopt`). */
  commit(): Promise<BatchId>;
  /** Throws `VARVE_INVALID_ARGUMENT`, as do the next two. */
  commitSync(): BatchId;
  setEmbeddedHeader(id: GrainId | null): void;
  checkpointTo(batch: BatchId): void;
  /** Frees the grains of its values. Pushes in flight end with `VARVE_SESSION_ENDED`. */
  abandon(): void;
}

/** The whole forest as of one durable commit, until it is released or collected. */
export interface Snapshot extends Disposable {
  readonly batch: BatchId;
  /**
   * Throws `VARVE_SNAPSHOT_RELEASED` after `release`; so do reads of trees that it returned before.
   */
  tree<K, V, R>(tree: Tree<K, V, R>): ReadableTree<K, V, R>;
  release(): void;
}
