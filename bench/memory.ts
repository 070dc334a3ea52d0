/**
 * `npm run bench -- memory`: the memory of a process that has just loaded a million values of 100
 * bytes, 1,000 a durable commit, beyond that of a Node process that does nothing; and that of one
 * that loads a forest of a million entries, and reads it.
 *
 * What is resident is counted when the last commit is done, before anything is closed, and the most
 * there ever was; pages of mapped files are told apart. varve with its cache, of which loading
 * reads next to nothing, and without one. The forest has the `cacheBytes` that it has by default:
 * what counts against them, and what the process takes.
 */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Bar, BarChart } from './support/answer.ts';
import { removeFolder } from './support/disk-folder.ts';
import { countText, mebibytesText, tableText } from './support/figures.ts';
import type { ForestMemoryAnswer, ForestMemoryTask } from './support/forest-memory.ts';
import { installedPeers } from './support/peers/installed-peers.ts';
import { ask, type FreeResult } from './support/question.ts';
import { spreadOf } from './support/spread.ts';
import { childAnswer, type LoadAnswer, storeAnswer } from './support/store-process.ts';

const forestTitle = 'memory for a forest: entries of 100 bytes, keys of 8 bytes';
const title = 'memory for values of 100 bytes, 1,000 a commit';
const measuredStores: readonly string[] = ['lmdb', 'better-sqlite3'];
const idle = 'bare Node';
const together = 1_000;
const mebibyte = 1024 * 1024;

/** Medians, each of its own part: the same process is not in the middle of all. */
interface Found {
  readonly resident: number;
  readonly own: number;
  readonly peak: number;
  readonly cached: number;
}

function medianOf(answers: readonly LoadAnswer[]): Found {
  const median = (part: (one: LoadAnswer) => number): number => spreadOf(answers.map(part)).median;
  return {
    resident: median(({ memory }) => memory.residentBytes),
    own: median(({ memory }) => memory.ownBytes),
    peak: median(({ memory }) => memory.peakBytes),
    cached: median(({ cachedBytesMost }) => cachedBytesMost),
  };
}

interface Figures {
  figure(section: string, name: string): number;
}

interface Process {
  readonly name: string;
  readonly kind: Bar['kind'];
  answer(folder: string): Promise<LoadAnswer>;
}

function loading(store: string, count: number, cacheBytes?: number): Process['answer'] {
  const cache = cacheBytes === undefined ? {} : { cacheBytes };
  const task = { work: 'load', store, count, together, marked: count / 2, ...cache } as const;
  return (folder) => storeAnswer<LoadAnswer>({ ...task, folder });
}

function processes(count: number): Process[] {
  const peers = installedPeers().filter(({ name }) => measuredStores.includes(name));
  return [
    { name: idle, kind: 'floor', answer: () => childAnswer<LoadAnswer>('idle-child') },
    { name: 'varve', kind: 'varve', answer: loading('varve', count) },
    { name: 'varve without a cache', kind: 'varve', answer: loading('varve', count, 0) },
    ...peers.map(({ name }): Process => ({ name, kind: 'peer', answer: loading(name, count) })),
  ];
}

async function measure(folder: string, quick: boolean): Promise<FreeResult> {
  const count = quick ? 100_000 : 1_000_000;
  const answers = new Map<Process, LoadAnswer[]>(processes(count).map((one) => [one, []]));
  for (let round = 0; round < (quick ? 1 : 3); round++) {
    for (const [one, given] of answers) {
      const own = join(folder, one.name);
      mkdirSync(own);
      given.push(await one.answer(own));
      removeFolder(own);
    }
  }
  const found = [...answers].map(([one, given]) => ({ ...one, ...medianOf(given) }));
  const bare = found.find(({ name }) => name === idle)?.resident ?? Number.NaN;
  const beyond = ({ resident, cached }: Found): number => resident - bare - cached;
  const rows = found.map((one) => [
    one.name,
    ...[one.resident, one.own, one.peak, one.cached, beyond(one)].map(mebibytesText),
  ]);
  const heading = ['', 'resident', 'its own', 'peak', 'cache', 'beyond bare Node and cache'];
  const text = [
    tableText(heading, rows),
    `${countText(count)} values. 'its own' is without pages of mapped files; the cache is what`,
    'varve read from its file, at most.',
  ].join('\n');
  const bars = found.map(({ name, kind, resident }) => ({
    name,
    kind,
    value: resident / mebibyte,
  }));
  const chart: BarChart = {
    shape: 'bars',
    title: `resident, ${countText(count)} values of 100 bytes loaded`,
    scale: { of: 'count', unit: 'MiB' },
    better: 'less',
    bars,
  };
  const figures = Object.fromEntries(found.map((one) => [one.name, beyond(one) / mebibyte]));
  return { text, figures, charts: [chart] };
}

