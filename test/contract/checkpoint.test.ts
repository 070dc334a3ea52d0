/**
 * Checkpoints and guards: what is freed and when, how far one goes, which batch it resolves to, and
 * that freed space is used again. The example of the article that varve follows comes first.
 */

import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type GrainId, memoryFileSystem, type Store } from '../../src/index.ts';
import { patternOf } from '../support/bytes.ts';
import {
  bytesOf,
  check,
  commit,
  committed,
  logOf,
  longBytesOf,
  present,
  storePath,
  storesOfTest,
  textOf,
  watch,
} from '../support/fixtures/store-checks.ts';
import { makeTemporaryFolder, removeTemporaryFolder } from '../support/temporary-folder.ts';

const stores = storesOfTest();

/** `count` values, each archived by a batch of its own: value n by the batch at n. */
async function archivedOneByOne(
  store: Store,
  count: number,
): Promise<{ id: GrainId; batch: number }[]> {
  const ids: GrainId[] = [];
  await commit(store, (session) => {
    for (let n = 0; n < count; n += 1) ids.push(session.push(bytesOf(`value ${n}`)));
  });
  const archived = [];
  for (const id of ids) {
    archived.push({ id, batch: await commit(store, (session) => session.archive(id)) });
  }
  return archived;
}

function readable(store: Store, values: readonly { id: GrainId }[]): boolean[] {
  return values.map(({ id }) => store.has(id));
}

describe('the example of the Sediment article', () => {
  for (const where of ['in memory', 'on a real disk'] as const) {
    it(`reads an archived value until the checkpoint, then uses its space again, ${where}`, async () => {
      const folder = makeTemporaryFolder();
      onTestFinished(() => removeTemporaryFolder(folder));
      const fileSystem = where === 'in memory' ? memoryFileSystem() : undefined;
      await sedimentExample(await stores.open(join(folder, 'store'), { fileSystem }));
    });
  }

  async function sedimentExample(store: Store): Promise<void> {
    const session1 = store.session();
    const grainId = session1.push(bytesOf('Hello'));
    await session1.commit();
    expect(textOf(store.get(grainId))).toBe('Hello');

    const session2 = store.session();
    session2.archive(grainId);
    const batch = await session2.commit();
    expect(textOf(store.get(grainId))).toBe('Hello');

    await store.checkpointTo(batch);
    expect(store.get(grainId)).toBe(undefined);

    const session3 = store.session();
    expect(session3.push(bytesOf('Again'))).toBe(grainId);
    await session3.commit();
    expect(textOf(store.get(grainId))).toBe('Again');
  }

  it('reuses the space any number of times, so the file does not grow', async () => {
    const { store } = await stores.wrapped({ settleBytes: 16_384 });
    let last = (await store.put(patternOf(10_000))).id;
    const replace = async (n: number): Promise<void> => {
      const session = store.session();
      const next = session.push(patternOf(10_000, n));
      session.archive(last);
      await store.checkpointTo(await session.commit());
      last = next;
    };
    for (let n = 0; n < 600; n += 1) await replace(n);
    const { fileBytes } = store.statistics();
    for (let n = 0; n < 400; n += 1) await replace(n);
    await check.value(store, last, patternOf(10_000, 399));
    expect(store.statistics()).toMatchObject({ values: 1, archivedValues: 0 });
    expect(store.statistics().fileBytes).toBeLessThanOrEqual(1.25 * fileBytes);
  });
});

