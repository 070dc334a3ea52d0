/**
 * Commits: batch ids, all or nothing, sessions that share a sync, and that no promise resolves
 * before its own bytes were synced, which a held-back `datasync` proves.
 *
 * What a disk that refuses does to a commit is in faults.test.ts.
 */

import { describe, expect, it } from 'vitest';
import type { GrainId, Store } from '../../src/index.ts';
import { patternOf } from '../support/bytes.ts';
import type { WrappedFileSystem } from '../support/disks/wrapped-file-system.ts';
import {
  bytesOf,
  check,
  commit,
  committed,
  logOf,
  present,
  storePath,
  storesOfTest,
  textOf,
  turns,
  type Watched,
  watch,
} from '../support/fixtures/store-checks.ts';

const stores = storesOfTest();

describe('batches', () => {
  it('are numbered from 1 without gaps, over sessions, puts, checkpoints and reopening', async () => {
    const { store, disk } = await stores.wrapped();
    const { id, batch } = await store.put(bytesOf('first'));
    expect(batch).toBe(1);
    expect(await commit(store, (session) => session.archive(id))).toBe(2);
    expect(await store.checkpointTo(2)).toBe(3);
    expect(await store.updateEmbeddedHeader(() => null)).toBe(4);
    expect(store.currentBatch).toBe(4);
    await store.close();
    const again = await stores.open(storePath, { fileSystem: disk });
    expect(again.currentBatch).toBe(4);
    expect((await again.put(bytesOf('second'))).batch).toBe(5);
  });

  it('hold all sessions that commit at once, their changes in the order of the commits', async () => {
    const { store } = await stores.wrapped();
    const sessions = [0, 1, 2, 3].map(() => store.session());
    const ids = sessions.map((session, n) => session.push(bytesOf(`session ${n}`)));
    const batches = await Promise.all([3, 1, 0, 2].map((n) => present(sessions[n]).commit()));
    expect(batches).toEqual([1, 1, 1, 1]);
    const [entry] = await logOf(store);
    const inOrder = [3, 1, 0, 2].map((n) => ids[n]);
    expect(entry?.changes.map(({ id }) => id)).toEqual(inOrder);
    expect(store.statistics()).toMatchObject({ commits: 1, sessionsCommitted: 4, syncs: 1 });
  });

  it('give the id of a failed batch to the next one', async () => {
    const { store, disk } = await stores.wrapped();
    await store.put(bytesOf('one'));
    const fault = disk.fail('write', 'ENOSPC');
    await expect(store.put(bytesOf('refused'))).rejects.toMatchObject({ code: 'VARVE_IO' });
    fault.stop();
    expect(store.currentBatch).toBe(1);
    expect((await store.put(bytesOf('two'))).batch).toBe(2);
    expect((await logOf(store)).map(({ batch }) => batch)).toEqual([1, 2]);
  });
});

describe('a commit', () => {
  it('makes everything of the session visible at once, and nothing before', async () => {
    const { store, disk } = await stores.wrapped();
    const old = await committed(store, bytesOf('old'));
    const session = store.session();
    const ids = [0, 100, 10_000].map((length) => session.push(patternOf(length)));
    session.archive(old);
    session.setEmbeddedHeader(present(ids[1]));
    const gate = disk.hold('datasync');
    const committing = watch(session.commit());
    await gate.reached();
    await turns();
    for (const id of ids) await check.noValue(store, id);
    expect(store).toMatchObject({ currentBatch: 1, embeddedHeader: undefined, committing: true });
    expect(store.statistics()).toMatchObject({ values: 1, archivedValues: 0 });
    expect(committing.state).toBe('pending');
    gate.open();
    expect(await committing.promise).toBe(2);
    for (const [n, length] of [0, 100, 10_000].entries()) {
      await check.value(store, present(ids[n]), patternOf(length));
    }
    expect(store).toMatchObject({ currentBatch: 2, embeddedHeader: ids[1], committing: false });
    expect(store.statistics()).toMatchObject({ values: 4, archivedValues: 1 });
  });

  it('survives if the store is not closed', async () => {
    const { store, disk } = await stores.wrapped();
    const ids = [];
    for (let n = 0; n < 30; n += 1) ids.push(await committed(store, patternOf(n * 40, n)));
    const reader = await stores.open(storePath, { fileSystem: disk, readOnly: true });
    for (const [n, id] of ids.entries()) await check.value(reader, id, patternOf(n * 40, n));
  });
});

