/**
 * What a session takes: `push`, `archive`, withdrawing, `get`, and the errors of each; what others
 * see of it before it commits, which is nothing.
 *
 * How sessions end is in session-end.test.ts, the embedded header in embedded-header.test.ts.
 */

import { describe, expect, it } from 'vitest';
import { GrainId, type Store } from '../../src/index.ts';
import { expectSameBytes, patternOf } from '../support/bytes.ts';
import {
  bytesOf,
  check,
  commit,
  committed,
  contentOf,
  logOf,
  present,
  storePath,
  storesOfTest,
  textOf,
  watch,
} from '../support/fixtures/store-checks.ts';

const stores = storesOfTest();
const kibibyte = 1024;
const mebibyte = kibibyte * kibibyte;
const valueBytesMax = 4 * kibibyte * mebibyte - kibibyte;

describe('push', () => {
  it('gives an id that is final, and that no other value has', async () => {
    const { store } = await stores.wrapped();
    const one = store.session();
    const other = store.session();
    const ids = new Map<GrainId, string>();
    for (let n = 0; n < 200; n += 1) {
      ids.set(one.push(bytesOf(`one ${n}`)), `one ${n}`);
      ids.set(other.push(bytesOf(`other ${n}`)), `other ${n}`);
    }
    expect(ids.size).toBe(400);
    await Promise.all([other.commit(), one.commit()]);
    for (const [id, text] of ids) expect(textOf(store.get(id))).toBe(text);
  });

  it('writes nothing before the commit while up to 1 MiB is staged', async () => {
    const { store, disk } = await stores.wrapped();
    const session = store.session();
    const from = disk.calls.length;
    for (let n = 0; n < 9; n += 1) session.push(patternOf(100_000, n));
    expect(disk.calls.slice(from)).toEqual([]);
    expect(store.statistics()).toMatchObject({ values: 0, bytesWritten: 0 });
    session.abandon();
  });

  it('writes larger data, or data past 1 MiB staged, before it returns, and syncs nothing', async () => {
    const { store, disk } = await stores.wrapped();
    const large = store.session();
    const marker = bytesOf('the end of a large value');
    const data = new Uint8Array(2 * mebibyte);
    data.set(marker, data.length - marker.length);
    const syncs = disk.count('datasync');
    const id = large.push(data);
    expect(Buffer.from(await contentOf(disk.inner)).includes('the end of a large value')).toBe(
      true,
    );
    const many = store.session();
    const first = many.push(bytesOf('the first of many'));
    for (let n = 0; n < 20; n += 1) many.push(patternOf(60_000, n));
    expect(Buffer.from(await contentOf(disk.inner)).includes('the first of many')).toBe(true);
    expect(disk.count('datasync')).toBe(syncs);
    await check.noValue(store, id);
    await check.noValue(store, first);
    expectSameBytes(present(large.get(id)), data);
    await Promise.all([large.commit(), many.commit()]);
    await check.value(store, id, data);
    await check.value(store, first, bytesOf('the first of many'));
  });

  it('refuses data beyond 4 GiB - 1 KiB with VARVE_TOO_LARGE, and stays usable', async () => {
    const { store, disk } = await stores.wrapped();
    const from = disk.calls.length;
    // Memory that is never touched is never there.
    const tooLarge = new Uint8Array(valueBytesMax + 1);
    const session = store.session();
    const error = check.throws('VARVE_TOO_LARGE', () => session.push(tooLarge));
    expect(error).toMatchObject({ expected: valueBytesMax, actual: valueBytesMax + 1 });
    await check.rejects('VARVE_TOO_LARGE', () => store.put(tooLarge));
    expect(disk.calls.slice(from)).toEqual([]);
    const id = session.push(bytesOf('small enough'));
    await session.commit();
    await check.value(store, id, bytesOf('small enough'));
  });

  it('refuses anything that is not a Uint8Array, and stays usable', async () => {
    const { store } = await stores.wrapped();
    const session = store.session();
    const others = ['text', [1, 2], new ArrayBuffer(4), new Uint16Array(2), new DataView(buffer())];
    const fakes = [{ length: 3 }, { length: 4, [Symbol.toStringTag]: 'Uint8Array' }];
    for (const wrong of [undefined, null, 1, 1n, ...others, ...fakes, new Uint8ClampedArray(2)]) {
      const data = wrong as unknown as Uint8Array;
      check.throws('VARVE_INVALID_ARGUMENT', () => session.push(data));
      await check.rejects('VARVE_INVALID_ARGUMENT', () => store.put(data));
    }
    expect(await session.commit()).toBe(0);
  });

  it('rejects in commit, not before, if writing ahead failed, and keeps nothing', async () => {
    const { store, disk } = await stores.wrapped();
    const free = store.statistics().freeBytes;
    const session = store.session();
    const fault = disk.fail('write', 'ENOSPC', { times: 1 });
    const id = session.push(new Uint8Array(2 * mebibyte));
    expect(fault.count).toBe(1);
    const after = session.push(bytesOf('after it'));
    const error = await check.rejects('VARVE_IO', () => session.commit());
    expect(error.cause).toBe(fault.error);
    await check.noValue(store, id);
    await check.noValue(store, after);
    expect(store.currentBatch).toBe(0);
    expect(store.statistics().freeBytes).toBeGreaterThanOrEqual(free);
  });
});

