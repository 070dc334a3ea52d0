/**
 * Backups of stores with random histories, while commits go on at every call of the file systems,
 * compared with a plain model of the batch: many strata and basins, values that records carry, values
 * of all lengths, maps in several extents, marks that are evicted, and stores opened again.
 */

import { afterEach, describe, expect, it, vi } from 'vitest';
import { BackupGround, copyPath, type GroundSettings, sourcePath } from './backup-ground.ts';

const small = [0, 1, 20, 90, 200, 511];
const mixed = [...small, 1500, 5000, 40_000];
const large = [10, 300, 70_000, 140_000, 600_000, 1_500_000];

const grounds: Readonly<Record<string, Omit<GroundSettings, 'seed'>>> = {
  'small values, carried by records': { lengths: small, settleBytes: 1_000_000 },
  'values of many lengths, settled often': { lengths: mixed, settleBytes: 600 },
  'large values': { lengths: large },
  'many strata and basins': {
    lengths: mixed.slice(0, 8),
    limits: { grainsPerStratum: 512, strataPerBasin: 3 },
  },
  'few maps in a stratum': { lengths: mixed, limits: { mapsPerStratum: 3 } },
  'marks that are evicted': { lengths: mixed, limits: { markBytes: 0, mapBytesMin: 4096 } },
};

const seeds = [1, 2, 3, 4];

describe.each(Object.entries(grounds))('%s', (_, settings) => {
  it.each(seeds)('are copied as of one batch, seed %i', async (seed) => {
    const ground = new BackupGround({ ...settings, seed });
    await ground.open();
    for (let round = 0; round < 3; round++) {
      for (let at = 0; at < 12; at++) ground.commit();
      const end = ground.commitAtCalls(0.7);
      const from = ground.store.currentBatch;
      const { batch, bytes, values } = await ground.store.backupTo(copyPath, {
        fileSystem: ground.disk,
        overwrite: round > 0,
      });
      expect(end()).toBeGreaterThan(0);
      expect(batch).toBeGreaterThanOrEqual(from);
      expect(batch).toBeLessThan(ground.store.currentBatch);
      expect(bytes % 4096).toBe(0);
      await ground.expectCopy(batch, values);
      for await (const { message } of ground.store.verify({ deep: true })) throw new Error(message);
      expect(ground.store.statistics().oldestGuard).toBe(undefined);
      await ground.store.close();
      await ground.open();
    }
    await ground.store.close();
  });
});

describe('commits in every turn that a backup gives the event loop', () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  /** Each look at the clock finds it 6 ms later: a turn is due. */
  function slowClock(): void {
    let now = performance.now();
    vi.spyOn(performance, 'now').mockImplementation(() => {
      now += 6;
      return now;
    });
  }

  it.each(seeds)('do not change the copy, seed %i', async (seed) => {
    const lengths = [10, 60, 300, 1000];
    const ground = new BackupGround({ lengths, seed, limits: { grainsPerStratum: 3000 } });
    await ground.open();
    for (let at = 0; at < 60; at++) ground.commit(40);
    await ground.store.close();
    await ground.open();
    slowClock();
    const end = ground.commitInTurns();
    const { batch, values } = await ground.store.backupTo(copyPath, { fileSystem: ground.disk });
    expect(end()).toBeGreaterThan(10);
    vi.restoreAllMocks();
    await ground.expectCopy(batch, values);
    await ground.store.close();
  });

  it('do not change it if they are published in many turns', async () => {
    const ground = new BackupGround({ lengths: [20, 200], seed: 5 });
    const store = await ground.open();
    for (let at = 0; at < 30; at++) ground.commit();
    slowClock();
    const live = new Map(ground.contents.at(-1)?.live);
    const header = store.embeddedHeader;
    const commits = async (): Promise<void> => {
      for (let round = 0; round < 6; round++) {
        const session = store.session();
        for (const id of [...live.keys()].slice(0, 60)) {
          if (id === header) continue;
          session.archive(id);
          live.delete(id);
        }
        for (let at = 0; at < 200; at++) {
          const bytes = new Uint8Array(20 + at).fill(round);
          const id = session.push(bytes);
          live.set(id, bytes);
          ground.ids.add(id);
        }
        const content = { live: new Map(live), header };
        ground.contents[await session.commit()] = content;
      }
    };
    const committed = commits();
    const reports = [];
    for (let copy = 0; copy < 6; copy++) {
      for (let turn = 0; turn < 7; turn++) await new Promise(setImmediate);
      const path = `copy-${copy}`;
      reports.push({ path, ...(await store.backupTo(path, { fileSystem: ground.disk })) });
    }
    await committed;
    vi.restoreAllMocks();
    expect(new Set(reports.map(({ batch }) => batch)).size).toBeGreaterThan(1);
    for (const { path, batch, values } of reports) await ground.expectCopy(batch, values, path);
    await store.close();
  });
});

describe('a backup of a backup', () => {
  it('has the same values', async () => {
    const ground = new BackupGround({ lengths: mixed, seed: 9 });
    const store = await ground.open();
    for (let at = 0; at < 20; at++) ground.commit();
    const first = await store.backupTo(copyPath, { fileSystem: ground.disk });
    await store.close();
    await ground.disk.rename(copyPath, sourcePath, { overwrite: true });
    const copy = await ground.open();
    const second = await copy.backupTo(copyPath, { fileSystem: ground.disk });
    expect(second).toEqual(first);
    await copy.close();
    await ground.expectCopy(second.batch, second.values);
  });
});
