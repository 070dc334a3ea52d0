/**
 * `npm run bench -- event-loop`: for how long one piece of work keeps the event loop from turning:
 * commits, large values written and read, opening.
 *
 * For each operation its longest block counts; what of that was garbage collection is told apart.
 * The floor does nothing, or the bare writes: its blocks are the machine's own. Timers are late by
 * about a millisecond as a matter of course.
 */

import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { type GrainId, Store } from '../src/index.ts';
import type { Bar, BarChart } from './support/answer.ts';
import { removeFolder } from './support/disk-folder.ts';
import { countText, tableText, timeText } from './support/figures.ts';
import { FloorFile } from './support/floor-file.ts';
import type { Figures } from './support/goals.ts';
import { loadNumbered, loneStoreOpener } from './support/lone-store.ts';
import { LoopWatch } from './support/loop-watch.ts';
import { Payload, randomValue } from './support/payload.ts';
import { ask, type FreeResult } from './support/question.ts';
import { type Spread, spreadOf } from './support/spread.ts';

const mebibyte = 1024 * 1024;
const title = 'longest block of the event loop, by operation';

/** Work whose blocks are looked at; `repeat` times. */
interface Scenario {
  readonly name: string;
  readonly kind: Bar['kind'];
  readonly repeat: number;
  /** Sets it up. */
  begin(folder: string): Promise<Operation>;
}

interface Operation {
  /** What comes before each `run` and does not count. */
  before?(): Promise<unknown>;
  run(): Promise<unknown>;
  end?(): Promise<unknown>;
}

const manySmall = 'commit, 64 clients, 1..20 values of 0..4096 bytes';
const oneWide = 'commit, one session of 10,000 values';
const pieces = 'commit, 16 MiB staged by puts of 1 MiB - 1 KiB';
const putLarge = 'put of 64 MiB';
const getLarge = 'getAsync of 64 MiB';
/** Those that are never to block for long. */
const held = [manySmall, oneWide, pieces, putLarge, getLarge] as const;

function idle(repeat: number): Scenario {
  return {
    name: 'nothing at all for 20 ms',
    kind: 'floor',
    repeat,
    begin: async () => ({ run: () => setTimeout(20) }),
  };
}

function bareWrites(repeat: number): Scenario {
  return {
    name: 'pwrite of 64 MiB + fdatasync through the pool',
    kind: 'floor',
    repeat,
    async begin(folder) {
      const value = randomValue(64 * mebibyte);
      const file = new FloorFile(join(folder, 'floor'), 64 * mebibyte);
      return { run: () => file.commit(value), end: async () => file.close() };
    },
  };
}

function withStore(
  name: string,
  repeat: number,
  work: (store: Store) => Promise<() => Promise<unknown>>,
): Scenario {
  return {
    name,
    kind: 'varve',
    repeat,
    async begin(folder) {
      const store = await Store.open(join(folder, 'bench.varve'));
      const run = await work(store);
      return { run, end: () => store.close() };
    },
  };
}

/** Clients that commit, wait and commit again, ten times each. */
async function smallCommits(store: Store): Promise<() => Promise<unknown>> {
  const payload = new Payload();
  const client = async (): Promise<void> => {
    for (let commit = 0; commit < 10; commit++) {
      const session = store.session();
      const values = 1 + payload.dice.next(20);
      for (let at = 0; at < values; at++) session.push(payload.next(payload.dice.next(4097)));
      await session.commit();
    }
  };
  return () => Promise.all(Array.from({ length: 64 }, client));
}

/** Pushed in pieces, so that only the commit can block. */
async function wideCommit(store: Store): Promise<() => Promise<unknown>> {
  const payload = new Payload();
  return async () => {
    const session = store.session();
    for (let at = 0; at < 10_000; at++) {
      session.push(payload.next(90));
      if (at % 100 === 99) await setImmediate();
    }
    await session.commit();
  };
}

function scenarios(quick: boolean): Scenario[] {
  const often = quick ? 8 : 60;
  const seldom = quick ? 3 : 20;
  return [
    idle(often),
    bareWrites(seldom),
    withStore(manySmall, often, smallCommits),
    withStore(oneWide, seldom, wideCommit),
    withStore(pieces, seldom, async (store) => {
      const value = randomValue(mebibyte - 1024);
      return () => putOneByOne(store, value, 17);
    }),
    withStore(putLarge, seldom, async (store) => {
      const value = randomValue(64 * mebibyte);
      return async () => {
        const { id, batch } = await store.put(value);
        await freeLater(store, id, batch);
      };
    }),
    withStore(getLarge, seldom, async (store) => {
      const { id } = await store.put(randomValue(64 * mebibyte));
      return () => store.getAsync(id);
    }),
    opening('open, closed before', seldom, quick ? 100_000 : 1_000_000, true),
    opening('open, not closed before', seldom, quick ? 100_000 : 1_000_000, false),
  ];
}

