/**
 * `npm run bench -- get`: values of 100 bytes by id, in random order, of 1,000, 10,000 and a
 * million.
 *
 * Warm: every value was read before, and varve's cache is large enough for all of them (512 MiB;
 * the default is 64). Every value's first and last byte are looked at. The floor is a Map that
 * holds the values, and a copy; what a sample times is 1,000 reads.
 */

import { join } from 'node:path';
import { type GrainId, nodeFileSystem, Store } from '../src/index.ts';
import { checkSum } from './support/check-sum.ts';
import type { Contestant, Running } from './support/contestant.ts';
import { CountingFileSystem } from './support/counting-file-system.ts';
import { countText, mebibytesText } from './support/figures.ts';
import { isNumbered, numberedBytes, numberedValues } from './support/numbered-values.ts';
import { peerContestants } from './support/peers/installed-peers.ts';
import type { Peer } from './support/peers/peer.ts';
import { ask } from './support/question.ts';
import { randomOrder } from './support/random-entries.ts';

const operations = 1_000;
const last = numberedBytes - 1;
const cacheBytes = 512 * 1024 * 1024;
const loadedTogether = 10_000;

/** How many values, and what a `get` may take, nanoseconds. */
const counts = [
  [1_000, 200],
  [10_000, 250],
  [1_000_000, 700],
] as const;

const titleOf = (count: number): string => `get of 100 bytes, ${countText(count)} values, warm`;
const varveGet = 'varve get';

/**
 * Every value is what was stored under its key. So all of them are read before the clock runs.
 * What `getBinaryFast` of lmdb gives is a larger buffer that begins with the value.
 */
function check(count: number, read: (key: number) => Uint8Array | undefined): void {
  for (let key = 0; key < count; key++) {
    const value = read(key);
    if (value === undefined || !isNumbered(value, key)) {
      throw new Error(`the value ${key} is another one`);
    }
  }
}

// Each contestant has a loop of its own, so that the engine knows what is called in it.

function mapFloor(count: number): Contestant {
  return {
    name: 'Map.get and a copy',
    kind: 'floor',
    operations,
    open() {
      const order = randomOrder(count);
      const map = new Map<number, Uint8Array>();
      for (let key = 0; key < count; key += loadedTogether) {
        const values = numberedValues(key, Math.min(count - key, loadedTogether));
        for (const [at, value] of values.entries()) map.set(key + at, value);
      }
      check(count, (key) => map.get(key));
      let next = 0;
      return {
        run() {
          let sum = 0;
          for (let done = 0; done < operations; done++) {
            const value = new Uint8Array(map.get(order[next] as number) as Uint8Array);
            sum += (value[0] as number) + (value[last] as number);
            next = next + 1 === count ? 0 : next + 1;
          }
          checkSum(sum);
        },
      };
    },
  };
}

async function load(store: Store, count: number): Promise<GrainId[]> {
  const ids: GrainId[] = [];
  while (ids.length < count) {
    const session = store.session();
    const values = numberedValues(ids.length, Math.min(count - ids.length, loadedTogether));
    for (const value of values) ids.push(session.push(value));
    await session.commit();
  }
  return ids;
}

function varve(count: number): Contestant {
  return {
    name: varveGet,
    kind: 'varve',
    operations,
    async open(folder) {
      const fileSystem = new CountingFileSystem(nodeFileSystem);
      const store = await Store.open(join(folder, 'bench.varve'), { cacheBytes, fileSystem });
      const ids = await load(store, count);
      check(count, (key) => store.get(ids[key] as GrainId));
      // New bigints in the order of reading: as others read their keys, not at random from memory.
      const order = Array.from(randomOrder(count), (key) => (ids[key] as bigint) + 0n) as GrainId[];
      let next = 0;
      return {
        run() {
          let sum = 0;
          for (let done = 0; done < operations; done++) {
            const value = store.get(order[next] as GrainId) as Uint8Array;
            sum += (value[0] as number) + (value[last] as number);
            next = next + 1 === count ? 0 : next + 1;
          }
          checkSum(sum);
        },
        note: () => `${mebibytesText(fileSystem.bytesRead)} in its cache of at most 512 MiB`,
        close: () => store.close(),
      };
    },
  };
}

async function peerRunning(peer: Peer, count: number): Promise<Omit<Running, 'close'>> {
  const { get } = peer;
  if (get === undefined) throw new Error('it has no synchronous read');
  for (let key = 0; key < count; key += loadedTogether) {
    const length = Math.min(loadedTogether, count - key);
    await peer.put(key, numberedValues(key, length));
  }
  check(count, get);
  const order = randomOrder(count);
  let next = 0;
  return {
    run() {
      let sum = 0;
      for (let done = 0; done < operations; done++) {
        const value = get(order[next] as number) as Uint8Array;
        sum += (value[0] as number) + (value[last] as number);
        next = next + 1 === count ? 0 : next + 1;
      }
      checkSum(sum);
    },
  };
}

await ask({
  name: 'get',
  title: 'Reading values of 100 bytes by id, in random order',
  peers: true,
  sections: (quick) =>
    counts.map(([count]) => ({
      title: titleOf(count),
      shown: { by: 'time' } as const,
      effort: { rounds: quick ? 3 : 7, slice: quick ? 50 : 200, warmUp: quick ? 20 : 50 },
      contestants: [
        mapFloor(count),
        varve(count),
        ...peerContestants((peer) => peerRunning(peer, count), {
          // The others take long to load a million.
          only: quick ? ['lmdb'] : ['lmdb', 'better-sqlite3', 'classic-level'],
          operations,
        }),
      ],
    })),
  goals: counts.map(([count, nanoseconds]) => ({
    text: `get, ${countText(count)} values <= ${nanoseconds} ns`,
    most: nanoseconds,
    value: ({ time }) => time(titleOf(count), varveGet) * 1e6,
  })),
});
