/**
 * `npm run bench -- forest-get`: values of 100 bytes under random keys of 8 bytes, in random order,
 * of trees of 1,000, 10,000 and a million entries.
 *
 * Warm: every node was read before, and the forest's `cacheBytes` are enough for all of them (512
 * MiB). The default of 64 MiB holds a third of the nodes of a million entries: that is shown too,
 * and is no goal, since two gets in three read the file. Every value's first and last byte are
 * looked at. The floor is
 * a Map by number that gives its own value; what a sample times is 1,000 reads. lmdb reads with
 * getBinaryFast, whose value is good until the next read; rocksdb has no synchronous read and is
 * left out. Of a million only lmdb is asked: better-sqlite3 and classic-level take five and eight
 * microseconds there.
 */

import { checkSum } from './support/check-sum.ts';
import type { Contestant, Running } from './support/contestant.ts';
import { countText, mebibytesText } from './support/figures.ts';
import {
  askedKeys,
  askedNumbers,
  bedNumbers,
  forestBed,
  loadPeerBed,
  valueBytes,
} from './support/forest-bed.ts';
import type { Goal } from './support/goals.ts';
import { orderedPeerContestants } from './support/peers/installed-peers.ts';
import type { OrderedPeer } from './support/peers/ordered-peer.ts';
import { ask } from './support/question.ts';
import { entriesOf } from './support/random-entries.ts';

const operations = 1_000;
const last = valueBytes - 1;

/** How many entries, and what a `get` may take: nanoseconds, and parts of the best peer's. */
const counts = [
  [1_000, 350, 0.9],
  [10_000, 450, 0.91],
  [1_000_000, 1_200, 0.78],
] as const;

/** Loading more takes longer than a quick run may. */
const quickCountMax = 10_000;

const titleOf = (count: number): string => `get by 8-byte key, ${countText(count)} entries, warm`;
const varveGet = 'varve tree.get';
const varveDefault = `${varveGet}, cacheBytes by default`;
const defaultCount = 1_000_000;
const defaultTitle = `get by 8-byte key, ${countText(defaultCount)} entries, cacheBytes by default`;

// Each contestant has a loop of its own, so that the engine knows what is called in it.

function mapFloor(count: number): Contestant {
  return {
    name: 'Map.get by number',
    kind: 'floor',
    operations,
    open() {
      const numbers = bedNumbers(count);
      const { values } = entriesOf(numbers, valueBytes);
      const map = new Map(values.map((value, at) => [numbers[at] as bigint, value]));
      const asked = Array.from(askedNumbers(count));
      let next = 0;
      return {
        run() {
          let sum = 0;
          for (let done = 0; done < operations; done++) {
            const value = map.get(asked[next] as bigint) as Uint8Array;
            sum += (value[0] as number) + (value[last] as number);
            next = next + 1 === count ? 0 : next + 1;
          }
          checkSum(sum);
        },
      };
    },
  };
}

function varve(count: number, name: string): Contestant {
  return {
    name,
    kind: 'varve',
    operations,
    async open(folder) {
      const isDefault = name === varveDefault;
      const { forest, tree } = await forestBed(folder, count, isDefault ? {} : undefined);
      const asked = askedKeys(count);
      const { valueBytes: live } = forest.store.statistics();
      let next = 0;
      return {
        run() {
          let sum = 0;
          for (let done = 0; done < operations; done++) {
            const value = tree.get(asked[next] as Buffer) as Uint8Array;
            sum += (value[0] as number) + (value[last] as number);
            next = next + 1 === count ? 0 : next + 1;
          }
          checkSum(sum);
        },
        note: () => {
          const { budgetBytes, usedBytes } = forest.statistics().memory;
          const used = `${mebibytesText(usedBytes)} of ${mebibytesText(budgetBytes)}`;
          return `${mebibytesText(live)} of nodes in the file, ${used} in use`;
        },
        close: () => forest.close(),
      };
    },
  };
}

async function peerRunning(peer: OrderedPeer, count: number): Promise<Omit<Running, 'close'>> {
  await loadPeerBed(peer, count);
  const get = peer.get as NonNullable<OrderedPeer['get']>;
  const asked = askedKeys(count);
  let next = 0;
  return {
    run() {
      let sum = 0;
      for (let done = 0; done < operations; done++) {
        const value = get(asked[next] as Buffer) as Uint8Array;
        sum += (value[0] as number) + (value[last] as number);
        next = next + 1 === count ? 0 : next + 1;
      }
      checkSum(sum);
    },
  };
}

function peersFor(count: number, quick: boolean): readonly string[] {
  const all = !quick && count <= quickCountMax;
  return all ? ['lmdb', 'better-sqlite3', 'classic-level'] : ['lmdb'];
}

function goalsOf([count, nanoseconds, ofPeer]: (typeof counts)[number]): Goal[] {
  const entries = `get, ${countText(count)} entries`;
  const fullOnly = count > quickCountMax;
  return [
    {
      text: `${entries} <= ${countText(nanoseconds)} ns`,
      most: nanoseconds,
      fullOnly,
      value: ({ time }) => time(titleOf(count), varveGet) * 1e6,
    },
    {
      text: `${entries} <= ${ofPeer} x the best peer`,
      most: ofPeer,
      fullOnly,
      value: ({ time, bestPeerTime }) =>
        time(titleOf(count), varveGet) / bestPeerTime(titleOf(count)),
    },
  ];
}

const defaultSection = {
  title: defaultTitle,
  shown: { by: 'time' } as const,
  effort: { rounds: 7, slice: 110, warmUp: 30 },
  contestants: [varve(defaultCount, varveDefault)],
};

await ask({
  name: 'forest-get',
  title: 'Reading from a tree by key, in random order',
  peers: true,
  sections: (quick) => [
    ...counts
      .filter(([count]) => !quick || count <= quickCountMax)
      .map(([count]) => ({
        title: titleOf(count),
        shown: { by: 'time' } as const,
        effort: { rounds: quick ? 3 : 7, slice: quick ? 50 : 110, warmUp: quick ? 20 : 30 },
        contestants: [
          mapFloor(count),
          varve(count, varveGet),
          ...orderedPeerContestants((peer) => peerRunning(peer, count), {
            only: peersFor(count, quick),
            operations,
          }),
        ],
      })),
    // A section of its own: what it leaves to collect would be collected in the turns of others.
    ...(quick ? [] : [defaultSection]),
  ],
  goals: counts.flatMap(goalsOf),
});
