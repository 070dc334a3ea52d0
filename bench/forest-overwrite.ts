/**
 * `npm run bench -- forest-overwrite`: what a tree takes on the disk while its values are written
 * again and again: ten rounds of 100,000 overwrites of random keys, 1,000 a durable transaction, a
 * million in all, of a tree of 100,000 entries of 8 + 100 bytes (of a million entries it would
 * take two minutes).
 *
 * The tree is loaded in one transaction, so that what is found is not what the loading left behind.
 * A key may be written twice in a round. The size is that of the file while it is open, after each
 * round, for each byte of keys and values; the forest frees what it has replaced by itself. What a
 * transaction takes is shown beside it.
 */

import { join } from 'node:path';
import { Forest } from '../src/forest/index.ts';
import type { CurveChart } from './support/answer.ts';
import { Dice } from './support/atlas-bed.ts';
import { bytesText, countText, tableText, threeDigits, timeText } from './support/figures.ts';
import { folderBytes } from './support/folder-bytes.ts';
import { type BytesTree, valueBytes } from './support/forest-bed.ts';
import { ask, type FreeResult } from './support/question.ts';
import { type Entries, entriesOf, keyLength, randomNumbers } from './support/random-entries.ts';
import { spreadOf } from './support/spread.ts';

const title = 'bytes of the file for each byte of keys and values';
const rounds = 10;
const together = 1_000;

interface Round {
  readonly ratio: number;
  readonly liveRatio: number;
  /** Milliseconds of each transaction. */
  readonly times: readonly number[];
}

async function load(forest: Forest, tree: BytesTree, { keys, values }: Entries): Promise<void> {
  await forest.transaction((tx) => {
    const writing = tx.tree(tree);
    for (const [at, key] of keys.entries()) writing.put(key, values[at] as Buffer);
  });
}

/** One transaction: new values under so many random keys. */
async function overwrite(
  forest: Forest,
  tree: BytesTree,
  { keys, values }: Entries,
  dice: Dice,
): Promise<number> {
  const keyIndexes = Array.from({ length: together }, () => dice.next(keys.length));
  const shift = dice.next(values.length);
  const began = performance.now();
  await forest.transaction((tx) => {
    const writing = tx.tree(tree);
    for (const at of keyIndexes) {
      // Another's value: as long, with other bytes in it.
      writing.put(keys[at] as Buffer, values[(at + shift) % values.length] as Buffer);
    }
  });
  return performance.now() - began;
}

async function measure(folder: string, quick: boolean): Promise<FreeResult> {
  const count = quick ? 20_000 : 100_000;
  const commits = quick ? 5 : 100;
  const payload = count * (keyLength + valueBytes);
  const entries = entriesOf(randomNumbers(count), valueBytes);
  const dice = new Dice();
  const forest = await Forest.open(join(folder, 'bench.varve'));
  const tree = forest.tree('entries');
  await load(forest, tree, entries);
  const look = (times: readonly number[]): Round => {
    const { valueBytes: live } = forest.store.statistics();
    return { ratio: folderBytes(folder) / payload, liveRatio: live / payload, times };
  };
  const found = [look([])];
  for (let round = 0; round < rounds; round++) {
    const times: number[] = [];
    while (times.length < commits) times.push(await overwrite(forest, tree, entries, dice));
    found.push(look(times));
  }
  await forest.close();
  const closed = folderBytes(folder) / payload;
  return resultOf(found, { count, commits, payload, closed });
}

interface Facts {
  readonly count: number;
  readonly commits: number;
  readonly payload: number;
  readonly closed: number;
}

function resultOf(found: readonly Round[], facts: Facts): FreeResult {
  const { count, commits, payload, closed } = facts;
  const rows = found.map(({ ratio, liveRatio, times }, round) => {
    const { median, min, max } = spreadOf(times);
    const taken = times.length === 0 ? ['', '', ''] : [median, min, max].map(timeText);
    const name = round === 0 ? 'loaded' : `round ${round}`;
    return [name, threeDigits(ratio), threeDigits(liveRatio), ...taken];
  });
  const text = [
    tableText(['', 'file', 'values', 'transaction: median', 'min', 'max'], rows),
    `${countText(count)} entries, ${bytesText(payload)} of keys and values; a round is`,
    `${countText(commits * together)} overwrites. 'values' are the store's, those archived and not`,
    `freed yet included. Closed after the last round: ${threeDigits(closed)}.`,
  ].join('\n');
  const ratios = found.map(({ ratio }) => ratio);
  const last = ratios.at(-1) ?? Number.NaN;
  const chart: CurveChart = {
    shape: 'curves',
    title,
    scale: { of: 'count', unit: 'x' },
    over: 'overwrites',
    curves: [
      {
        name: 'varve, open',
        kind: 'varve',
        points: ratios.slice(1).map((ratio, at) => [(at + 1) * commits * together, ratio] as const),
      },
    ],
  };
  const figures = {
    most: Math.max(...ratios.slice(1)),
    // The first rounds make the room that the later ones use again.
    growth: last / (ratios[rounds / 2] ?? Number.NaN),
  };
  return { text, figures, charts: [chart] };
}

await ask({
  name: 'forest-overwrite',
  title: 'The size of a tree that is overwritten',
  peers: false,
  sections: (quick) => [{ title, measure: (folder) => measure(folder, quick) }],
  goals: [
    {
      text: 'after any of ten rounds, open <= 1.6 x keys and values',
      most: 1.6,
      fullOnly: true,
      value: ({ figure }) => figure(title, 'most'),
    },
    {
      text: 'stable: after ten rounds <= 1.02 x after five',
      most: 1.02,
      value: ({ figure }) => figure(title, 'growth'),
    },
  ],
});