describe('a promise', () => {
  it('does not resolve before its own bytes were synced', async () => {
    const { store, disk } = await stores.wrapped();
    const gate = disk.hold('datasync');
    const first = watch(store.put(bytesOf('first')));
    await gate.reached();
    const second = watch(store.put(bytesOf('second')));
    const third = watch(commit(store, (session) => void session.push(bytesOf('third'))));
    await turns();
    const states = (): string[] => [first, second, third].map(({ state }) => state);
    expect(states()).toEqual(['pending', 'pending', 'pending']);
    expect(gate.held).toBe(1);
    gate.next();
    expect((await first.promise).batch).toBe(1);
    await gate.reached();
    await turns();
    expect(states()).toEqual(['resolved', 'pending', 'pending']);
    expect(gate.held).toBe(1);
    expect(store.currentBatch).toBe(1);
    gate.next();
    expect((await second.promise).batch).toBe(2);
    expect(await third.promise).toBe(2);
    gate.open();
  });

  it('resolves after those that committed before it, in order', async () => {
    const { store } = await stores.wrapped();
    const order: number[] = [];
    const commits: Promise<void>[] = [];
    for (let n = 0; n < 30; n += 1) {
      const session = store.session();
      session.push(bytesOf(`number ${n}`));
      commits.push(session.commit().then(() => void order.push(n)));
      if (n % 7 === 6) await turns(1);
    }
    await Promise.all(commits);
    expect(order).toEqual(Array.from({ length: 30 }, (_, n) => n));
  });

  it('resolves when the last complete sync has covered everything that it needs', async () => {
    const { store, disk } = await stores.wrapped({ settleBytes: 8192 });
    disk.keepDurable();
    const checked: Promise<void>[] = [];
    for (let n = 0; n < 120; n += 1) {
      const text = `value number ${n}, and the end of it`;
      const put = store.put(bytesOf(text));
      checked.push(
        put.then(() => {
          const durable = present(disk.durable.get(storePath));
          expect(Buffer.from(durable.buffer).includes(text)).toBe(true);
        }),
      );
      if (n % 5 === 4) await turns(n % 3);
    }
    await Promise.all(checked);
    expect(store.statistics().values).toBe(120);
  });

  it('resolves only if the log record was in the file when the sync began', async () => {
    const { store, disk } = await stores.wrapped();
    disk.keepDurable();
    const { id } = await store.put(bytesOf('whole'));
    const files = disk.inner;
    const file = await files.open('left', { create: true, exclusive: true, readOnly: false });
    file.writeSync([present(disk.durable.get(storePath))], 0);
    await file.close();
    const again = await stores.open('left', { fileSystem: files });
    expect(again.currentBatch).toBe(1);
    await check.value(again, id, bytesOf('whole'));
  });
});