describe('checkpointTo', () => {
  it('frees every value archived at or before the batch, and none after it', async () => {
    const { store, disk } = await stores.wrapped();
    const archived = await archivedOneByOne(store, 5);
    const kept = await committed(store, bytesOf('never archived'));
    expect(await store.checkpointTo(present(archived[2]).batch)).toBe(8);
    expect(store).toMatchObject({ checkpoint: present(archived[2]).batch, currentBatch: 8 });
    expect(readable(store, archived)).toEqual([false, false, false, true, true]);
    expect(store.statistics()).toMatchObject({ values: 3, archivedValues: 2 });
    await store.close();
    const again = await stores.open(storePath, { fileSystem: disk });
    expect(again).toMatchObject({ checkpoint: present(archived[2]).batch, currentBatch: 8 });
    expect(readable(again, archived)).toEqual([false, false, false, true, true]);
    await again.checkpointTo(again.currentBatch);
    expect(readable(again, archived)).toEqual([false, false, false, false, false]);
    await check.value(again, kept, bytesOf('never archived'));
  });

  it('forgets the commit log up to the batch', async () => {
    const { store } = await stores.wrapped();
    await archivedOneByOne(store, 5);
    const before = store.statistics().commitLogBytes;
    await store.checkpointTo(4);
    const entries = await logOf(store);
    expect(entries.map(({ batch }) => batch)).toEqual([5, 6, 7]);
    const freed = entries.at(-1)?.changes.map(({ operation }) => operation);
    expect(freed).toEqual(['free', 'free', 'free']);
    expect(store.statistics().commitLogBytes).toBeLessThan(before);
  });

  it('resolves to the batch that made it durable, after the sync of that batch', async () => {
    const { store, disk } = await stores.wrapped();
    const [value] = await archivedOneByOne(store, 1);
    const gate = disk.hold('datasync');
    const checkpointing = watch(store.checkpointTo(2));
    await gate.reached();
    expect(store.checkpoint).toBe(0);
    await check.value(store, present(value).id, bytesOf('value 0'));
    gate.open();
    expect(await checkpointing.promise).toBe(3);
    expect(store).toMatchObject({ checkpoint: 2, currentBatch: 3 });
  });

  it('changes nothing for a batch at or before the checkpoint, nor for 0', async () => {
    const { store, disk } = await stores.wrapped();
    await archivedOneByOne(store, 3);
    await store.checkpointTo(3);
    const from = disk.calls.length;
    for (const batch of [0, 1, 3]) expect(await store.checkpointTo(batch)).toBe(5);
    const session = store.session();
    session.checkpointTo(2);
    expect(await session.commit()).toBe(5);
    expect(disk.calls.slice(from)).toEqual([]);
    expect(store).toMatchObject({ checkpoint: 3, currentBatch: 5 });
  });

  it('resolves to 0 in a store never written to', async () => {
    const { store } = await stores.wrapped();
    expect(await store.checkpointTo(0)).toBe(0);
  });

  it('refuses a batch after the current one, and anything that is not a batch', async () => {
    const { store } = await stores.wrapped();
    await archivedOneByOne(store, 1);
    for (const wrong of [3, 2 ** 53 - 1, -1, 0.5, Number.NaN, '1', 1n, undefined, null]) {
      const batch = wrong as number;
      await check.rejects('VARVE_INVALID_ARGUMENT', () => store.checkpointTo(batch));
      const session = store.session();
      check.throws('VARVE_INVALID_ARGUMENT', () => session.checkpointTo(batch));
      expect(await session.commit()).toBe(2);
    }
    expect(store).toMatchObject({ checkpoint: 0, currentBatch: 2 });
  });

  it('by several callers at once goes to the highest batch, and frees each value once', async () => {
    const { store } = await stores.wrapped();
    const archived = await archivedOneByOne(store, 4);
    await Promise.all([3, 5, 2, 0, 4].map((batch) => store.checkpointTo(batch)));
    expect(store.checkpoint).toBe(5);
    expect(readable(store, archived)).toEqual([false, false, false, false]);
    const freed = (await logOf(store)).flatMap(({ changes }) => changes.map(({ id }) => id));
    expect([...freed].sort()).toEqual(archived.map(({ id }) => id).sort());
  });

  it('keeps the higher batch if a session asks twice', async () => {
    const { store } = await stores.wrapped();
    await archivedOneByOne(store, 3);
    await commit(store, (session) => {
      session.checkpointTo(3);
      session.checkpointTo(1);
    });
    expect(store.checkpoint).toBe(3);
  });

  it("is a part of the session's own commit: all of it or nothing", async () => {
    const { store, disk } = await stores.wrapped();
    const archived = await archivedOneByOne(store, 2);
    const change = (): Promise<number> =>
      commit(store, (session) => {
        session.push(longBytesOf('with it'));
        session.checkpointTo(3);
      });
    const fault = disk.fail('write', 'ENOSPC', { times: 2 });
    await check.rejects('VARVE_IO', change);
    expect(fault.count).toBe(2);
    expect(store.checkpoint).toBe(0);
    expect(readable(store, archived)).toEqual([true, true]);
    expect(await change()).toBe(4);
    expect(store.checkpoint).toBe(3);
    expect(readable(store, archived)).toEqual([false, false]);
    const [entry] = await logOf(store);
    expect(entry?.changes.map(({ operation }) => operation)).toEqual(['allocate', 'free', 'free']);
  });

  it('frees nothing of the batch that it is a part of', async () => {
    const { store } = await stores.wrapped();
    const id = await committed(store, bytesOf('value'));
    await commit(store, (session) => {
      session.archive(id);
      session.checkpointTo(1);
    });
    await check.value(store, id, bytesOf('value'));
    await store.checkpointTo(2);
    await check.noValue(store, id);
  });

  it('frees large numbers of values, of many sizes, and their space is used again', async () => {
    const { store } = await stores.wrapped({ settleBytes: 20_000 });
    const lengths = Array.from({ length: 400 }, (_, n) => (n * n * 7) % 9000);
    let ids: GrainId[] = [];
    const fill = async (seed: number): Promise<void> => {
      const session = store.session();
      const old = ids;
      ids = lengths.map((length) => session.push(patternOf(length, seed)));
      for (const id of old) session.archive(id);
      await store.checkpointTo(await session.commit());
    };
    for (let round = 0; round < 4; round += 1) await fill(round);
    const { fileBytes } = store.statistics();
    for (let round = 0; round < 12; round += 1) await fill(round);
    expect(store.statistics().fileBytes).toBeLessThanOrEqual(1.25 * fileBytes);
    for (const [n, length] of lengths.entries()) {
      if (n % 20 === 0) await check.value(store, present(ids[n]), patternOf(length, 11));
    }
  });
});