function buffer(): ArrayBuffer {
  return new ArrayBuffer(8);
}

describe('put', () => {
  it('pushes and commits one value', async () => {
    const { store } = await stores.wrapped();
    const { id, batch } = await store.put(bytesOf('one'));
    expect(batch).toBe(1);
    expect(store.currentBatch).toBe(1);
    await check.value(store, id, bytesOf('one'));
    expect(await logOf(store)).toMatchObject([{ batch, changes: [{ operation: 'allocate', id }] }]);
  });

  it('writes large data without blocking the thread, and syncs once', async () => {
    const { store, disk } = await stores.wrapped();
    const data = patternOf(9 * mebibyte);
    const from = disk.calls.length;
    const gate = disk.hold('write');
    const put = watch(store.put(data));
    await gate.reached();
    const other = await committed(store, bytesOf('meanwhile'));
    await check.value(store, other, bytesOf('meanwhile'));
    expect(put.state).toBe('pending');
    const syncs = disk.count('datasync');
    gate.open();
    const { id, batch } = await put.promise;
    expect(batch).toBe(2);
    expect(disk.count('datasync')).toBe(syncs + 1);
    const blocking = disk.calls.slice(from).filter(({ sync, bytes }) => sync && bytes > mebibyte);
    expect(blocking).toEqual([]);
    await check.value(store, id, data);
  });

  it('rejects with VARVE_IO if large data cannot be written; its grains are free', async () => {
    const { store, disk } = await stores.wrapped();
    const fault = disk.fail('write', 'ENOSPC', { when: ({ sync }) => !sync });
    const error = await check.rejects('VARVE_IO', () => store.put(new Uint8Array(3 * mebibyte)));
    expect(error.cause).toBe(fault.error);
    expect(store.currentBatch).toBe(0);
    await check.sound(store);
    fault.stop();
    const { id } = await store.put(patternOf(3 * mebibyte));
    const size = store.statistics().fileBytes;
    expect(size).toBeLessThan(4.5 * mebibyte);
    await check.value(store, id, patternOf(3 * mebibyte));
  });
});

describe('get', () => {
  it("answers with the session's own staged values, then with the store's", async () => {
    const { store } = await stores.wrapped();
    const old = await committed(store, bytesOf('of the store'));
    const session = store.session();
    const own = session.push(bytesOf('of the session'));
    expect(textOf(session.get(own))).toBe('of the session');
    expect(textOf(session.get(old))).toBe('of the store');
    expect(session.get(0n as GrainId)).toBe(undefined);
    const later = await committed(store, bytesOf('later'));
    expect(textOf(session.get(later))).toBe('later');
    session.archive(old);
    expect(textOf(session.get(old))).toBe('of the store');
  });

  it('does not return values that another session has staged', async () => {
    const { store } = await stores.wrapped();
    const id = store.session().push(bytesOf('private'));
    expect(store.session().get(id)).toBe(undefined);
  });
});

