/**
 * Leaves that no node refers to any more, and the lost nodes whose place they can take.
 *
 * Nothing in a leaf names its tree. A leaf takes the place of a lost node only if
 * - it is a leaf of that tree's shape, and all its keys are in the range that the node had;
 * - it fits no other lost node, and its keys do not reach into those of another such leaf;
 * - with it there are no more entries than the node above says.
 * A leaf that fits two places stays out: a lost entry is better than a wrong one. Sealed leaves
 * cannot be found: the number that opens one is in the node above it.
 */

import { isVarveError } from '../../errors.ts';
import type { GrainId, Store } from '../../index.ts';
import { compareBytes } from '../../util/bytes.ts';
import type { RunningOperation } from '../../util/operations/running-operation.ts';
import { type Leaf, longBit, NodeRef } from '../nodes/node.ts';
import { decodeNode } from '../nodes/node-encoding.ts';
import { longId } from '../nodes/node-store.ts';
import type { FoundLeaf, Hole } from './tree-repair.ts';

/** A lost node, and what else its leaves must be. */
export interface OpenHole {
  readonly hole: Hole;
  /** False for a leaf that cannot be one of its tree. */
  accepts(leaf: Leaf): boolean;
}

/** Leaves that fit the hole, by their first keys. */
interface Fitting {
  readonly id: GrainId;
  readonly leaf: Leaf;
  readonly first: Uint8Array;
  readonly last: Uint8Array;
}

/** The leaves for each of the holes, from all values that nothing reaches. */
export async function orphansFor(
  holes: readonly OpenHole[],
  ids: Iterable<GrainId>,
  store: Pick<Store, 'get' | 'has'>,
  operation: RunningOperation,
): Promise<Map<Hole, FoundLeaf[]>> {
  const fitting = new Map<OpenHole, Fitting[]>();
  for (const id of ids) {
    await operation.breathe();
    const bytes = store.get(id);
    if (bytes === undefined || bytes.length < 8 || bytes[0] !== 0) continue;
    let only: { readonly open: OpenHole; readonly found: Fitting } | undefined;
    let places = 0;
    for (const open of holes) {
      const found = leafFor(id, bytes, open, store);
      if (found === undefined) continue;
      places += 1;
      only = { open, found };
    }
    if (only === undefined || places > 1) continue;
    const others = fitting.get(only.open);
    if (others === undefined) fitting.set(only.open, [only.found]);
    else others.push(only.found);
  }
  const children = new Map<Hole, FoundLeaf[]>();
  for (const [{ hole }, leaves] of fitting) {
    const apart = withoutOverlaps(leaves);
    const entries = apart.reduce((sum, { leaf }) => sum + leaf.total, 0);
    if (entries <= hole.entries) children.set(hole, apart.map(childOf));
  }
  return children;
}

function leafFor(
  id: GrainId,
  bytes: Uint8Array,
  { hole, accepts }: OpenHole,
  store: Pick<Store, 'has'>,
): Fitting | undefined {
  const { shape, from, to } = hole;
  const ref = new NodeRef();
  ref.id = id;
  try {
    const leaf = decodeNode(bytes, ref, shape);
    if (!leaf.leaf) return undefined;
    const first = leaf.entries.key(0).slice();
    const last = leaf.entries.key(leaf.entries.count - 1).slice();
    if (from !== undefined && compareBytes(first, from) < 0) return undefined;
    if (to !== undefined && compareBytes(last, to) >= 0) return undefined;
    const hasLongs = longsOf(leaf).every((long) => store.has(long));
    return accepts(leaf) && hasLongs ? { id, leaf, first, last } : undefined;
  } catch (error) {
    if (isVarveError(error, 'VARVE_CORRUPT')) return undefined;
    throw error;
  }
}

/** The long values that the leaf names. */
function longsOf({ entries, longs }: Leaf): GrainId[] {
  const ids: GrainId[] = [];
  for (let at = 0; longs > 0 && at < entries.count; at++) {
    if ((entries.word(at) & longBit) === 0) continue;
    ids.push(longId(entries.heap, entries.valueOffset(at)));
  }
  return ids;
}

/** The leaves in order, without those whose keys reach into one another's. */
function withoutOverlaps(leaves: readonly Fitting[]): Fitting[] {
  const inOrder = [...leaves].sort((one, other) => compareBytes(one.first, other.first));
  const bad = new Set<Fitting>();
  let reaching: Fitting | undefined;
  for (const leaf of inOrder) {
    if (reaching !== undefined && compareBytes(leaf.first, reaching.last) <= 0) {
      bad.add(leaf);
      bad.add(reaching);
    }
    if (reaching === undefined || compareBytes(leaf.last, reaching.last) > 0) reaching = leaf;
  }
  return inOrder.filter((leaf) => !bad.has(leaf));
}

function childOf({ id, leaf, first }: Fitting): FoundLeaf {
  const ref = new NodeRef();
  ref.id = id;
  ref.levelExpected = 0;
  ref.totalExpected = leaf.total;
  const longs = longsOf(leaf);
  return { ref, count: leaf.total, long: leaf.long, separator: first, part: undefined, longs };
}
