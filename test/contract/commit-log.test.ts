/**
 * The commit log as its readers see it: entries oldest first, up to the batch current at the call
 * or following the writer; the guard that iterating holds; signals; what was checkpointed away.
 */

import { describe, expect, it } from 'vitest';
import type { CommitLogEntry, GrainId, Store } from '../../src/index.ts';
import { patternOf } from '../support/bytes.ts';
import {
  bytesOf,
  check,
  commit,
  committed,
  listOf,
  logOf,
  present,
  storePath,
  storesOfTest,
  turns,
  watch,
} from '../support/fixtures/store-checks.ts';

const stores = storesOfTest();

function next(iterator: AsyncIterator<CommitLogEntry>): () => Promise<unknown> {
  return () => iterator.next();
}

function iteratorOf(
  store: Store,
  options: Parameters<Store['commitLog']>[0] = {},
): AsyncIterator<CommitLogEntry> {
  return store.commitLog(options)[Symbol.asyncIterator]();
}

async function fill(store: Store, count: number): Promise<void> {
  for (let n = 0; n < count; n += 1) await store.put(bytesOf(`value ${n}`));
}

describe('an entry', () => {
  it('lists the ids that its batch allocated, archived and freed, and the embedded header', async () => {
    const { store } = await stores.wrapped();
    const before = Date.now();
    const small = await committed(store, bytesOf('small'));
    const root = await commit(store, (session) => {
      session.setEmbeddedHeader(session.push(patternOf(1000)));
      session.archive(small);
    });
    await store.put(bytesOf('between'));
    await commit(store, (session) => session.setEmbeddedHeader(null));
    const entries = await logOf(store);
    expect(entries.map(({ batch }) => batch)).toEqual([1, 2, 3, 4]);
    const header = present(entries[1]).embeddedHeader;
    expect(entries.map(({ embeddedHeader }) => embeddedHeader)).toEqual([
      ...[undefined, header, header, undefined],
    ]);
    expect(entries[0]?.changes).toEqual([{ operation: 'allocate', id: small, count: 1 }]);
    const [allocated, archived] = present(entries[1]).changes;
    expect(allocated).toMatchObject({ operation: 'allocate', id: header });
    expect(allocated?.count).toBeGreaterThan(1);
    expect(allocated?.count).toBeLessThanOrEqual(255);
    expect(archived).toEqual({ operation: 'archive', id: small, count: 1 });
    for (const { committedAt } of entries) {
      expect(Number.isInteger(committedAt)).toBe(true);
      expect(committedAt).toBeGreaterThanOrEqual(before);
      expect(committedAt).toBeLessThanOrEqual(Date.now());
    }
    await store.checkpointTo(root);
    const freed = (await logOf(store)).at(-1);
    expect(freed).toMatchObject({ batch: 5, embeddedHeader: undefined });
    expect(freed?.changes).toEqual([{ operation: 'free', id: small, count: 1 }]);
  });

  it('is the same after reopening, closed or not', async () => {
    const { store, disk } = await stores.wrapped({ settleBytes: 2000 });
    const ids: GrainId[] = [];
    for (let n = 0; n < 30; n += 1) ids.push(await committed(store, patternOf(n * 90, n)));
    await commit(store, (session) => {
      for (const id of ids.slice(0, 15)) session.archive(id);
    });
    await store.checkpointTo(5);
    const entries = await logOf(store);
    expect(entries.map(({ batch }) => batch)).toEqual(Array.from({ length: 27 }, (_, n) => n + 6));
    const reader = await stores.open(storePath, { fileSystem: disk, readOnly: true });
    expect(await logOf(reader)).toEqual(entries);
    await reader.close();
    await store.close();
    const again = await stores.open(storePath, { fileSystem: disk });
    expect(await logOf(again)).toEqual(entries);
  });

  it('can list thousands of changes of one batch', async () => {
    const { store } = await stores.wrapped();
    const session = store.session();
    const ids = Array.from({ length: 5000 }, (_, n) => session.push(patternOf(n % 60, n)));
    await session.commit();
    const [entry] = await logOf(store);
    expect(entry?.changes.length).toBe(5000);
    expect(entry?.changes.every(({ id }, n) => id === ids[n])).toBe(true);
  });
});

