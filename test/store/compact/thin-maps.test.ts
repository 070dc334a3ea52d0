/** Values of thin maps: named, pushed again and archived, they let the file become short. */

import { expect, it } from 'vitest';
import { type GrainId, memoryFileSystem, Store } from '../../../src/index.ts';
import { expectSameBytes, patternOf } from '../../support/bytes.ts';
import { WrappedFileSystem } from '../../support/disks/wrapped-file-system.ts';
import { check, listOf } from '../../support/fixtures/store-checks.ts';
import { Random } from '../../support/random.ts';

const path = 'store';

async function thinned(): Promise<{ store: Store; live: Map<GrainId, number> }> {
  const store = await Store.open(path, { fileSystem: memoryFileSystem() });
  const live = new Map<GrainId, number>();
  for (let at = 0; at < 8000; ) {
    const session = store.session();
    for (let left = 200; left > 0; left--, at++) live.set(session.push(patternOf(300, at)), at);
    await session.commit();
  }
  const random = new Random(1);
  const session = store.session();
  for (const id of [...live.keys()]) {
    if (random.chance(0.1)) continue;
    session.archive(id);
    live.delete(id);
  }
  await session.commit();
  await store.checkpointTo(store.currentBatch);
  return { store, live };
}

it('names the live values of thin maps, which take no new ones until a compaction ends', async () => {
  const { store, live } = await thinned();
  const before = await store.compact();
  expect(before.heldByThinMapsBytes).toBeGreaterThan(1_000_000);
  const thin = await listOf(store.thinValues());
  expect(new Set(thin).size).toBe(thin.length);
  expect(thin.every((id) => live.has(id))).toBe(true);
  expect(thin.length).toBeGreaterThan(live.size / 2);

  const session = store.session();
  for (const id of thin) {
    const seed = live.get(id) as number;
    live.delete(id);
    session.archive(id);
    live.set(session.push(patternOf(300, seed)), seed);
  }
  await session.commit();
  const again = new Set(await listOf(store.thinValues()));
  for (const id of thin) expect(again.has(id)).toBe(false);
  await store.checkpointTo(store.currentBatch);
  const after = await store.compact();
  expect(after.fileBytesAfter).toBeLessThan(before.fileBytesAfter / 3);
  for (const [id, seed] of live) {
    expectSameBytes(store.get(id) as Uint8Array, patternOf(300, seed));
  }
  await check.sound(store);
  await store.close();
});

it('values can be stored in named maps again after a compaction', async () => {
  const { store } = await thinned();
  await listOf(store.thinValues());
  await store.compact();
  const { fileBytes } = store.statistics();
  const session = store.session();
  for (let at = 0; at < 2000; at++) session.push(patternOf(300, at));
  await session.commit();
  expect(store.statistics().fileBytes).toBeLessThan(1.2 * fileBytes);
  await check.sound(store);
  await store.close();
});

it.each([-0.1, 1.5, Number.NaN, '1'])('refuses %s as a fill', async (fill) => {
  const store = await Store.inMemory();
  check.throws('VARVE_INVALID_ARGUMENT', () => store.thinValues({ fill: fill as number }));
  await store.close();
});

it('free pages within the file go back to the file system, and are used again', async () => {
  const disk = new WrappedFileSystem(memoryFileSystem());
  const store = await Store.open(path, { fileSystem: disk });
  const ids: GrainId[] = [];
  for (let at = 0; at < 20; at++) ids.push((await store.put(patternOf(300_000, at))).id);
  const session = store.session();
  for (const id of ids.slice(3, 17)) session.archive(id);
  await session.commit();
  await store.checkpointTo(store.currentBatch);
  for (let at = 0; at < 8; at++) await store.put(patternOf(10, at));
  const { trimmedBytes } = await store.trim();
  expect(trimmedBytes).toBeGreaterThan(3_000_000);
  for (const [at, id] of ids.entries()) {
    if (at >= 3 && at < 17) continue;
    expectSameBytes(store.get(id) as Uint8Array, patternOf(300_000, at));
  }
  const { fileBytes } = store.statistics();
  const { id } = await store.put(patternOf(300_000, 99));
  expect(store.statistics().fileBytes).toBe(fileBytes);
  expectSameBytes(store.get(id) as Uint8Array, patternOf(300_000, 99));
  await check.sound(store);
  await store.close();
});
