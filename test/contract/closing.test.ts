/**
 * Closing: what it waits for, what it abandons, and every method on a store that is open, one that
 * is closing and one that is closed.
 */

import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { type GrainId, memoryFileSystem, type Session, Store } from '../../src/index.ts';
import { patternOf } from '../support/bytes.ts';
import {
  bytesOf,
  check,
  commit,
  committed,
  listOf,
  storePath,
  storesOfTest,
  textOf,
  turns,
  watch,
} from '../support/fixtures/store-checks.ts';
import { makeTemporaryFolder, removeTemporaryFolder } from '../support/temporary-folder.ts';

const stores = storesOfTest();
const mebibyte = 1024 * 1024;

/** What the methods are called with. */
interface Held {
  readonly store: Store;
  readonly session: Session;
  readonly id: GrainId;
}

/** Every method that throws, and every one that rejects (or whose iterator's first `next` does). */
const throwing: Readonly<Record<string, (held: Held) => unknown>> = {
  session: ({ store }) => store.session(),
  get: ({ store, id }) => store.get(id),
  has: ({ store, id }) => store.has(id),
  lengthOf: ({ store, id }) => store.lengthOf(id),
  guard: ({ store }) => store.guard(),
  statistics: ({ store }) => store.statistics(),
  'session.push': ({ session }) => session.push(bytesOf('pushed')),
  'session.get': ({ session, id }) => session.get(id),
  'session.setEmbeddedHeader': ({ session, id }) => session.setEmbeddedHeader(id),
  'session.checkpointTo': ({ session }) => session.checkpointTo(0),
  'session.archive': ({ session, id }) => session.archive(id),
  'session.commitSync': ({ session }) => session.commitSync(),
};
const rejecting: Readonly<Record<string, (held: Held) => Promise<unknown>>> = {
  getAsync: ({ store, id }) => store.getAsync(id),
  put: ({ store }) => store.put(bytesOf('put')),
  'put of large data': ({ store }) => store.put(new Uint8Array(2 * mebibyte)),
  checkpointTo: ({ store }) => store.checkpointTo(0),
  updateEmbeddedHeader: ({ store, id }) => store.updateEmbeddedHeader(() => id),
  commitLog: async ({ store }) => listOf(store.commitLog()),
  verify: async ({ store }) => listOf(store.verify()),
  backupTo: ({ store }) => store.backupTo('copy', { fileSystem: memoryFileSystem() }),
  'session.commit': ({ session }) => session.commit(),
};

async function held(): Promise<Held & Awaited<ReturnType<typeof stores.wrapped>>> {
  const { store, disk } = await stores.wrapped();
  const id = await committed(store, bytesOf('value'));
  const session = store.session();
  session.push(bytesOf('staged'));
  return { store, disk, session, id };
}

async function expectClosed(all: Held): Promise<void> {
  for (const [name, call] of Object.entries(throwing)) {
    const error = check.throws('VARVE_CLOSED', () => call(all));
    expect(error.path, name).toBe(storePath);
  }
  for (const [name, call] of Object.entries(rejecting)) {
    const error = await check.rejects('VARVE_CLOSED', () => call(all));
    expect(error.path, name).toBe(storePath);
  }
  expect(all.session.abandon()).toBe(undefined);
  expect(all.session[Symbol.dispose]()).toBe(undefined);
  await all.store.close();
  await all.store[Symbol.asyncDispose]();
}

