/**
 * `npm run bench -- forest-scan`: so many entries in order from a random key on: 32 of 1,000, 100
 * of 10,000 and 1,000 of a million, with keys of 8 bytes and values of 100.
 *
 * Warm, as in `forest-get`. The first byte of every key and value is looked at; both are the
 * caller's own in varve. The floor has keys and values in two arrays, in order, and finds the first
 * by binary search; it copies nothing. lmdb reads with getRange, better-sqlite3 all rows of
 * one statement, classic-level all entries of an iterator, which waits for its own threads; rocksdb
 * gives one entry a callback and is not asked. Of a million only lmdb is, as in `forest-get`.
 */

import { checkSum } from './support/check-sum.ts';
import type { Contestant, Running } from './support/contestant.ts';
import { countText } from './support/figures.ts';
import {
  askedStarts,
  bedNumbers,
  forestBed,
  loadPeerBed,
  valueBytes,
} from './support/forest-bed.ts';
import type { Figures, Goal } from './support/goals.ts';
import { orderedPeerContestants } from './support/peers/installed-peers.ts';
import type { OrderedPeer } from './support/peers/ordered-peer.ts';
import { ask } from './support/question.ts';
import { entriesOf } from './support/random-entries.ts';

interface Scan {
  readonly count: number;
  readonly length: number;
  /** What it may take: microseconds, and parts of the best peer's. */
  readonly microseconds: number;
  readonly ofPeer: number;
}

const scans: readonly Scan[] = [
  { count: 1_000, length: 32, microseconds: 10, ofPeer: 0.48 },
  { count: 10_000, length: 100, microseconds: 30, ofPeer: 0.32 },
  { count: 1_000_000, length: 1_000, microseconds: 300, ofPeer: 0.3 },
];

/** Loading more takes longer than a quick run may. */
const quickCountMax = 10_000;
/** Entries that one sample reads, about: too few would be lost in the steps of the clock. */
const sampledEntries = 2_000;

const operationsOf = ({ length }: Scan): number => Math.max(1, Math.round(sampledEntries / length));
const titleOf = ({ count, length }: Scan): string =>
  `scan of ${countText(length)} of ${countText(count)} entries, warm`;
const varveRange = 'varve tree.range';

// Each contestant has a loop of its own, so that the engine knows what is called in it.

/** Index of the key among those in order. */
function indexOf(keys: readonly Buffer[], key: Buffer): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (Buffer.compare(keys[middle] as Buffer, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

function arrayFloor(scan: Scan): Contestant {
  const { count, length } = scan;
  const operations = operationsOf(scan);
  return {
    name: 'arrays in order, no copies',
    kind: 'floor',
    operations,
    open() {
      const { keys, values } = entriesOf(bedNumbers(count).sort(), valueBytes);
      const starts = askedStarts(count, length);
      let next = 0;
      return {
        run() {
          let sum = 0;
          for (let done = 0; done < operations; done++) {
            const from = indexOf(keys, starts[next] as Buffer);
            for (let at = from; at < from + length; at++) {
              const key = keys[at] as Buffer;
              const value = values[at] as Buffer;
              sum += (key[0] as number) + (value[0] as number);
            }
            next = next + 1 === starts.length ? 0 : next + 1;
          }
          checkSum(sum);
        },
      };
    },
  };
}

function varve(scan: Scan): Contestant {
  const { count, length } = scan;
  const operations = operationsOf(scan);
  return {
    name: varveRange,
    kind: 'varve',
    operations,
    async open(folder) {
      const { forest, tree } = await forestBed(folder, count);
      const starts = askedStarts(count, length);
      let next = 0;
      return {
        run() {
          let sum = 0;
          let entries = 0;
          for (let done = 0; done < operations; done++) {
            for (const [key, value] of tree.range({ gte: starts[next] as Buffer, limit: length })) {
              sum += (key[0] as number) + (value[0] as number);
              entries += 1;
            }
            next = next + 1 === starts.length ? 0 : next + 1;
          }
          checkSum(entries === operations * length ? sum : Number.NaN);
        },
        close: () => forest.close(),
      };
    },
  };
}

async function peerRunning(peer: OrderedPeer, scan: Scan): Promise<Omit<Running, 'close'>> {
  const { count, length } = scan;
  await loadPeerBed(peer, count);
  const operations = operationsOf(scan);
  const read = peer.scan as NonNullable<OrderedPeer['scan']>;
  const starts = askedStarts(count, length);
  let next = 0;
  const start = (): Buffer => {
    next = next + 1 === starts.length ? 0 : next + 1;
    return starts[next] as Buffer;
  };
  if (!(read(start(), length) instanceof Promise)) {
    return {
      run() {
        let sum = 0;
        for (let done = 0; done < operations; done++) sum += read(start(), length) as number;
        checkSum(sum);
      },
    };
  }
  return {
    async run() {
      let sum = 0;
      for (let done = 0; done < operations; done++) sum += await read(start(), length);
      checkSum(sum);
    },
  };
}

function peersFor({ count }: Scan, quick: boolean): readonly string[] {
  const all = !quick && count <= quickCountMax;
  return all ? ['lmdb', 'better-sqlite3', 'classic-level'] : ['lmdb'];
}

function goalsOf(scan: Scan): Goal[] {
  const { count, length, microseconds, ofPeer } = scan;
  const what = `${countText(length)} of ${countText(count)}`;
  const title = titleOf(scan);
  const found = ({ time }: Figures): number => time(title, varveRange);
  const fullOnly = count > quickCountMax;
  return [
    {
      text: `${what} <= ${microseconds} us`,
      most: microseconds,
      fullOnly,
      value: (figures) => found(figures) * 1e3,
    },
    {
      text: `${what} <= ${ofPeer} x the best peer`,
      most: ofPeer,
      fullOnly,
      value: (figures) => found(figures) / figures.bestPeerTime(title),
    },
  ];
}

await ask({
  name: 'forest-scan',
  title: 'Reading a range of a tree in order',
  peers: true,
  sections: (quick) =>
    scans
      .filter(({ count }) => !quick || count <= quickCountMax)
      .map((scan) => ({
        title: titleOf(scan),
        shown: { by: 'time' } as const,
        effort: { rounds: quick ? 3 : 7, slice: quick ? 50 : 110, warmUp: quick ? 20 : 30 },
        contestants: [
          arrayFloor(scan),
          varve(scan),
          ...orderedPeerContestants((peer) => peerRunning(peer, scan), {
            only: peersFor(scan, quick),
            operations: operationsOf(scan),
          }),
        ],
      })),
  goals: scans.flatMap(goalsOf),
});
