/**
 * What loads entries of u64 to u64, or to longer values, in durable commits and reads them back,
 * timed: the forest and the peers.
 *
 * Invariant: the clock runs over commits and reads only; what they are given was made before. Keys
 * and values are those of `randomNumbers`, a value being the number of its key, and what was read
 * is held against it. The forest is given bigints and encodes them, peers are given bytes.
 */

import { join } from 'node:path';
import { codecs, Forest, type Transaction, type Tree } from '../../src/forest/index.ts';
import type { Kind } from './contestant.ts';
import { folderBytes } from './folder-bytes.ts';
import type { LoadedPeer } from './peers/peer-packages.ts';
import { belongsTo, entriesOf, keyLength, keysOf, randomOrder } from './random-entries.ts';

export interface BulkTask {
  readonly numbers: BigUint64Array;
  /** Entries a commit. */
  readonly together: number;
  /** Whether all of them are read afterwards, at random. */
  readonly reads: boolean;
  /** Of values longer than their keys, which are bytes for the forest too; with no reads. */
  readonly valueBytes?: number;
}

/** Milliseconds in all, bytes in all; NaN where it was not measured. */
export interface BulkResult {
  readonly load: number;
  readonly gets: number;
  /** Of its folder, when everything is loaded and it is still open. */
  readonly openBytes: number;
  /** Values of the store that are not archived, after a checkpoint. */
  readonly liveBytes: number;
}

export interface BulkContender {
  readonly name: string;
  readonly kind: Kind;
  /** Does all of it in an empty folder, and closes. */
  run(folder: string, task: BulkTask): Promise<BulkResult>;
}

const u64 = { key: codecs.u64, value: codecs.u64 };

/** Milliseconds of `commit` over all, commit by commit. */
async function timedLoad(
  { numbers, together }: BulkTask,
  commit: (from: number, to: number) => unknown,
): Promise<number> {
  let total = 0;
  for (let from = 0; from < numbers.length; from += together) {
    const began = performance.now();
    const done = commit(from, Math.min(numbers.length, from + together));
    if (done instanceof Promise) await done;
    total += performance.now() - began;
  }
  return total;
}

/** Numbers in the order of reading. */
function askedOf(numbers: BigUint64Array): BigUint64Array {
  return BigUint64Array.from(randomOrder(numbers.length), (at) => numbers[at] as bigint);
}

function timed(work: () => boolean): number {
  const began = performance.now();
  const sound = work();
  const milliseconds = performance.now() - began;
  if (!sound) throw new Error('a value that was read is not what was stored');
  return milliseconds;
}

type Put = (tx: Transaction, from: number, to: number) => void;

function numberPut(tree: Tree<bigint, bigint, undefined>, { numbers: given }: BulkTask): Put {
  const numbers = Array.from(given);
  return (tx, from, to) => {
    const entries = tx.tree(tree);
    for (let at = from; at < to; at++) {
      const number = numbers[at] as bigint;
      entries.put(number, number);
    }
  };
}

function bytesPut(forest: Forest, { numbers }: BulkTask, valueBytes: number): Put {
  const tree = forest.tree('bytes');
  const { keys, values } = entriesOf(numbers, valueBytes);
  return (tx, from, to) => {
    const entries = tx.tree(tree);
    for (let at = from; at < to; at++) entries.put(keys[at] as Buffer, values[at] as Buffer);
  };
}

async function runForest(folder: string, task: BulkTask, sync: boolean): Promise<BulkResult> {
  const forest = await Forest.open(join(folder, 'bench.varve'));
  const tree = forest.tree('entries', u64);
  const { valueBytes: length } = task;
  const put = length === undefined ? numberPut(tree, task) : bytesPut(forest, task, length);
  const load = await timedLoad(task, (from, to) => {
    const body = (tx: Transaction): void => put(tx, from, to);
    return sync ? forest.transactionSync(body) : forest.transaction(body);
  });
  const openBytes = folderBytes(folder);
  const asked = task.reads ? Array.from(askedOf(task.numbers)) : [];
  const readAll = (): boolean => {
    let sound = true;
    for (const number of asked) sound = tree.get(number) === number && sound;
    return sound;
  };
  const gets = task.reads ? timed(readAll) : Number.NaN;
  await forest.store.checkpointTo(forest.store.currentBatch);
  const { valueBytes } = forest.store.statistics();
  await forest.close();
  return { load, gets, openBytes, liveBytes: valueBytes };
}

export function bulkForest(name: string, how: 'sync' | 'async'): BulkContender {
  return { name, kind: 'varve', run: (folder, task) => runForest(folder, task, how === 'sync') };
}

export function bulkPeer({ name, openOrdered }: LoadedPeer): BulkContender {
  return {
    name,
    kind: 'peer',
    async run(folder, task) {
      const peer = await openOrdered(folder);
      const entries = entriesOf(task.numbers, task.valueBytes ?? keyLength);
      const load = await timedLoad(task, (from, to) => peer.put(entries, from, to));
      const openBytes = folderBytes(folder);
      const { get } = peer;
      const reads = task.reads && get !== undefined;
      const asked = reads ? keysOf(askedOf(task.numbers)) : [];
      const readAll = (): boolean => {
        let sound = true;
        for (const key of asked) sound = belongsTo(get?.(key) as Uint8Array, key) && sound;
        return sound;
      };
      const gets = reads ? timed(readAll) : Number.NaN;
      await peer.close();
      return { load, gets, openBytes, liveBytes: Number.NaN };
    },
  };
}
