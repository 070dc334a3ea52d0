/**
 * Packs the leaves of one branch into fewer ones.
 *
 * Invariant: the branch has the same entries in the same order, and the same reducer value over all
 * of them; those over its changed leaves are to be computed again. It decides by the sizes of the
 * leaves, without reading them where the store knows their lengths.
 */

import { assert } from '../../util/assert.ts';
import type { Branch, Leaf, NodeRef, TreeShape } from '../nodes/node.ts';
import { fillLeaf, joinNodes } from '../nodes/node-split.ts';
import type { NodeStore } from '../nodes/node-store.ts';

/** Packed leaves are filled to this part of a node: a few puts find room without a split. */
const filledTo = 15 / 16;
/** Leaves are packed if at least this part of them goes. */
const savedMin = 1 / 16;

export interface PackedTree {
  readonly shape: TreeShape;
  readonly nodes: NodeStore;
  readonly isAlone: (ref: NodeRef) => boolean;
}

/** Children of a branch, from `from` on and before `to`. */
export interface Run {
  readonly from: number;
  readonly to: number;
}

/**
 * The first run of leaves, from the child `start` on, that is worth packing. `isAlone`: the leaf
 * may be replaced.
 */
export function runToPack(
  { refs }: Branch,
  start: number,
  { shape, nodes, isAlone }: PackedTree,
): Run | undefined {
  for (let from = start; from < refs.length; from++) {
    let bytes = 0;
    let to = from;
    for (; to < refs.length && isAlone(refs[to] as NodeRef); to++) {
      bytes += sizeOf(refs[to] as NodeRef, shape, nodes);
    }
    const count = to - from;
    const saved = count - Math.ceil(bytes / (shape.nodeBytes * filledTo));
    if (saved >= 1 && saved >= count * savedMin) return { from, to };
    from = to;
  }
  return undefined;
}

/** Bytes of a leaf as stored, without what a vault adds. */
function sizeOf(ref: NodeRef, shape: TreeShape, nodes: NodeStore): number {
  const { vault } = nodes;
  const added = vault === undefined ? 0 : vault.overheadBytes;
  if (ref.node === undefined && added !== undefined) {
    const stored = nodes.source.lengthOf(ref.id);
    if (stored !== undefined) return stored - added;
  }
  return nodes.load(ref, shape).size(shape);
}

/**
 * Packs the leaves of a run, for as long as nothing is due. Returns the child to go on from.
 *
 * Requires: the branch may be changed, and `own` returns a reference to a leaf that may be.
 */
export function packLeaves(
  branch: Branch,
  { from, to }: Run,
  shape: TreeShape,
  { own, isDue }: { own: (ref: NodeRef) => NodeRef; isDue: () => boolean },
): number {
  const { refs, separators } = branch;
  const bytesMax = shape.nodeBytes * filledTo;
  let at = from;
  let end = to;
  refs[at] = own(refs[at] as NodeRef);
  while (at + 1 < end) {
    // The last leaf is not full yet: the next step goes on with it.
    if (at > from && isDue()) return at;
    const left = refs[at] as NodeRef;
    const right = own(refs[at + 1] as NodeRef);
    refs[at + 1] = right;
    const both = joinNodes(left.node as Leaf, right.node as Leaf, separators.key(at)) as Leaf;
    if (both.size(shape) <= bytesMax) {
      left.node = both;
      branch.removeChildren(at + 1, at + 2);
      branch.refresh(at);
      end -= 1;
      continue;
    }
    const split = fillLeaf(both, shape, bytesMax);
    left.node = split.left;
    right.node = split.right;
    separators.remove(at);
    separators.insert(at, split.separator, noValue, 0);
    branch.refresh(at);
    branch.refresh(at + 1);
    at += 1;
  }
  assert(at < branch.refs.length, 'packed leaves are in their branch');
  return at + 1;
}

const noValue = new Uint8Array(0);
