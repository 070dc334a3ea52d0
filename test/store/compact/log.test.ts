/**
 * The commit log of a store that is compacted: its segments, and the bodies of long records, leave
 * the end of the file, and every entry is read as before.
 */

import { expect, it } from 'vitest';
import { type GrainId, memoryFileSystem, Store } from '../../../src/index.ts';
import { readRoot } from '../../../src/store/log/settled-root.ts';
import { patternOf } from '../../support/bytes.ts';
import { SimulatedDisk } from '../../support/disks/simulated-disk.ts';
import { openLab } from '../../support/fixtures/core-lab.ts';
import { check, listOf } from '../../support/fixtures/store-checks.ts';

const path = 'store';
const count = 12_000;

/** A store without nine tenths of its values; the record that freed them has a body of its own. */
async function emptied(): Promise<{
  store: Store;
  fileSystem: ReturnType<typeof memoryFileSystem>;
}> {
  const fileSystem = memoryFileSystem();
  const store = await Store.open(path, { fileSystem });
  const ids: GrainId[] = [];
  while (ids.length < count) {
    const session = store.session();
    for (let left = 200; left > 0; left--) {
      const length = ids.length % 60 === 7 ? 60_000 : (ids.length * 37) % 1000;
      ids.push(session.push(patternOf(length, ids.length)));
    }
    await session.commit();
  }
  for (let at = 0; at < count * 0.9; at += 500) {
    const session = store.session();
    for (const id of ids.slice(at, Math.min(at + 500, count * 0.9))) session.archive(id);
    await session.commit();
  }
  await store.checkpointTo(store.currentBatch);
  return { store, fileSystem };
}

it('moves with its records, which say the same', async () => {
  const { store, fileSystem } = await emptied();
  const before = await listOf(store.commitLog());
  const { changes } = before[0] ?? { changes: [] };
  expect(changes.length).toBeGreaterThan(count * 0.8);
  const following = store.commitLog({ follow: true })[Symbol.asyncIterator]();
  expect((await following.next()).value.batch).toBe(before[0]?.batch);
  const report = await store.compact();
  expect(report.fileBytesAfter).toBeLessThan(2 * store.statistics().valueBytes);
  const after = await listOf(store.commitLog());
  expect(after.slice(0, before.length)).toEqual(before);
  expect(after.slice(before.length).every((entry) => entry.changes.length === 0)).toBe(true);
  expect((await following.next()).value.batch).toBe(after[1]?.batch);
  await following.return?.();
  await check.sound(store);

  const reader = await Store.open(path, { fileSystem, readOnly: true });
  expect(await listOf(reader.commitLog())).toEqual(after);
  await reader.close();
  await store.close();
  const next = await Store.open(path, { fileSystem });
  expect(await listOf(next.commitLog())).toEqual(after);
  await next.close();
});

it('keeps the old places of its segments until a settle names the new ones', async () => {
  const disk = new SimulatedDisk({ records: false });
  const lab = await openLab({ fileSystem: disk, settleBytes: 2048 });
  const { core } = lab;
  const push = async (length: number): Promise<GrainId> => {
    const session = lab.session();
    const id = session.push(patternOf(length, length));
    await session.commit();
    return id;
  };
  const large = [await push(200_000), await push(150_000)];
  for (let batch = 0; batch < 140; batch++) await push(20 + (batch % 7));
  const session = lab.session();
  for (const id of large) session.archive(id);
  await session.commit();
  const checkpoint = lab.session();
  checkpoint.checkpointTo(core.published.currentBatch);
  await checkpoint.commit();
  const settledPages = (): number[] =>
    readRoot(core.reader, core.headers.content.settled).root.segments.map(({ page }) => page);
  const places = new Set<number>();
  const lost: number[] = [];
  disk.faultOf = () => {
    const { endPage } = core.space;
    const free = [...core.space.freeStretches()];
    for (const page of settledPages()) {
      places.add(page);
      const isFree = free.some((one) => one.page <= page && page < one.page + one.pages);
      if (isFree || page >= endPage) lost.push(page);
    }
    return undefined;
  };
  const before = settledPages();
  await lab.compact();
  disk.faultOf = undefined;
  expect(lost).toEqual([]);
  expect(settledPages()).not.toEqual(before);
  expect(places.size).toBeGreaterThan(before.length);
  await lab.close();
});