describe('a range', () => {
  it('begins after the checkpoint, or after the given batch', async () => {
    const { store } = await stores.wrapped();
    await fill(store, 6);
    const batches = async (after?: number): Promise<number[]> =>
      (await logOf(store, after === undefined ? {} : { after })).map(({ batch }) => batch);
    expect(await batches()).toEqual([1, 2, 3, 4, 5, 6]);
    expect(await batches(0)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(await batches(4)).toEqual([5, 6]);
    expect(await batches(6)).toEqual([]);
    await store.checkpointTo(3);
    expect(await batches()).toEqual([4, 5, 6, 7]);
    expect(await batches(3)).toEqual([4, 5, 6, 7]);
    expect(await listOf(store.commitLog({ after: undefined, follow: undefined }))).toHaveLength(4);
  });

  it('ends at the batch that was current at the call', async () => {
    const { store } = await stores.wrapped();
    await fill(store, 2);
    const log = store.commitLog();
    await fill(store, 2);
    expect((await listOf(log)).map(({ batch }) => batch)).toEqual([1, 2]);
  });

  it('is empty in a store never written to', async () => {
    const { store } = await stores.wrapped();
    expect(await logOf(store)).toEqual([]);
  });

  it('is refused for a batch after the current one, and for anything that is not a batch', async () => {
    const { store } = await stores.wrapped();
    await fill(store, 1);
    for (const wrong of [2, -1, 0.5, Number.NaN, '1', 1n, null]) {
      const read = async (): Promise<unknown> => logOf(store, { after: wrong as number });
      await check.rejects('VARVE_INVALID_ARGUMENT', read);
    }
    for (const wrong of [{ follow: 1 }, { signal: 'now' }]) {
      const read = async (): Promise<unknown> => listOf(store.commitLog(wrong as never));
      await check.rejects('VARVE_INVALID_ARGUMENT', read);
    }
  });

  it('rejects the first next with VARVE_LOG_TRUNCATED if entries are gone', async () => {
    const { store } = await stores.wrapped();
    await fill(store, 5);
    const early = iteratorOf(store);
    await store.checkpointTo(3);
    await check.rejects('VARVE_LOG_TRUNCATED', next(early));
    for (const after of [0, 2]) {
      const error = await check.rejects('VARVE_LOG_TRUNCATED', next(iteratorOf(store, { after })));
      expect(error.batch).toBe(after);
    }
    expect(await logOf(store, { after: 3 })).toHaveLength(3);
  });
});

describe('iterating', () => {
  it('keeps a guard from the first entry to the end', async () => {
    const { store } = await stores.wrapped();
    await fill(store, 4);
    const iterator = iteratorOf(store, { after: 1 });
    expect(store.statistics().oldestGuard).toBe(undefined);
    expect((await iterator.next()).value).toMatchObject({ batch: 2 });
    const held = present(store.statistics().oldestGuard);
    expect(held).toBeLessThanOrEqual(2);
    await store.checkpointTo(4);
    expect(store.checkpoint).toBe(held);
    expect((await iterator.next()).value).toMatchObject({ batch: 3 });
    expect((await iterator.next()).value).toMatchObject({ batch: 4 });
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
    expect(store.statistics().oldestGuard).toBe(undefined);
    await store.checkpointTo(4);
    expect(store.checkpoint).toBe(4);
  });

  it('releases it when it is left early, by break, by throw and by return', async () => {
    const { store } = await stores.wrapped();
    await fill(store, 3);
    for await (const _ of store.commitLog()) break;
    expect(store.statistics().oldestGuard).toBe(undefined);
    const read = async (): Promise<void> => {
      for await (const { batch } of store.commitLog()) throw new Error(`at ${batch}`);
    };
    await expect(read()).rejects.toThrow('at 1');
    expect(store.statistics().oldestGuard).toBe(undefined);
    const iterator = iteratorOf(store);
    await iterator.next();
    await iterator.return?.();
    expect(store.statistics().oldestGuard).toBe(undefined);
  });

  it('releases it also if reading fails', async () => {
    const { store, disk } = await stores.wrapped();
    await fill(store, 3);
    const iterator = iteratorOf(store);
    await iterator.next();
    const fault = disk.fail('read', 'EIO');
    const error = await check.rejects('VARVE_IO', next(iterator));
    expect(error.cause).toBe(fault.error);
    fault.stop();
    expect(store.statistics().oldestGuard).toBe(undefined);
  });

  it('works for several iterators, each at its own pace', async () => {
    const { store } = await stores.wrapped();
    await fill(store, 5);
    const [one, other] = [iteratorOf(store), iteratorOf(store, { after: 3 })];
    await other.next();
    await one.next();
    expect(present(store.statistics().oldestGuard)).toBeLessThanOrEqual(1);
    await one.return?.();
    expect(store.statistics().oldestGuard).toBeGreaterThanOrEqual(3);
    await other.return?.();
  });
});

describe('following', () => {
  it('yields each entry once, in order, as it becomes durable', async () => {
    const { store, disk } = await stores.wrapped();
    await fill(store, 2);
    const iterator = iteratorOf(store, { follow: true });
    const seen = [await iterator.next(), await iterator.next()];
    const third = watch(iterator.next());
    await turns();
    expect(third.state).toBe('pending');
    const gate = disk.hold('datasync');
    const put = watch(store.put(bytesOf('third')));
    await gate.reached();
    await turns();
    expect(third.state).toBe('pending');
    gate.open();
    await put.promise;
    seen.push(await third.promise);
    await Promise.all([1, 2, 3].map((n) => store.put(bytesOf(`more ${n}`))));
    await store.put(bytesOf('last'));
    seen.push(await iterator.next(), await iterator.next());
    expect(seen.map(({ value }) => value.batch)).toEqual([1, 2, 3, 4, 5]);
    await iterator.return?.();
  });

  it('holds checkpoints back to the batch that its reader has reached', async () => {
    const { store } = await stores.wrapped();
    await fill(store, 2);
    const iterator = iteratorOf(store, { follow: true });
    await iterator.next();
    await fill(store, 3);
    await store.checkpointTo(5);
    expect(store.checkpoint).toBeLessThanOrEqual(1);
    const batches = [];
    for (let n = 0; n < 4; n += 1) batches.push((await iterator.next()).value.batch);
    expect(batches).toEqual([2, 3, 4, 5]);
    await iterator.return?.();
  });

  it('ends with the reason of its signal, waiting or not, and releases its guard', async () => {
    const { store } = await stores.wrapped();
    await fill(store, 2);
    const reason = new Error('enough');
    for (const entriesBefore of [0, 1, 2]) {
      const controller = new AbortController();
      const iterator = iteratorOf(store, { follow: true, signal: controller.signal });
      for (let n = 0; n < entriesBefore; n += 1) await iterator.next();
      const waiting = entriesBefore === 2 ? watch(iterator.next()) : undefined;
      await turns();
      controller.abort(reason);
      await expect(waiting?.promise ?? iterator.next()).rejects.toBe(reason);
      expect(store.statistics().oldestGuard).toBe(undefined);
      expect(await iterator.next()).toEqual({ done: true, value: undefined });
    }
  });

  it('ends with the reason also if the signal was aborted before, or without follow', async () => {
    const { store } = await stores.wrapped();
    await fill(store, 2);
    const reason = new Error('too late');
    const signal = AbortSignal.abort(reason);
    for (const follow of [true, false]) {
      await expect(iteratorOf(store, { follow, signal }).next()).rejects.toBe(reason);
    }
  });

  it('ends on an abort at the moment when a batch becomes durable', async () => {
    const { store } = await stores.wrapped();
    await fill(store, 1);
    const reason = new Error('just now');
    for (let hops = 0; hops < 12; hops += 1) {
      const controller = new AbortController();
      const options = { follow: true, signal: controller.signal, after: store.currentBatch };
      const iterator = iteratorOf(store, options);
      const waiting = watch(iterator.next());
      const abort = async (): Promise<void> => {
        for (let hop = 0; hop < hops; hop += 1) await undefined;
        controller.abort(reason);
      };
      await Promise.all([store.put(bytesOf('one more')), abort()]);
      const outcome = await waiting.promise.catch((error: unknown) => error);
      if (outcome !== reason) await expect(iterator.next()).rejects.toBe(reason);
      expect(store.statistics().oldestGuard).toBe(undefined);
    }
  });

  it('ends on an abort at the moment when a commit turns out to change nothing', async () => {
    const { store } = await stores.wrapped();
    await fill(store, 2);
    using _ = store.guard(0);
    const reason = new Error('just now');
    for (let hops = 0; hops < 20; hops += 1) {
      const controller = new AbortController();
      const options = { follow: true, signal: controller.signal, after: 2 };
      const waiting = watch(iteratorOf(store, options).next());
      const abort = async (): Promise<void> => {
        for (let hop = 0; hop < hops; hop += 1) await undefined;
        controller.abort(reason);
      };
      // The guard lets it go nowhere.
      await Promise.all([store.checkpointTo(1), abort()]);
      await turns();
      expect(waiting.state).toBe('rejected');
      await expect(waiting.promise).rejects.toBe(reason);
    }
  });

  it('ends on a close at the moment when a commit turns out to change nothing', async () => {
    for (let hops = 0; hops < 20; hops += 1) {
      const { store } = await stores.wrapped();
      await fill(store, 2);
      store.guard(0);
      const waiting = watch(iteratorOf(store, { follow: true, after: 2 }).next());
      const close = async (): Promise<void> => {
        for (let hop = 0; hop < hops; hop += 1) await undefined;
        await store.close();
      };
      await Promise.allSettled([store.checkpointTo(1), close()]);
      await turns();
      expect(waiting.state).toBe('rejected');
      await check.rejects('VARVE_CLOSED', () => waiting.promise);
    }
  });

  it('ends with VARVE_CLOSED if the store is closed', async () => {
    const { store } = await stores.wrapped();
    await fill(store, 1);
    const waiting = iteratorOf(store, { follow: true });
    await waiting.next();
    const pending = watch(waiting.next());
    const idle = iteratorOf(store);
    await idle.next();
    await turns();
    await store.close();
    await check.rejects('VARVE_CLOSED', () => pending.promise);
    await check.rejects('VARVE_CLOSED', next(idle));
    check.throws('VARVE_CLOSED', () => store.statistics());
  });
});
