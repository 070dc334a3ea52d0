/**
 * Reading: `get`, `getAsync`, `has` and `lengthOf` of values of every size, and of what is no
 * value.
 *
 * Each value goes in by `push`, `put` and `commitSync`, and is read back before and after the
 * store was closed.
 */

import { randomBytes } from 'node:crypto';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GrainId, type Store } from '../../src/index.ts';
import { expectSameBytes, patternOf } from '../support/bytes.ts';
import {
  bytesOf,
  check,
  commit,
  committed,
  longBytesOf,
  present,
  storePath,
  storesOfTest,
  textOf,
  turns,
  watch,
} from '../support/fixtures/store-checks.ts';

const stores = storesOfTest();
const kibibyte = 1024;
const mebibyte = kibibyte * kibibyte;

const page = 4 * kibibyte;
const prefixBytes = 8;
/** Around everything that may be a boundary: prefix, grain sizes, pages, the 1 MiB of staging. */
const lengths = [
  ...[0, 1, 2, 7, 8, 9, 23, 24, 25, 31, 32, 33, 255, 256, 257],
  ...[page, 2 * page, 64 * kibibyte, mebibyte].flatMap((edge) =>
    [-prefixBytes - 1, -prefixBytes, -prefixBytes + 1, -1, 0, 1].map((d) => edge + d),
  ),
  ...[mebibyte + 100 * kibibyte, 3 * mebibyte + 5],
];

describe('values of every size', () => {
  it('are put and read back, now and after reopening', async () => {
    const { store, disk } = await stores.wrapped();
    const ids = [];
    for (const length of lengths) ids.push(await committed(store, patternOf(length, length)));
    for (const [n, length] of lengths.entries()) {
      await check.value(store, present(ids[n]), patternOf(length, length));
    }
    await store.close();
    const again = await stores.open(storePath, { fileSystem: disk });
    for (const [n, length] of lengths.entries()) {
      await check.value(again, present(ids[n]), patternOf(length, length));
    }
  });

  it('are pushed in one session and read back', async () => {
    const { store, disk } = await stores.wrapped();
    const session = store.session();
    const ids = lengths.map((length) => session.push(patternOf(length, length)));
    for (const [n, length] of lengths.entries()) {
      expectSameBytes(present(session.get(present(ids[n]))), patternOf(length, length));
    }
    expect(new Set(ids).size).toBe(lengths.length);
    await session.commit();
    await store.close();
    const again = await stores.open(storePath, { fileSystem: disk });
    for (const [n, length] of lengths.entries()) {
      await check.value(again, present(ids[n]), patternOf(length, length));
    }
  });

  it('are committed by commitSync and read back', async () => {
    const { store } = await stores.wrapped();
    for (const length of lengths) {
      const session = store.session();
      const id = session.push(patternOf(length, length));
      session.commitSync();
      await check.value(store, id, patternOf(length, length));
    }
  });

  it('are pushed in random order, many in a session, and read back', async () => {
    const { store, disk } = await stores.wrapped();
    const sizes = fc.sample(fc.oneof(fc.nat(300), fc.nat(20_000), fc.nat(200_000)), 300);
    const ids: GrainId[] = [];
    for (let from = 0; from < sizes.length; from += 30) {
      await commit(store, (session) => {
        for (const [at, size] of sizes.slice(from, from + 30).entries()) {
          ids.push(session.push(patternOf(size, from + at)));
        }
      });
    }
    await store.close();
    const again = await stores.open(storePath, { fileSystem: disk });
    for (const [n, size] of sizes.entries()) {
      expectSameBytes(present(again.get(present(ids[n]))), patternOf(size, n));
    }
  });

  it('may be 64 MiB', async () => {
    const { store } = await stores.wrapped();
    const large = randomBytes(64 * mebibyte);
    const { id } = await store.put(large);
    expect(store.lengthOf(id)).toBe(large.length);
    expectSameBytes(present(store.get(id)), large);
    expectSameBytes(present(await store.getAsync(id)), large);
  });
});

