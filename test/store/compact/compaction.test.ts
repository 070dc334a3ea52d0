/** Compaction: what it leaves of a store that was emptied in part, and how long its file is. */

import { expect, it, vi } from 'vitest';
import { type GrainId, memoryFileSystem, Store } from '../../../src/index.ts';
import { OwnBatches } from '../../../src/store/commit/own-batches.ts';
import { defaultLimits } from '../../../src/store/grains/atlas.ts';
import { checkOptions } from '../../../src/store/open/store-options.ts';
import { openStore } from '../../../src/store/store.ts';
import { expectSameBytes, patternOf } from '../../support/bytes.ts';
import { WrappedFileSystem } from '../../support/disks/wrapped-file-system.ts';
import { check, findingsOf } from '../../support/fixtures/store-checks.ts';
import { RecordedMessages } from '../watch/recorded-messages.ts';

const path = 'store';

interface Value {
  readonly id: GrainId;
  readonly length: number;
  readonly seed: number;
}

/** Values of every kind of map: shared, of several grains, of their own. */
function lengthOf(at: number): number {
  if (at % 40 === 7) return 90_000;
  if (at % 400 === 11) return 700_000;
  return 10 + ((at * 37) % 3000);
}

async function fill(store: Store, count: number): Promise<Value[]> {
  const values: Value[] = [];
  for (let at = 0; at < count; ) {
    const session = store.session();
    for (let left = 50; left > 0 && at < count; left--, at++) {
      const length = lengthOf(at);
      values.push({ id: session.push(patternOf(length, at)), length, seed: at });
    }
    await session.commit();
  }
  return values;
}

async function remove(store: Store, values: readonly Value[]): Promise<void> {
  for (let at = 0; at < values.length; at += 200) {
    const session = store.session();
    for (const { id } of values.slice(at, at + 200)) session.archive(id);
    await session.commit();
  }
  await store.checkpointTo(store.currentBatch);
}

function expectValues(store: Store, values: readonly Value[]): void {
  for (const { id, length, seed } of values) {
    expectSameBytes(store.get(id) as Uint8Array, patternOf(length, seed));
  }
}

it('a store without its oldest nine tenths is about as short as one with the rest alone', async () => {
  const fileSystem = memoryFileSystem();
  let store = await Store.open(path, { fileSystem });
  const values = await fill(store, 4000);
  const kept = values.slice(3600);
  await remove(store, values.slice(0, 3600));
  const messages = new RecordedMessages();
  const report = await store.compact();
  const { movedBytes, fileBytesAfter } = report;
  expect(messages.of('varve:compact')).toEqual([{ path, movedBytes, fileBytes: fileBytesAfter }]);
  messages.end();
  expectValues(store, kept);
  await check.sound(store);
  const { fileBytes } = store.statistics();
  expect(report.fileBytesAfter).toBe(fileBytes);
  expect(report.movedBytes).toBeGreaterThan(0);
  await store.close();
  store = await Store.open(path, { fileSystem });
  expectValues(store, kept);
  await check.sound(store);
  await store.close();

  const fresh = await Store.open('fresh', { fileSystem });
  for (let at = 0; at < kept.length; at += 50) {
    const session = fresh.session();
    for (const { length, seed } of kept.slice(at, at + 50)) session.push(patternOf(length, seed));
    await session.commit();
  }
  const { fileBytes: freshBytes } = fresh.statistics();
  await fresh.close();
  expect(fileBytes).toBeLessThan(1.2 * freshBytes);
});

it('compacts with the commits of sessions, and writes at most as much as they do', async () => {
  const disk = new WrappedFileSystem(memoryFileSystem());
  const store = await Store.open(path, { fileSystem: disk, compaction: 'automatic' });
  const values = await fill(store, 4000);
  const kept = values.slice(3600);
  await remove(store, values.slice(0, 3600));
  const from = store.statistics();
  const news: Value[] = [];
  const messages = new RecordedMessages();
  for (let round = 0; store.statistics().fileBytes > from.fileBytes / 3; round++) {
    expect(round).toBeLessThan(400);
    const session = store.session();
    const length = 20_000;
    for (const { id } of news.splice(0)) session.archive(id);
    news.push({ id: session.push(patternOf(length, round)), length, seed: round });
    session.checkpointTo(store.currentBatch);
    if (round % 2 === 0) session.commitSync();
    else await session.commit();
    if (round % 20 === 0) expectValues(store, kept);
    if (round % 5 === 0) expect(await findingsOf(store, false)).toEqual([]);
  }
  expect(messages.of('varve:compact').length).toBeGreaterThan(0);
  messages.end();
  const { bytesWritten } = store.statistics();
  expect(bytesWritten - from.bytesWritten).toBeGreaterThan(2_000_000);
  expectValues(store, [...kept, ...news]);
  await check.sound(store);
  await store.close();
});

it('does not begin again with every commit if the file cannot be shorter', async () => {
  const written: number[] = [];
  for (const compaction of ['manual', 'automatic'] as const) {
    const store = await Store.open(path, { fileSystem: memoryFileSystem(), compaction });
    const { id } = await store.put(patternOf(2_000_000));
    // Longer than the free pages before it.
    await store.put(patternOf(2_500_000));
    const session = store.session();
    session.archive(id);
    await store.checkpointTo(await session.commit());
    const { bytesWritten } = store.statistics();
    for (let at = 0; at < 1000; at++) await store.put(patternOf(100));
    written.push(store.statistics().bytesWritten - bytesWritten);
    await store.close();
  }
  const [manual, automatic] = written as [number, number];
  expect(automatic).toBeLessThan(2 * manual);
});

it('does not fail commits if the marks of a map that is to move cannot be read', async () => {
  const disk = new WrappedFileSystem(memoryFileSystem());
  const limits = { ...defaultLimits, markBytes: 0 };
  const options = { fileSystem: disk, compaction: 'automatic', cacheBytes: 0 } as const;
  const store = await openStore(checkOptions(path, options, limits));
  const values = await fill(store, 4000);
  const kept = values.slice(3600);
  await remove(store, values.slice(0, 3600));
  const { movable } = OwnBatches.prototype;
  let isLoading = false;
  const spy = vi.spyOn(OwnBatches.prototype, 'movable').mockImplementation(function* (
    this: OwnBatches,
    moves,
  ) {
    isLoading = moves.length > 0;
    const found = yield* movable.call(this, moves);
    isLoading = false;
    return found;
  });
  const fault = disk.fail('read', 'EIO', { when: () => isLoading });
  for (let round = 0; round < 60; round++) await store.put(patternOf(40_000 + round, round));
  expect(fault.count).toBeGreaterThan(0);
  spy.mockRestore();
  fault.stop();
  expectValues(store, kept);
  await store.close();
});
