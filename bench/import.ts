/**
 * `npm run bench -- import`: the time that a new process takes to import a package, and to open a
 * database of a million values of 100 bytes and get one of them.
 *
 * Each sample is a process of its own, in turn with the others. It runs the built package in dist/,
 * as a user's program would, from a text on the command line: nothing else was imported before. The
 * start of Node does not count. The files are in the system's page cache.
 */

import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Bar, BarChart } from './support/answer.ts';
import { projectFolder } from './support/disk-folder.ts';
import { countText, tableText, timeText } from './support/figures.ts';
import { installedPeers } from './support/peers/installed-peers.ts';
import { ask, type FreeResult } from './support/question.ts';
import { type Spread, spreadOf } from './support/spread.ts';
import { storeAnswer } from './support/store-process.ts';

interface Effort {
  readonly values: number;
  /** New processes of each package. */
  readonly processes: number;
}

const fullEffort: Effort = { values: 1_000_000, processes: 21 };
const quickEffort: Effort = { values: 100_000, processes: 5 };
const loadedTogether = 1_000;

const importTitle = 'import';
const openTitle = 'first open + get of 100 bytes';

/** A package, and how a program opens its database; what it needs is called `loaded`. */
interface Package {
  readonly name: string;
  readonly kind: Bar['kind'];
  readonly specifier: string;
  /** Statements that set `value` and `close`; undefined if only the import is measured. */
  readonly opening?: string;
}

const varve: Package = {
  name: 'varve',
  kind: 'varve',
  specifier: 'varve',
  opening: `
    const store = await loaded.Store.open(folder + '/bench.varve');
    value = store.get(store.embeddedHeader);
    close = () => store.close();`,
};
const forest: Package = { name: 'varve/forest', kind: 'varve', specifier: 'varve/forest' };
const nothing: Package = {
  name: 'an empty module',
  kind: 'floor',
  specifier: join(projectFolder, 'build', 'bench', 'children', 'empty-module.js'),
};

const peers: readonly Package[] = [
  {
    name: 'better-sqlite3',
    kind: 'peer',
    specifier: 'better-sqlite3',
    opening: `
      const database = new loaded.default(folder + '/peer.db');
      value = database.prepare('SELECT data FROM stored WHERE id = ?').pluck().get(marked);
      close = () => database.close();`,
  },
  {
    name: 'classic-level',
    kind: 'peer',
    specifier: 'classic-level',
    opening: `
      const options = { keyEncoding: 'buffer', valueEncoding: 'view' };
      const database = new loaded.ClassicLevel(folder + '/peer', options);
      await database.open();
      const key = Buffer.alloc(4);
      key.writeUInt32BE(marked);
      value = database.getSync(key);
      close = () => database.close();`,
  },
  {
    name: 'lmdb',
    kind: 'peer',
    specifier: 'lmdb',
    opening: `
      const options = { encoding: 'binary', keyEncoding: 'uint32' };
      const database = loaded.open(folder + '/peer.mdb', options);
      value = database.getBinary(marked);
      close = () => database.close();`,
  },
];

interface Times {
  readonly importing: number;
  readonly opening: number;
}

const run = promisify(execFile);

/** A new process. Names are found from `bench/`, where the peers are; varve by its own package. */
async function timesOf(one: Package, folder: string, marked: number): Promise<Times> {
  const program = `
    const folder = ${JSON.stringify(folder)};
    const marked = ${marked};
    let value, close;
    const began = performance.now();
    const loaded = await import(${JSON.stringify(one.specifier)});
    const imported = performance.now();
    ${one.opening ?? ''}
    const opened = performance.now();
    if (close !== undefined && value?.length !== 100) throw new Error('the value is not there');
    await close?.();
    console.log(JSON.stringify({ importing: imported - began, opening: opened - imported }));`;
  const cwd = one.kind === 'peer' ? join(projectFolder, 'bench') : projectFolder;
  const args = ['--input-type=module', '-e', program];
  const { stdout } = await run(process.execPath, args, { cwd });
  return JSON.parse(stdout) as Times;
}

interface Measured {
  readonly one: Package;
  readonly times: Times[];
}

async function measureAll(folder: string, effort: Effort): Promise<Measured[]> {
  const installed = new Set(installedPeers().map(({ name }) => name));
  const packages = [nothing, varve, forest, ...peers.filter(({ name }) => installed.has(name))];
  const measured = packages.map((one): Measured => ({ one, times: [] }));
  const marked = effort.values / 2;
  for (const { one } of measured.filter(({ one }) => one.opening !== undefined)) {
    const own = join(folder, one.name);
    mkdirSync(own);
    const work = { work: 'load', store: one.name, folder: own, marked } as const;
    await storeAnswer({ ...work, count: effort.values, together: loadedTogether });
  }
  // The first round only brings files into the page cache.
  for (let round = 0; round <= effort.processes; round++) {
    for (const { one, times } of measured) {
      const found = await timesOf(one, join(folder, one.name), marked);
      if (round > 0) times.push(found);
    }
  }
  return measured;
}

function resultOf(
  title: string,
  measured: readonly Measured[],
  part: (times: Times) => number,
): FreeResult {
  const found = measured.map(({ one, times }) => ({ ...one, spread: spreadOf(times.map(part)) }));
  const cells = ({ median, min, max, samples }: Spread): string[] => [
    ...[median, min, max].map(timeText),
    countText(samples),
  ];
  const rows = found.map(({ name, spread }) => [name, ...cells(spread)]);
  const chart: BarChart = {
    shape: 'bars',
    title: `${title}, a new process`,
    scale: { of: 'time' },
    better: 'less',
    bars: found.map(({ name, kind, spread }) => ({ name, kind, value: spread.median })),
  };
  return {
    text: tableText(['', 'median', 'min', 'max', 'processes'], rows),
    figures: Object.fromEntries(found.map(({ name, spread }) => [name, spread.median])),
    charts: [chart],
  };
}

/** Both sections show parts of the same processes. */
let measuring: Promise<Measured[]> | undefined;

await ask({
  name: 'import',
  title: 'Importing the package, and the first open of a process',
  peers: true,
  sections: (quick) => {
    const measuredIn = (folder: string): Promise<Measured[]> => {
      measuring ??= measureAll(folder, quick ? quickEffort : fullEffort);
      return measuring;
    };
    return [
      {
        title: importTitle,
        measure: async (folder) =>
          resultOf(importTitle, await measuredIn(folder), ({ importing }) => importing),
      },
      {
        title: openTitle,
        async measure(folder) {
          const all = await measuredIn(folder);
          const opened = all.filter(({ one }) => one.opening !== undefined);
          return resultOf(openTitle, opened, ({ opening }) => opening);
        },
      },
    ];
  },
  goals: [
    {
      text: 'import varve <= 20 ms',
      most: 20,
      value: ({ figure }) => figure(importTitle, 'varve'),
    },
    {
      text: 'import varve/forest <= 25 ms',
      most: 25,
      value: ({ figure }) => figure(importTitle, 'varve/forest'),
    },
    { text: 'first open <= 10 ms', most: 10, value: ({ figure }) => figure(openTitle, 'varve') },
  ],
});