describe('the bytes given and returned', () => {
  it('is any Uint8Array: a Buffer, a view, one of shared memory, one of another realm', async () => {
    const { store } = await stores.wrapped();
    const shared = new Uint8Array(new SharedArrayBuffer(4));
    shared.set([1, 2, 3, 4]);
    const foreign = runInNewContext('Uint8Array.of(1, 2, 3, 4)') as Uint8Array;
    const view = Uint8Array.of(0, 1, 2, 3, 4, 5).subarray(1, 5);
    for (const data of [Buffer.from([1, 2, 3, 4]), view, shared, foreign]) {
      const { id } = await store.put(data);
      const pushed = await commit(store, (session) => void session.push(data));
      expect(pushed).toBe(store.currentBatch);
      await check.value(store, id, Uint8Array.of(1, 2, 3, 4));
    }
  });

  it('is a plain Uint8Array on the way out', async () => {
    const { store } = await stores.wrapped();
    for (const length of [0, 10, 2000, mebibyte]) {
      const { id } = await store.put(Buffer.alloc(length, 7));
      for (const found of [store.get(id), await store.getAsync(id), store.session().get(id)]) {
        expect(Object.getPrototypeOf(found)).toBe(Uint8Array.prototype);
        expect(present(found).buffer).toBeInstanceOf(ArrayBuffer);
      }
    }
  });

  it('is copied by push: the caller may change its bytes at once', async () => {
    const { store } = await stores.wrapped();
    for (const length of [1, 100, 5000, mebibyte - 8, mebibyte, mebibyte + 1, 2 * mebibyte]) {
      const data = patternOf(length);
      const session = store.session();
      const id = session.push(data);
      data.fill(0);
      await session.commit();
      expectSameBytes(present(store.get(id)), patternOf(length));
    }
  });

  it("is the caller's own: changing a result changes nothing that is read later", async () => {
    const { store } = await stores.wrapped();
    for (const length of [1, 100, 5000, 100_000]) {
      const id = await committed(store, patternOf(length));
      const neighbour = await committed(store, patternOf(length, 2));
      const one = present(store.get(id));
      const other = present(store.get(neighbour));
      one.fill(0);
      present(await store.getAsync(id)).fill(0);
      present(store.session().get(id)).fill(0);
      expectSameBytes(other, patternOf(length, 2));
      await check.value(store, id, patternOf(length));
    }
  });

  it('gives back bytes that a session has staged as a copy too', async () => {
    const { store } = await stores.wrapped();
    const session = store.session();
    const id = session.push(patternOf(100));
    present(session.get(id)).fill(0);
    await session.commit();
    await check.value(store, id, patternOf(100));
  });
});

describe('an id without a committed value', () => {
  async function somewhere(): Promise<{ store: Store; id: GrainId }> {
    const { store } = await stores.wrapped();
    const { id } = await store.put(patternOf(5000));
    return { store, id };
  }

  it('gives undefined if it is 0n, inside a value or never given out', async () => {
    const { store, id } = await somewhere();
    const { basin, stratum, index } = GrainId.parts(id);
    await check.noValue(store, 0n as GrainId);
    await check.noValue(store, GrainId.of(basin, stratum, index + 1));
    await check.noValue(store, GrainId.of(basin, stratum, index + 50_000));
    await check.noValue(store, GrainId.of(basin, stratum + 1, 0));
    await check.noValue(store, GrainId.of(basin + 1, stratum, index));
    await check.noValue(store, GrainId.of(253, 253, 2 ** 48 - 1));
    await check.noValue(store, GrainId.from(1n));
    await check.noValue(store, GrainId.from(2n ** 64n - 1n));
  });

  it('gives undefined if it is no u64, not the value of the id modulo 2^64', async () => {
    const { store, id } = await somewhere();
    await check.noValue(store, (id + 2n ** 64n) as GrainId);
    await check.noValue(store, (id - 2n ** 64n) as GrainId);
    await check.noValue(store, -1n as GrainId);
  });

  it('gives undefined before the commit, and by other sessions', async () => {
    const { store } = await somewhere();
    const session = store.session();
    const id = session.push(bytesOf('staged'));
    await check.noValue(store, id);
    expect(store.session().get(id)).toBe(undefined);
    await session.commit();
    await check.value(store, id, bytesOf('staged'));
  });

  it('is VARVE_INVALID_ARGUMENT if it is not a bigint', async () => {
    const { store } = await somewhere();
    for (const wrong of [undefined, null, 1, '1-2-3', {}]) {
      const id = wrong as unknown as GrainId;
      check.throws('VARVE_INVALID_ARGUMENT', () => store.get(id));
      check.throws('VARVE_INVALID_ARGUMENT', () => store.has(id));
      check.throws('VARVE_INVALID_ARGUMENT', () => store.lengthOf(id));
      check.throws('VARVE_INVALID_ARGUMENT', () => store.session().get(id));
      await check.rejects('VARVE_INVALID_ARGUMENT', () => store.getAsync(id));
    }
  });
});

