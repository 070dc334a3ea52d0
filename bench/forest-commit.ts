/**
 * `npm run bench -- forest-commit`: one durable `put` after the other, and 64 putters at once, each
 * of one key and waiting for it: 8 bytes of random key, 100 of value, into a tree of 10,000 entries
 * that grows meanwhile.
 *
 * The floor is what stands below the forest: the bare store committing one value of 100 bytes,
 * which writes no nodes. Peers hold the same promise, each put on its own; what they share, they
 * share of their own accord.
 */

import { join } from 'node:path';
import { Forest } from '../src/forest/index.ts';
import { Store } from '../src/index.ts';
import type { Contestant } from './support/contestant.ts';
import { type BytesTree, valueBytes } from './support/forest-bed.ts';
import { orderedPeerContestants } from './support/peers/installed-peers.ts';
import { ask, type TimedSection } from './support/question.ts';
import { type Entries, entriesOf, randomNumbers } from './support/random-entries.ts';

const loaded = 10_000;
/** Entries that there are to be put; after the last one they are put again. */
const made = 250_000;
const putters = 64;

const aloneTitle = 'one durable put of 8 + 100 bytes after the other';
const togetherTitle = `${putters} putters at once, one key each, durable`;
const storePut = 'the bare store, put';
const storeSync = 'the bare store, commitSync';
const treePut = 'varve tree.put';
const transactionSync = 'varve transactionSync';

/** Indexes of the entries to be put, one after the other. */
function turns(): () => number {
  let next = loaded - 1;
  return () => {
    next = next + 1 === made ? loaded : next + 1;
    return next;
  };
}

function bareStore(name: string, clients: number, put: (store: Store) => unknown): Contestant {
  return {
    name,
    kind: 'floor',
    clients,
    async open(folder) {
      const store = await Store.open(join(folder, 'bench.varve'));
      return { run: () => put(store), close: () => store.close() };
    },
  };
}

type Put = (opened: { forest: Forest; tree: BytesTree }, key: Buffer, value: Buffer) => unknown;

interface ForestPut {
  readonly name: string;
  readonly floor: string;
  readonly clients: number;
  readonly put: Put;
}

function varve({ name, floor, clients, put }: ForestPut, { keys, values }: Entries): Contestant {
  return {
    name,
    kind: 'varve',
    floor,
    clients,
    async open(folder) {
      const forest = await Forest.open(join(folder, 'bench.varve'));
      const opened = { forest, tree: forest.tree('entries') };
      await forest.transaction((tx) => {
        const tree = tx.tree(opened.tree);
        for (let at = 0; at < loaded; at++) tree.put(keys[at] as Buffer, values[at] as Buffer);
      });
      const turn = turns();
      return {
        run() {
          const at = turn();
          return put(opened, keys[at] as Buffer, values[at] as Buffer);
        },
        close: () => forest.close(),
      };
    },
  };
}

function peers(entries: Entries, clients: number, floor: string): Contestant[] {
  return orderedPeerContestants(
    async (peer) => {
      await peer.put(entries, 0, loaded);
      const turn = turns();
      return {
        run() {
          const at = turn();
          return peer.put(entries, at, at + 1);
        },
      };
    },
    { clients, floor },
  );
}

function alone(entries: Entries, quick: boolean): TimedSection {
  const value = entries.values[0] as Buffer;
  const clients = 1;
  return {
    title: aloneTitle,
    shown: { by: 'time' },
    effort: { rounds: quick ? 3 : 9, slice: quick ? 40 : 100, warmUp: 20 },
    contestants: [
      bareStore(storePut, clients, (store) => store.put(value)),
      bareStore(storeSync, clients, (store) => {
        const session = store.session();
        session.push(value);
        return session.commitSync();
      }),
      varve(
        {
          name: treePut,
          floor: storePut,
          clients,
          put: ({ tree }, ...entry) => tree.put(...entry),
        },
        entries,
      ),
      varve(
        {
          name: transactionSync,
          floor: storeSync,
          clients,
          put: ({ forest, tree }, key, data) =>
            forest.transactionSync((tx) => tx.tree(tree).put(key, data)),
        },
        entries,
      ),
      ...peers(entries, clients, storePut),
    ],
  };
}

function together(entries: Entries, quick: boolean): TimedSection {
  const value = entries.values[0] as Buffer;
  return {
    title: togetherTitle,
    shown: { by: 'rate', unit: 'commits/s' },
    effort: { rounds: quick ? 2 : 4, slice: quick ? 100 : 400, warmUp: quick ? 40 : 100 },
    contestants: [
      bareStore(storePut, putters, (store) => store.put(value)),
      varve(
        {
          name: treePut,
          floor: storePut,
          clients: putters,
          put: ({ tree }, ...entry) => tree.put(...entry),
        },
        entries,
      ),
      ...peers(entries, putters, storePut),
    ],
  };
}

await ask({
  name: 'forest-commit',
  title: 'One entry a durable commit into a tree',
  peers: true,
  sections(quick) {
    const entries = entriesOf(randomNumbers(made), valueBytes);
    return [alone(entries, quick), together(entries, quick)];
  },
  goals: [
    {
      text: "tree.put <= 1.3 x the bare store's put",
      most: 1.3,
      value: ({ time }) => time(aloneTitle, treePut) / time(aloneTitle, storePut),
    },
    {
      text: "transactionSync <= 1.3 x the bare store's commitSync",
      most: 1.3,
      value: ({ time }) => time(aloneTitle, transactionSync) / time(aloneTitle, storeSync),
    },
    {
      text: 'transactionSync <= 1 x the best peer',
      most: 1,
      value: ({ time, bestPeerTime }) =>
        time(aloneTitle, transactionSync) / bestPeerTime(aloneTitle),
    },
    {
      text: '64 putters >= 30,000 commits/s',
      least: 30_000,
      value: ({ rate }) => rate(togetherTitle, treePut),
    },
    {
      text: '64 putters >= 1.88 x the best peer',
      least: 1.88,
      value: ({ rate, bestPeerRate }) => rate(togetherTitle, treePut) / bestPeerRate(togetherTitle),
    },
  ],
});
