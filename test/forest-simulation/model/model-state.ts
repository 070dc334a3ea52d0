/**
 * A forest as immutable maps: what one durable state holds, and what a transaction does to it.
 *
 * Invariant: a state never changes; an effect applied to it gives another. It says nothing of nodes,
 * batches or caches.
 */

import type { GrainId } from '../../../src/index.ts';
import type { PlanRange } from './plan.ts';

export interface ModelChange {
  readonly sequence: number;
  readonly key: number;
  readonly value: number | undefined;
}

export interface ModelTree {
  readonly entries: ReadonlyMap<number, number>;
  /** Every change that was not trimmed. */
  readonly changes: readonly ModelChange[];
  /** The last sequence number of its name: the newest change's, or above it after a fork. */
  readonly last: number;
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
  /** The last sequence number of each name whose tree was dropped once. */
  readonly dropped: ReadonlyMap<number, number>;
}

export const emptyState: State = { trees: new Map(), pushed: new Map(), dropped: new Map() };

export type Effect =
  | { readonly put: readonly (readonly [number, number])[]; readonly tree: number }
  | { readonly delete: readonly number[]; readonly tree: number }
  /** Up to this sequence number. */
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

/** The last sequence number that a name has given; 0 where it has given none. */
export function lastOf({ trees, dropped }: State, index: number): number {
  return trees.get(index)?.last ?? dropped.get(index) ?? 0;
}

function newTree(state: State, index: number): ModelTree {
  return { entries: new Map(), changes: [], last: lastOf(state, index) };
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
    // The history keeps its numbers; the next one is above those of both.
    const last = Math.max(from.last, lastOf(state, index));
    return withTree(state, index, { ...from, last });
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
    const changes = tree.changes.filter(({ sequence }) => sequence > effect.trim);
    return withTree(state, index, { ...tree, changes });
  }
  const dropped = new Map(state.dropped).set(index, tree.last);
  return withTree({ ...state, dropped }, index, undefined);
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
