/**
 * What opening reads: a handful of places, however many values the store has and grain maps it is
 * made of; after a kill also the records since the last settle, each once.
 *
 * Counted are read calls and bytes. How that grows to a million values is `test/scale/` and
 * `npm run scale`.
 */

import { afterAll, describe, expect, it } from 'vitest';
import { pageBytes, sectorBytes } from '../../src/format/layout.ts';
import type { GrainId, Store, StoreOptions } from '../../src/index.ts';
import { patternOf } from '../support/bytes.ts';
import type { Counts } from '../support/disks/wrapped-file-system.ts';
import { check } from '../support/fixtures/store-checks.ts';
import { CountedDisk } from './counted-disk.ts';

const kibibyte = 1024;
const value = patternOf(100);
/** Sectors that are read ahead of a lane of the log. */
const aheadSectors = 64;
const aheadBytes = aheadSectors * sectorBytes;
/** Both header copies. */
const headerReads = 2;
/** Those, the root, one basin, four lanes of the log. */
const fixedReads = headerReads + 1 + 1 + 4;

const told: string[] = [];

function tell(what: string, { reads, bytesRead }: Counts): void {
  told.push(`${what}: ${reads} reads, ${(bytesRead / kibibyte).toFixed(0)} KiB`);
}

interface Loaded {
  readonly disk: CountedDisk;
  readonly store: Store;
  readonly ids: readonly GrainId[];
}

async function loaded(
  commits: number,
  valuesEach: number,
  options: StoreOptions = {},
): Promise<Loaded> {
  const disk = new CountedDisk();
  const store = await disk.open(options);
  const ids: GrainId[] = [];
  for (let batch = 0; batch < commits; batch++) {
    const session = store.session();
    for (let at = 0; at < valuesEach; at++) ids.push(session.push(value));
    session.commitSync();
  }
  return { disk, store, ids };
}

/** What opening the disk costs; the store has all values and is sound. */
async function opening(
  disk: CountedDisk,
  { ids }: Loaded,
  options: StoreOptions = {},
): Promise<{ counts: Counts; recovery: Store['recovery'] }> {
  const stores: Store[] = [];
  const counts = await disk.during(async () => stores.push(await disk.open(options)));
  const [store] = stores as [Store];
  const { recovery } = store;
  expect(store.statistics().values).toBe(ids.length);
  await check.sound(store);
  await store.close();
  return { counts, recovery };
}

describe('after a clean close', () => {
  it.each([
    [1000, 100],
    [10_000, 100],
    [100_000, 1000],
  ])(
    'opening a store of %i values reads headers, root, basin, the ends of the log',
    async (values, valuesEach) => {
      const store = await loaded(values / valuesEach, valuesEach);
      await store.store.close();
      const reads = await store.disk.readsOf(async () => {
        const again = await store.disk.open();
        expect(again.recovery.clean).toBe(true);
        expect(again.statistics().values).toBe(values);
        await again.close();
      });
      told.push(`${values} values, closed: ${reads.join(', ')} bytes`);
      const [root = 0, basin = 0, ...lanes] = reads.slice(headerReads);
      expect(reads.slice(0, headerReads)).toEqual(Array(headerReads).fill(sectorBytes));
      // Some 20 bytes of the basin for each grain map.
      expect(root + basin).toBeLessThan(pageBytes);
      // Two lanes of the current segment, and of the next one where that has been made.
      expect([2, 4]).toContain(lanes.length);
      expect(Math.max(...lanes)).toBeLessThanOrEqual(aheadBytes);
    },
  );
});

describe('after a kill', () => {
  /** Nothing is settled: all of the log is read. */
  const unsettled: StoreOptions = { settleBytes: 2 ** 30 };
  /** The last batch is read to be checked, and again to be written once more. */
  const lastBatchReads = 4;

  it.each([10, 1000, 2000])(
    'opening reads each of %i records of one sector once',
    async (commits) => {
      const store = await loaded(commits, 1, unsettled);
      const { counts, recovery } = await opening(await store.disk.copy(), store, unsettled);
      expect(recovery).toMatchObject({ clean: false, replayedBatches: commits });
      tell(`${commits} records of one sector, killed`, counts);
      expect(counts.reads).toBeLessThanOrEqual(
        commits / aheadSectors + fixedReads + lastBatchReads,
      );
      await store.store.close();
    },
  );

  it('opening reads records of several sectors twice: to find them, and to replay them', async () => {
    const commits = 200;
    const store = await loaded(commits, 150, unsettled);
    const sectors = store.store.statistics().commitLogBytes / sectorBytes;
    expect(sectors).toBe(2 * commits);
    const { counts, recovery } = await opening(await store.disk.copy(), store, unsettled);
    expect(recovery).toMatchObject({ clean: false, replayedBatches: commits });
    tell(`${commits} records of two sectors, killed`, counts);
    const most = (2 * sectors) / aheadSectors + fixedReads + lastBatchReads;
    expect(counts.reads).toBeLessThanOrEqual(most);
    await store.store.close();
  });

  it.each([
    [1000, 1],
    [3000, 10],
    [1000, 100],
  ])(
    'opening reads no more than a settle leaves, after %i commits of %i values',
    async (commits, each) => {
      const store = await loaded(commits, each);
      const { counts, recovery } = await opening(await store.disk.copy(), store);
      expect(recovery.clean).toBe(false);
      expect(recovery.replayedBatches).toBeLessThan(commits);
      tell(`${commits} commits of ${each} values, killed`, counts);
      // 64 KiB of log or more, by the length of the file, and the mark pages that it touches.
      expect(counts.reads).toBeLessThanOrEqual(32);
      expect(counts.bytesRead).toBeLessThanOrEqual(640 * kibibyte);
      await store.store.close();
    },
  );
});

afterAll(() => {
  console.log(['opening reads', ...told].join('\n  '));
});