/** Each in a turn of its own; they are committed together all the same, but for the first. */
async function putOneByOne(store: Store, value: Uint8Array, count: number): Promise<void> {
  const puts: Promise<unknown>[] = [];
  while (puts.length < count) {
    puts.push(store.put(value));
    await setImmediate();
  }
  await Promise.all(puts);
}

/** So that the disk does not fill up: a small commit that is a part of the operation. */
async function freeLater(store: Store, id: GrainId, batch: number): Promise<void> {
  const session = store.session();
  session.archive(id);
  session.checkpointTo(batch);
  await session.commit();
}

/** A file that was not closed is a copy of one that is open: as if its process had been killed. */
function opening(name: string, repeat: number, count: number, closed: boolean): Scenario {
  return {
    name: `${name}, ${countText(count)} values`,
    kind: 'varve',
    repeat,
    async begin(folder) {
      const store = await (await loneStoreOpener('varve', count / 2))(folder);
      await loadNumbered(store, count, 1_000);
      const loaded = join(folder, 'bench.varve');
      const image = join(folder, 'image');
      const copy = join(folder, 'copy.varve');
      if (closed) await store.close();
      copyFileSync(loaded, image);
      if (!closed) await store.close();
      let opened: Store | undefined;
      return {
        async before() {
          await opened?.close();
          copyFileSync(image, copy);
        },
        async run() {
          opened = await Store.open(copy);
        },
        end: async () => await opened?.close(),
      };
    },
  };
}

interface Blocks {
  /** Milliseconds; over the longest of each operation. */
  readonly median: number;
  readonly p99: number;
  readonly max: number;
  /** Of the longest of all, without garbage collection. */
  readonly withoutCollecting: number;
  readonly timers: Spread;
}

async function blocksOf(scenario: Scenario, folder: string): Promise<Blocks> {
  const { before, run, end } = await scenario.begin(folder);
  const warmUps = 2;
  for (let done = 0; done < warmUps; done++) {
    await before?.();
    await run();
  }
  globalThis.gc?.();
  const watch = new LoopWatch();
  for (let done = 0; done < scenario.repeat; done++) {
    await before?.();
    await watch.operate(run);
  }
  const { longest, timers } = await watch.end();
  await end?.();
  const { median, p99, max } = spreadOf(longest.map(({ length }) => length));
  const without = spreadOf(longest.map(({ length, collecting }) => length - collecting));
  return { median, p99, max, withoutCollecting: without.max, timers: spreadOf(timers) };
}

async function measure(folder: string, quick: boolean): Promise<FreeResult> {
  const figures: Record<string, number> = {};
  const rows: string[][] = [];
  const bars: Bar[] = [];
  for (const [at, scenario] of scenarios(quick).entries()) {
    const { name, kind, repeat } = scenario;
    const own = join(folder, String(at));
    mkdirSync(own);
    const { median, p99, max, withoutCollecting, timers } = await blocksOf(scenario, own);
    removeFolder(own);
    figures[`${name}: p99`] = p99;
    figures[`${name}: max`] = max;
    const times = [median, p99, max, withoutCollecting, timers.p99, timers.max].map(timeText);
    rows.push([kind === 'floor' ? `floor: ${name}` : name, ...times, countText(repeat)]);
    bars.push({ name, kind, value: max });
  }
  const blocks = ['median', 'p99', 'max', 'max without gc'];
  const heading = ['', ...blocks, 'timers: p99', 'max', 'operations'];
  const scale = { of: 'time' } as const;
  const chart: BarChart = { shape: 'bars', title, scale, better: 'less', bars };
  return { text: tableText(heading, rows), figures, charts: [chart] };
}

function worst(figures: Figures, which: 'p99' | 'max'): number {
  return Math.max(...held.map((name) => figures.figure(title, `${name}: ${which}`)));
}

await ask({
  name: 'event-loop',
  title: 'How long the event loop is blocked',
  peers: false,
  sections: (quick) => [{ title, measure: (folder) => measure(folder, quick) }],
  goals: [
    ...held.map((name) => ({
      text: `${name}: never longer than 10 ms`,
      most: 10,
      value: ({ figure }: Figures) => figure(title, `${name}: max`),
    })),
    {
      text: 'commit, put and getAsync: p99 <= 10 ms',
      most: 10,
      value: (figures) => worst(figures, 'p99'),
    },
  ],
});
