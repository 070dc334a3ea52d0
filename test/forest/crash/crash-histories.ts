/**
 * Histories of forests for the crash and fault tests, as plain data: written out, one for each
 * thing that a commit of a forest can carry, and made up from a seed.
 *
 * Invariant: a history says which transactions begin together, which is under way while others are
 * committed, and what each changes; it runs nothing. The first three letters of a tree's name say
 * how it is kept (`crash-life.ts`); `blobs` names values of the user's own.
 */

import { Random } from '../../support/random.ts';
import {
  type Changes,
  type ForestChange,
  type ForestHistory,
  type ForestStep,
  longBlobs,
  longUploads,
  type UnderWay,
} from './crash-steps.ts';

const put = (tree: string, key: number, value: number): ForestChange => {
  return { do: 'put', tree, key, value };
};
const puts = (tree: string, key: number, count: number, step = 7): ForestChange => {
  return { do: 'puts', tree, key, step, count };
};
const remove = (tree: string, key: number): ForestChange => ({ do: 'delete', tree, key });
const removeRange = (tree: string, gte: number, lt: number): ForestChange => {
  return { do: 'deleteRange', tree, range: { gte, lt } };
};
const fork = (tree: string, to: string): ForestChange => ({ do: 'fork', tree, to });
const drop = (tree: string): ForestChange => ({ do: 'drop', tree });
const blob = (key: number, value: number): ForestChange => {
  return { do: 'blob', tree: 'blobs', key, value };
};
const upload = (key: number, value: number): ForestChange => {
  return { do: 'upload', tree: 'blobs', key, value };
};
const leftUpload = (value: number, isOpen: boolean): ForestStep => {
  return { step: 'left upload', value, isOpen };
};
const unblob = (key: number): ForestChange => ({ do: 'unblob', tree: 'blobs', key });
const together = (...parts: Changes[]): ForestStep => ({ step: 'together', parts });
const one = (...changes: ForestChange[]): ForestStep => together(changes);
const underWay = (part: Partial<UnderWay>): UnderWay => {
  const nothing = { before: [], first: [], rest: [], after: [] };
  return { step: 'under way', waits: true, ends: 'well', ...nothing, ...part };
};

/** Multiples of 11 from 374 on are kept as values of more than 1 KiB. */
const long = 11 * 40;

/** What the work of others leaves under a transaction that pushes and forks meanwhile. */
const beside = {
  before: [
    [puts('rag', 3, 20), put('sum', 1, 2)],
    [put('rag', 900, long), blob(1, 5)],
  ],
  first: [blob(2, 40), put('rag', 901, long + 11), fork('rag', 'rag2'), puts('log', 0, 12)],
  rest: [blob(3, 7), fork('log', 'log2'), puts('rag2', 50, 9), unblob(1)],
};

const lead = one(puts('rag', 0, 60), puts('log', 100, 25), puts('sum', 0, 30), blob(9, 9));

