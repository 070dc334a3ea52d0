/**
 * Values that come in in several turns: `pushAsync`, `pushStream`, and what holds for pushes in
 * flight.
 *
 * Random programs of them in flight together are in test/store/streams.
 */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import type { Session } from '../../src/index.ts';
import { expectSameBytes, inChunks, patternOf } from '../support/bytes.ts';
import {
  bytesOf,
  check,
  commit,
  committed,
  contentOf,
  listOf,
  present,
  settled,
  storesOfTest,
  textOf,
  turns,
  watch,
} from '../support/fixtures/store-checks.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const stores = storesOfTest();
const kibibyte = 1024;
const mebibyte = kibibyte * kibibyte;
const long = 3 * mebibyte + 333;

/** A source that gives one chunk and then nothing, until it fails; it says that it was cancelled. */
function stalled(first = patternOf(mebibyte)) {
  const reasons: unknown[] = [];
  let fail = (): void => undefined;
  const stream = new ReadableStream({
    start(controller) {
      controller.enqueue(first);
      fail = () => controller.error(new Error('the source has failed'));
    },
    cancel: (reason) => void reasons.push(reason),
  });
  return { stream, reasons, fail };
}

describe('pushStream', () => {
  it('stores values of any length from sources of both kinds', async () => {
    const { store } = await stores.wrapped();
    for (const length of [0, 1, 5000, 524_288, 524_289, long]) {
      const bytes = patternOf(length);
      const session = store.session();
      const one = await session.pushStream(inChunks(bytes), { length });
      const chunks = await listOf(inChunks(bytes, 77_777));
      const given = new ReadableStream<Uint8Array>({
        pull(controller) {
          const chunk = chunks.shift();
          if (chunk === undefined) controller.close();
          else controller.enqueue(chunk);
        },
      });
      const other = await session.pushStream(given, { length });
      expect(given.locked).toBe(false);
      expectSameBytes(present(session.get(one)), bytes);
      await check.noValue(store, one);
      await session.commit();
      await check.value(store, one, bytes);
      await check.value(store, other, bytes);
    }
  });

  it.each(['more', 'fewer'])('refuses a source that yields %s bytes', async (which) => {
    const { store } = await stores.wrapped();
    const free = store.statistics().strata;
    for (const length of [10, long]) {
      const given = patternOf(which === 'more' ? length + 1 : length - 1);
      const session = store.session();
      await check.rejects('VARVE_INVALID_ARGUMENT', () =>
        session.pushStream(inChunks(given), { length }),
      );
      expect(store.statistics().strata.every((row) => row.allocated === 0)).toBe(true);
      const id = session.push(bytesOf('usable'));
      await session.commit();
      expect(textOf(store.get(id))).toBe('usable');
      await commit(store, (next) => next.archive(id));
      await store.checkpointTo(store.currentBatch);
    }
    expect(free).toEqual([]);
  });

  it('rejects with the own error of a source, which is not cancelled then', async () => {
    const { store } = await stores.wrapped();
    const session = store.session();
    const error = new Error('the network');
    let cancels = 0;
    const source = {
      [Symbol.asyncIterator]: () => ({
        next: () => Promise.reject(error),
        return: async () => {
          cancels += 1;
          return { done: true as const, value: undefined };
        },
      }),
    };
    await expect(session.pushStream(source, { length: long })).rejects.toBe(error);
    expect(cancels).toBe(0);
    expect(await session.commit()).toBe(0);
  });

  it('refuses what is no source, no length, no chunk and no option', async () => {
    const { store } = await stores.wrapped();
    const session = store.session();
    const push = (source: unknown, options: unknown) => () =>
      session.pushStream(source as AsyncIterable<Uint8Array>, options as { length: number });
    const strange = (async function* () {
      yield 'text';
    })();
    for (const source of [undefined, null, 5, 'text', [bytesOf('a')], {}, strange]) {
      await check.rejects('VARVE_INVALID_ARGUMENT', push(source, { length: 4 }));
    }
    const source = inChunks(bytesOf('abcd'));
    for (const length of [undefined, -1, 0.5, '4', Number.NaN]) {
      await check.rejects('VARVE_INVALID_ARGUMENT', push(source, { length }));
    }
    await check.rejects('VARVE_INVALID_ARGUMENT', push(source, { length: 4, size: 4 }));
    await check.rejects('VARVE_INVALID_ARGUMENT', push(source, { length: 4, signal: 1 }));
    await check.rejects('VARVE_TOO_LARGE', push(source, { length: 2 ** 32 }));
    const locked = stalled().stream;
    locked.getReader();
    await check.rejects('VARVE_INVALID_ARGUMENT', push(locked, { length: 4 }));
    const id = await session.pushStream(source, { length: 4 });
    expect(textOf(session.get(id))).toBe('abcd');
    session.abandon();
  });

  it('ends with the reason of its signal, and cancels the source', async () => {
    const { store } = await stores.wrapped();
    const reason = new Error('no longer wanted');
    for (const aborted of [true, false]) {
      const session = store.session();
      const abort = new AbortController();
      if (aborted) abort.abort(reason);
      const { stream, reasons, fail } = stalled();
      const options = { length: long, signal: abort.signal };
      const pushing = watch(session.pushStream(stream, options));
      await turns();
      expect(pushing.state).toBe(aborted ? 'rejected' : 'pending');
      abort.abort(reason);
      // A push that goes on waiting must not keep the store from closing.
      await expect(settled(pushing.promise).finally(fail)).rejects.toBe(reason);
      expect(reasons).toEqual([reason]);
      expect(await session.commit()).toBe(store.currentBatch);
    }
  });

  it('gives grains back only when its write has returned', async () => {
    const { store, disk } = await stores.wrapped();
    const gate = disk.hold('write');
    const session = store.session();
    const { stream } = stalled(patternOf(600_000));
    const pushing = watch(session.pushStream(stream, { length: long }));
    await gate.reached();
    session.abandon();
    await turns();
    expect(pushing.state).toBe('pending');
    const other = store.session();
    const id = other.push(patternOf(long, 5));
    gate.open();
    await check.rejects('VARVE_SESSION_ENDED', () => pushing.promise);
    await other.commit();
    await check.value(store, id, patternOf(long, 5));
  });

  it('lets others have their turns, whatever chunks there are', async () => {
    const { store } = await stores.wrapped();
    const session = store.session();
    let isOver = false;
    const endless = (async function* () {
      while (!isOver) yield new Uint8Array(0);
      yield bytesOf('over');
    })();
    const pushing = session.pushStream(endless, { length: 4 });
    await turns(3);
    isOver = true;
    await pushing;
    session.abandon();
  });

  it('rejects with VARVE_IO if the disk refuses, and the session stays usable', async () => {
    const { store, disk } = await stores.wrapped();
    const session = store.session();
    const kept = session.push(bytesOf('kept'));
    const fault = disk.fail('write', 'ENOSPC', { times: 1 });
    const pushing = session.pushStream(inChunks(patternOf(long)), { length: long });
    const error = await check.rejects('VARVE_IO', () => pushing);
    expect(error.cause).toBe(fault.error);
    await session.commit();
    expect(textOf(store.get(kept))).toBe('kept');
  });

  it('leaves a file no longer than without it', async () => {
    const lengthAfter = async (length: number, pushed = 0): Promise<number> => {
      const { store, disk } = await stores.wrapped();
      await committed(store, bytesOf('one'));
      const session = store.session();
      if (pushed > 0) session.push(patternOf(pushed));
      if (length > 0) {
        const pushing = session.pushStream(inChunks(patternOf(length - 1)), { length });
        await check.rejects('VARVE_INVALID_ARGUMENT', () => pushing);
      }
      session.abandon();
      await store.close();
      return (await contentOf(disk.inner)).length;
    };
    expect(await lengthAfter(long)).toBe(await lengthAfter(0));
    expect(await lengthAfter(0, long)).toBe(await lengthAfter(0));
  });
});

