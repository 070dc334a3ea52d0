/**
 * `npm run bench -- one-client`: one client, one value of 16 bytes a commit, each durable.
 *
 * Against the least that it can cost: one page written into space that is there and one
 * `fdatasync`, on the calling thread and through the pool of threads, and against peers that hold
 * the same promise.
 */

import { join } from 'node:path';
import { Store } from '../src/index.ts';
import type { Contestant } from './support/contestant.ts';
import { floorFile } from './support/floor-file.ts';
import { peerContestants } from './support/peers/installed-peers.ts';
import { ask } from './support/question.ts';

const value = new Uint8Array(16).fill(7);
const page = new Uint8Array(4096).fill(7);
const filledBytes = 64 * 1024 * 1024;

const title = 'one client, one 16-byte value a commit';
const syncFloor = '4 KiB pwrite + fdatasync, sync calls';
const asyncFloor = '4 KiB pwrite + fdatasync, through the pool';
const mixedFloor = '4 KiB pwrite sync, fdatasync through the pool';

function varve(name: string, floor: string, commit: (store: Store) => unknown): Contestant {
  return {
    name,
    kind: 'varve',
    floor,
    async open(folder) {
      const store = await Store.open(join(folder, 'bench.varve'));
      return { run: () => commit(store), close: () => store.close() };
    },
  };
}

function contestants(): Contestant[] {
  const keys = { next: 0 };
  return [
    floorFile(syncFloor, filledBytes, (file) => file.commitSync(page)),
    floorFile('two regions of 4 KiB, sync calls', filledBytes, (file) =>
      file.commitTwiceSync(page),
    ),
    floorFile(asyncFloor, filledBytes, (file) => file.commit(page)),
    floorFile(mixedFloor, filledBytes, (file) => file.commitMixed(page)),
    varve('varve commitSync', syncFloor, (store) => {
      const session = store.session();
      session.push(value);
      return session.commitSync();
    }),
    varve('varve commit', asyncFloor, (store) => {
      const session = store.session();
      session.push(value);
      return session.commit();
    }),
    varve('varve put', asyncFloor, (store) => store.put(value)),
    ...peerContestants(({ putSync }) => ({ run: () => putSync?.(keys.next++, [value]) }), {
      suffix: ', sync',
      only: ['lmdb', 'better-sqlite3'],
    }),
    ...peerContestants(({ put }) => ({ run: () => put(keys.next++, [value]) }), {
      only: ['lmdb', 'classic-level', 'rocksdb'],
      floor: asyncFloor,
    }),
  ];
}

await ask({
  name: 'one-client',
  title: 'One client, one 16-byte value a commit',
  peers: true,
  sections: (quick) => [
    {
      title,
      shown: { by: 'time' },
      effort: { rounds: quick ? 4 : 20, slice: quick ? 70 : 200, warmUp: 20 },
      contestants: contestants(),
    },
  ],
  goals: [
    {
      text: 'commitSync <= 1.25 x the sync floor',
      most: 1.25,
      value: ({ time }) => time(title, 'varve commitSync') / time(title, syncFloor),
    },
    {
      text: 'commit <= 1.2 x the async floor',
      most: 1.2,
      value: ({ time }) => time(title, 'varve commit') / time(title, asyncFloor),
    },
  ],
});
