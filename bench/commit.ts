/**
 * `npm run bench:commit`: what a durable commit costs on this disk, against the least that it
 * could: the same bytes written to a file that is there already, and one `fdatasync`.
 *
 * Invariant: every commit here is durable when it is counted, on a real disk (it refuses to run in
 * memory), and its floor is measured in turn with it. Also reads of cached values, against a
 * `Map.get` and a copy.
 */

import { join } from 'node:path';
import { type GrainId, Store } from '../src/index.ts';
import { Dice } from './support/atlas-bed.ts';
import { withDiskFolder } from './support/disk-folder.ts';
import { countText, tableText, threeDigits, timeText } from './support/figures.ts';
import { FloorFile, type Regions } from './support/floor-file.ts';
import {
  type BenchTask,
  keepResults,
  measure,
  type Spread,
  spreadOfTask,
} from './support/measuring.ts';

const value = new Uint8Array(100).fill(7);
const effort = { rounds: 3, time: 400 };

/** One way to commit, and how much it makes durable at once. */
interface Commit {
  readonly title: string;
  readonly sessions: number;
  readonly values: number;
  readonly sync: boolean;
}

const ways: readonly Commit[] = [
  { title: 'commitSync, 1 value', sessions: 1, values: 1, sync: true },
  { title: 'commitSync, 100 values', sessions: 1, values: 100, sync: true },
  { title: 'commit, 1 value', sessions: 1, values: 1, sync: false },
  { title: 'commit, 100 values', sessions: 1, values: 100, sync: false },
  { title: 'commit, 8 sessions at once', sessions: 8, values: 8, sync: false },
  { title: 'commit, 64 sessions at once', sessions: 64, values: 64, sync: false },
];

function commitTask(store: Store, way: Commit): () => unknown {
  const perSession = way.values / way.sessions;
  const fill = () => {
    const session = store.session();
    for (let count = 0; count < perSession; count++) session.push(value);
    return session;
  };
  if (way.sync) return () => fill().commitSync();
  const sessions = Array.from({ length: way.sessions });
  return () => Promise.all(sessions.map(() => fill().commit()));
}

/** The regions that such a commit writes: its values, and the sectors of its record. */
async function regionsOf(store: Store, way: Commit): Promise<Regions> {
  const commits = 8;
  const task = commitTask(store, way);
  const before = store.statistics();
  for (let count = 0; count < commits; count++) await task();
  const after = store.statistics();
  const record = (after.commitLogBytes - before.commitLogBytes) / (after.commits - before.commits);
  const grains = (store: { strata: readonly { allocated: number; grainBytes: number }[] }) =>
    store.strata.reduce((sum, { allocated, grainBytes }) => sum + allocated * grainBytes, 0);
  return [(grains(after) - grains(before)) / commits, record];
}

const floorOf = (title: string): string => `${title}: floor`;
const oneRegion = 'one write + fdatasync';

async function measureCommits(folder: string): Promise<Map<string, Spread>> {
  const store = await Store.open(join(folder, 'bench.varve'));
  const floor = new FloorFile(join(folder, 'floor'));
  try {
    const tasks: BenchTask[] = [];
    for (const way of ways) {
      const { title, sync } = way;
      const regions = await regionsOf(store, way);
      const [bytes, record = 0] = regions;
      const how = { operations: 1, async: !sync };
      tasks.push({ name: title, ...how, run: commitTask(store, way) });
      const least = sync ? floor.commitsSync(regions) : floor.commits(regions);
      tasks.push({ name: floorOf(title), ...how, run: least });
      if (title !== ways[0]?.title) continue;
      const run = floor.commitsSync([bytes + record]);
      tasks.push({ name: oneRegion, ...how, run });
    }
    return await measure(tasks, effort);
  } finally {
    floor.close();
    await store.close();
  }
}

function showCommits(spreads: ReadonlyMap<string, Spread>): void {
  const range = ({ p25, p75 }: Spread): string => `${timeText(p25)} .. ${timeText(p75)}`;
  const rows = ways.map(({ title, values }) => {
    const spread = spreadOfTask(spreads, title);
    const least = spreadOfTask(spreads, floorOf(title));
    const { median, p99 } = spread;
    const ratio = threeDigits(median / least.median);
    const rate = countText((values / median) * 1e3);
    const floor = timeText(least.median);
    return [title, timeText(median), range(spread), timeText(p99), floor, ratio, rate];
  });
  const heading = ['durable commit', 'median', 'p25 .. p75', 'p99', 'floor', 'ratio', 'values/s'];
  console.log(tableText(heading, rows));
  const one = spreadOfTask(spreads, oneRegion);
  const two = spreadOfTask(spreads, floorOf(ways[0]?.title ?? ''));
  console.log(`
The floor: the same bytes in two regions of a zero-filled file, and one fdatasync.
For one value that is ${timeText(two.median)} (${range(two)});
with all bytes in one region ${timeText(one.median)} (${range(one)}).
`);
}

async function measureReads(): Promise<Map<string, Spread>> {
  const count = 10_000;
  const operations = 1_000;
  const how = { operations, async: false };
  const store = await Store.inMemory();
  const session = store.session();
  const ids: GrainId[] = Array.from({ length: count }, () => session.push(value));
  await session.commit();
  const map = new Map<GrainId, Uint8Array>(ids.map((id) => [id, value.slice()]));
  const dice = new Dice();
  let bytes = 0;
  const repeated = (read: (id: GrainId) => Uint8Array | undefined) => () => {
    for (let done = 0; done < operations; done++) {
      bytes += read(ids[dice.next(count)] as GrainId)?.length ?? 0;
    }
    return bytes;
  };
  const tasks: BenchTask[] = [
    { name: 'store.get', ...how, run: repeated((id) => store.get(id)) },
    { name: 'Map.get and slice', ...how, run: repeated((id) => map.get(id)?.slice()) },
    { name: 'store.has', ...how, run: repeated((id) => (store.has(id) ? value : undefined)) },
  ];
  const spreads = await measure(tasks, { rounds: 3, time: 200 });
  await store.close();
  return spreads;
}

function showReads(spreads: ReadonlyMap<string, Spread>): void {
  const least = spreadOfTask(spreads, 'Map.get and slice').median;
  const rows = [...spreads].map(([name, { median, p25, p75 }]) => {
    const range = `${timeText(p25)} .. ${timeText(p75)}`;
    return [name, timeText(median), range, threeDigits(median / least)];
  });
  console.log(tableText(['cached value of 100 bytes', 'median', 'p25 .. p75', 'ratio'], rows));
}

await withDiskFolder('varve-bench-', async (folder) => {
  console.log(`Values of 100 bytes, on the disk of ${folder}.\n`);
  const commits = await measureCommits(folder);
  showCommits(commits);
  const reads = await measureReads();
  showReads(reads);
  const results = { commits: Object.fromEntries(commits), reads: Object.fromEntries(reads) };
  console.log(`\nKept in ${keepResults('commit', results)}`);
});
