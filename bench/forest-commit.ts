/**
 * `npm run bench -- forest-commit`: one durable `put` after the other, and 64 putters at once, each
 * of one key and waiting for it: 8 bytes of random key, 50 of value, into a tree that is empty at
 * first. Measured are the first 1,000 puts of a process, and puts of a process that has made 5,000.
 *
 * The floor is what stands below the forest: the bare store committing one value of 50 bytes, which
 * writes no nodes. Peers hold the same promise, each put on its own; what they share, they share of
 * their own accord. Each key and value is made when it is put: a hundred thousand of them made before
 * would be moved by the collections of garbage that are measured.
 */

import { join } from 'node:path';
import { Forest } from '../src/forest/index.ts';
import { type Session, Store } from '../src/index.ts';
import type { Contestant } from './support/contestant.ts';
import type { BytesTree } from './support/forest-bed.ts';
import type { Goal } from './support/goals.ts';
import { orderedPeerContestants } from './support/peers/installed-peers.ts';
import { fresh, type ProcessSection, warm } from './support/processes/process-section.ts';
import { ask } from './support/question.ts';
import { type Entries, entriesOf, randomNumbers } from './support/random-entries.ts';

const valueBytes = 50;
/** Keys that there are; after the last one they are put again. */
const keysMade = 50_000;
const putters = 64;

const aloneTitle = `one durable put of 8 + ${valueBytes} bytes after the other`;
const togetherTitle = `${putters} putters at once, one key each, durable`;
const storeCommit = 'the bare store, commit';
const storeSync = 'the bare store, commitSync';
const treePut = 'varve tree.put';
const transactionSync = 'varve transactionSync';

/** Entries to be put, one after the other. */
function turns(): () => Entries {
  const numbers = randomNumbers(keysMade);
  let next = 0;
  return () => {
    const at = next++ % keysMade;
    return entriesOf(numbers.subarray(at, at + 1), valueBytes);
  };
}

/** The bare store; `end` ends a session with one value. */
function bareStore(name: string, clients: number, end: (session: Session) => unknown): Contestant {
  const value = new Uint8Array(valueBytes).fill(7);
  return {
    name,
    kind: 'floor',
    clients,
    async open(folder) {
      const store = await Store.open(join(folder, 'bench.varve'));
      const run = (): unknown => {
        const session = store.session();
        session.push(value);
        return end(session);
      };
      return { run, close: () => store.close() };
    },
  };
}

interface ForestPut {
  readonly name: string;
  readonly floor: string;
  readonly clients: number;
  put(forest: Forest, tree: BytesTree, key: Buffer, value: Buffer): unknown;
}

function varve({ put, ...how }: ForestPut): Contestant {
  return {
    ...how,
    kind: 'varve',
    async open(folder) {
      const forest = await Forest.open(join(folder, 'bench.varve'));
      const tree = forest.tree('entries');
      const turn = turns();
      const run = (): unknown => {
        const { keys, values } = turn();
        return put(forest, tree, keys[0] as Buffer, values[0] as Buffer);
      };
      return { run, close: () => forest.close() };
    },
  };
}

function treePutOf(clients: number): Contestant {
  return varve({
    name: treePut,
    floor: storeCommit,
    clients,
    put: (_forest, tree, ...entry) => tree.put(...entry),
  });
}

function peers(clients: number, only: readonly string[]): Contestant[] {
  return orderedPeerContestants(
    (peer) => {
      const turn = turns();
      return { run: () => peer.put(turn(), 0, 1) };
    },
    { clients, floor: storeCommit, only },
  );
}

function syncPeers(): Contestant[] {
  return orderedPeerContestants(
    ({ putSync }) => {
      const turn = turns();
      return { run: () => putSync?.(turn(), 0) };
    },
    { suffix: ', sync', floor: storeSync, only: ['lmdb', 'better-sqlite3'] },
  );
}

function alone(quick: boolean): ProcessSection {
  return {
    title: aloneTitle,
    shown: { by: 'average' },
    contestants: [
      bareStore(storeSync, 1, (session) => session.commitSync()),
      bareStore(storeCommit, 1, (session) => session.commit()),
      varve({
        name: transactionSync,
        floor: storeSync,
        clients: 1,
        put: (forest, tree, key, value) =>
          forest.transactionSync((tx) => tx.tree(tree).put(key, value)),
      }),
      treePutOf(1),
      ...syncPeers(),
      ...peers(1, ['lmdb', 'classic-level', 'rocksdb']),
    ],
    fresh: quick ? { processes: 1, runs: 300 } : { processes: 5, runs: 1_000 },
    warm: quick
      ? { processes: 1, runsBefore: 500, rounds: 3, slice: 40, warmUp: 5 }
      : { processes: 1, runsBefore: 5_000, rounds: 7, slice: 120, warmUp: 10 },
  };
}

function together(quick: boolean): ProcessSection {
  return {
    title: togetherTitle,
    shown: { by: 'rate', unit: 'commits/s' },
    contestants: [
      bareStore(storeCommit, putters, (session) => session.commit()),
      treePutOf(putters),
      ...peers(putters, ['lmdb', 'better-sqlite3', 'classic-level', 'rocksdb']),
    ],
    fresh: quick ? { processes: 1, runs: 500 } : { processes: 5, runs: 1_000 },
    warm: quick
      ? { processes: 1, runsBefore: 500, rounds: 2, slice: 100, warmUp: 40 }
      : { processes: 1, runsBefore: 5_000, rounds: 4, slice: 400, warmUp: 100 },
  };
}

/** A forest's put beside the same promise of the bare store. */
function besideStore(half: string, put: string, store: string): Goal {
  const when = half === fresh(aloneTitle) ? 'fresh' : 'warm';
  return {
    text: `${when} ${put} <= 1.3 x ${store}`,
    most: 1.3,
    value: ({ average }) => average(half, put) / average(half, store),
  };
}

await ask({
  name: 'forest-commit',
  title: 'One entry a durable commit into a tree',
  peers: true,
  sections: (quick) => [alone(quick), together(quick)],
  goals: [
    ...[fresh(aloneTitle), warm(aloneTitle)].flatMap((half): Goal[] => [
      besideStore(half, transactionSync, storeSync),
      besideStore(half, treePut, storeCommit),
    ]),
    {
      text: 'warm transactionSync <= 1 x the best peer',
      most: 1,
      value: ({ average, bestPeerAverage }) =>
        average(warm(aloneTitle), transactionSync) / bestPeerAverage(warm(aloneTitle)),
    },
    {
      text: 'warm 64 putters >= 30,000 commits/s',
      least: 30_000,
      value: ({ rate }) => rate(warm(togetherTitle), treePut),
    },
    {
      text: 'warm 64 putters >= 1.88 x the best peer',
      least: 1.88,
      value: ({ rate, bestPeerRate }) =>
        rate(warm(togetherTitle), treePut) / bestPeerRate(warm(togetherTitle)),
    },
  ],
});
