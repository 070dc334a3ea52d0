/**
 * `npm run bench -- one-client`: one client, one value of 16 bytes a commit, each durable: the first
 * 1,000 commits of a process, and commits of a process that has made 5,000.
 *
 * The floor is one region: 512 bytes written into space that is there and one `fdatasync`, on the
 * calling thread or with the calls that `commit` makes. Two regions show what it costs to write a
 * value and its record in two places. Peers hold the same promise.
 */

import { join } from 'node:path';
import { Store } from '../src/index.ts';
import type { Contestant } from './support/contestant.ts';
import { floorFile } from './support/floor-file.ts';
import type { Goal } from './support/goals.ts';
import { peerContestants } from './support/peers/installed-peers.ts';
import { fresh, warm } from './support/processes/process-section.ts';
import { ask } from './support/question.ts';

const value = new Uint8Array(16).fill(7);
const sector = new Uint8Array(512).fill(7);
const filledBytes = 16 * 1024 * 1024;

const title = 'one client, one 16-byte value a commit';
const syncFloor = 'one region, sync calls';
const asyncFloor = 'one region, sync write, async fdatasync';
const commitSync = 'varve commitSync';
const commit = 'varve commit';

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

function floors(): Contestant[] {
  return [
    floorFile(syncFloor, filledBytes, (file) => file.commitSync(sector)),
    floorFile('two regions, sync calls', filledBytes, (file) => file.commitTwiceSync(sector)),
    floorFile(asyncFloor, filledBytes, (file) => file.commitMixed(sector)),
    floorFile('one region, async calls', filledBytes, (file) => file.commit(sector)),
  ];
}

function peers(): Contestant[] {
  return [
    ...peerContestants(
      ({ putSync }) => {
        let key = 0;
        return { run: () => putSync?.(key++, [value]) };
      },
      { suffix: ', sync', only: ['lmdb', 'better-sqlite3'] },
    ),
    ...peerContestants(
      ({ put }) => {
        let key = 0;
        return { run: () => put(key++, [value]) };
      },
      { only: ['lmdb', 'classic-level', 'rocksdb'], floor: asyncFloor },
    ),
  ];
}

function contestants(): Contestant[] {
  return [
    ...floors(),
    varve(commitSync, syncFloor, (store) => {
      const session = store.session();
      session.push(value);
      return session.commitSync();
    }),
    varve(commit, asyncFloor, (store) => {
      const session = store.session();
      session.push(value);
      return session.commit();
    }),
    varve('varve put', asyncFloor, (store) => store.put(value)),
    ...peers(),
  ];
}

interface FloorGoal {
  readonly half: string;
  readonly name: string;
  readonly floor: string;
  readonly most: number;
}

/** An average held against that of a floor. */
function ofFloor({ half, name, floor, most }: FloorGoal): Goal {
  const kind = floor === syncFloor ? 'sync' : 'async';
  return {
    text: `${half === fresh(title) ? 'fresh' : 'warm'} ${name} <= ${most} x the ${kind} floor`,
    most,
    value: ({ average }) => average(half, name) / average(half, floor),
  };
}

await ask({
  name: 'one-client',
  title: 'One client, one 16-byte value a commit',
  peers: true,
  sections: (quick) => [
    {
      title,
      shown: { by: 'average' },
      contestants: contestants(),
      fresh: quick ? { processes: 1, runs: 300 } : { processes: 5, runs: 1_000 },
      warm: quick
        ? { processes: 1, runsBefore: 500, rounds: 3, slice: 40, warmUp: 5 }
        : { processes: 1, runsBefore: 5_000, rounds: 10, slice: 150, warmUp: 10 },
    },
  ],
  goals: [
    ofFloor({ half: fresh(title), name: commitSync, floor: syncFloor, most: 1.5 }),
    {
      text: `fresh ${commitSync} <= 1 x the best peer`,
      most: 1,
      value: ({ average, bestPeerAverage }) =>
        average(fresh(title), commitSync) / bestPeerAverage(fresh(title)),
    },
    ofFloor({ half: fresh(title), name: commit, floor: asyncFloor, most: 1.5 }),
    {
      text: `fresh ${commit}: p99 <= 3 x its median`,
      most: 3,
      value: ({ time, p99 }) => p99(fresh(title), commit) / time(fresh(title), commit),
    },
    ofFloor({ half: warm(title), name: commitSync, floor: syncFloor, most: 1.25 }),
    ofFloor({ half: warm(title), name: commit, floor: asyncFloor, most: 1.2 }),
  ],
});
