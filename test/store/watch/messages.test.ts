/**
 * The messages of `node:diagnostics_channel`, channel by channel: when each is sent, and what each of
 * its fields says. Sums over many commits are in sums.test.ts, what subscribers may do in
 * subscribers.test.ts.
 */

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { codecs, Forest } from '../../../src/forest/index.ts';
import { memoryFileSystem, Store } from '../../../src/index.ts';
import { patternOf } from '../../support/bytes.ts';
import { WrappedFileSystem } from '../../support/disks/wrapped-file-system.ts';
import {
  bytesOf,
  check,
  storePath,
  storesOfTest,
  watch,
} from '../../support/fixtures/store-checks.ts';
import { listen, RecordedMessages } from './recorded-messages.ts';

const stores = storesOfTest();
const path = storePath;

/** Each write takes 3 ms of a false clock, each sync 5. */
const writeTime = 3;
const syncTime = 5;

function passTime(disk: WrappedFileSystem): void {
  disk.before = ({ operation }) => {
    if (operation === 'write') vi.advanceTimersByTime(writeTime);
    if (operation === 'datasync') vi.advanceTimersByTime(syncTime);
  };
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

describe('varve:commit', () => {
  it('has exactly the fields of the contract, for one session', async () => {
    const messages = new RecordedMessages();
    const { store, disk } = await stores.wrapped();
    passTime(disk);
    const from = disk.calls.length;
    const session = store.session();
    session.push(patternOf(10));
    session.push(patternOf(20));
    await session.commit();
    const { writes, bytesWritten, syncs } = disk.countsSince(from);
    expect(messages.of('varve:commit')).toEqual([
      {
        path,
        batch: 1,
        sessions: 1,
        values: 2,
        valueBytes: 30,
        writes,
        bytesWritten,
        writeMs: writes * writeTime,
        syncMs: syncs * syncTime,
        waitMs: 0,
      },
    ]);
    expect([writes > 0, syncs]).toEqual([true, 1]);
  });

  it('is one for a batch, with the wait of the session that has waited longest', async () => {
    const messages = new RecordedMessages();
    const { store, disk } = await stores.wrapped();
    const gate = disk.hold('datasync');
    const first = watch(store.put(bytesOf('first')));
    await gate.reached();
    vi.advanceTimersByTime(7);
    const second = watch(store.put(bytesOf('second')));
    vi.advanceTimersByTime(20);
    const third = watch(store.put(bytesOf('third')));
    vi.advanceTimersByTime(13);
    gate.open();
    await Promise.all([first.promise, second.promise, third.promise]);
    expect(messages.of('varve:commit')).toMatchObject([
      { batch: 1, sessions: 1, waitMs: 0, syncMs: 40 },
      { batch: 2, sessions: 2, values: 2, valueBytes: 11, waitMs: 33, syncMs: 0 },
    ]);
    using session = store.session();
    session.push(bytesOf('fourth'));
    vi.advanceTimersByTime(100);
    session.commitSync();
    expect(messages.of('varve:commit').at(-1)).toMatchObject({ batch: 3, waitMs: 0 });
  });

  it('is sent when the batch is published, and before its sessions resolve', async () => {
    const { store } = await stores.wrapped();
    const seen: unknown[] = [];
    let put: { readonly state: string } | undefined;
    listen('varve:commit', ({ batch }) => {
      seen.push([batch, store.currentBatch, store.statistics().values, put?.state]);
    });
    const first = watch(store.put(bytesOf('first')));
    put = first;
    await first.promise;
    const session = store.session();
    session.push(bytesOf('second'));
    put = undefined;
    session.commitSync();
    expect(seen).toEqual([
      [1, 1, 1, 'pending'],
      [2, 2, 2, undefined],
    ]);
  });

  it('is not sent for a commit that fails; its writes count in the next one', async () => {
    const messages = new RecordedMessages();
    const { store, disk } = await stores.wrapped();
    await store.put(bytesOf('before'));
    const fault = disk.fail('write', 'ENOSPC', { when: ({ bytes }) => bytes > 5000 });
    const from = disk.calls.length;
    const session = store.session();
    session.push(patternOf(100, 1));
    session.push(patternOf(6000, 2));
    await check.rejects('VARVE_IO', () => session.commit());
    expect(messages.of('varve:commit')).toHaveLength(1);
    fault.stop();
    await store.put(bytesOf('after'));
    const [, message] = messages.of('varve:commit');
    const written = disk.calls.slice(from).filter(({ operation }) => operation === 'write');
    const returned = written.length - fault.count;
    expect(message).toMatchObject({ batch: 2, sessions: 1, values: 1, writes: returned });
    expect(fault.count).toBeGreaterThan(0);
  });

  it('counts what a session writes ahead in the message after it', async () => {
    const messages = new RecordedMessages();
    const { store } = await stores.wrapped();
    using session = store.session();
    for (let at = 0; at < 3; at += 1) session.push(patternOf(600_000, at));
    await store.put(bytesOf('other'));
    const [message] = messages.of('varve:commit');
    expect(message).toMatchObject({ batch: 1, values: 1, valueBytes: 5 });
    expect(message?.bytesWritten).toBeGreaterThan(1_200_000);
  });

  it('counts from the beginning of the first batch that had a subscriber', async () => {
    const { store, disk } = await stores.wrapped();
    using ahead = store.session();
    for (let at = 0; at < 3; at += 1) ahead.push(patternOf(600_000, at));
    const gate = disk.hold('datasync');
    const first = watch(store.put(bytesOf('first')));
    await gate.reached();
    // A batch that has begun is not measured.
    const messages = new RecordedMessages();
    gate.open();
    await first.promise;
    expect(messages.of('varve:commit')).toEqual([]);
    const from = disk.calls.length;
    await store.put(bytesOf('second'));
    const { writes, bytesWritten } = disk.countsSince(from);
    expect(messages.of('varve:commit')).toMatchObject([{ batch: 2, writes, bytesWritten }]);
  });

  it('stops with the last subscriber, and begins anew with the next', async () => {
    const { store, disk } = await stores.wrapped();
    const batches: number[] = [];
    const end = listen('varve:commit', ({ batch }) => batches.push(batch));
    await store.put(bytesOf('1'));
    end();
    await store.put(bytesOf('2'));
    const messages = new RecordedMessages();
    const from = disk.calls.length;
    await store.put(bytesOf('3'));
    const { writes, bytesWritten } = disk.countsSince(from);
    expect(batches).toEqual([1]);
    expect(messages.of('varve:commit')).toMatchObject([{ batch: 3, writes, bytesWritten }]);
  });

  it('is sent for a large batch too, once all of it can be read', async () => {
    const messages = new RecordedMessages();
    const { store } = await stores.wrapped();
    const session = store.session();
    for (let at = 0; at < 5000; at += 1) session.push(patternOf(at % 50));
    await session.commit();
    expect(messages.of('varve:commit')).toMatchObject([
      { batch: 1, sessions: 1, values: 5000, valueBytes: 24.5 * 5000 },
    ]);
  });
});

describe('varve:checkpoint', () => {
  it('says what a batch has freed, after the message of the batch', async () => {
    const messages = new RecordedMessages();
    const { store } = await stores.wrapped();
    const session = store.session();
    const ids = [10, 200, 3000].map((length) => session.push(patternOf(length)));
    await session.commit();
    const archiving = store.session();
    for (const id of ids.slice(1)) archiving.archive(id);
    const batch = await archiving.commit();
    messages.all.length = 0;
    await store.checkpointTo(batch);
    expect(messages.all).toEqual([
      {
        name: 'varve:commit',
        message: expect.objectContaining({ batch: 3, sessions: 1, values: 0, valueBytes: 0 }),
      },
      {
        name: 'varve:checkpoint',
        message: { path, batch: 3, checkpoint: 2, freedValues: 2, freedBytes: 3200 },
      },
    ]);
  });

  it('is sent only if the checkpoint moves, also if it frees nothing', async () => {
    const { store } = await stores.wrapped();
    await store.put(bytesOf('one'));
    const messages = new RecordedMessages();
    await store.checkpointTo(1);
    await store.checkpointTo(1);
    await store.checkpointTo(0);
    await store.put(bytesOf('two'));
    expect(messages.of('varve:checkpoint')).toEqual([
      { path, batch: 2, checkpoint: 1, freedValues: 0, freedBytes: 0 },
    ]);
  });

  it('needs no subscriber to commits', async () => {
    const { store } = await stores.wrapped();
    const { id } = await store.put(bytesOf('one'));
    const checkpoints: unknown[] = [];
    listen('varve:checkpoint', (message) => checkpoints.push(message));
    const session = store.session();
    session.archive(id);
    await store.checkpointTo(session.commitSync());
    expect(checkpoints).toMatchObject([{ batch: 3, checkpoint: 2, freedValues: 1 }]);
  });

  it('comes from the automatic checkpoints of a forest, through its store', async () => {
    const messages = new RecordedMessages();
    const forest = await Forest.inMemory({ journalBytes: 0 });
    const tree = forest.tree('t', { key: codecs.uint, value: codecs.utf8 });
    for (let at = 0; at < 3; at += 1) await tree.put(at, 'value');
    await forest.close();
    const [checkpoint] = messages.of('varve:checkpoint');
    expect(checkpoint).toMatchObject({ path: ':memory:' });
    expect(checkpoint?.freedValues).toBeGreaterThan(0);
    const batches = messages.of('varve:commit').map(({ batch }) => batch);
    expect(batches).toEqual(batches.map((_, at) => at + 1));
  });
});

describe('varve:settle', () => {
  it('is sent when a settle is complete: the last one when the store closes', async () => {
    const messages = new RecordedMessages();
    const store = await Store.inMemory();
    await store.put(bytesOf('a'));
    await store.put(bytesOf('b'));
    expect(messages.of('varve:settle')).toEqual([]);
    await store.close();
    // One mark page of a map without a head, the basin, the root.
    expect(messages.of('varve:settle')).toEqual([{ path: ':memory:', batch: 2, pages: 3 }]);
  });

  it('is sent for each settle of an open store, with the batch up to which it holds', async () => {
    const messages = new RecordedMessages();
    const { store } = await stores.wrapped({ settleBytes: 1 });
    for (let at = 0; at < 40; at += 1) await store.put(patternOf(at));
    const settles = messages.of('varve:settle');
    expect(settles.length).toBeGreaterThan(5);
    for (const [at, { batch, pages }] of settles.entries()) {
      expect(batch).toBeGreaterThan(settles[at - 1]?.batch ?? 0);
      expect(pages).toBe(3);
    }
    // A settle is complete some batches after the one at which it began.
    for (const [at, one] of messages.all.entries()) {
      if (one.name !== 'varve:settle') continue;
      const before = messages.all.slice(0, at).filter(({ name }) => name === 'varve:commit');
      expect(one.message.batch).toBeLessThan(before.length);
    }
  });

  it('counts a page once, although its write was refused and made again', async () => {
    const markPage = 4096;
    const ofDocument = (bytes: number) => bytes > 50 && bytes < 200;
    for (const isRefused of [ofDocument, (bytes: number) => bytes === markPage]) {
      const messages = new RecordedMessages();
      const { store, disk } = await stores.wrapped();
      await store.put(bytesOf('a'));
      const fault = disk.fail('write', 'EIO', { times: 1, when: ({ bytes }) => isRefused(bytes) });
      await store.close();
      expect(fault.count).toBe(1);
      expect(messages.of('varve:settle')).toMatchObject([{ batch: 1, pages: 3 }]);
    }
  });
});

describe('varve:recovery', () => {
  it('is sent for each opening, with its report and its time without the wait for the lock', async () => {
    const messages = new RecordedMessages();
    const disk = new WrappedFileSystem(memoryFileSystem());
    passTime(disk);
    const gate = disk.hold('open');
    const opening = stores.open(path, { fileSystem: disk });
    await gate.reached();
    vi.advanceTimersByTime(1000);
    gate.open();
    const store = await opening;
    const { writes, syncs } = disk.countsSince(0);
    expect(messages.of('varve:recovery')).toEqual([
      {
        path,
        report: store.recovery,
        milliseconds: writes * writeTime + syncs * syncTime,
      },
    ]);
    await store.put(bytesOf('a'));
    const reader = await stores.open(path, { fileSystem: disk, readOnly: true });
    expect(messages.of('varve:recovery')).toMatchObject([
      { report: { clean: true } },
      { path, report: { clean: false, replayedBatches: 1 }, milliseconds: 0 },
    ]);
    expect(messages.of('varve:recovery')[1]?.report).toBe(reader.recovery);
    await reader.close();
  });

  it('is not sent for an opening that fails', async () => {
    const messages = new RecordedMessages();
    const disk = new WrappedFileSystem(memoryFileSystem());
    disk.fail('datasync', 'EIO');
    await check.rejects('VARVE_IO', () => Store.open(path, { fileSystem: disk }));
    expect(messages.all).toEqual([]);
  });
});

describe('varve:poisoned', () => {
  it('is sent once, with the error and its cause', async () => {
    const { store, disk } = await stores.wrapped();
    await store.put(bytesOf('before'));
    const messages = new RecordedMessages();
    const fault = disk.fail('datasync', 'EIO');
    const error = await check.rejects('VARVE_POISONED', () => store.put(bytesOf('lost')));
    await check.rejects('VARVE_POISONED', () => store.put(bytesOf('no')));
    await store.close();
    expect(messages.all).toEqual([{ name: 'varve:poisoned', message: { path, error } }]);
    expect(messages.of('varve:poisoned')[0]?.error).toMatchObject({
      code: 'VARVE_POISONED',
      cause: fault.error,
    });
  });
});
