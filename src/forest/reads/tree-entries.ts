/**
 * Entries of a leaf as the user's keys and values.
 *
 * Invariant: returned bytes are the caller's own. A value that is stored by itself is read from the
 * store each time; leaves have only a reference to it.
 */

import { ownBytes } from '../../codecs/codec.ts';
import { type Leaf, longBit } from '../nodes/node.ts';
import type { NodeStore } from '../nodes/node-store.ts';
import type { TreeSchema } from '../trees/tree-schema.ts';

export function entryKey<K, V, R>(schema: TreeSchema<K, V, R>, leaf: Leaf, index: number): K {
  const { entries } = leaf;
  return schema.keys.decode(entries.heap, entries.offset(index), entries.keyBytes(index));
}

/** Throws `VARVE_CORRUPT`, `VARVE_CODEC`, `VARVE_VAULT`. */
export function entryValue<K, V, R>(
  nodes: NodeStore,
  schema: TreeSchema<K, V, R>,
  leaf: Leaf,
  index: number,
): V {
  const { entries } = leaf;
  const word = entries.word(index);
  const at = entries.valueOffset(index);
  if ((word & longBit) === 0) return schema.values.decode(entries.heap, at, word >>> 1);
  const bytes = nodes.long(entries.heap, at);
  return schema.values.decode(bytes, 0, bytes.length);
}

/**
 * Key and value. A user's key codec may commit, or end the read that holds the leaf: take the bytes
 * of the value before it is called.
 */
export function entryOf<K, V, R>(
  nodes: NodeStore,
  schema: TreeSchema<K, V, R>,
  leaf: Leaf,
  index: number,
): [K, V] {
  if (schema.keys.isQuiet)
    return [entryKey(schema, leaf, index), entryValue(nodes, schema, leaf, index)];
  const { entries } = leaf;
  const word = entries.word(index);
  const at = entries.valueOffset(index);
  const isLong = (word & longBit) !== 0;
  const bytes = isLong ? nodes.long(entries.heap, at) : ownBytes(entries.heap, at, word >>> 1);
  return [entryKey(schema, leaf, index), schema.values.decode(bytes, 0, bytes.length)];
}

/** As `entryValue`, without blocking on the disk. */
export async function entryValueAsync<K, V, R>(
  nodes: NodeStore,
  schema: TreeSchema<K, V, R>,
  leaf: Leaf,
  index: number,
): Promise<V> {
  const { entries } = leaf;
  const at = entries.valueOffset(index);
  if ((entries.word(index) & longBit) === 0) return entryValue(nodes, schema, leaf, index);
  const bytes = await nodes.longAsync(entries.heap, at);
  return schema.values.decode(bytes, 0, bytes.length);
}
