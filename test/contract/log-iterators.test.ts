/** Iterators of the commit log: how they end, and what they hold until then. */

import { Readable } from 'node:stream';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { type CommitLogEntry, Store } from '../../src/index.ts';
import { bytesOf, turns, watch } from '../support/store-checks.ts';

async function follower(store: Store): Promise<AsyncIterator<CommitLogEntry>> {
  await store.put(bytesOf('one'));
  return store.commitLog({ follow: true, after: store.currentBatch })[Symbol.asyncIterator]();
}

it.each(['return', 'throw'] as const)(
  '%s ends a next that waits, and releases the guard',
  async (end) => {
    const store = await Store.inMemory();
    const log = await follower(store);
    const first = watch(log.next());
    const second = watch(log.next());
    await turns();
    expect([first.state, store.statistics().oldestGuard]).toEqual(['pending', 1]);
    const ended = watch(log[end]?.(new Error('thrown in')) as Promise<unknown>);
    expect(store.statistics().oldestGuard).toBe(undefined);
    await turns();
    expect(ended.state).toBe(end === 'throw' ? 'rejected' : 'resolved');
    await ended.promise.catch(() => undefined);
    expect(await first.promise).toEqual({ done: true, value: undefined });
    expect(await second.promise).toEqual({ done: true, value: undefined });
    expect(await log.next()).toEqual({ done: true, value: undefined });
    await store.close();
  },
);

it('a stream that is destroyed closes at once', async () => {
  const store = await Store.inMemory();
  await store.put(bytesOf('one'));
  const stream = Readable.from(store.commitLog({ follow: true, after: 1 }));
  stream.resume();
  await turns();
  const closed = new Promise((resolve) => stream.once('close', resolve));
  stream.destroy();
  await closed;
  expect(store.statistics().oldestGuard).toBe(undefined);
  await store.close();
});

it('a forgotten iterator releases its guard when it is collected', async () => {
  setFlagsFromString('--expose-gc');
  const collect: () => void = runInNewContext('gc');
  const store = await Store.inMemory();
  for (let at = 0; at < 3; at++) await store.put(bytesOf('value'));
  await (async () => store.commitLog({ after: 0 })[Symbol.asyncIterator]().next())();
  expect(store.statistics().oldestGuard).toBe(1);
  for (let round = 0; round < 200 && store.statistics().oldestGuard !== undefined; round++) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(store.statistics().oldestGuard).toBe(undefined);
  await store.close();
});

it('twelve followers of one signal end with it, without a warning', async () => {
  const store = await Store.inMemory();
  await store.put(bytesOf('one'));
  const warnings: Error[] = [];
  const warn = (warning: Error): number => warnings.push(warning);
  process.on('warning', warn);
  const stop = new AbortController();
  const { signal } = stop;
  const followers = Array.from({ length: 12 }, () =>
    watch(store.commitLog({ follow: true, after: 1, signal })[Symbol.asyncIterator]().next()),
  );
  await new Promise((resolve) => setImmediate(resolve));
  stop.abort(new Error('stopped'));
  for (const { promise } of followers) await expect(promise).rejects.toThrow('stopped');
  await new Promise((resolve) => setImmediate(resolve));
  process.off('warning', warn);
  expect(warnings).toEqual([]);
  expect(store.statistics().oldestGuard).toBe(undefined);
  await store.close();
});
