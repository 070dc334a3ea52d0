/**
 * Ranges of keys, as positions among the entries of a tree.
 *
 * Invariant: a range becomes two positions, once; after that no keys are compared. A missing bound
 * is the tree's own end; a bound that is present has a key.
 */

import { invalidArgument } from '../../errors.ts';
import { assert } from '../../util/assert.ts';
import { checkFlag, checkNames, type NamesOf } from '../../util/options.ts';
import type { Range } from '../contract.ts';
import type { TreeSchema } from '../trees/tree-schema.ts';
import { type KeyBound, positionOf, readPathTo, type TreeSource } from '../trees/tree-search.ts';

/** Entries from the position `from` on and before `to`. */
export interface Positions {
  readonly from: number;
  readonly to: number;
}

/** Throws `VARVE_INVALID_ARGUMENT`. */
export function checkLimit(what: string, limit: number | undefined): number {
  if (limit === undefined || limit === Number.POSITIVE_INFINITY) return Number.POSITIVE_INFINITY;
  if (!Number.isSafeInteger(limit) || limit < 0) {
    throw invalidArgument(what, 'a whole number from 0', limit);
  }
  return limit;
}

/** A range: its encoded bounds, the limit, and the end that the limit counts from. */
export interface AskedRange {
  readonly from: KeyBound | undefined;
  readonly to: KeyBound | undefined;
  readonly reverse: boolean;
  /** Infinite without a limit. */
  readonly limit: number;
}

const names: NamesOf<Range<unknown>> = {
  gt: true,
  gte: true,
  lt: true,
  lte: true,
  reverse: true,
  limit: true,
};

/**
 * Reads a range, each property once: a codec that is called here, or a getter, may change it.
 * Throws `VARVE_INVALID_ARGUMENT`, `VARVE_CODEC`.
 */
export function readRange<K, V, R>({ keys }: TreeSchema<K, V, R>, range: Range<K>): AskedRange {
  checkNames('range', range, names);
  const reverse = checkFlag('range: reverse', range.reverse, false);
  const limit = checkLimit('range: limit', range.limit);
  const [low, includesLow] = boundOf(range, 'gt', 'gte');
  const [high, includesHigh] = boundOf(range, 'lt', 'lte');
  const bound = (key: K | undefined, including: boolean): KeyBound | undefined =>
    key === undefined ? undefined : { key: keys.encodeKept(key), including };
  return { from: bound(low, !includesLow), to: bound(high, includesHigh), reverse, limit };
}

/** The bound that is present, and whether it includes its key. */
function boundOf<K>(
  range: Range<K>,
  without: 'gt' | 'lt',
  including: 'gte' | 'lte',
): readonly [K | undefined, boolean] {
  const includes = including in range;
  if (includes && without in range) {
    throw invalidArgument('range', `${without} or ${including}, not both`, range);
  }
  const name = includes ? including : without;
  const key = range[name];
  if (key === undefined && name in range) {
    throw invalidArgument(`range: ${name}`, 'a key (without a bound, no such property)', key);
  }
  return [key, includes];
}

/** The positions between the bounds; ignores `reverse` and `limit`. */
export function positionsOf(tree: TreeSource, asked: AskedRange): Positions {
  const from = asked.from === undefined ? 0 : positionOf(tree, asked.from);
  const to = asked.to === undefined ? tree.root.count : positionOf(tree, asked.to);
  return { from, to: Math.max(from, to) };
}

/** As `positionsOf` and `limited`, without blocking on the disk. */
export async function positionsAsync(tree: TreeSource, asked: AskedRange): Promise<Positions> {
  for (const bound of tree.root.ref === undefined ? [] : [asked.from, asked.to]) {
    if (bound !== undefined) await readPathTo(tree, bound.key);
  }
  return limited(positionsOf(tree, asked), asked);
}

/** Cuts positions to the limit, from the end that `reverse` selects. */
export function limited(
  { from, to }: Positions,
  { reverse, limit }: Pick<AskedRange, 'reverse' | 'limit'>,
): Positions {
  assert(from >= 0 && from <= to, 'positions of a range rise');
  if (to - from <= limit) return { from, to };
  return reverse ? { from: to - limit, to } : { from, to: from + limit };
}
