/**
 * The changes of a versioned tree, read from its history.
 *
 * Invariant: it yields one change for each put or delete that is kept, by sequence number, as of
 * the call. It never skips a change silently: a gap below the oldest kept change shows that changes
 * were trimmed, since the numbers of a name rise for ever. It changes nothing
 * (`WritableTree.trimHistory` trims).
 */

import { invalidArgument, VarveError } from '../../errors.ts';
import { getU64BigEndian } from '../../util/big-endian.ts';
import { checkNames } from '../../util/options.ts';
import type { TreeChange } from '../contract.ts';
import type { Leaf } from '../nodes/node.ts';
import type { NodeStore } from '../nodes/node-store.ts';
import { historyBound, historyPut } from '../trees/history-key.ts';
import { historyHeadBytes } from '../trees/tree-record.ts';
import type { TreeSchema } from '../trees/tree-schema.ts';
import { positionOf, TreeCursor, type TreeSource } from '../trees/tree-search.ts';
import { checkLimit, limited, type Positions } from './range.ts';
import { entryValue } from './tree-entries.ts';

/**
 * Finds the changes after `after` in a history whose newest has the number `sequence`. Throws
 * `VARVE_INVALID_ARGUMENT`, and `VARVE_LOG_TRUNCATED` if some of them were trimmed: a follower must
 * read the whole tree again.
 */
export function findChanges(
  history: TreeSource,
  sequence: number,
  options: { readonly after?: number | undefined; readonly limit?: number | undefined },
): Positions {
  checkNames('Tree.changes', options, { after: true, limit: true });
  const { after = 0 } = options;
  if (!Number.isSafeInteger(after) || after < 0) {
    throw invalidArgument('changes: after', 'a sequence number', after);
  }
  if (after > sequence) {
    throw invalidArgument('changes: after', `at most the tree's newest, ${sequence}`, after);
  }
  const limit = checkLimit('changes: limit', options.limit);
  const oldest = oldestKept(history) ?? sequence + 1;
  if (after !== 0 && after < oldest - 1) {
    const message = `changes after ${after} were trimmed: 'after' may be ${oldest - 1} or later`;
    throw new VarveError('VARVE_LOG_TRUNCATED', message, { expected: oldest - 1, actual: after });
  }
  const from = positionOf(history, historyBound(after));
  return limited({ from, to: history.root.count }, { reverse: false, limit });
}

/** The sequence number of the oldest change that is kept. */
function oldestKept(history: TreeSource): number | undefined {
  if (history.root.ref === undefined) return undefined;
  const { entries } = new TreeCursor(history, 0).leaf;
  return getU64BigEndian(entries.heap, entries.offset(0));
}

/** An entry of the history as a change. */
export function changeAt<K, V, R>(
  nodes: NodeStore,
  schema: TreeSchema<K, V, R>,
  leaf: Leaf,
  index: number,
): TreeChange<K, V> {
  const { entries } = leaf;
  const { heap } = entries;
  const at = entries.offset(index);
  const sequence = getU64BigEndian(heap, at);
  const keyAt = at + historyHeadBytes;
  const isPut = heap[keyAt - 1] === historyPut;
  const key = schema.keys.decode(heap, keyAt, entries.keyBytes(index) - historyHeadBytes);
  return { sequence, key, value: isPut ? entryValue(nodes, schema, leaf, index) : undefined };
}
