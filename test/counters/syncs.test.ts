/**
 * Syncs: how often the disk is waited for, exactly. One for a commit, however many sessions share
 * it; settles, log segments and space ahead ride on those of commits and have none of their own.
 *
 * Why each of them is there is in the headers of `committer.ts`, `recovery.ts`, `settle.ts`.
 */

import { describe, expect, it } from 'vitest';
import type { Session, Store } from '../../src/index.ts';
import { patternOf } from '../support/bytes.ts';
import type { Counts } from '../support/disks/wrapped-file-system.ts';
import { check } from '../support/fixtures/store-checks.ts';
import { CountedDisk } from './counted-disk.ts';

const value = patternOf(100);

/** Sessions that have pushed a value each. */
function sessionsOf(store: Store, count: number): Session[] {
  return Array.from({ length: count }, () => {
    const session = store.session();
    session.push(value);
    return session;
  });
}

async function opened(): Promise<{ disk: CountedDisk; store: Store }> {
  const disk = new CountedDisk();
  return { disk, store: await disk.open() };
}

/** Runs the test on a new store, which has to be sound in the end. */
async function withStore(test: (disk: CountedDisk, store: Store) => Promise<void>): Promise<void> {
  const { disk, store } = await opened();
  await test(disk, store);
  await check.sound(store);
  await store.close();
}

async function syncsOf(disk: CountedDisk, action: () => unknown): Promise<number> {
  return (await disk.during(action)).syncs;
}

describe('a commit', () => {
  it('is one sync, by commit, commitSync and put', () =>
    withStore(async (disk, store) => {
      const [first, second] = sessionsOf(store, 2);
      expect(await syncsOf(disk, () => first?.commit())).toBe(1);
      expect(await syncsOf(disk, () => second?.commitSync())).toBe(1);
      expect(await syncsOf(disk, () => store.put(value))).toBe(1);
      expect(await syncsOf(disk, () => store.put(new Uint8Array(3 * 1024 * 1024)))).toBe(1);
    }));

  it.each([64, 1000])(
    'of %i sessions in one turn is one sync: a batch takes all that wait',
    (count) =>
      withStore(async (disk, store) => {
        const sessions = sessionsOf(store, count);
        const syncs = await syncsOf(disk, () => Promise.all(sessions.map((one) => one.commit())));
        expect(syncs).toBe(1);
        expect(store.currentBatch).toBe(1);
      }),
  );

  it.each([64, 1000])(
    'of %i sessions, half of which come while the others are being synced, is two syncs',
    (count) =>
      withStore(async (disk, store) => {
        const gate = disk.fileSystem.hold('datasync');
        const syncs = await syncsOf(disk, async () => {
          const sessions = sessionsOf(store, count);
          const early = sessions.slice(0, count / 2).map((one) => one.commit());
          await gate.reached();
          const late = sessions.slice(count / 2).map((one) => one.commit());
          gate.open();
          await Promise.all([...early, ...late]);
        });
        expect(syncs).toBe(2);
      }),
  );

  it('of 64 clients, each of which commits again after its commit, is one sync a round', () =>
    withStore(async (disk, store) => {
      const rounds = 20;
      const client = async (): Promise<void> => {
        for (let round = 0; round < rounds; round++) {
          const session = store.session();
          session.push(value);
          await session.commit();
        }
      };
      const syncs = await syncsOf(disk, () => Promise.all(Array.from({ length: 64 }, client)));
      expect(syncs).toBe(rounds);
    }));

  it('is one sync, a thousand times, though the store settles and grows meanwhile', () =>
    withStore(async (disk, store) => {
      const counts = await disk.during(() => {
        for (let batch = 0; batch < 1000; batch++) sessionsOf(store, 10)[batch % 10]?.commitSync();
      });
      expect(counts.syncs).toBe(1000);
      // Besides records: settled structures and values, headers, segments of the log.
      expect(counts.regions).toBeGreaterThan(1050);
    }));

  it('that checkpoints, frees values and takes their space is one sync', () =>
    withStore(async (disk, store) => {
      const { id } = await store.put(value);
      const session = store.session();
      session.archive(id);
      expect(await syncsOf(disk, () => session.commit())).toBe(1);
      expect(await syncsOf(disk, () => store.checkpointTo(store.currentBatch))).toBe(1);
      expect(await syncsOf(disk, () => store.put(value))).toBe(1);
    }));

  it('of nothing makes no sync', () =>
    withStore(async (disk, store) => {
      expect(await syncsOf(disk, () => store.session().commit())).toBe(0);
      expect(await syncsOf(disk, () => store.checkpointTo(0))).toBe(0);
    }));
});

describe('opening', () => {
  it('makes a new store with three syncs: an empty file, then a header copy each', async () => {
    const disk = new CountedDisk();
    const counts = await disk.during(() => disk.open());
    expect(counts).toMatchObject({ syncs: 3, truncates: 0 });
  });

  it.each([1, 2000])(
    'takes one after a clean close, with %i batches in the store: of a header copy',
    async (count) => {
      const { disk, store } = await opened();
      for (let batch = 0; batch < count; batch++) sessionsOf(store, 1)[0]?.commitSync();
      await store.close();
      let again: Store | undefined;
      expect(
        await syncsOf(disk, async () => {
          again = await disk.open();
        }),
      ).toBe(1);
      expect(again?.recovery).toMatchObject({ clean: true });
      await again?.close();
    },
  );

  it.each([1, 100, 2000])(
    'takes two after a kill, with %i batches in the store: of the last one, of a header copy',
    async (count) => {
      const { disk, store } = await opened();
      for (let batch = 0; batch < count; batch++) sessionsOf(store, 1)[0]?.commitSync();
      const copy = await disk.copy();
      let again: Store | undefined;
      expect(
        await syncsOf(copy, async () => {
          again = await copy.open();
        }),
      ).toBe(2);
      expect(again?.recovery).toMatchObject({ clean: false });
      expect(again?.currentBatch).toBe(count);
      await again?.close();
      await store.close();
    },
  );

  it('makes no sync if readOnly, also after a kill, and writes nothing', async () => {
    const { disk, store } = await opened();
    await store.put(value);
    const copy = await disk.copy();
    const counts = await copy.during(async () => (await copy.open({ readOnly: true })).close());
    expect(counts).toMatchObject({ syncs: 0, regions: 0, truncates: 0 });
    await store.close();
  });
});

describe('closing', () => {
  async function closing(store: Store, disk: CountedDisk): Promise<Counts> {
    return await disk.during(() => store.close());
  }

  it('takes four syncs: the structures, a header copy each, the free end of the file', async () => {
    for (const count of [1, 200]) {
      const { disk, store } = await opened();
      for (let batch = 0; batch < count; batch++) sessionsOf(store, 1)[0]?.commitSync();
      expect(await closing(store, disk)).toMatchObject({ syncs: 4, truncates: 1 });
    }
  });

  it('makes two if nothing was committed: the header copies say that the store is closed', async () => {
    const { disk, store } = await opened();
    await store.put(value);
    await store.close();
    const again = await disk.open();
    expect(await closing(again, disk)).toMatchObject({ syncs: 2, truncates: 0, regions: 2 });
  });
});
