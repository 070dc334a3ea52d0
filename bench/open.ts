/**
 * `npm run bench -- open`: opening a store with a million values of 100 bytes and getting one of
 * them: a store that was closed, and one whose process was killed while it committed, one value a
 * commit or 1,000.
 *
 * Warm: in one process that has opened it before; what was killed is copied, and the copy synced,
 * before each opening. Cold: the first opening of a new process, measured within it after its
 * imports. In both cases the file is in the system's page cache.
 */

import { closeSync, cpSync, fsyncSync, mkdirSync, openSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Dice } from './support/atlas-bed.ts';
import type { Contestant } from './support/contestant.ts';
import { removeFolder } from './support/disk-folder.ts';
import { countText, tableText, timeText } from './support/figures.ts';
import { type LoneStore, loneStoreOpener } from './support/lone-store.ts';
import { installedPeers } from './support/peers/installed-peers.ts';
import { ask, type FreeResult } from './support/question.ts';
import { sectionChart, sectionText } from './support/report.ts';
import { spreadOf } from './support/spread.ts';
import {
  type ChildTask,
  killedWhileCommitting,
  type OpenAnswer,
  storeAnswer,
} from './support/store-process.ts';
import { measureInTurn } from './support/turns.ts';

const loadedTogether = 1_000;
const nativeLock = 'fs-native-extensions';
const peersMeasured: readonly string[] = ['lmdb', 'better-sqlite3'];

interface Effort {
  readonly values: number;
  /** Processes that are killed, for each way to commit. */
  readonly kills: number;
  /** Openings of each, warm. */
  readonly openings: number;
  readonly coldOpenings: number;
  /** Milliseconds that a process commits before it is killed, about. */
  readonly looping: number;
}

const fullEffort: Effort = {
  values: 1_000_000,
  kills: 3,
  openings: 12,
  coldOpenings: 6,
  looping: 800,
};
const quickEffort: Effort = {
  values: 100_000,
  kills: 1,
  openings: 5,
  coldOpenings: 1,
  looping: 200,
};

const clean = 'closed';
const endings = [
  { name: clean, together: 0 },
  { name: 'killed, one value a commit', together: 1 },
  { name: 'killed, 1,000 values a commit', together: 1_000 },
] as const;

/** A database in the state that opening finds: one folder, or several that are alike. */
interface Image {
  readonly store: string;
  readonly ending: string;
  readonly folders: readonly string[];
}

const nameOf = ({ store, ending }: Image): string => `${store}, ${ending}`;