describe('pushAsync', () => {
  it('writes large data without blocking, and many small values too', async () => {
    const { store, disk } = await stores.wrapped();
    const session = store.session();
    const from = disk.calls.length;
    const large = await session.pushAsync(patternOf(long));
    const writes = disk.calls.slice(from).filter(({ operation }) => operation === 'write');
    expect(writes.filter(({ sync, bytes }) => sync && bytes > 256 * kibibyte)).toEqual([]);
    const values = Array.from({ length: 40 }, (_, at) => patternOf(60_000, at));
    const ids = await Promise.all(values.map((bytes) => session.pushAsync(bytes)));
    await session.commit();
    await check.value(store, large, patternOf(long));
    for (const [at, id] of ids.entries()) await check.value(store, id, patternOf(60_000, at));
  });

  it('withdraws a value whose write is in flight, and its grains stay until that returns', async () => {
    const { store, disk } = await stores.wrapped();
    const session = store.session();
    const first = session.push(patternOf(300_000, 1));
    session.push(patternOf(300_000, 2));
    const gate = disk.hold('write');
    const pushing = session.pushAsync(patternOf(600_000, 3));
    await gate.reached();
    session.archive(first);
    const other = store.session();
    const id = other.push(patternOf(300_000, 4));
    other.commitSync();
    gate.open();
    const last = await pushing;
    await session.commit();
    await check.value(store, id, patternOf(300_000, 4));
    await check.value(store, last, patternOf(600_000, 3));
  });

  it('refuses anything that is not a Uint8Array', async () => {
    const { store } = await stores.wrapped();
    const session = store.session();
    const wrong = 'text' as unknown as Uint8Array;
    await check.rejects('VARVE_INVALID_ARGUMENT', () => session.pushAsync(wrong));
    session.abandon();
    await check.rejects('VARVE_SESSION_ENDED', () => session.pushAsync(bytesOf('late')));
  });
});