describe('every method', () => {
  for (const [name, call] of [...Object.entries(throwing), ...Object.entries(rejecting)]) {
    it(`works on an open store: ${name}`, async () => {
      await call(await held());
    });
  }

  it('fails with VARVE_CLOSED on a store that is closed', async () => {
    const all = await held();
    await all.store.close();
    await expectClosed(all);
  });

  it('fails with VARVE_CLOSED on a store that is closing, from the call on', async () => {
    const all = await held();
    const gate = all.disk.hold('datasync');
    const put = watch(all.store.put(bytesOf('under way')));
    await gate.reached();
    const closing = watch(all.store.close());
    for (const call of Object.values(throwing)) check.throws('VARVE_CLOSED', () => call(all));
    for (const call of Object.values(rejecting)) {
      await check.rejects('VARVE_CLOSED', () => call(all));
    }
    expect([put.state, closing.state]).toEqual(['pending', 'pending']);
    gate.open();
    await put.promise;
    await closing.promise;
    await expectClosed(all);
  });

  it('fails with VARVE_CLOSED on a read-only store that is closed', async () => {
    const { store: writer, disk, id } = await held();
    const store = await stores.open(storePath, { fileSystem: disk, readOnly: true });
    await store.close();
    for (const [name, call] of Object.entries(throwing)) {
      if (name.startsWith('session.')) continue;
      check.throws('VARVE_CLOSED', () => call({ store, id, session: writer.session() }));
    }
    await check.rejects('VARVE_CLOSED', () => store.getAsync(id));
    await check.rejects('VARVE_CLOSED', () => store.put(bytesOf('put')));
  });

  it('fails with VARVE_SESSION_ENDED on a session that had ended before the close', async () => {
    const { store, session } = await held();
    session.abandon();
    await store.close();
    check.throws('VARVE_SESSION_ENDED', () => session.push(bytesOf('late')));
    await check.rejects('VARVE_SESSION_ENDED', () => session.commit());
  });
});

describe('close', () => {
  it('waits for the commit in flight and for queued ones', async () => {
    const { store, disk } = await stores.wrapped();
    const gate = disk.hold('datasync');
    const first = watch(store.put(bytesOf('first')));
    await gate.reached();
    const second = watch(store.put(bytesOf('second')));
    const third = watch(commit(store, (session) => void session.push(bytesOf('third'))));
    const closing = watch(store.close());
    await turns();
    expect(closing.state).toBe('pending');
    gate.open();
    const ids = [(await first.promise).id, (await second.promise).id];
    expect(await third.promise).toBe(2);
    await closing.promise;
    const again = await stores.open(storePath, { fileSystem: disk });
    expect(ids.map((id) => textOf(again.get(id)))).toEqual(['first', 'second']);
  });

  it('waits for large data that is being put, and for its commit', async () => {
    const { store, disk } = await stores.wrapped();
    const gate = disk.hold('write');
    const put = watch(store.put(patternOf(6 * mebibyte)));
    await gate.reached();
    const closing = watch(store.close());
    await turns();
    expect([put.state, closing.state]).toEqual(['pending', 'pending']);
    gate.open();
    const { id } = await put.promise;
    await closing.promise;
    const again = await stores.open(storePath, { fileSystem: disk });
    expect(again.recovery.clean).toBe(true);
    await check.value(again, id, patternOf(6 * mebibyte));
  });

  it('abandons open sessions, and nothing of them is stored', async () => {
    const { store, disk } = await stores.wrapped();
    const old = await committed(store, bytesOf('old'));
    const small = store.session();
    const ids = [small.push(bytesOf('staged'))];
    small.archive(old);
    small.setEmbeddedHeader(old);
    const large = store.session();
    ids.push(large.push(patternOf(2 * mebibyte)));
    await store.close();
    const again = await stores.open(storePath, { fileSystem: disk });
    for (const id of ids) await check.noValue(again, id);
    expect(again).toMatchObject({ currentBatch: 1, embeddedHeader: undefined });
    expect(again.statistics()).toMatchObject({ values: 1, archivedValues: 0 });
    await commit(again, (session) => session.archive(old));
  });

  it('releases guards; releasing them afterwards does nothing', async () => {
    const { store, disk } = await stores.wrapped();
    const id = await committed(store, bytesOf('old'));
    await commit(store, (session) => session.archive(id));
    const guard = store.guard(0);
    await store.close();
    guard.release();
    guard[Symbol.dispose]();
    expect(guard.batch).toBe(0);
    const again = await stores.open(storePath, { fileSystem: disk });
    expect(again.statistics().oldestGuard).toBe(undefined);
    await again.checkpointTo(2);
    await check.noValue(again, id);
  });

  it('settles, so that the next open replays nothing', async () => {
    const { store, disk } = await stores.wrapped();
    const ids: GrainId[] = [];
    for (let n = 0; n < 50; n += 1) ids.push(await committed(store, patternOf(n * 50, n)));
    await store.close();
    const again = await stores.open(storePath, { fileSystem: disk });
    expect(again.recovery).toMatchObject({ clean: true, replayedBatches: 0 });
    for (const [n, id] of ids.entries()) await check.value(again, id, patternOf(n * 50, n));
  });

  it('is idempotent, by either name, at once or later', async () => {
    const { store, disk } = await stores.wrapped();
    await store.put(bytesOf('value'));
    await Promise.all([store.close(), store[Symbol.asyncDispose](), store.close()]);
    const from = disk.calls.length;
    await store.close();
    await store[Symbol.asyncDispose]();
    expect(disk.calls.slice(from)).toEqual([]);
    expect(disk.count('close')).toBe(1);
  });

  it('runs at the end of `await using`', async () => {
    const { store: first, disk } = await stores.wrapped();
    await first.close();
    let id: GrainId | undefined;
    {
      await using store = await Store.open(storePath, { fileSystem: disk });
      id = await committed(store, bytesOf('used'));
    }
    const again = await stores.open(storePath, { fileSystem: disk });
    expect(textOf(again.get(id))).toBe('used');
  });

  it('rejects with VARVE_IO if the file cannot be closed, and loses nothing', async () => {
    const { store, disk } = await stores.wrapped();
    const id = await committed(store, bytesOf('value'));
    const fault = disk.fail('close', 'EIO', { times: 1 });
    for (let n = 0; n < 2; n += 1) {
      const error = await check.rejects('VARVE_IO', () => store.close());
      expect(error.cause).toBe(fault.error);
    }
    const again = await stores.open(storePath, { fileSystem: disk });
    expect(again.recovery.clean).toBe(true);
    await check.value(again, id, bytesOf('value'));
  });

  it('rejects updates of the embedded header that have not committed', async () => {
    const { store } = await stores.wrapped();
    let finish: (() => void) | undefined;
    const running = watch(
      store.updateEmbeddedHeader(async () => {
        await new Promise<void>((resolve) => {
          finish = resolve;
        });
        return null;
      }),
    );
    const waiting = watch(store.updateEmbeddedHeader(() => null));
    await turns();
    await store.close();
    finish?.();
    await check.rejects('VARVE_CLOSED', () => running.promise);
    await check.rejects('VARVE_CLOSED', () => waiting.promise);
  });

  it('ends a verification in progress with VARVE_CLOSED', async () => {
    const { store } = await stores.wrapped();
    for (let n = 0; n < 12; n += 1) await store.put(patternOf(mebibyte, n));
    // However fast the machine is, verify rests after each step.
    let time = 0;
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => (time += 10));
    onTestFinished(() => clock.mockRestore());
    const verifying = watch(listOf(store.verify({ deep: true })));
    await turns(1);
    await store.close();
    await check.rejects('VARVE_CLOSED', () => verifying.promise);
  });
});