describe('a value that is archived, then freed', () => {
  it('is readable until a checkpoint frees it, and no longer', async () => {
    const { store } = await stores.wrapped();
    const id = await committed(store, bytesOf('old'));
    const batch = await commit(store, (session) => session.archive(id));
    await check.value(store, id, bytesOf('old'));
    await store.checkpointTo(batch - 1);
    await check.value(store, id, bytesOf('old'));
    await store.checkpointTo(batch);
    await check.noValue(store, id);
  });

  it('gives undefined to a getAsync in flight when its grains have another value', async () => {
    const reused: boolean[] = [];
    for (const length of [100, 600, 3 * mebibyte]) {
      const { store, disk } = await stores.wrapped({ cacheBytes: 0 });
      const id = await committed(store, patternOf(length));
      const gate = disk.hold('read');
      const reading = watch(store.getAsync(id));
      await gate.reached();
      await store.checkpointTo(await commit(store, (session) => session.archive(id)));
      for (let n = 0; n < 10; n += 1) await store.put(patternOf(length + n, 9));
      reused.push(store.has(id));
      gate.open();
      expect(await reading.promise, `${length} bytes`).toBe(undefined);
    }
    expect(reused).toContain(true);
  });

  it('gives undefined to a getAsync in flight when it is only freed', async () => {
    // Carried or in its grains.
    for (const bytes of [bytesOf('going'), longBytesOf('going')]) {
      const { store, disk } = await stores.wrapped({ cacheBytes: 0 });
      const id = await committed(store, bytes);
      const gate = disk.hold('read');
      const reading = watch(store.getAsync(id));
      await gate.reached();
      await store.checkpointTo(await commit(store, (session) => session.archive(id)));
      expect(reading.state).toBe('pending');
      gate.open();
      expect(await reading.promise).toBe(undefined);
    }
  });
});

describe('getAsync', () => {
  it('leaves the event loop free while the disk reads', async () => {
    const { store, disk } = await stores.wrapped({ cacheBytes: 0 });
    const id = await committed(store, bytesOf('slow disk'));
    const gate = disk.hold('read');
    const reading = watch(store.getAsync(id));
    await gate.reached();
    await turns();
    expect(reading.state).toBe('pending');
    expect(textOf(store.get(id))).toBe('slow disk');
    await committed(store, bytesOf('meanwhile'));
    gate.open();
    expect(textOf(await reading.promise)).toBe('slow disk');
  });

  it('reads a large value without a read on the calling thread', async () => {
    const { store, disk } = await stores.wrapped();
    const id = await committed(store, patternOf(3 * mebibyte));
    const from = disk.calls.length;
    expectSameBytes(present(await store.getAsync(id)), patternOf(3 * mebibyte));
    const reads = disk.calls.slice(from);
    expect(reads.length).toBeGreaterThan(0);
    expect(reads.filter(({ sync }) => sync)).toEqual([]);
  });

  it('gives each of many readers its own value', async () => {
    const { store } = await stores.wrapped({ cacheBytes: 0 });
    const ids = [];
    for (let n = 0; n < 50; n += 1) ids.push(await committed(store, patternOf(n * 100, n)));
    const found = await Promise.all(ids.map((id) => store.getAsync(id)));
    for (const [n, bytes] of found.entries()) {
      expectSameBytes(present(bytes), patternOf(n * 100, n));
    }
  });

  it('rejects with VARVE_IO and the cause if the disk refuses, as get throws', async () => {
    const { store, disk } = await stores.wrapped({ cacheBytes: 0 });
    const id = await committed(store, bytesOf('unreadable'));
    const fault = disk.fail('read', 'EIO');
    const rejected = await check.rejects('VARVE_IO', () => store.getAsync(id));
    expect(rejected.cause).toBe(fault.error);
    expect(check.throws('VARVE_IO', () => store.get(id)).cause).toBe(fault.error);
    expect(check.throws('VARVE_IO', () => store.lengthOf(id)).cause).toBe(fault.error);
    fault.stop();
    await check.value(store, id, bytesOf('unreadable'));
  });
});
