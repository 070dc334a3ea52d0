/**
 * `waitForLockMs`: how often the lock is tried, when the wait ends, and what is left of it.
 *
 * The clock is a false one, and the files are in memory: nothing here waits for time to pass. Waits for
 * another process or thread are in test/processes/locks/lock-wait.test.ts.
 */

import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Forest } from '../../../src/forest/index.ts';
import { memoryFileSystem, Store, type StoreOptions } from '../../../src/index.ts';
import { WrappedFileSystem } from '../../support/disks/wrapped-file-system.ts';
import {
  check,
  settled,
  storePath,
  storesOfTest,
  watch,
} from '../../support/fixtures/store-checks.ts';

const stores = storesOfTest();
let disk: WrappedFileSystem;
let holder: Store;
beforeEach(async () => {
  disk = new WrappedFileSystem(memoryFileSystem());
  holder = await stores.open(storePath, { fileSystem: disk });
  disk.calls.length = 0;
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** An opening that waits; the test has to see how it ends. */
function waiting(options: StoreOptions) {
  return watch(Store.open(storePath, { fileSystem: disk, ...options }));
}

const locked = { code: 'VARVE_LOCKED', path: storePath };
const tries = () => disk.count('open');

it('there is one try by default, and with 0', async () => {
  for (const waitForLockMs of [undefined, 0]) {
    await expect(waiting({ waitForLockMs }).promise).rejects.toMatchObject(locked);
  }
  expect(tries()).toBe(2);
  expect(vi.getTimerCount()).toBe(0);
});

it('a wait ends with VARVE_LOCKED when its time is over, and not before', async () => {
  const open = waiting({ waitForLockMs: 1000 });
  await vi.advanceTimersByTimeAsync(999);
  expect(open.state).toBe('pending');
  const before = tries();
  await vi.advanceTimersByTimeAsync(1);
  await expect(open.promise).rejects.toMatchObject(locked);
  // The last try is made at the end.
  expect(tries()).toBe(before + 1);
  expect(vi.getTimerCount()).toBe(0);
});

it('the store is opened within 100 ms after the lock was released', async () => {
  const open = waiting({ waitForLockMs: 60_000 });
  await vi.advanceTimersByTimeAsync(30_000);
  expect(open.state).toBe('pending');
  await holder.close();
  await vi.advanceTimersByTimeAsync(100);
  const store = stores.keep(await open.promise);
  expect((await store.put(new Uint8Array(3))).batch).toBe(1);
  expect(vi.getTimerCount()).toBe(0);
});

it('the pauses grow: a try after 2 ms, and in a minute no more than 20 a second', async () => {
  for (const random of [0, 1 - Number.EPSILON]) {
    vi.spyOn(Math, 'random').mockReturnValue(random);
    disk.calls.length = 0;
    const open = waiting({ waitForLockMs: 60_000 });
    await vi.advanceTimersByTimeAsync(2);
    expect(tries()).toBe(2);
    await vi.advanceTimersByTimeAsync(60_000);
    await expect(open.promise).rejects.toMatchObject(locked);
    expect(tries()).toBeGreaterThan(600);
    expect(tries()).toBeLessThan(1220);
  }
});

it('the signal ends a wait at once, and leaves no timer, no listener and no lock', async () => {
  const reason = new Error('the user left');
  const controller = new AbortController();
  const { signal } = controller;
  const removed = vi.spyOn(signal, 'removeEventListener');
  const open = waiting({ waitForLockMs: Number.POSITIVE_INFINITY, signal });
  const other = waiting({ waitForLockMs: 10, signal });
  await vi.advanceTimersByTimeAsync(10);
  await expect(other.promise).rejects.toMatchObject(locked);
  await vi.advanceTimersByTimeAsync(600_000);
  expect(open.state).toBe('pending');
  controller.abort(reason);
  await expect(settled(open.promise)).rejects.toBe(reason);
  expect(vi.getTimerCount()).toBe(0);
  expect(removed.mock.calls.length).toBeGreaterThan(0);
  const before = tries();
  await holder.close();
  await vi.advanceTimersByTimeAsync(1000);
  expect(tries()).toBe(before);
  stores.keep(await Store.open(storePath, { fileSystem: disk }));
});

it('a signal that aborts during a try ends the wait too', async () => {
  const reason = new Error('the user left');
  const controller = new AbortController();
  const gate = disk.hold('open');
  const open = waiting({ waitForLockMs: 1000, signal: controller.signal });
  await gate.reached();
  controller.abort(reason);
  gate.open();
  await expect(open.promise).rejects.toBe(reason);
  expect(vi.getTimerCount()).toBe(0);
});

it('no other error is waited for', async () => {
  disk.fail('open', 'EIO');
  await check.rejects('VARVE_IO', () =>
    Store.open(storePath, { fileSystem: disk, waitForLockMs: 1000 }),
  );
  expect(tries()).toBe(1);
});

it('a lock is known by its code, whichever copy of the library refuses it', async () => {
  disk.fail('open', 'VARVE_LOCKED', { times: 2 });
  await holder.close();
  const open = waiting({ waitForLockMs: 1000 });
  await vi.advanceTimersByTimeAsync(10);
  const store = stores.keep(await open.promise);
  expect(tries()).toBe(3);
  await store.close();
  disk.fail('open', 'VARVE_LOCKED');
  const error = await check.rejects('VARVE_LOCKED', () => waiting({}).promise);
  expect(error).toMatchObject({ ...locked, name: 'VarveError' });
});

it('a reader waits for no lock, and a forest waits as its store does', async () => {
  const reader = stores.keep(
    await Store.open(storePath, { fileSystem: disk, readOnly: true, waitForLockMs: 1000 }),
  );
  expect(reader.readOnly).toBe(true);
  const open = watch(Forest.open(storePath, { fileSystem: disk, waitForLockMs: 1000 }));
  await vi.advanceTimersByTimeAsync(500);
  expect(open.state).toBe('pending');
  await holder.close();
  await vi.advanceTimersByTimeAsync(100);
  await (await open.promise).close();
});

it('of many that wait each gets the lock once, one after the other', async () => {
  const order: number[] = [];
  const opens = Array.from({ length: 20 }, async (_, at) => {
    const options = { fileSystem: disk, waitForLockMs: Number.POSITIVE_INFINITY };
    const store = await Store.open(storePath, options);
    order.push(at);
    await store.put(new Uint8Array(at));
    await store.close();
  });
  await holder.close();
  await vi.advanceTimersByTimeAsync(20_000);
  await Promise.all(opens);
  expect([...order].sort((one, other) => one - other)).toEqual(Array.from(order.keys()));
  vi.useRealTimers();
  const store = await stores.open(storePath, { fileSystem: disk });
  expect(store.currentBatch).toBe(20);
});
