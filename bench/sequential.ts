/**
 * `npm run bench -- sequential`: values of 10 KiB, 16 of them a durable commit, one commit after
 * the other: how much of the disk's speed is left.
 *
 * The floors write the same 160 KiB and sync, into a file that grows and into space filled with
 * zeros. MB are millions of bytes of values.
 */

import { join } from 'node:path';
import { type GrainId, type Session, Store } from '../src/index.ts';
import type { Contestant } from './support/contestant.ts';
import { type FloorFile, floorFile } from './support/floor-file.ts';
import type { Figures } from './support/goals.ts';
import { Payload } from './support/payload.ts';
import { peerContestants } from './support/peers/installed-peers.ts';
import { ask } from './support/question.ts';
import { ReusedSpace } from './support/reused-space.ts';

const valueBytes = 10 * 1024;
const valuesPerCommit = 16;
const bytes = valueBytes * valuesPerCommit;
const filledBytes = 64 * 1024 * 1024;
/** Values that the space to be used again has room for. */
const places = Math.floor(filledBytes / bytes) * valuesPerCommit;

const newFile = '16 values of 10 KiB a commit, the file grows';
const reused = '16 values of 10 KiB a commit, space used again';
const growingFloor = 'append 160 KiB + fdatasync';
const filledFloor = '160 KiB into zero-filled space + fdatasync';
const commitSync = 'varve commitSync';
const commit = 'varve commit';

const payload = new Payload();
const values = Array.from({ length: valuesPerCommit }, () => payload.next(valueBytes));
const together = payload.next(bytes);

const write = (file: FloorFile): void => file.commitSync(together);

type Ending = (session: Session) => unknown;
const endings: readonly (readonly [string, Ending])[] = [
  [commitSync, (session) => session.commitSync()],
  [commit, (session) => session.commit()],
];

function pushed(store: Store, stored: (id: GrainId) => void = () => undefined): Session {
  const session = store.session();
  for (const value of values) stored(session.push(value));
  return session;
}

function growing([name, end]: readonly [string, Ending]): Contestant {
  return {
    name,
    kind: 'varve',
    async open(folder) {
      const store = await Store.open(join(folder, 'bench.varve'));
      return { run: () => end(pushed(store)), close: () => store.close() };
    },
  };
}

function reusing([name, end]: readonly [string, Ending]): Contestant {
  return {
    name,
    kind: 'varve',
    async open(folder) {
      const value = values[0] as Uint8Array;
      const space = await ReusedSpace.make(join(folder, 'bench.varve'), value, places);
      const stored = (id: GrainId): void => space.stored(id);
      return {
        before: () => space.makeRoom(valuesPerCommit),
        run: () => end(pushed(space.store, stored)),
        note: () => space.growthText(),
        close: () => space.store.close(),
      };
    },
  };
}

function peers(): Contestant[] {
  return peerContestants((peer) => {
    let key = 0;
    const store = peer.putSync ?? peer.put;
    return {
      run() {
        const first = key;
        key += valuesPerCommit;
        return store(first, values);
      },
    };
  });
}

/** The better of the two ways to commit. */
function best(figures: Figures, title: string): number {
  return Math.max(...endings.map(([name]) => figures.rate(title, name)));
}

await ask({
  name: 'sequential',
  title: 'Sequential values of 10 KiB, 16 a durable commit',
  peers: true,
  sections(quick) {
    const shown = { by: 'bytes', bytes } as const;
    const effort = quick
      ? { rounds: 3, slice: 100, warmUp: 20 }
      : { rounds: 7, slice: 500, warmUp: 50 };
    return [
      {
        title: newFile,
        shown,
        effort,
        contestants: [floorFile(growingFloor, 0, write), ...endings.map(growing), ...peers()],
      },
      {
        title: reused,
        shown,
        effort,
        contestants: [floorFile(filledFloor, filledBytes, write), ...endings.map(reusing)],
      },
    ];
  },
  goals: [
    {
      text: 'a new file >= 0.9 x the floor that grows',
      least: 0.9,
      value: (figures) => best(figures, newFile) / figures.rate(newFile, growingFloor),
    },
    {
      text: 'space used again >= 0.8 x the zero-filled floor',
      least: 0.8,
      value: (figures) => best(figures, reused) / figures.rate(reused, filledFloor),
    },
  ],
});
