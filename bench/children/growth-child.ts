/**
 * A process with one store that grows and grows: at each count it tells what a commit, a get and an
 * opening take, and its memory.
 *
 * Invariant: it keeps the ids of some hundred thousand values at most, taken evenly from all, so
 * that its own memory does not grow with the store's.
 */

import { type GrainId, Store } from '../../src/index.ts';
import { Dice } from '../support/atlas-bed.ts';
import type { GrowthLine, GrowthTask } from '../support/growth.ts';
import { numberedValues } from '../support/numbered-values.ts';
import { processMemory } from '../support/process-memory.ts';
import { spreadOf } from '../support/spread.ts';

const samplesMax = 100_000;
const openings = 9;
const valuesPerCommit = 100;
const getsPerSample = 500;

const task = JSON.parse(process.argv[2] ?? '{}') as GrowthTask;
const every = Math.ceil((task.counts.at(-1) ?? 1) / samplesMax);
const kept = new BigUint64Array(samplesMax);
const dice = new Dice();
let keptCount = 0;
let count = 0;
let store = await Store.open(task.path);

/** Commits so many values more. */
async function load(values: number): Promise<void> {
  const session = store.session();
  for (const value of numberedValues(count, values)) {
    const id = session.push(value);
    if (count % every === 0 && keptCount < samplesMax) kept[keptCount++] = id;
    count += 1;
  }
  await session.commit();
}

async function grow(to: number): Promise<void> {
  while (count < to) await load(Math.min(to - count, to > 1e6 ? 10_000 : 1_000));
}

async function timed(work: () => unknown): Promise<number> {
  const began = performance.now();
  const result = work();
  if (result instanceof Promise) await result;
  return performance.now() - began;
}

/** Median of what is measured within the time; `after` each, untimed. */
async function median(work: () => unknown, after?: () => Promise<unknown>): Promise<number> {
  const until = performance.now() + task.milliseconds;
  const times: number[] = [];
  do {
    times.push(await timed(work));
    await after?.();
  } while (performance.now() < until);
  return spreadOf(times).median;
}

/** Milliseconds of one commit. Its values go again, so that their number stays what it was. */
function commits(): Promise<number> {
  const values = numberedValues(count, valuesPerCommit);
  let ids: GrainId[] = [];
  const commit = (): Promise<number> => {
    const session = store.session();
    ids = values.map((value) => session.push(value));
    return session.commit();
  };
  const free = async (): Promise<void> => {
    const session = store.session();
    for (const id of ids) session.archive(id);
    await store.checkpointTo(await session.commit());
  };
  return median(commit, free);
}

/** Milliseconds of one get of `among` values that are kept. */
async function gets(among: number): Promise<number> {
  const read = (): void => {
    for (let done = 0; done < getsPerSample; done++) {
      if (store.get(kept[dice.next(among)] as GrainId) === undefined) throw new Error('gone');
    }
  };
  read();
  return (await median(read)) / getsPerSample;
}

async function opening(): Promise<number> {
  const times: number[] = [];
  while (times.length < openings) {
    await store.close();
    const id = kept[dice.next(keptCount)] as GrainId;
    times.push(
      await timed(async () => {
        store = await Store.open(task.path);
        if (store.get(id) === undefined) throw new Error('gone');
      }),
    );
  }
  return spreadOf(times).median;
}

async function measured(at: number): Promise<GrowthLine> {
  const { residentBytes } = processMemory();
  const line = {
    count: at,
    residentBytes,
    commit: await commits(),
    getHot: await gets(Math.min(keptCount, 1_000)),
    getAny: await gets(keptCount),
    open: await opening(),
  };
  return { ...line, fileBytes: store.statistics().fileBytes };
}

for (const at of task.counts) {
  await grow(at);
  console.log(JSON.stringify(await measured(at)));
}
await store.close();
