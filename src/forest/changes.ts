/**
 * The changes of a versioned tree, read back from its history.
 *
 * Invariant: one for each put or delete that is kept, in the order of their sequence numbers, as
 * of the call. It changes nothing; forgetting is `WritableTree.trimHistory`.
 */

import { invalidArgument } from '../errors.ts';
import { getU64BigEndian } from '../util/big-endian.ts';
import { checkNames } from '../util/options.ts';
import type { TreeChange } from './contract.ts';
import type { Leaf, TreeRoot } from './node.ts';
import type { NodeStore } from './node-store.ts';
import { historyBound, historyPut } from './open-tree.ts';
import { checkLimit, limited } from './range.ts';
import { Entries, type ReadHold } from './range-iterators.ts';
import { entryValue } from './tree-entries.ts';
import { historyHeadBytes } from './tree-record.ts';
import { positionOf } from './tree-search.ts';
import type { TreeUse } from './tree-use.ts';

export class Changes<K, V, R> extends Entries<TreeChange<K, V>> {
  constructor(
    nodes: NodeStore,
    use: TreeUse<K, V, R>,
    { root, hold }: { readonly root: TreeRoot; readonly hold: ReadHold },
    options: { readonly after?: number | undefined; readonly limit?: number | undefined },
  ) {
    let positions: { from: number; to: number };
    const shape = use.historyShape;
    try {
      checkNames('Tree.changes', options, { after: true, limit: true });
      const { after = 0 } = options;
      if (!Number.isSafeInteger(after) || after < 0) {
        throw invalidArgument('changes: after', 'a sequence number', after);
      }
      const limit = checkLimit('changes: limit', options.limit);
      const from = positionOf(nodes, shape, root, historyBound(after));
      positions = limited({ from, to: root.count }, { reverse: false, limit });
    } catch (error) {
      hold.release();
      throw error;
    }
    super({ nodes, shape, root, reverse: false }, positions, hold, (leaf, index) =>
      changeAt(nodes, use, leaf, index),
    );
  }
}

function changeAt<K, V, R>(
  nodes: NodeStore,
  use: TreeUse<K, V, R>,
  leaf: Leaf,
  index: number,
): TreeChange<K, V> {
  const { entries } = leaf;
  const { heap } = entries;
  const at = entries.offset(index);
  const sequence = getU64BigEndian(heap, at);
  const keyAt = at + historyHeadBytes;
  const key = use.keys.decode(heap, keyAt, entries.keyBytes(index) - historyHeadBytes);
  const isPut = heap[keyAt - 1] === historyPut;
  return { sequence, key, value: isPut ? entryValue(nodes, use, leaf, index) : undefined };
}