describe('archive', () => {
  async function withValue(): Promise<{ store: Store; id: GrainId }> {
    const { store } = await stores.wrapped();
    return { store, id: await committed(store, bytesOf('value')) };
  }

  it('marks a value: it stays readable, and counts as archived', async () => {
    const { store, id } = await withValue();
    const batch = await commit(store, (session) => session.archive(id));
    await check.value(store, id, bytesOf('value'));
    expect(store.statistics()).toMatchObject({ values: 1, archivedValues: 1, valueBytes: 5 });
    expect(await logOf(store, { after: batch - 1 })).toMatchObject([
      { batch, changes: [{ operation: 'archive', id, count: 1 }] },
    ]);
  });

  it('throws VARVE_NOT_FOUND for an id without a committed value, and changes nothing', async () => {
    const { store } = await withValue();
    const large = await committed(store, patternOf(3000));
    const { basin, stratum, index } = GrainId.parts(large);
    const staged = store.session().push(bytesOf('staged elsewhere'));
    const inside = GrainId.of(basin, stratum, index + 1);
    const session = store.session();
    for (const id of [0n as GrainId, staged, inside, GrainId.of(200, 0, 0), GrainId.from(1n)]) {
      const error = check.throws('VARVE_NOT_FOUND', () => session.archive(id));
      expect(error.grainId).toBe(id);
    }
    expect(await session.commit()).toBe(2);
    expect(store.statistics().archivedValues).toBe(0);
  });

  it('throws VARVE_NOT_FOUND for a value that has been freed', async () => {
    const { store, id } = await withValue();
    await store.checkpointTo(await commit(store, (session) => session.archive(id)));
    check.throws('VARVE_NOT_FOUND', () => store.session().archive(id));
  });

  it('throws VARVE_ALREADY_ARCHIVED if this session has archived it', async () => {
    const { store, id } = await withValue();
    const session = store.session();
    session.archive(id);
    const error = check.throws('VARVE_ALREADY_ARCHIVED', () => session.archive(id));
    expect(error.grainId).toBe(id);
    await session.commit();
    expect(store.statistics().archivedValues).toBe(1);
  });

  it('throws VARVE_ALREADY_ARCHIVED if a committed session has, after reopening too', async () => {
    const { store, disk } = await stores.wrapped();
    const id = await committed(store, bytesOf('value'));
    await commit(store, (session) => session.archive(id));
    check.throws('VARVE_ALREADY_ARCHIVED', () => store.session().archive(id));
    await store.close();
    const again = await stores.open(storePath, { fileSystem: disk });
    check.throws('VARVE_ALREADY_ARCHIVED', () => again.session().archive(id));
  });

  it('throws VARVE_ALREADY_ARCHIVED if another session has, open or committing', async () => {
    const { store, disk } = await stores.wrapped();
    const id = await committed(store, bytesOf('value'));
    const other = store.session();
    other.archive(id);
    check.throws('VARVE_ALREADY_ARCHIVED', () => store.session().archive(id));
    const gate = disk.hold('datasync');
    const committing = watch(other.commit());
    check.throws('VARVE_ALREADY_ARCHIVED', () => store.session().archive(id));
    await gate.reached();
    check.throws('VARVE_ALREADY_ARCHIVED', () => store.session().archive(id));
    gate.open();
    await committing.promise;
    check.throws('VARVE_ALREADY_ARCHIVED', () => store.session().archive(id));
  });

  it('is possible again once the session that archived the value is abandoned', async () => {
    const { store, id } = await withValue();
    const other = store.session();
    other.archive(id);
    other.abandon();
    await commit(store, (session) => session.archive(id));
    expect(store.statistics().archivedValues).toBe(1);
  });

  it('refuses anything that is not a bigint', async () => {
    const { store } = await withValue();
    for (const wrong of [undefined, null, 1, '0-0-0']) {
      const id = wrong as unknown as GrainId;
      check.throws('VARVE_INVALID_ARGUMENT', () => store.session().archive(id));
    }
  });
});

describe('withdrawing', () => {
  it("frees the grains of the session's own value at once", async () => {
    const { store } = await stores.wrapped();
    const session = store.session();
    const kept = session.push(bytesOf('kept'));
    const withdrawn = session.push(bytesOf('withdrawn'));
    session.archive(withdrawn);
    expect(session.get(withdrawn)).toBe(undefined);
    check.throws('VARVE_NOT_FOUND', () => session.archive(withdrawn));
    expect(session.push(bytesOf('instead'))).toBe(withdrawn);
    const batch = await session.commit();
    expect(textOf(store.get(withdrawn))).toBe('instead');
    expect(textOf(store.get(kept))).toBe('kept');
    const changes = (await logOf(store)).at(-1)?.changes.map(({ id }) => id);
    expect(changes).toEqual([kept, withdrawn]);
    expect(store.statistics()).toMatchObject({ values: 2, archivedValues: 0 });
    await store.checkpointTo(batch);
    expect(textOf(store.get(withdrawn))).toBe('instead');
  });

  it('leaves the session with nothing to commit if it pushed nothing else', async () => {
    const { store, disk } = await stores.wrapped();
    const session = store.session();
    for (const length of [0, 100, 70_000, 2 * mebibyte]) {
      session.archive(session.push(patternOf(length)));
    }
    const syncs = disk.count('datasync');
    expect(await session.commit()).toBe(0);
    expect(disk.count('datasync')).toBe(syncs);
    expect(store.statistics()).toMatchObject({ values: 0, commits: 0 });
    await check.sound(store);
  });
});
