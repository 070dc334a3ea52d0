/**
 * `npm run bench -- forest-scaling`: what an entry of ten million costs, against one of a million:
 * u64 to u64, 10,000 a durable transaction, random reads, bytes on the disk, memory.
 *
 * Each tree in a process of its own, with `cacheBytes` of 320 MiB: enough for ten million of these
 * entries. What a forest takes with its default of 64 MiB is a question of `memory`. Entries are loaded in the order of their keys, because at random ten
 * million would take minutes (`npm run scale:forest` does that, by hand); the transactions and
 * reads that are measured afterwards are random, over all of the tree.
 */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { removeFolder } from './support/disk-folder.ts';
import { countText, mebibytesText, tableText, threeDigits, timeText } from './support/figures.ts';
import type { ForestAnswer, ForestTask } from './support/forest-growth.ts';
import { ask, type FreeResult } from './support/question.ts';
import { spreadOf } from './support/spread.ts';
import { childAnswer } from './support/store-process.ts';

const title = 'an entry of a tree of u64 to u64 that grows';
const counts = [1_000_000, 10_000_000] as const;
const quickCounts = [10_000, 100_000] as const;
const mebibyte = 1024 * 1024;
const cacheBytes = 320 * mebibyte;
const growthMost = 1.6;

/** What is held against each other, by entry. */
const parts = ['load', 'insert', 'get', 'live'] as const;
type Costs = Record<(typeof parts)[number], number>;

/** Not the median: one transaction of many writes the nodes that all of them have changed. */
function meanOf(times: readonly number[]): number {
  return times.reduce((sum, time) => sum + time, 0) / times.length;
}

function costsOf({ load, inserts, gets, liveBytes }: ForestAnswer): Costs {
  return { load, insert: meanOf(inserts), get: gets, live: liveBytes };
}

function rowOf(count: number, answer: ForestAnswer): string[] {
  const { load, inserts, gets, memory, openBytes, liveBytes } = answer;
  const { min, max } = spreadOf(inserts);
  return [
    countText(count),
    ...[load, meanOf(inserts), min, max, gets].map(timeText),
    ...[openBytes, liveBytes].map(threeDigits),
    ...[memory.residentBytes, memory.peakBytes].map(mebibytesText),
  ];
}

async function measure(folder: string, quick: boolean): Promise<FreeResult> {
  const answers: ForestAnswer[] = [];
  const chosen = quick ? quickCounts : counts;
  for (const count of chosen) {
    const own = join(folder, String(count));
    mkdirSync(own);
    const task: ForestTask = {
      path: join(own, 'bench.varve'),
      count,
      transactions: quick ? 5 : 50,
      gets: quick ? 20_000 : 100_000,
      cacheBytes,
    };
    answers.push(await childAnswer<ForestAnswer>('forest-child', task));
    removeFolder(own);
  }
  const [few, many] = answers as [ForestAnswer, ForestAnswer];
  const growth: Record<string, number> = {};
  for (const part of parts) growth[part] = costsOf(many)[part] / costsOf(few)[part];
  const beyond = (many.memory.residentBytes - cacheBytes) / mebibyte;
  const heading = ['entries', 'in order', 'at random', 'min', 'max', 'get'];
  const columns = ['bytes open', 'live', 'resident', 'peak'];
  const rows = answers.map((answer, at) => rowOf(chosen[at] ?? 0, answer));
  const text = [
    tableText([...heading, ...columns], rows),
    `Times of one entry of a transaction of 10,000 (mean of ${countText(few.inserts.length)} for`,
    `those at random), and of one get. Growth: ${parts
      .map((part) => `${part} ${threeDigits(growth[part] ?? Number.NaN)}`)
      .join(', ')}.`,
  ].join('\n');
  return { text, figures: { ...growth, beyond } };
}

await ask({
  name: 'forest-scaling',
  title: 'A tree of ten million entries',
  peers: false,
  sections: (quick) => [{ title, measure: (folder) => measure(folder, quick) }],
  goals: [
    ...parts.map((part) => ({
      text: `${part}, an entry of ten million <= ${growthMost} x one of a million`,
      most: growthMost,
      fullOnly: true,
      value: ({ figure }: { figure(section: string, name: string): number }) => figure(title, part),
    })),
    {
      text: 'resident beyond the cache <= 200 MiB',
      most: 200,
      fullOnly: true,
      value: ({ figure }) => figure(title, 'beyond'),
    },
  ],
});
