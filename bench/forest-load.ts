/**
 * `npm run bench -- forest-load`: a million random numbers of 64 bits, each under itself as key, in
 * durable transactions of 10,000 and in one; then all of them read at random; and what they take
 * on the disk. Also 300,000 values of 100 bytes under such keys, in transactions of 1,000, once.
 *
 * Each time into an empty folder, in turn, in another order each round. What takes long is asked
 * in the first round only. Left out are classic-level (seven seconds of writing, eight of reading),
 * and rocksdb where all is one transaction (slower than by 10,000) and where it is read: it has no
 * synchronous read. With values of 100 bytes lmdb and classic-level are asked. The forest has the
 * caches that it has by default and encodes bigints in the time measured; peers are given bytes.
 * Bytes that live are those of nodes that are not archived.
 */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { Bar, BarChart } from './support/answer.ts';
import { Dice } from './support/atlas-bed.ts';
import {
  type BulkContender,
  type BulkResult,
  type BulkTask,
  bulkForest,
  bulkPeer,
} from './support/bulk-contender.ts';
import { removeFolder } from './support/disk-folder.ts';
import { countText, tableText, threeDigits, timeText } from './support/figures.ts';
import { installedPeers } from './support/peers/installed-peers.ts';
import { ask, type FreeResult, type FreeSection } from './support/question.ts';
import { randomNumbers } from './support/random-entries.ts';
import { type Spread, spreadOf } from './support/spread.ts';

interface Shape {
  readonly title: string;
  readonly together: number;
  readonly reads: boolean;
  readonly valueBytes?: number;
  readonly rounds: number;
  readonly count: number;
  readonly contenders: readonly BulkContender[];
  /** Names of those that are asked in the first round only. */
  readonly once: readonly string[];
}

const million = 1_000_000;
const quickCount = 100_000;
const rounds = 3;
const varveAsync = 'varve transaction';
const varveSync = 'varve transactionSync';
/** Milliseconds that a peer's own threads have to come to rest before the next is asked. */
const pause = 100;

function peers(...names: readonly string[]): BulkContender[] {
  return installedPeers()
    .filter(({ name }) => names.includes(name))
    .map(bulkPeer);
}

const many: Shape = {
  title: 'random u64 to u64, 10,000 a durable transaction',
  together: 10_000,
  reads: true,
  rounds,
  count: million,
  contenders: [bulkForest(varveAsync, 'async'), ...peers('lmdb', 'better-sqlite3', 'rocksdb')],
  once: ['better-sqlite3'],
};

const single: Shape = {
  title: 'random u64 to u64, all in one durable transaction',
  together: million,
  reads: false,
  rounds,
  count: million,
  contenders: [
    bulkForest(varveAsync, 'async'),
    bulkForest(varveSync, 'sync'),
    ...peers('lmdb', 'better-sqlite3'),
  ],
  once: ['better-sqlite3'],
};

const small: Shape = {
  title: 'random u64 to 100 bytes, 1,000 a durable transaction',
  together: 1_000,
  reads: false,
  valueBytes: 100,
  rounds: 1,
  count: 300_000,
  contenders: [bulkForest(varveAsync, 'async'), ...peers('lmdb', 'classic-level')],
  once: [],
};

interface Found {
  readonly contender: BulkContender;
  readonly results: readonly BulkResult[];
}

type Part = keyof BulkResult;

async function measureAll(shape: Shape, task: BulkTask, folder: string): Promise<Found[]> {
  const found = shape.contenders.map((contender) => ({ contender, results: [] as BulkResult[] }));
  const dice = new Dice();
  for (let round = 0; round < (task.numbers.length < shape.count ? 1 : shape.rounds); round++) {
    const rest = found.filter(
      ({ contender }) => round === 0 || !shape.once.includes(contender.name),
    );
    while (rest.length > 0) {
      const [one] = rest.splice(dice.next(rest.length), 1);
      const own = join(folder, 'own');
      mkdirSync(own);
      if (one !== undefined) one.results.push(await one.contender.run(own, task));
      removeFolder(own);
      // What one of them left in memory is not to be cleared away in the time of the next.
      globalThis.gc?.();
      await setTimeout(pause);
    }
  }
  return found;
}

function spreadOfPart({ results }: Found, part: Part, factor = 1): Spread {
  const samples = results.map((result) => result[part]).filter((value) => !Number.isNaN(value));
  return spreadOf(samples, factor);
}

function bestPeer(found: readonly Found[], part: Part): number {
  const medians = found
    .filter(({ contender }) => contender.kind === 'peer')
    .map((one) => spreadOfPart(one, part).median)
    .filter((median) => !Number.isNaN(median));
  return medians.length === 0 ? Number.NaN : Math.min(...medians);
}