/** A copy that is on the disk: opening is not to wait for it to be written. */
function copySynced(from: string, to: string): void {
  removeFolder(to);
  cpSync(from, to, { recursive: true });
  for (const entry of readdirSync(to, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const fd = openSync(join(entry.parentPath, entry.name), 'r+');
    fsyncSync(fd);
    closeSync(fd);
  }
}

/** Loads each store, then kills processes that commit to copies of it. */
async function makeImages(folder: string, effort: Effort): Promise<Image[]> {
  const dice = new Dice();
  const stores = ['varve', ...installedPeers().map(({ name }) => name)].filter(
    (name) => name === 'varve' || peersMeasured.includes(name),
  );
  const images: Image[] = [];
  for (const store of stores) {
    const loaded = join(folder, `${store}-closed`);
    mkdirSync(loaded);
    const task: ChildTask = { ...taskOf(store, loaded, effort), work: 'load' };
    await storeAnswer(task);
    images.push({ store, ending: clean, folders: [loaded] });
    for (const { name: ending, together } of endings.slice(1)) {
      const folders: string[] = [];
      while (folders.length < effort.kills) {
        const killed = join(folder, `${store}-killed-${together}-${folders.length}`);
        cpSync(loaded, killed, { recursive: true });
        const looping: ChildTask = { ...task, work: 'loop', folder: killed, together };
        await killedWhileCommitting(looping, effort.looping / 2 + dice.next(effort.looping));
        folders.push(killed);
      }
      images.push({ store, ending, folders });
    }
  }
  return images;
}

function taskOf(store: string, folder: string, { values }: Effort): ChildTask {
  const marked = values / 2;
  return { work: 'open', store, folder, count: values, together: loadedTogether, marked };
}

function warm(image: Image, effort: Effort): Contestant {
  return {
    name: nameOf(image),
    kind: image.store === 'varve' ? 'varve' : 'peer',
    async open(own) {
      const opener = await loneStoreOpener(image.store, effort.values / 2);
      const copied = join(own, 'copy');
      let opened: LoneStore | undefined;
      let next = 0;
      const close = async (): Promise<void> => {
        await opened?.close();
        opened = undefined;
      };
      return {
        async before() {
          await close();
          const folder = image.folders[next++ % image.folders.length] as string;
          if (image.ending !== clean || next === 1) copySynced(folder, copied);
        },
        async run() {
          opened = await opener(copied);
          if (opened.getMarked() === undefined) throw new Error('the value is not there');
        },
        close,
      };
    },
  };
}

/** The first openings of new processes. `preload` is loaded before the clock runs. */
async function coldTimes(image: Image, effort: Effort, own: string, preload?: string) {
  const times: number[] = [];
  while (times.length < effort.coldOpenings) {
    const folder = image.folders[times.length % image.folders.length] as string;
    if (image.ending !== clean || times.length === 0) copySynced(folder, own);
    const task = { ...taskOf(image.store, own, effort), ...(preload ? { preload } : {}) };
    times.push((await storeAnswer<OpenAnswer>(task)).milliseconds);
  }
  return times;
}

const title = 'open + first get of 100 bytes';

async function measure(folder: string, effort: Effort): Promise<FreeResult> {
  const images = await makeImages(folder, effort);
  const shown = { by: 'time' } as const;
  const turns = { rounds: effort.openings, slice: 0, warmUp: 0 };
  const contestants = images.map((image) => warm(image, effort));
  const measured = await measureInTurn(contestants, turns, join(folder, 'warm'));
  const figures: Record<string, number> = {};
  for (const { contestant, time, failure } of measured) {
    if (failure !== undefined) throw new Error(`${contestant.name}: ${failure}`);
    figures[contestant.name] = time.median;
  }
  // A table for each ending: those that were killed are not held against those that were closed.
  const parts = endings.map(({ name }) => {
    const alike = measured.filter((_, at) => images[at]?.ending === name);
    const chart = sectionChart(`${title}, warm: ${name}`, shown, alike);
    return { chart, text: sectionText(shown, alike) };
  });
  const coldRows: string[][] = [];
  const row = (name: string, times: readonly number[]): void => {
    const { median, min, max, samples } = spreadOf(times);
    coldRows.push([name, ...[median, min, max].map(timeText), countText(samples)]);
  };
  const own = join(folder, 'cold');
  for (const image of images) {
    const preload = image.store === 'varve' ? nativeLock : undefined;
    row(nameOf(image), await coldTimes(image, effort, own, preload));
  }
  const closed = images.find(({ store, ending }) => store === 'varve' && ending === clean) as Image;
  const withAddon = await coldTimes(closed, effort, own);
  row('varve, closed, loading the native addon of its lock', withAddon);
  const text = [
    `${countText(effort.values)} values. Warm, the same process over and over:`,
    ...parts.flatMap(({ text }) => [text, '']),
    'Cold, the first of a new process, after its imports (native code of all included):',
    tableText(['', 'median', 'min', 'max', 'samples'], coldRows),
  ].join('\n');
  return { text, figures, charts: parts.map(({ chart }) => chart) };
}

await ask({
  name: 'open',
  title: 'Opening a store, and the first get',
  peers: true,
  sections: (quick) => [
    { title, measure: (folder) => measure(folder, quick ? quickEffort : fullEffort) },
  ],
  goals: [
    {
      text: 'closed <= 3 ms, warm',
      most: 3,
      value: ({ figure }) => figure(title, `varve, ${clean}`),
    },
    ...endings.slice(1).map(({ name }) => ({
      text: `${name} <= 5 ms, warm`,
      most: 5,
      value: ({ figure }: { figure(section: string, name: string): number }) =>
        figure(title, `varve, ${name}`),
    })),
  ],
});
