/**
 * `npm run bench -- forest-tail`: the tail of durable puts: 16 clients overwrite random keys of a
 * tree of 300,000 entries of 8 + 100 bytes, each waits for its put and puts again, 40,000 puts a
 * round.
 *
 * The journal fills many times in each round, so its nodes are written while the clients put. The
 * longest block of the event loop is that of a whole round. The floor writes as many bytes in as many
 * commits as clients that share one: its tail is the disk's own.
 */

import { join } from 'node:path';
import { Dice } from './support/atlas-bed.ts';
import { bytesText, countText, tableText, timeText } from './support/figures.ts';
import { FloorFile } from './support/floor-file.ts';
import { forestBed, valueBytes } from './support/forest-bed.ts';
import { LoopWatch } from './support/loop-watch.ts';
import { ask, type FreeResult } from './support/question.ts';
import { entriesOf, keyLength, randomNumbers } from './support/random-entries.ts';
import { type Spread, spreadOf } from './support/spread.ts';

const title = 'puts by 16 clients at once, each waits for its own';
const clients = 16;

/** One round of puts. */
interface Round {
  /** Milliseconds of the puts. */
  readonly times: Spread;
  /** Milliseconds of the longest block of the event loop, and how much of it was collecting. */
  readonly block: number;
  readonly collecting: number;
  readonly perSecond: number;
  /** Milliseconds of the processor for a thousand puts. */
  readonly processor: number;
  readonly bytesPerPut: number;
}

interface Target {
  put(at: number): Promise<unknown>;
  /** Bytes written to the disk so far. */
  bytesWritten(): number;
}

async function round(target: Target, count: number, next: () => number): Promise<Round> {
  const times: number[] = [];
  let begun = 0;
  const client = async (): Promise<void> => {
    while (begun < count) {
      begun += 1;
      const from = performance.now();
      await target.put(next());
      times.push(performance.now() - from);
    }
  };
  const watch = new LoopWatch();
  const bytes = target.bytesWritten();
  const before = process.cpuUsage();
  const began = performance.now();
  await watch.operate(() => Promise.all(Array.from({ length: clients }, client)));
  const took = performance.now() - began;
  const { user, system } = process.cpuUsage(before);
  const { longest } = await watch.end();
  const { length = 0, collecting = 0 } = longest[0] ?? {};
  return {
    times: spreadOf(times),
    block: length,
    collecting,
    perSecond: (count / took) * 1e3,
    processor: user / count + system / count,
    bytesPerPut: (target.bytesWritten() - bytes) / count,
  };
}

/** A commit of the bare file for all puts that wait. */
function floorTarget(folder: string): Target & { close(): void } {
  const bytes = new Uint8Array(clients * (keyLength + valueBytes));
  const file = new FloorFile(join(folder, 'floor'), bytes.length);
  let written = 0;
  let shared: Promise<unknown> | undefined;
  return {
    put: () => {
      shared ??= Promise.resolve().then(async () => {
        await file.commit(bytes);
        written += bytes.length;
        shared = undefined;
      });
      return shared;
    },
    bytesWritten: () => written,
    close: () => file.close(),
  };
}

function median(values: readonly number[]): number {
  return spreadOf(values).median;
}

function rowOf(name: string, rounds: readonly Round[]): string[] {
  const of = (pick: (one: Round) => number): number => median(rounds.map(pick));
  return [
    name,
    timeText(of(({ times }) => times.median)),
    timeText(of(({ times }) => times.p99)),
    timeText(of(({ times }) => times.p999)),
    timeText(of(({ times }) => times.max)),
    timeText(of(({ block }) => block)),
    timeText(of(({ collecting }) => collecting)),
    countText(of(({ perSecond }) => perSecond)),
    timeText(of(({ processor }) => processor)),
    bytesText(Math.round(of(({ bytesPerPut }) => bytesPerPut))),
  ];
}

async function measure(folder: string, quick: boolean): Promise<FreeResult> {
  const entries = quick ? 100_000 : 300_000;
  const count = quick ? 10_000 : 40_000;
  const repeat = quick ? 2 : 3;
  const { forest, tree } = await forestBed(folder, entries);
  const { keys } = entriesOf(randomNumbers(entries), valueBytes);
  const { values } = entriesOf(randomNumbers(10_000, 2), valueBytes);
  const dice = new Dice();
  const target: Target = {
    put: (at) => tree.put(keys[at] as Buffer, values[at % values.length] as Buffer),
    bytesWritten: () => forest.store.statistics().bytesWritten,
  };
  const floor = floorTarget(folder);
  const rounds: Round[] = [];
  const floors: Round[] = [];
  for (let at = 0; at < repeat; at++) {
    rounds.push(await round(target, count, () => dice.next(entries)));
    floors.push(await round(floor, count, () => 0));
  }
  floor.close();
  await forest.close();
  const heading = ['', 'p50', 'p99', 'p99.9', 'max', 'block', 'of it gc', 'puts/s', 'CPU/1000'];
  const text = [
    tableText(
      [...heading, 'written/put'],
      [rowOf('varve tree.put', rounds), rowOf('write + sync', floors)],
    ),
    `${countText(entries)} entries; each figure is the median of ${repeat} rounds of`,
    `${countText(count)} puts.`,
  ].join('\n');
  const p999 = median(rounds.map(({ times }) => times.p999));
  const figures = {
    p99OfMedian: median(rounds.map(({ times }) => times.p99 / times.median)),
    p999,
    block: median(rounds.map(({ block }) => block)),
  };
  return { text, figures };
}

await ask({
  name: 'forest-tail',
  title: 'The tail of durable puts into a tree of 300,000 entries',
  peers: false,
  sections: (quick) => [{ title, measure: (folder) => measure(folder, quick) }],
  goals: [
    {
      text: 'p99 <= 5 x the median',
      most: 5,
      value: ({ figure }) => figure(title, 'p99OfMedian'),
    },
    { text: 'p99.9 <= 15 ms', most: 15, value: ({ figure }) => figure(title, 'p999') },
    {
      text: 'no block of the event loop above 10 ms',
      most: 10,
      value: ({ figure }) => figure(title, 'block'),
    },
  ],
});
