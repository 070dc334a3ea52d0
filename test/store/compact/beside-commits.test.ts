/**
 * Commits beside a compaction: one sync at a time, since two could hide an error from one of them;
 * and `commitSync` goes on.
 */

import { expect, it } from 'vitest';
import type { Store } from '../../../src/index.ts';
import { patternOf } from '../../support/bytes.ts';
import type { WrappedFileSystem } from '../../support/disks/wrapped-file-system.ts';
import { storesOfTest } from '../../support/fixtures/store-checks.ts';

const stores = storesOfTest();

async function thinned(store: Store): Promise<void> {
  for (let at = 0; at < 16; at++) await store.put(patternOf(100_000, at));
  const session = store.session();
  let left = 13;
  for await (const { changes } of store.commitLog()) {
    for (const { operation, id } of changes) {
      if (operation === 'allocate' && left-- > 0) session.archive(id);
    }
  }
  await store.checkpointTo(await session.commit());
}

/** Whether a sync begins while an asynchronous one is held back. */
class SyncWatch {
  inFlight = 0;
  overlaps = 0;

  watch(disk: WrappedFileSystem, hold: () => Promise<void>): void {
    disk.before = ({ operation }) => {
      if (operation === 'datasync' && this.inFlight > 0) this.overlaps += 1;
    };
    const { noteAsync } = disk;
    disk.noteAsync = async (call) => {
      const fault = await noteAsync.call(disk, call);
      if (call.operation !== 'datasync') return fault;
      this.inFlight += 1;
      await hold();
      this.inFlight -= 1;
      return fault;
    };
  }
}

async function turns(count: number): Promise<void> {
  for (let left = count; left > 0; left--) await new Promise((resolve) => setImmediate(resolve));
}

it('no two syncs are in flight at once', async () => {
  const { store, disk } = await stores.wrapped();
  await thinned(store);
  const syncs = new SyncWatch();
  const commits: Promise<unknown>[] = [];
  let isOver = false;
  syncs.watch(disk, async () => {
    if (!isOver) commits.push(store.put(patternOf(100)));
    await turns(3);
  });
  const report = await store.compact();
  isOver = true;
  await Promise.all(commits);
  expect(report.movedBytes).toBeGreaterThan(0);
  expect(syncs.overlaps).toBe(0);
});

it('commitSync never finds a batch of the store or a sync in flight, if no session commits', async () => {
  const { store, disk } = await stores.wrapped();
  await thinned(store);
  const syncs = new SyncWatch();
  syncs.watch(disk, () => turns(3));
  let isOver = false;
  const compacting = store.compact().finally(() => {
    isOver = true;
  });
  let commits = 0;
  for (; !isOver; commits++) {
    const session = store.session();
    session.push(patternOf(60 + commits));
    session.commitSync();
    await turns(1);
  }
  expect((await compacting).movedBytes).toBeGreaterThan(0);
  expect(commits).toBeGreaterThan(0);
  expect(syncs.overlaps).toBe(0);
});
