/**
 * `npm run bench -- many-clients`: 1, 64 and 256 clients in one process, each in a loop: a commit of
 * 1 to 20 values of 0 to 4,096 bytes, and wait for it. Measured are the first 1,000 commits of a
 * process, and the rate of a process that has made 5,000 (one client: the average after 2,000).
 *
 * Against a bare group commit (gather, one write, one sync) into zero-filled space and into a file
 * that grows as the store does, and against peers. A client's values are random but the same for
 * every contestant; they are made before the clock runs.
 */

import { join } from 'node:path';
import { Store } from '../src/index.ts';
import type { Contestant } from './support/contestant.ts';
import type { Figures } from './support/goals.ts';
import { GroupFloor } from './support/group-floor.ts';
import { Payload } from './support/payload.ts';
import { peerContestants } from './support/peers/installed-peers.ts';
import { fresh, warm } from './support/processes/process-section.ts';
import { ask } from './support/question.ts';

const title = 'commits of 1..20 values of 0..4096 bytes';
const zeroFilled = 'group commit into zero-filled space, 64';
const growing = 'group commit into a growing file, 64';
const growingWide = 'group commit into a growing file, 256';
const few = 'varve commit, 64 clients';
const many = 'varve commit, 256 clients';
const aloneTitle = 'one client, commits of 1..20 values of 0..4096 bytes';
const growingAlone = 'a growing file, 1';
const alone = 'varve commit, 1 client';

const filledBytes = 64 * 1024 * 1024;
const commitsMade = 4096;

/** What the clients commit, one after the other. */
function commitsOf(payload: Payload): () => readonly Uint8Array[] {
  const { dice } = payload;
  const commits = Array.from({ length: commitsMade }, () =>
    Array.from({ length: 1 + dice.next(20) }, () => payload.next(dice.next(4097))),
  );
  let next = 0;
  return () => commits[next++ % commitsMade] as readonly Uint8Array[];
}

function floor(name: string, clients: number, bytes?: number): Contestant {
  return {
    name,
    kind: 'floor',
    clients,
    open(folder) {
      const file = new GroupFloor(join(folder, 'floor'), bytes);
      const commit = commitsOf(new Payload());
      return { run: () => file.commit(commit()), close: () => file.close() };
    },
  };
}

function varve(name: string, clients: number, floor: string): Contestant {
  return {
    name,
    kind: 'varve',
    clients,
    floor,
    async open(folder) {
      const store = await Store.open(join(folder, 'bench.varve'));
      const commit = commitsOf(new Payload());
      const run = (): Promise<number> => {
        const session = store.session();
        for (const value of commit()) session.push(value);
        return session.commit();
      };
      return { run, close: () => store.close() };
    },
  };
}

function peers(clients: number, floor: string): Contestant[] {
  return peerContestants(
    ({ put }) => {
      const commit = commitsOf(new Payload());
      let key = 0;
      return {
        run() {
          const values = commit();
          const first = key;
          key += values.length;
          return put(first, values);
        },
      };
    },
    { suffix: clients === 1 ? ', 1 client' : `, ${clients} clients`, clients, floor },
  );
}

await ask({
  name: 'many-clients',
  title: 'Many clients in one process: how many commits a second',
  peers: true,
  sections: (quick) => [
    {
      title,
      shown: { by: 'rate', unit: 'commits/s' },
      fresh: quick ? { processes: 1, runs: 300 } : { processes: 5, runs: 1_000 },
      warm: quick
        ? { processes: 1, runsBefore: 500, rounds: 1, slice: 150, warmUp: 30 }
        : { processes: 1, runsBefore: 5_000, rounds: 4, slice: 900, warmUp: 150 },
      contestants: [
        floor(zeroFilled, 64, filledBytes),
        floor(growing, 64),
        floor(growingWide, 256),
        varve(few, 64, growing),
        varve(many, 256, growingWide),
        ...peers(64, growing),
      ],
    },
    {
      title: aloneTitle,
      shown: { by: 'average' },
      fresh: quick ? { processes: 1, runs: 300 } : { processes: 3, runs: 1_000 },
      warm: quick
        ? { processes: 1, runsBefore: 500, rounds: 1, slice: 50, warmUp: 5 }
        : { processes: 1, runsBefore: 2_000, rounds: 3, slice: 200, warmUp: 20 },
      contestants: [
        floor(growingAlone, 1),
        varve(alone, 1, growingAlone),
        ...peers(1, growingAlone),
      ],
    },
  ],
  goals: [
    ...[fresh(aloneTitle), warm(aloneTitle)].map((half) => ({
      text: `${half === fresh(aloneTitle) ? 'fresh' : 'warm'} 1 client <= 1 x the best peer`,
      most: 1,
      value: ({ average, bestPeerAverage }: Figures) =>
        average(half, alone) / bestPeerAverage(half),
    })),
    {
      text: 'warm 64 clients >= 0.65 x the floor that grows',
      least: 0.65,
      value: ({ rate }) => rate(warm(title), few) / rate(warm(title), growing),
    },
    {
      text: 'warm 64 clients >= 2 x lmdb',
      least: 2,
      value: ({ rate }) => rate(warm(title), few) / rate(warm(title), 'lmdb, 64 clients'),
    },
    {
      text: 'warm 256 clients >= 1 x 64 clients',
      least: 1,
      value: ({ rate }) => rate(warm(title), many) / rate(warm(title), few),
    },
  ],
});