export const forestHistories: readonly ForestHistory[] = [
  {
    name: 'puts, deletes and ranges over several trees',
    steps: [
      one(puts('rag', 0, 70), puts('fix', 0, 90, 3), puts('sum', 5, 80)),
      one(remove('rag', 14), removeRange('fix', 30, 200), put('sum', 12, 1)),
      one(removeRange('rag', 0, 400), removeRange('sum', 0, 2000), puts('fix', 500, 30)),
    ],
  },
  {
    name: 'forks that go apart, and drops',
    steps: [
      one(puts('rag', 0, 80)),
      one(fork('rag', 'rag2'), put('rag', 7, long), fork('rag', 'rag3')),
      one(removeRange('rag2', 100, 300), puts('rag3', 4, 20), drop('rag')),
      one(fork('rag3', 'rag'), drop('rag3'), remove('rag2', 0)),
      one(drop('rag2'), drop('rag')),
    ],
  },
  {
    name: 'a history with long values, forked and trimmed',
    steps: [
      one(put('log', 1, long), put('log', 2, long + 11), puts('log', 3, 30)),
      one(put('log', 1, 8), remove('log', 2), fork('log', 'log2')),
      one({ do: 'trim', tree: 'log', share: 7 }, put('log2', 1, long + 22)),
      one(drop('log2'), { do: 'trim', tree: 'log', share: 10 }),
    ],
  },
  {
    name: "values of the user's own, archived in the group that pushes them",
    steps: [
      one(blob(1, 3), blob(2, 20)),
      together([blob(1, 15), blob(3, 4)], [unblob(3), blob(4, 6)], [unblob(2), unblob(4)]),
      one(blob(5, 17), unblob(5)),
    ],
  },
  {
    name: 'many transactions in a group',
    steps: [
      together(
        ...Array.from({ length: 9 }, (_, at) => [puts('rag', at * 3, 9), put('fix', at, 1)]),
      ),
      together([fork('rag', 'rag2')], [puts('rag2', 5, 9)], [drop('rag')], [fork('rag2', 'rag')]),
      together([drop('rag2')], [put('rag2', 1, long)], [removeRange('rag', 10, 900)]),
    ],
  },
  { name: 'a transaction under way that ends well', steps: [lead, underWay(beside)] },
  {
    name: 'a transaction under way that throws, and others behind it',
    steps: [
      lead,
      underWay({ ...beside, ends: 'throws', after: [[put('sum', 3, 3)]] }),
      underWay({ ...beside, ends: 'throws' }),
    ],
  },
  {
    name: 'a transaction that goes on while a commit is in flight',
    steps: [
      lead,
      underWay({ ...beside, waits: false, after: [[puts('rag2', 7, 4)], [drop('log')]] }),
      underWay({ ...beside, waits: false, ends: 'throws', after: [[blob(2, 8)]] }),
    ],
  },
  {
    name: 'commits while a snapshot is held',
    steps: [
      lead,
      { step: 'snapshot' },
      one(removeRange('rag', 0, 200), unblob(9)),
      one(fork('log', 'log2'), puts('sum', 1, 20)),
      one(drop('log'), put('rag', 3, long)),
      { step: 'release' },
      one(put('fix', 1, 1)),
      one(put('fix', 2, 1)),
    ],
  },
  {
    name: 'so many nodes dropped that a commit of its own frees them',
    steps: [
      together([puts('log', 0, 1200, 1)], [puts('rag', 0, 1200, 1)]),
      together([drop('log'), drop('rag')], [put('fix', 1, 1)]),
      one(puts('rag', 0, 40)),
    ],
  },
  {
    name: 'closed and opened again',
    steps: [
      lead,
      { step: 'reopen' },
      one(put('rag', 1, long), fork('log', 'log2'), unblob(9)),
      { step: 'reopen' },
      one(drop('log2'), puts('log', 0, 5)),
    ],
  },
  {
    name: 'small changes, told in roots, of several trees',
    steps: [
      one(puts('rag', 0, 60), puts('fix', 0, 60), puts('ver', 0, 20)),
      one(put('rag', 7, long), put('fix', 3, 3)),
      one(put('ver', 7, long), remove('fix', 3)),
      together([put('rag', 7, 5)], [put('ver', 7, long + 11), remove('rag', 0)]),
      one(remove('ver', 7), blob(1, 5)),
      one(puts('fix', 100, 40), unblob(1)),
      one(fork('rag', 'rag2')),
      one(put('rag', 14, 9)),
    ],
  },
  {
    name: 'so many small changes that their roots are made one',
    steps: [
      one(puts('rag', 0, 30)),
      one(put('rag', 1, 1)),
      // Too long to be made one with others.
      one(puts('rag', 0, 250, 5)),
      ...Array.from({ length: 19 }, (_, at) => one(put('rag', at * 7, at))),
    ],
  },
  {
    name: 'small changes, one a commit, whose states are written bit by bit',
    steps: [
      one(puts('fix', 0, 60), puts('rag', 0, 20)),
      ...Array.from({ length: 20 }, (_, at) => one(put('fix', (at * 133) % 420, at))),
      one(put('rag', 7, 1), put('rag', 70, 2)),
      { step: 'snapshot' },
      ...Array.from({ length: 3 }, (_, at) => one(put('fix', (at * 91) % 420, at))),
      { step: 'release' },
      one(fork('rag', 'rag2')),
      ...Array.from({ length: 3 }, (_, at) => one(put('fix', (at * 77) % 420, at))),
    ],
  },
  {
    name: 'forks that go apart by small changes',
    steps: [
      one(puts('rag', 0, 60), put('rag', 5, long), puts('ver', 0, 9), put('ver', 1, long)),
      one(fork('rag', 'rag2'), fork('ver', 'ver2')),
      one(put('rag', 5, 4), put('ver2', 1, 2)),
      one(put('rag2', 6, 4), remove('rag2', 5)),
      { step: 'snapshot' },
      one(put('rag', 8, long + 11), put('ver', 1, 3)),
      { step: 'release' },
      one(drop('rag'), drop('ver2')),
      one(put('rag2', 9, 1), put('ver', 2, 2)),
    ],
  },
  {
    name: 'a transaction under way beside small changes',
    steps: [
      lead,
      one(put('rag', 1, 1)),
      underWay({
        before: [[put('rag', 2, 2)], [put('rag', 3, long)]],
        first: [blob(2, 40), put('rag', 901, long + 11), put('rag', 4, 4)],
        rest: [put('rag', 3, 5)],
        after: [[put('rag', 5, 5)]],
      }),
      underWay({
        before: [[put('rag', 2, 3)]],
        first: [blob(3, 40), put('rag', 902, long + 22), remove('rag', 901)],
        ends: 'throws',
        after: [[put('rag', 5, 6)]],
      }),
      one(put('rag', 6, 6)),
    ],
  },
  {
    name: 'uploads before their transactions, and some that none adopts',
    steps: [
      one(puts('rag', 0, 20), blob(9, 9)),
      one(upload(1, 5), put('rag', 3, 3)),
      leftUpload(21, true),
      together([upload(2, 12)], [upload(1, 8), blob(3, 4)], [unblob(2)]),
      { step: 'thrown', changes: [upload(4, 9), upload(9, 2), put('rag', 5, long)] },
      leftUpload(14, false),
      one(upload(9, 30)),
    ],
  },
  {
    name: 'a long upload',
    steps: [
      one(put('rag', 1, 1)),
      one(upload(1, longUploads)),
      leftUpload(longUploads + 1, true),
      one(upload(1, 7)),
    ],
  },
  {
    name: 'a transaction under way that has adopted an upload',
    steps: [
      lead,
      underWay({ ...beside, first: [upload(2, 20), ...beside.first.slice(1)] }),
      underWay({ ...beside, first: [upload(5, 17), put('rag', 3, 9)], ends: 'throws' }),
      underWay({ before: [[put('rag', 1, 1)]], first: [upload(6, 9)], waits: false }),
    ],
  },
  {
    name: 'on the calling thread',
    steps: [
      { step: 'sync', changes: [puts('rag', 0, 40), blob(1, 30)] },
      { step: 'sync', changes: [fork('rag', 'rag2'), put('rag', 7, long), unblob(1)] },
      { step: 'thrown', changes: [put('rag', 7, 3), blob(1, 4), fork('rag', 'rag3')] },
      { step: 'sync', changes: [drop('rag'), put('sum', 1, 1)] },
    ],
  },
];

