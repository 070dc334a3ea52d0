/**
 * A forest as immutable maps: what one durable state holds, and what a transaction does to it.
 *
 * Invariant: a state never changes; an effect applied to it gives another. It says nothing of nodes,
 * batches or caches.
 */

import type { GrainId } from '../../../src/index.ts';
import type { PlanRange } from '../plan.ts';

export interface ModelChange {
  readonly sequence: number;
  readonly key: number;
  readonly value: number | undefined;
}

export interface ModelTree {
  readonly entries: ReadonlyMap<number, number>;
  /** Of every change that was not trimmed. Sequences count from 1 in each life of the tree. */
  readonly changes: readonly ModelChange[];
  readonly last: number;
  readonly trimmed: number;
  /**
   * What is added to the sequences above: 0 in a tree's first life. Undefined: unknown, at least
   * `offsetLeast`.
   */
  readonly offset: number | undefined;
  readonly offsetLeast: number;
}

/** A value that `tx.push` took. */
export interface Pushed {
  readonly length: number;
  readonly seed: number;
}

export interface State {
  /** By index of `treeNames`. */
  readonly trees: ReadonlyMap<number, ModelTree>;
  readonly pushed: ReadonlyMap<GrainId, Pushed>;
  /** The last sequences of trees that were dropped. */
  readonly dropped: ReadonlyMap<number, number>;
}

export const emptyState: State = { trees: new Map(), pushed: new Map(), dropped: new Map() };

export type Effect =
  | { readonly put: readonly (readonly [number, number])[]; readonly tree: number }
  | { readonly delete: readonly number[]; readonly tree: number }
  /** By sequence of this life of the tree. */
  | { readonly trim: number; readonly tree: number }
  | { readonly fork: number; readonly tree: number }
  | { readonly drop: true; readonly tree: number }
  | { readonly push: GrainId; readonly value: Pushed }
  | { readonly archive: GrainId };

/** Bytes that differ from those around them and from those of another seed. */
export function bytesOf({ length, seed }: Pushed): Uint8Array {
  const period = Uint8Array.of(seed, seed >>> 8, seed >>> 16, 1, 2, seed * 7, 3);
  return length === 0 ? new Uint8Array(0) : Buffer.alloc(length, period);
}

function withTree(state: State, index: number, tree: ModelTree | undefined): State {
  const trees = new Map(state.trees);
  if (tree === undefined) trees.delete(index);
  else trees.set(index, tree);
  return { ...state, trees };
}

function newTree(state: State, index: number): ModelTree {
  const before = state.dropped.get(index);
  return {
    entries: new Map(),
    changes: [],
    last: 0,
    trimmed: 0,
    offset: before === undefined ? 0 : undefined,
    offsetLeast: before ?? 0,
  };
}

function changed(
  tree: ModelTree,
  all: readonly (readonly [number, number | undefined])[],
): ModelTree {
  const entries = new Map(tree.entries);
  const changes = [...tree.changes];
  let { last } = tree;
  for (const [key, value] of all) {
    if (value === undefined && !entries.has(key)) continue;
    last += 1;
    changes.push({ sequence: last, key, value });
    if (value === undefined) entries.delete(key);
    else entries.set(key, value);
  }
  return { ...tree, entries, changes, last };
}

/** The state after an effect; the same where it does nothing. */
export function applied(state: State, effect: Effect): State {
  if ('push' in effect) {
    return { ...state, pushed: new Map(state.pushed).set(effect.push, effect.value) };
  }
  if ('archive' in effect) {
    const pushed = new Map(state.pushed);
    pushed.delete(effect.archive);
    return { ...state, pushed };
  }
  const { tree: index } = effect;
  const tree = state.trees.get(index);
  if ('put' in effect) {
    if (effect.put.length === 0) return state;
    return withTree(state, index, changed(tree ?? newTree(state, index), effect.put));
  }
  if ('fork' in effect) {
    const from = state.trees.get(effect.fork);
    if (from === undefined) return state;
    const copy = state.dropped.has(index) ? { ...from, offset: undefined, offsetLeast: 0 } : from;
    return withTree(state, index, copy);
  }
  if (tree === undefined) return state;
  if ('delete' in effect) {
    return withTree(
      state,
      index,
      changed(
        tree,
        effect.delete.map((key) => [key, undefined]),
      ),
    );
  }
  if ('trim' in effect) {
    const trimmed = Math.max(tree.trimmed, effect.trim);
    const changes = tree.changes.filter(({ sequence }) => sequence > trimmed);
    return withTree(state, index, { ...tree, trimmed, changes });
  }
  const last = Math.max(state.dropped.get(index) ?? 0, tree.last + (tree.offset ?? 0));
  return withTree({ ...state, dropped: new Map(state.dropped).set(index, last) }, index, undefined);
}

export function appliedAll(state: State, effects: readonly Effect[]): State {
  return effects.reduce(applied, state);
}

const sortedKeys = new WeakMap<ReadonlyMap<number, number>, readonly number[]>();

function keysOf(entries: ReadonlyMap<number, number>): readonly number[] {
  const known = sortedKeys.get(entries);
  if (known !== undefined) return known;
  const keys = [...entries.keys()].sort((one, other) => one - other);
  sortedKeys.set(entries, keys);
  return keys;
}

/** Entries of a range, in its order; `limit` left aside where `whole`. */
export function inRange(
  tree: ModelTree | undefined,
  range: PlanRange,
  whole = false,
): [number, number][] {
  if (tree === undefined) return [];
  const { gt, gte, lt, lte, reverse, limit } = range;
  const keys = keysOf(tree.entries).filter(
    (key) =>
      (gt === undefined || key > gt) &&
      (gte === undefined || key >= gte) &&
      (lt === undefined || key < lt) &&
      (lte === undefined || key <= lte),
  );
  if (reverse === true && !whole) keys.reverse();
  const some = whole ? keys : keys.slice(0, limit ?? keys.length);
  return some.map((key) => [key, tree.entries.get(key) as number]);
}
