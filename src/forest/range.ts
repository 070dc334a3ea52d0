/**
 * Ranges of keys, as positions among the entries of a tree.
 *
 * Invariant: what a range says of the keys becomes two positions, once; from then on nothing is
 * compared. A bound that is not there is the tree's own end.
 */

import { invalidArgument } from '../errors.ts';
import type { TreeRoot, TreeShape } from './node.ts';
import type { NodeStore } from './node-store.ts';
import { type KeyBound, positionOf, readWayTo } from './tree-search.ts';
import type { TreeUse } from './tree-use.ts';

export interface Range<K> {
  gt?: K | undefined;
  gte?: K | undefined;
  lt?: K | undefined;
  lte?: K | undefined;
  reverse?: boolean | undefined;
  /** Default: no limit. */
  limit?: number | undefined;
}

/** Entries from the position `from` on and before `to`. */
export interface Positions {
  readonly from: number;
  readonly to: number;
}

/** Throws `VARVE_INVALID_ARGUMENT`. */
function checkRange(range: Range<unknown>): void {
  if (typeof range !== 'object' || range === null) {
    throw invalidArgument('range', 'an object with gt, gte, lt, lte, reverse, limit', range);
  }
  const { gt, gte, lt, lte, reverse, limit } = range;
  if (gt !== undefined && gte !== undefined) throw invalidArgument('range', 'gt or gte', range);
  if (lt !== undefined && lte !== undefined) throw invalidArgument('range', 'lt or lte', range);
  if (reverse !== undefined && typeof reverse !== 'boolean') {
    throw invalidArgument('range: reverse', 'true or false', reverse);
  }
  checkLimit('range: limit', limit);
}

/** Throws `VARVE_INVALID_ARGUMENT`. */
export function checkLimit(what: string, limit: number | undefined): void {
  if (limit === undefined || limit === Number.POSITIVE_INFINITY) return;
  if (!Number.isSafeInteger(limit) || limit < 0) {
    throw invalidArgument(what, 'a whole number from 0', limit);
  }
}

/** The bounds of a range, encoded; a bound that is not there is the tree's own end. */
export interface Bounds {
  readonly from: KeyBound | undefined;
  readonly to: KeyBound | undefined;
}

/** Throws `VARVE_INVALID_ARGUMENT`, `VARVE_CODEC`. */
export function boundsOf<K, V, R>({ keys }: TreeUse<K, V, R>, range: Range<K>): Bounds {
  checkRange(range);
  const { gt, gte, lt, lte } = range;
  const bound = (key: K, including: boolean): KeyBound => {
    return { key: keys.encode(key).slice(), including };
  };
  let from: KeyBound | undefined;
  if (gte !== undefined) from = bound(gte, false);
  else if (gt !== undefined) from = bound(gt, true);
  let to: KeyBound | undefined;
  if (lte !== undefined) to = bound(lte, true);
  else if (lt !== undefined) to = bound(lt, false);
  return { from, to };
}

/** Everything between the bounds, `reverse` and `limit` left aside. */
export function positionsOf(
  nodes: NodeStore,
  shape: TreeShape,
  root: TreeRoot,
  bounds: Bounds,
): Positions {
  const from = bounds.from === undefined ? 0 : positionOf(nodes, shape, root, bounds.from);
  const to = bounds.to === undefined ? root.count : positionOf(nodes, shape, root, bounds.to);
  return { from, to: Math.max(from, to) };
}

/** As `positionsOf` and `limited`, without blocking on the disk. */
export async function positionsAsync(
  nodes: NodeStore,
  shape: TreeShape,
  root: TreeRoot,
  { bounds, range }: { bounds: Bounds; range: Range<unknown> },
): Promise<Positions> {
  for (const bound of [bounds.from, bounds.to]) {
    if (bound !== undefined && root.ref !== undefined) {
      await readWayTo(nodes, shape, root.ref, bound.key);
    }
  }
  return limited(positionsOf(nodes, shape, root, bounds), range);
}

/** As far as the limit goes, from the end that `reverse` says. */
export function limited<K>({ from, to }: Positions, { reverse, limit }: Range<K>): Positions {
  const most = limit ?? Number.POSITIVE_INFINITY;
  if (to - from <= most) return { from, to };
  return reverse === true ? { from: to - most, to } : { from, to: from + most };
}