/** How a forest is loaded: the order of keys, and entries of a transaction. */
const loads = [
  ['sorted', 1_000],
  ['sorted', 10_000],
  ['random', 10_000],
] as const;

function loadName([order, each]: (typeof loads)[number]): string {
  return `${order}, ${countText(each)} a transaction`;
}

/** Bytes of the process beyond bare Node and the budget, in mebibytes. */
async function measureForest(folder: string, quick: boolean): Promise<FreeResult> {
  const count = quick ? 100_000 : 1_000_000;
  const { memory: bare } = await childAnswer<LoadAnswer>('idle-child');
  const rows: string[][] = [];
  const figures: Record<string, number> = {};
  for (const load of quick ? loads.slice(0, 1) : loads) {
    const [order, each] = load;
    const own = join(folder, `${order}-${each}`);
    mkdirSync(own);
    const path = join(own, 'bench.varve');
    const gets = count / 10;
    const task: ForestMemoryTask = { path, count, together: each, order, gets };
    const answer = await childAnswer<ForestMemoryAnswer>('forest-memory-child', task);
    removeFolder(own);
    const { budgetBytes, countedMost, loaded, read } = answer;
    const beyond = (peak: number): number => peak - bare.residentBytes - budgetBytes;
    const bytes = [budgetBytes, countedMost, loaded.peakBytes, beyond(loaded.peakBytes)];
    bytes.push(read.peakBytes, beyond(read.peakBytes));
    rows.push([loadName(load), ...bytes.map(mebibytesText)]);
    figures[loadName(load)] = beyond(loaded.peakBytes) / mebibyte;
    const counted = `counted ${loadName(load)}`;
    figures[counted] = countedMost / budgetBytes;
  }
  const heading = ['', 'budget', 'counted', 'peak', 'beyond', 'peak, read', 'beyond, read'];
  const text = [
    tableText(heading, rows),
    `${countText(count)} entries. 'counted' is the most that the store counted against its budget;`,
    "'peak' the most that was resident, loading and after reads at random; 'beyond' is without",
    `bare Node (${mebibytesText(bare.residentBytes)}) and the budget.`,
  ].join('\n');
  return { text, figures };
}

await ask({
  name: 'memory',
  title: 'Memory of a process that loads values',
  peers: true,
  sections: (quick) => [
    { title, measure: (folder) => measure(folder, quick) },
    { title: forestTitle, measure: (folder) => measureForest(folder, quick) },
  ],
  goals: [
    {
      text: 'beyond bare Node and the cache <= 60 MiB',
      most: 60,
      value: ({ figure }) => figure(title, 'varve'),
    },
    ...loads.map((load, at) => ({
      text: `forest, ${loadName(load)}: counted <= 1.1 x cacheBytes`,
      most: 1.1,
      fullOnly: at > 0,
      value: ({ figure }: Figures) => figure(forestTitle, `counted ${loadName(load)}`),
    })),
    ...loads.slice(0, 2).map((load) => ({
      text: `forest, ${loadName(load)}: loaded beyond bare Node and cacheBytes <= 100 MiB`,
      most: 100,
      fullOnly: true,
      value: ({ figure }: Figures) => figure(forestTitle, loadName(load)),
    })),
  ],
});
