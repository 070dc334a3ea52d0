/**
 * Iterators of the commit log, of a store that writes and of a reader beside it: how they end, and
 * what they hold until then.
 */

import { Readable } from 'node:stream';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { memoryFileSystem, Store } from '../../src/index.ts';
import { bytesOf, turns, watch } from '../support/fixtures/store-checks.ts';

/** Each opens a store of so many batches. */
const sides = {
  'a store that writes': async (batches: number): Promise<Store> => {
    const store = await Store.inMemory();
    for (let at = 0; at < batches; at++) await store.put(bytesOf('value'));
    return store;
  },
  'a reader': async (batches: number): Promise<Store> => {
    const fileSystem = memoryFileSystem();
    const writer = await Store.open('store', { fileSystem });
    for (let at = 0; at < batches; at++) await writer.put(bytesOf('value'));
    return await Store.open('store', { fileSystem, readOnly: true });
  },
};

/** Collects garbage until no iterator holds the log. */
async function collected(store: Store): Promise<void> {
  setFlagsFromString('--expose-gc');
  const collect: () => void = runInNewContext('gc');
  for (let round = 0; round < 200 && store.statistics().oldestGuard !== undefined; round++) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(store.statistics().oldestGuard).toBe(undefined);
}

describe.each(Object.entries(sides))('the commit log of %s', (_, open) => {
  it.each(['return', 'throw'] as const)(
    '%s ends a next that waits, and releases the guard',
    async (end) => {
      const store = await open(1);
      const log = store.commitLog({ follow: true, after: 1 })[Symbol.asyncIterator]();
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
    const store = await open(1);
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
    const store = await open(3);
    await (async () => store.commitLog({ after: 0 })[Symbol.asyncIterator]().next())();
    expect(store.statistics().oldestGuard).toBe(1);
    await collected(store);
    await store.close();
  });

  it('a forgotten iterator that waits releases its guard when it is collected', async () => {
    const store = await open(1);
    (() => void store.commitLog({ follow: true, after: 1 })[Symbol.asyncIterator]().next())();
    await turns();
    expect(store.statistics().oldestGuard).toBe(1);
    await collected(store);
    await store.close();
  });

  it('twelve followers of one signal end with it, without a warning', async () => {
    const store = await open(1);
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
});