describe('close on a real disk', () => {
  let folder: string;
  beforeEach(() => {
    folder = makeTemporaryFolder();
  });
  afterEach(() => removeTemporaryFolder(folder));

  it('lets a getAsync in flight return its value or reject with VARVE_CLOSED', async () => {
    const store = await stores.open(join(folder, 'store'), { cacheBytes: 0 });
    const ids: GrainId[] = [];
    for (let n = 0; n < 4; n += 1) ids.push(await committed(store, patternOf(9 * mebibyte, n)));
    const reads = ids.map((id) => watch(store.getAsync(id)));
    await store.close();
    for (const { promise } of reads) {
      const outcome = await promise.catch((error: unknown) => error);
      if (outcome instanceof Uint8Array) expect(outcome.length).toBe(9 * mebibyte);
      else expect(outcome).toMatchObject({ code: 'VARVE_CLOSED' });
    }
  });

  it('and opening again, over and over, keeps everything', async () => {
    const path = join(folder, 'store');
    const ids: GrainId[] = [];
    for (let round = 0; round < 6; round += 1) {
      await using store = await Store.open(path);
      expect(store.recovery).toMatchObject({ clean: true, replayedBatches: 0, healed: [] });
      expect(store.currentBatch).toBe(round);
      for (const [n, id] of ids.entries()) await check.value(store, id, patternOf(1000, n));
      ids.push(await committed(store, patternOf(1000, round)));
    }
  });
});