describe('a push in flight', () => {
  it('makes commit, commitSync and adopt VARVE_BUSY, with the session still open', async () => {
    const { store } = await stores.wrapped();
    const session = store.session();
    const other = store.session();
    const pushing = session.pushAsync(patternOf(long));
    await check.rejects('VARVE_BUSY', () => session.commit());
    check.throws('VARVE_BUSY', () => session.commitSync());
    check.throws('VARVE_BUSY', () => other.adopt(session));
    const id = await pushing;
    expect(await session.commit()).toBe(1);
    await check.value(store, id, patternOf(long));
    other.abandon();
  });

  it('ends with VARVE_CLOSED if the store is closed, which cancels the source', async () => {
    const { store, disk } = await stores.wrapped();
    const { stream, reasons } = stalled();
    const pushing = store.session().pushStream(stream, { length: long });
    await turns();
    const from = disk.calls.length;
    const closing = store.close();
    const error = await check.rejects('VARVE_CLOSED', () => pushing);
    expect(reasons).toEqual([error]);
    await closing;
    expect(disk.calls.slice(from).at(-1)?.operation).toBe('close');
  });

  it('ends when its source ends the session or closes the store, and is busy if it commits', async () => {
    const { store } = await stores.wrapped();
    const calls: readonly (readonly [string, (session: Session) => unknown])[] = [
      ['VARVE_BUSY', (session) => session.commitSync()],
      ['VARVE_SESSION_ENDED', (session) => session.abandon()],
      ['VARVE_CLOSED', () => void store.close()],
    ];
    for (const [code, call] of calls) {
      const session = store.session();
      const source = (async function* () {
        yield patternOf(600_000);
        call(session);
        yield patternOf(600_000);
      })();
      const length = 1_200_000;
      await check.rejects(code as 'VARVE_BUSY', () => session.pushStream(source, { length }));
      session.abandon();
    }
    await store.close();
  });

  it('is ended if its session is collected, and its source is cancelled', async () => {
    const { store } = await stores.wrapped();
    const { stream, reasons } = stalled();
    let pushing = watch(Promise.resolve() as Promise<unknown>);
    (() => {
      pushing = watch(store.session().pushStream(stream, { length: long }));
    })();
    for (let round = 0; round < 100 && pushing.state !== 'rejected'; round++) {
      await turns();
      collectGarbage();
    }
    const error = await check.rejects('VARVE_SESSION_ENDED', () => pushing.promise);
    expect(reasons).toEqual([error]);
    await check.sound(store);
  });

  it('ends with VARVE_POISONED if the sync of another session fails meanwhile', async () => {
    const { store, disk } = await stores.wrapped();
    const session = store.session();
    let next: (chunk: Uint8Array) => void = () => undefined;
    const source = (async function* () {
      yield patternOf(600_000);
      yield await new Promise<Uint8Array>((resolve) => {
        next = resolve;
      });
    })();
    const pushing = watch(session.pushStream(source, { length: 1_200_000 }));
    await turns();
    disk.fail('datasync', 'EIO', { times: 1 });
    await check.rejects('VARVE_POISONED', () => store.put(bytesOf('other')));
    next(patternOf(600_000));
    await check.rejects('VARVE_POISONED', () => pushing.promise);
  });

  it('copies a value of the same store', async () => {
    const { store } = await stores.wrapped();
    const { id } = await store.put(patternOf(long));
    const session = store.session();
    const copied = await session.pushStream(present(store.createReadStream(id)), { length: long });
    session.archive(id);
    await session.commit();
    await store.checkpointTo(store.currentBatch);
    await check.value(store, copied, patternOf(long));
  });

  it('ends with an updateEmbeddedHeader that leaves it behind', async () => {
    const { store } = await stores.wrapped();
    const pushes: Promise<unknown>[] = [];
    await check.rejects('VARVE_BUSY', () =>
      store.updateEmbeddedHeader((session) => {
        pushes.push(check.rejects('VARVE_SESSION_ENDED', () => session.pushAsync(patternOf(long))));
        return session.push(bytesOf('header'));
      }),
    );
    await Promise.all(pushes);
    await check.sound(store);
  });
});