/** A table of one part, of those in which it was measured. */
function partTable(
  found: readonly Found[],
  part: Part,
  heading: string,
  text: (value: number) => string,
): string {
  const best = bestPeer(found, part);
  const rows = found.flatMap((one) => {
    const { samples, median, min, max } = spreadOfPart(one, part);
    if (samples === 0) return [];
    const isVarve = one.contender.kind === 'varve';
    const ofPeer = isVarve && !Number.isNaN(best) ? threeDigits(median / best) : '';
    return [[one.contender.name, text(median), text(min), text(max), ofPeer, countText(samples)]];
  });
  return tableText([heading, 'median', 'min', 'max', 'x best peer', 'samples'], rows);
}

function chartOf(found: readonly Found[], part: Part, title: string): BarChart {
  const bars = found.flatMap((one): Bar[] => {
    const { samples, median } = spreadOfPart(one, part);
    const { name, kind } = one.contender;
    return samples === 0 ? [] : [{ name, kind, value: median }];
  });
  return { shape: 'bars', title, scale: { of: 'time' }, better: 'less', bars };
}

function section(shape: Shape, quick: boolean): FreeSection {
  const { title, together, reads, valueBytes } = shape;
  return {
    title,
    async measure(folder): Promise<FreeResult> {
      const count = quick ? quickCount : shape.count;
      const numbers = randomNumbers(count);
      const entries = { numbers, together: Math.min(together, count), reads };
      const task: BulkTask = valueBytes === undefined ? entries : { ...entries, valueBytes };
      const found = await measureAll(shape, task, folder);
      const perEntry = (bytes: number): string => threeDigits(bytes / count);
      const tables = [
        partTable(found, 'load', `${countText(count)} entries`, timeText),
        ...(reads ? [partTable(found, 'gets', `${countText(count)} gets`, timeText)] : []),
        partTable(found, 'openBytes', 'bytes an entry, open', perEntry),
        partTable(found, 'liveBytes', 'bytes an entry that live', perEntry),
      ];
      const figures: Record<string, number> = {};
      for (const one of found) {
        const { name } = one.contender;
        // Per million, so that quick runs are held against the same bounds.
        const perMillion = million / count / 1e3;
        figures[`${name}: seconds`] = spreadOfPart(one, 'load', perMillion).median;
        figures[`${name}: gets`] = spreadOfPart(one, 'gets', perMillion).median;
        figures[`${name}: open`] = spreadOfPart(one, 'openBytes', 1 / count).median;
        figures[`${name}: live`] = spreadOfPart(one, 'liveBytes', 1 / count).median;
      }
      const load = figures[`${varveAsync}: seconds`] ?? Number.NaN;
      const gets = figures[`${varveAsync}: gets`] ?? Number.NaN;
      const perSecond = million / count / 1e3;
      figures['load of best peer'] = load / (bestPeer(found, 'load') * perSecond);
      figures['gets of best peer'] = gets / (bestPeer(found, 'gets') * perSecond);
      const charts = [chartOf(found, 'load', title)];
      if (reads) charts.push(chartOf(found, 'gets', 'then as many random gets'));
      return { text: tables.join('\n\n'), figures, charts };
    },
  };
}

await ask({
  name: 'forest-load',
  title: 'A million random numbers into a tree',
  peers: true,
  sections: (quick) => [many, single, small].map((shape) => section(shape, quick)),
  goals: [
    {
      text: 'a million, 10,000 a transaction <= 2.5 s',
      most: 2.5,
      fullOnly: true,
      value: ({ figure }) => figure(many.title, `${varveAsync}: seconds`),
    },
    {
      text: '10,000 a transaction <= 1 x the best peer',
      most: 1,
      fullOnly: true,
      value: ({ figure }) => figure(many.title, 'load of best peer'),
    },
    {
      text: 'a million in one transaction <= 1 s',
      most: 1,
      fullOnly: true,
      value: ({ figure }) => figure(single.title, `${varveAsync}: seconds`),
    },
    {
      text: 'one transaction <= 0.59 x the best peer',
      most: 0.59,
      fullOnly: true,
      value: ({ figure }) => figure(single.title, 'load of best peer'),
    },
    {
      text: '300,000 of 100 bytes, 1,000 a transaction <= 1 x lmdb',
      most: 1,
      fullOnly: true,
      value: ({ figure }) =>
        figure(small.title, `${varveAsync}: seconds`) / figure(small.title, 'lmdb: seconds'),
    },
    {
      text: 'then a million gets <= 0.8 s',
      most: 0.8,
      fullOnly: true,
      value: ({ figure }) => figure(many.title, `${varveAsync}: gets`),
    },
    {
      text: 'gets <= 0.64 x the best peer',
      most: 0.64,
      fullOnly: true,
      value: ({ figure }) => figure(many.title, 'gets of best peer'),
    },
    {
      text: 'bytes an entry that live <= 28',
      most: 28,
      value: ({ figure }) => figure(many.title, `${varveAsync}: live`),
    },
    {
      text: 'bytes an entry, file while open <= 50',
      most: 50,
      fullOnly: true,
      value: ({ figure }) => figure(many.title, `${varveAsync}: open`),
    },
  ],
});
