/**
 * A process with one tree of u64 to u64 that is loaded in the order of its keys, then takes
 * transactions of random keys, then is read at random.
 *
 * Invariant: keys are made as they are needed, so that the process has no memory of its own that
 * grows with the tree. The clock runs over transactions and reads only.
 */

import { statSync } from 'node:fs';
import { codecs, Forest } from '../../src/forest/index.ts';
import { Dice } from '../support/atlas-bed.ts';
import type { ForestAnswer, ForestTask } from '../support/forest-growth.ts';
import { processMemory } from '../support/process-memory.ts';
import { randomNumbers } from '../support/random-entries.ts';

const together = 10_000;

const task = JSON.parse(process.argv[2] ?? '{}') as ForestTask;
const { path, count, cacheBytes } = task;
const forest = await Forest.open(path, { cacheBytes });
const tree = forest.tree('entries', { key: codecs.u64, value: codecs.u64 });
const step = 2n ** 64n / BigInt(count);

/** Milliseconds of one transaction that puts each number under itself. */
async function put(numbers: readonly bigint[]): Promise<number> {
  const began = performance.now();
  await forest.transaction((tx) => {
    const writing = tx.tree(tree);
    for (const number of numbers) writing.put(number, number);
  });
  return performance.now() - began;
}

async function load(): Promise<number> {
  let total = 0;
  for (let from = 0; from < count; from += together) {
    const length = Math.min(together, count - from);
    total += await put(Array.from({ length }, (_, at) => BigInt(from + at) * step));
  }
  return total / count;
}

async function inserts(): Promise<number[]> {
  const times: number[] = [];
  while (times.length < task.transactions) {
    const numbers = Array.from(randomNumbers(together, times.length + 2));
    times.push((await put(numbers)) / together);
  }
  return times;
}

/** Milliseconds of one get, after as many that are not counted. */
function gets(): number {
  const dice = new Dice();
  let milliseconds = 0;
  for (let lap = 0; lap < 2; lap++) {
    const asked = Array.from({ length: task.gets }, () => BigInt(dice.next(count)) * step);
    const began = performance.now();
    for (const number of asked) if (tree.get(number) !== number) throw new Error('another value');
    milliseconds = performance.now() - began;
  }
  return milliseconds / task.gets;
}

const loaded = await load();
const inserted = await inserts();
const read = gets();
const memory = processMemory();
const openBytes = statSync(path).size;
await forest.store.checkpointTo(forest.store.currentBatch);
const { valueBytes } = forest.store.statistics();
const answer: ForestAnswer = {
  load: loaded,
  inserts: inserted,
  gets: read,
  memory,
  openBytes: openBytes / tree.count(),
  liveBytes: valueBytes / tree.count(),
};
await forest.close();
console.log(JSON.stringify(answer));
