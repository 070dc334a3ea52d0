/**
 * The catalog: the tree that maps the name of each tree of the forest to its record.
 *
 * Invariant: names are looked up and listed here and nowhere else. `tree-record.ts` defines
 * records. This file only reads: `CommitPreparation` changes the catalog.
 */

import { codecs } from '../../codecs/codecs.ts';
import { corrupt, invalidArgument } from '../../errors.ts';
import type { Leaf, TreeRoot, TreeShape } from '../nodes/node.ts';
import type { NodeStore } from '../nodes/node-store.ts';
import { decodeRecord, type TreeRecord } from './tree-record.ts';
import { findEntry, positionOf, TreeCursor } from './tree-search.ts';

/** The name as the catalog's key. Throws `VARVE_INVALID_ARGUMENT`. */
export function nameKey(name: string): Uint8Array {
  if (typeof name !== 'string') throw invalidArgument('the name of a tree', 'a string', name);
  return codecs.utf8.encode(name);
}

/** The record of a tree in a catalog. */
export function findRecord(
  nodes: NodeStore,
  shape: TreeShape,
  { ref }: TreeRoot,
  name: string,
): TreeRecord | undefined {
  const found = findEntry(nodes, shape, ref, nameKey(name));
  return found === undefined ? undefined : decodeRecord(found.leaf.entries.value(found.index));
}

/** The name of the first tree of a catalog after this one; of the first tree without a name. */
export function nameAfter(
  nodes: NodeStore,
  shape: TreeShape,
  root: TreeRoot,
  name: string | undefined,
): string | undefined {
  const tree = { nodes, shape, root };
  const at = name === undefined ? 0 : positionOf(tree, { key: nameKey(name), including: true });
  if (at >= root.count) return undefined;
  const { leaf, index } = new TreeCursor(tree, at);
  return nameOf(leaf, index);
}

function nameOf(leaf: Leaf, index: number): string {
  try {
    return codecs.utf8.decode(leaf.entries.key(index));
  } catch (cause) {
    throw corrupt('the name of a tree is not UTF-8', { cause });
  }
}

/** All records of a catalog, ordered by name. */
export function* catalogEntries(
  nodes: NodeStore,
  shape: TreeShape,
  root: TreeRoot,
): Generator<{ name: string; record: TreeRecord }> {
  if (root.ref === undefined) return;
  const cursor = new TreeCursor({ nodes, shape, root }, 0);
  for (let left = root.count; left > 0; left--) {
    const { leaf, index } = cursor;
    yield { name: nameOf(leaf, index), record: decodeRecord(leaf.entries.value(index)) };
    if (left > 1) cursor.forward();
  }
}
