/**
 * Entries for the questions that read: loaded the same way into a forest and into a peer, and the
 * keys that are asked for, in the order of asking.
 *
 * Invariant: all are loaded in one commit, in random order. Before anything is timed a hundred
 * thousand, evenly among all, are read and held against what was stored: enough to have read every
 * node. Keys that are asked for lie in memory in the order of asking, as they would with a client
 * that makes them; none is an object of the load.
 */

import { join } from 'node:path';
import { Forest, type Tree } from '../../src/forest/index.ts';
import type { OrderedPeer } from './peers/ordered-peer.ts';
import {
  belongsTo,
  type Entries,
  entriesOf,
  keysOf,
  randomNumbers,
  randomOrder,
} from './random-entries.ts';

export const valueBytes = 100;
/** Large enough for all nodes of a million entries, and the blocks that they were read from. */
const largeCacheBytes = 512 * 1024 * 1024;

export type BytesTree = Tree<Uint8Array, Uint8Array, undefined>;

export interface ForestBed {
  readonly forest: Forest;
  readonly tree: BytesTree;
}

/** The numbers that are the keys of `count` entries. */
export function bedNumbers(count: number): BigUint64Array {
  return randomNumbers(count);
}

/** The numbers in the order of asking. */
export function askedNumbers(count: number): BigUint64Array {
  const numbers = bedNumbers(count);
  return BigUint64Array.from(randomOrder(count), (at) => numbers[at] as bigint);
}

export function askedKeys(count: number): Buffer[] {
  return keysOf(askedNumbers(count));
}

/**
 * Keys from which on there are at least `length` entries, in the order of asking: all entries but
 * the last ones.
 */
export function askedStarts(count: number, length: number): Buffer[] {
  const end = bedNumbers(count).sort().at(-length) as bigint;
  return keysOf(askedNumbers(count).filter((number) => number <= end));
}

const checkedMost = 100_000;

function check({ keys }: Entries, get: (key: Buffer) => Uint8Array | undefined): void {
  const every = Math.ceil(keys.length / checkedMost);
  for (let at = 0; at < keys.length; at += every) {
    const key = keys[at] as Buffer;
    const value = get(key);
    if (value === undefined || !belongsTo(value, key)) {
      throw new Error(`the value of ${key.toString('hex')} is another one`);
    }
  }
}

/**
 * A forest whose only tree has the entries, with the codecs that a tree has by default.
 * `cacheBytes`: undefined for the default of a forest.
 */
export async function forestBed(
  folder: string,
  count: number,
  options: { readonly cacheBytes?: number | undefined } = { cacheBytes: largeCacheBytes },
): Promise<ForestBed> {
  const forest = await Forest.open(join(folder, 'bench.varve'), options);
  const tree = forest.tree('entries');
  const entries = entriesOf(bedNumbers(count), valueBytes);
  await forest.transaction((tx) => {
    const writing = tx.tree(tree);
    for (const [at, key] of entries.keys.entries()) writing.put(key, entries.values[at] as Buffer);
  });
  check(entries, (key) => tree.get(key));
  return { forest, tree };
}

/** The same entries into a peer. Throws where it has no synchronous read. */
export async function loadPeerBed(peer: OrderedPeer, count: number): Promise<void> {
  const entries = entriesOf(bedNumbers(count), valueBytes);
  await peer.put(entries, 0, count);
  const { get } = peer;
  if (get === undefined) throw new Error('it has no synchronous read');
  check(entries, get);
}