describe('a guard', () => {
  it('holds the current batch by default, or the one it is given', async () => {
    const { store } = await stores.wrapped();
    await archivedOneByOne(store, 3);
    expect(store.statistics().oldestGuard).toBe(undefined);
    const guards = [store.guard(), store.guard(2), store.guard(0), store.guard(4)];
    expect(guards.map(({ batch }) => batch)).toEqual([4, 2, 0, 4]);
    const oldest = [];
    for (const n of [2, 0, 1, 3]) {
      oldest.push(store.statistics().oldestGuard);
      guards[n]?.release();
    }
    expect(oldest).toEqual([0, 2, 2, 4]);
    expect(store.statistics().oldestGuard).toBe(undefined);
  });

  it('lets a checkpoint reach its batch and no further; a later call frees the rest', async () => {
    const { store } = await stores.wrapped();
    const archived = await archivedOneByOne(store, 4);
    const guard = store.guard(3);
    expect(await store.checkpointTo(5)).toBe(6);
    expect(store.checkpoint).toBe(3);
    expect(readable(store, archived)).toEqual([false, false, true, true]);
    expect((await logOf(store)).map(({ batch }) => batch)).toEqual([4, 5, 6]);
    expect(await store.checkpointTo(5)).toBe(6);
    expect(store.checkpoint).toBe(3);
    guard.release();
    expect(await store.checkpointTo(5)).toBe(7);
    expect(store.checkpoint).toBe(5);
    expect(readable(store, archived)).toEqual([false, false, false, false]);
  });

  it('keeps values that were readable and not archived as of its batch', async () => {
    const { store } = await stores.wrapped();
    const id = await committed(store, bytesOf('value'));
    using guard = store.guard();
    for (let n = 0; n < 5; n += 1) {
      if (n === 0) await commit(store, (session) => session.archive(id));
      await store.put(bytesOf(`other ${n}`));
      await store.checkpointTo(store.currentBatch);
    }
    expect(guard.batch).toBe(1);
    await check.value(store, id, bytesOf('value'));
    expect(store.checkpoint).toBe(1);
  });

  it('limits each session by the guards that exist when its batch is made', async () => {
    const { store, disk } = await stores.wrapped();
    const archived = await archivedOneByOne(store, 4);
    const gate = disk.hold('datasync');
    const first = watch(store.put(bytesOf('first')));
    await gate.reached();
    const checkpointing = watch(store.checkpointTo(5));
    const guard = store.guard(3);
    gate.open();
    await first.promise;
    await checkpointing.promise;
    expect(store.checkpoint).toBe(3);
    expect(readable(store, archived)).toEqual([false, false, true, true]);
    guard.release();
  });

  it('is released once, by release or dispose, however often it is called', async () => {
    const { store } = await stores.wrapped();
    await archivedOneByOne(store, 2);
    const one = store.guard(1);
    const other = store.guard(1);
    for (let n = 0; n < 3; n += 1) one.release();
    one[Symbol.dispose]();
    expect(store.statistics().oldestGuard).toBe(1);
    other[Symbol.dispose]();
    expect(store.statistics().oldestGuard).toBe(undefined);
  });

  it('throws VARVE_LOG_TRUNCATED for a batch before the checkpoint', async () => {
    const { store } = await stores.wrapped();
    await archivedOneByOne(store, 3);
    await store.checkpointTo(2);
    for (const batch of [0, 1]) {
      const error = check.throws('VARVE_LOG_TRUNCATED', () => store.guard(batch));
      expect(error.batch).toBe(batch);
    }
    expect(store.guard(2).batch).toBe(2);
  });

  it('throws VARVE_LOG_TRUNCATED for a batch before a checkpoint in flight', async () => {
    const { store, disk } = await stores.wrapped();
    await archivedOneByOne(store, 3);
    const gate = disk.hold('datasync');
    const checkpointing = watch(store.checkpointTo(3));
    await gate.reached();
    try {
      check.throws('VARVE_LOG_TRUNCATED', () => store.guard(2));
      expect(store.guard(3).batch).toBe(3);
      expect(store.guard().batch).toBe(4);
    } finally {
      // Otherwise the store could not be closed.
      gate.open();
    }
    await checkpointing.promise;
    expect(store.checkpoint).toBe(3);
  });

  it('can hold a batch again when the checkpoint in flight has failed', async () => {
    const { store, disk } = await stores.wrapped();
    await archivedOneByOne(store, 3);
    disk.fail('write', 'EIO', { times: 1 });
    await check.rejects('VARVE_IO', () => store.checkpointTo(3));
    using guard = store.guard(1);
    await store.checkpointTo(3);
    expect(store.checkpoint).toBe(guard.batch);
  });

  it('throws VARVE_INVALID_ARGUMENT for a batch after the current one or a wrong type', async () => {
    const { store } = await stores.wrapped();
    await store.put(bytesOf('one'));
    for (const wrong of [2, -1, 0.5, Number.NaN, '1', 1n, null, {}]) {
      check.throws('VARVE_INVALID_ARGUMENT', () => store.guard(wrong as number));
    }
    expect(store.guard(undefined).batch).toBe(1);
  });

  it('can be held in a read-only store', async () => {
    const { store, disk } = await stores.wrapped();
    await store.put(bytesOf('one'));
    const reader = await stores.open(storePath, { fileSystem: disk, readOnly: true });
    using guard = reader.guard();
    expect(reader.statistics().oldestGuard).toBe(guard.batch);
  });
});