describe('group commit', () => {
  const writers = 64;

  it('gives 64 sessions that commit at once one sync', async () => {
    const { store, disk } = await stores.wrapped();
    const syncs = disk.count('datasync');
    const ids = await Promise.all(
      Array.from({ length: writers }, async (_, n) => {
        const session = store.session();
        const id = session.push(bytesOf(`writer ${n}`));
        await session.commit();
        return id;
      }),
    );
    expect(disk.count('datasync') - syncs).toBeLessThanOrEqual(2);
    for (const [n, id] of ids.entries()) expect(textOf(store.get(id))).toBe(`writer ${n}`);
    expect(store.statistics()).toMatchObject({ sessionsCommitted: writers, values: writers });
  });

  it('gives 64 writers that commit again and again few syncs each', async () => {
    const { store, disk } = await stores.wrapped();
    const rounds = 20;
    const syncs = disk.count('datasync');
    await Promise.all(
      Array.from({ length: writers }, async (_, writer) => {
        for (let round = 0; round < rounds; round += 1) {
          const session = store.session();
          const id = session.push(patternOf(50 + writer, round));
          await session.commit();
          expect(store.lengthOf(id)).toBe(50 + writer);
        }
      }),
    );
    const made = disk.count('datasync') - syncs;
    expect(made).toBeLessThanOrEqual((writers * rounds) / 16);
    const { sessionsCommitted, commits } = store.statistics();
    expect(sessionsCommitted).toBe(writers * rounds);
    expect(made).toBeGreaterThanOrEqual(commits);
  });

  it('puts sessions that arrive during a sync into the next batch', async () => {
    const { store, disk } = await stores.wrapped();
    const gate = disk.hold('datasync');
    const first = watch(store.put(bytesOf('first')));
    await gate.reached();
    const late: Watched<{ id: GrainId; batch: number }>[] = [];
    for (let n = 0; n < writers; n += 1) {
      late.push(watch(store.put(bytesOf(`late ${n}`))));
      if (n % 16 === 0) await turns(1);
    }
    const syncs = disk.count('datasync');
    gate.open();
    await first.promise;
    for (const { promise } of late) expect((await promise).batch).toBe(2);
    expect(disk.count('datasync') - syncs).toBe(1);
  });
});

describe('a small commit in steady state', () => {
  async function costs(
    store: Store,
    change: (n: number) => Promise<unknown>,
    disk: WrappedFileSystem,
  ): Promise<{ regions: number; syncs: number; grown: number }[]> {
    const seen = [];
    for (let n = 0; n < 60; n += 1) {
      const from = disk.calls.length;
      const { fileBytes } = store.statistics();
      await change(n);
      const grown = store.statistics().fileBytes - fileBytes;
      const { regions, syncs } = disk.countsSince(from);
      seen.push({ regions, syncs, grown });
    }
    return seen;
  }

  it('writes at most two regions, does one datasync and does not grow the file', async () => {
    const { store, disk } = await stores.wrapped();
    const change = (n: number) => store.put(patternOf(100, n));
    for (const cost of await costs(store, change, disk)) {
      expect(cost.regions).toBeLessThanOrEqual(2);
      expect(cost).toMatchObject({ syncs: 1, grown: 0 });
    }
  });

  it('does so also by commitSync, with several values, an archive and a header', async () => {
    const { store, disk } = await stores.wrapped();
    const warm: GrainId[] = [];
    for (let n = 0; n < 60; n += 1) warm.push(store.session().push(patternOf(10, n)));
    const session = store.session();
    for (let n = 0; n < 60; n += 1) warm[n] = session.push(patternOf(300, n));
    session.commitSync();
    const change = async (n: number): Promise<void> => {
      const next = store.session();
      const root = next.push(patternOf(300, n));
      for (let more = 0; more < 3; more += 1) next.push(patternOf(300, more));
      next.archive(present(warm[n]));
      next.setEmbeddedHeader(root);
      next.commitSync();
    };
    for (const cost of (await costs(store, change, disk)).slice(0, 30)) {
      expect(cost.regions).toBeLessThanOrEqual(2);
      expect(cost.syncs).toBe(1);
    }
  });

  it('does one datasync through every settle and every new segment of the log', async () => {
    const { store, disk } = await stores.wrapped({ settleBytes: 4096 });
    const counts = new Set<number>();
    for (let n = 0; n < 600; n += 1) {
      const syncs = disk.count('datasync');
      await store.put(patternOf(100, n));
      counts.add(disk.count('datasync') - syncs);
    }
    // Now and then a record has to wait until its segment is listed.
    expect(Math.max(...counts)).toBeLessThanOrEqual(3);
    expect(store.statistics().syncs).toBeLessThanOrEqual(600 * 1.02);
  });
});