/** Much of the file becomes free, and commits go on for as long as a compaction takes. */
export function compactedHistory(seed: number): readonly ForestStep[] {
  const random = new Random(seed);
  return [
    one(blob(10, longBlobs), puts('rag', 0, 20)),
    one(blob(11, longBlobs + 100)),
    one(puts('rag', 1000, 200), blob(1, 60), put('ver', 1, long)),
    one(unblob(10)),
    one(unblob(11)),
    ...Array.from({ length: 70 }, () => one(...randomChanges(random))),
  ];
}

/** What goes on after a crash: it touches old nodes, shared ones and the user's own values. */
export const furtherWork: readonly ForestStep[] = [
  one(put('rag', 41, 8), put('fix', 2, 7), put('ver', 3, long)),
  together(
    [puts('rag', 40, 6), put('log', 5, long), blob(1, 11), unblob(9), upload(7, 3)],
    [fork('rag', 'rag9'), remove('rag', 47), put('sum', 3, 9)],
  ),
];

const names = ['rag', 'rag2', 'log', 'ver', 'sum', 'ver2'];

function randomChange(random: Random): ForestChange {
  const tree = names[random.below(names.length)] as string;
  const key = random.below(500);
  switch (random.below(14)) {
    case 0:
    case 1:
      return puts(tree, key, random.below(40), random.chance(0.5) ? 1 : 13);
    case 2:
      return put(tree, key, random.chance(0.5) ? long + 11 * random.below(40) : random.below(99));
    case 3:
      return remove(tree, key);
    case 4:
      return removeRange(tree, key, key + random.below(300));
    case 5:
    case 6: {
      const kind = tree.slice(0, 3);
      return tree === kind ? fork(kind, `${kind}2`) : fork(tree, kind);
    }
    case 7:
      return drop(tree);
    case 8:
      return { do: 'trim', tree: random.chance(0.5) ? 'log' : 'log2', share: random.below(11) };
    case 9:
      return unblob(random.below(4));
    case 10:
      return upload(random.below(4), random.below(60));
    default:
      return blob(random.below(4), random.below(60));
  }
}

/** Of every few, one whose changes are small. */
function randomChanges(random: Random): ForestChange[] {
  if (random.chance(0.4)) {
    const keys = Array.from({ length: 1 + random.below(3) }, () => random.below(500));
    return keys.map((key) => put(random.chance(0.5) ? 'rag' : 'ver', key, random.below(99)));
  }
  return Array.from({ length: 1 + random.below(4) }, () => randomChange(random));
}

function randomParts(random: Random, most: number): ForestChange[][] {
  return Array.from({ length: random.below(most + 1) }, () => randomChanges(random));
}

function randomStep(random: Random): ForestStep {
  switch (random.below(10)) {
    case 7:
      return leftUpload(random.below(60), random.chance(0.5));
    case 0:
      return { step: 'sync', changes: randomChanges(random) };
    case 1:
      return { step: 'thrown', changes: randomChanges(random) };
    case 2:
      return { step: 'snapshot' };
    case 3:
      return { step: random.chance(0.5) ? 'release' : 'reopen' };
    case 4:
    case 5:
    case 6:
      return underWay({
        before: randomParts(random, 2),
        first: randomChanges(random),
        waits: random.chance(0.5),
        rest: randomChanges(random),
        ends: random.chance(0.5) ? 'well' : 'throws',
        after: randomParts(random, 2),
      });
    default:
      return together(randomChanges(random), ...randomParts(random, 3));
  }
}

/** A history made up from a seed. */
export function randomForestHistory(seed: Random, length: number): ForestStep[] {
  return [lead, ...Array.from({ length }, () => randomStep(seed))];
}
