/**
 * `npm run bench -- value-sizes`: one value of 1 KiB, 1 MiB or 64 MiB a durable commit, in a file
 * that grows and in space that is used again.
 *
 * The floor that grows sets the length first and writes pieces of 1 MiB; the other writes into
 * space filled with zeros. Peers that use their space again do so in their own way: the same few
 * keys, over and over.
 */

import { join } from 'node:path';
import { Store } from '../src/index.ts';
import type { Contestant, Effort } from './support/contestant.ts';
import { floorFile } from './support/floor-file.ts';
import type { Goal } from './support/goals.ts';
import { randomValue } from './support/payload.ts';
import { peerContestants } from './support/peers/installed-peers.ts';
import { ask, type TimedSection } from './support/question.ts';
import { ReusedSpace } from './support/reused-space.ts';

interface Size {
  readonly text: string;
  readonly bytes: number;
  /** Values that the space to be used again has room for. */
  readonly places: number;
  /** `commitSync` too, and a floor through the pool. */
  readonly small: boolean;
  readonly effort: Effort;
  readonly quickEffort: Effort;
}

const mebibyte = 1024 * 1024;
const sizes: readonly Size[] = [
  {
    text: '1 KiB',
    bytes: 1024,
    places: 1024,
    small: true,
    effort: { rounds: 6, slice: 150, warmUp: 20 },
    quickEffort: { rounds: 2, slice: 20, warmUp: 2 },
  },
  {
    text: '1 MiB',
    bytes: mebibyte,
    places: 32,
    small: true,
    effort: { rounds: 6, slice: 150, warmUp: 10 },
    quickEffort: { rounds: 2, slice: 15, warmUp: 0 },
  },
  {
    text: '64 MiB',
    bytes: 64 * mebibyte,
    places: 4,
    small: false,
    effort: { rounds: 6, slice: 0, warmUp: 0 },
    quickEffort: { rounds: 1, slice: 0, warmUp: 0 },
  },
];

const newFile = ({ text }: Size): string => `one ${text} value a commit, the file grows`;
const reused = ({ text }: Size): string => `one ${text} value a commit, space used again`;
const growingFloor = 'ftruncate, pieces of 1 MiB, fdatasync';
const filledFloor = 'pwrite into zero-filled space, fdatasync';
const poolFloor = 'the same through the pool';
const commitSync = 'varve commitSync';
const put = 'varve put';

function pushSync(store: Store, value: Uint8Array) {
  const session = store.session();
  const id = session.push(value);
  session.commitSync();
  return id;
}

function growingStore(name: string, store: (store: Store) => unknown): Contestant {
  return {
    name,
    kind: 'varve',
    async open(folder) {
      const opened = await Store.open(join(folder, 'bench.varve'));
      return { run: () => store(opened), close: () => opened.close() };
    },
  };
}

function reusingStore(
  size: Size,
  value: Uint8Array,
  how: { name: string; floor: string; store: (space: ReusedSpace) => unknown },
): Contestant {
  const { name, floor, store } = how;
  return {
    name,
    kind: 'varve',
    floor,
    async open(folder) {
      const space = await ReusedSpace.make(join(folder, 'bench.varve'), value, size.places);
      return {
        before: () => space.makeRoom(1),
        run: () => store(space),
        note: () => space.growthText(),
        close: () => space.store.close(),
      };
    },
  };
}

function chosen(only: readonly string[] | undefined): { only?: readonly string[] } {
  return only === undefined ? {} : { only };
}

function growing(size: Size, value: Uint8Array, only?: readonly string[]): Contestant[] {
  const contestants = [floorFile(growingFloor, 0, (file) => file.growSync(value))];
  if (size.small) {
    contestants.push(growingStore(commitSync, (store) => pushSync(store, value)));
  }
  contestants.push(growingStore(put, (store) => store.put(value)));
  const peers = peerContestants((peer) => {
    let key = 0;
    const store = peer.putSync ?? peer.put;
    return { run: () => store(key++, [value]) };
  }, chosen(only));
  return [...contestants, ...peers];
}

function reusing(size: Size, value: Uint8Array, only?: readonly string[]): Contestant[] {
  const other = value.map((byte) => byte ^ 0xff);
  const filledBytes = Math.max(64 * mebibyte, size.places * size.bytes);
  const contestants = [floorFile(filledFloor, filledBytes, (file) => file.commitSync(value))];
  if (size.small) {
    contestants.push(
      floorFile(poolFloor, filledBytes, (file) => file.commit(value)),
      reusingStore(size, value, {
        name: commitSync,
        floor: filledFloor,
        store: (space) => space.stored(pushSync(space.store, value)),
      }),
    );
  }
  contestants.push(
    reusingStore(size, value, {
      name: put,
      floor: size.small ? poolFloor : filledFloor,
      store: async (space) => space.stored((await space.store.put(value)).id),
    }),
  );
  const peers = peerContestants(async (peer) => {
    const store = peer.putSync ?? peer.put;
    for (let key = 0; key < size.places; key++) await store(key, [value]);
    // Another value than the last time: pages that would not change are not written by all peers.
    const values = [other, value] as const;
    let next = 0;
    const run = () => {
      const at = next++;
      return store(at % size.places, [values[Math.floor(at / size.places) % 2] as Uint8Array]);
    };
    return { run };
  }, chosen(only));
  return [...contestants, ...peers];
}

function sectionsOf(size: Size, quick: boolean): TimedSection[] {
  const value = randomValue(size.bytes);
  const shown = { by: 'time' } as const;
  const effort = quick ? size.quickEffort : size.effort;
  if (quick && !size.small) size = { ...size, places: 2 };
  // The others take seconds to make room for large values.
  const only = quick && !size.small ? ['lmdb'] : undefined;
  return [
    { title: newFile(size), shown, effort, contestants: growing(size, value, only) },
    { title: reused(size), shown, effort, contestants: reusing(size, value, only) },
  ];
}

function goalsOf(size: Size): Goal[] {
  const names = size.small ? [commitSync, put] : [put];
  const ofPeer: Goal = {
    text: `${size.text} in a file that grows <= best peer`,
    most: 1,
    value: ({ time, bestPeerTime }) =>
      Math.min(...names.map((name) => time(newFile(size), name))) / bestPeerTime(newFile(size)),
  };
  const ofFloor = names.map(
    (name): Goal => ({
      text: `${size.text} in space used again, ${name} <= 1.3 x the zero-filled floor`,
      most: 1.3,
      value({ time }) {
        const least = name === put && size.small ? poolFloor : filledFloor;
        return time(reused(size), name) / time(reused(size), least);
      },
    }),
  );
  return [ofPeer, ...ofFloor];
}

await ask({
  name: 'value-sizes',
  title: 'One value a durable commit, by its size',
  peers: true,
  sections: (quick) => sizes.flatMap((size) => sectionsOf(size, quick)),
  goals: sizes.flatMap(goalsOf),
});
