/**
 * How a session ends: `commit`, `commitSync`, `abandon`, dispose, being garbage-collected; what it
 * answers afterwards; and what `VARVE_BUSY` leaves as it was.
 */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import type { GrainId, Session, Store } from '../../src/index.ts';
import { patternOf } from '../support/bytes.ts';
import {
  bytesOf,
  check,
  commit,
  committed,
  longBytesOf,
  storesOfTest,
  textOf,
  turns,
  watch,
} from '../support/fixtures/store-checks.ts';

const stores = storesOfTest();
const mebibyte = 1024 * 1024;

/** Everything but `get` fails as it should after the end, and the end stays the end. */
async function expectEnded(session: Session, id: GrainId): Promise<void> {
  check.throws('VARVE_SESSION_ENDED', () => session.push(bytesOf('too late')));
  check.throws('VARVE_SESSION_ENDED', () => session.archive(id));
  check.throws('VARVE_SESSION_ENDED', () => session.checkpointTo(0));
  check.throws('VARVE_SESSION_ENDED', () => session.setEmbeddedHeader(null));
  check.throws('VARVE_SESSION_ENDED', () => session.commitSync());
  await check.rejects('VARVE_SESSION_ENDED', () => session.commit());
  expect(session.abandon()).toBe(undefined);
  expect(session[Symbol.dispose]()).toBe(undefined);
}

describe('the end by commit', () => {
  it('comes with the call; get works until the commit has settled', async () => {
    const { store, disk } = await stores.wrapped();
    const old = await committed(store, bytesOf('old'));
    const session = store.session();
    const id = session.push(bytesOf('staged'));
    const gate = disk.hold('datasync');
    const committing = watch(session.commit());
    await expectEnded(session, old);
    expect(textOf(session.get(id))).toBe('staged');
    await gate.reached();
    expect(textOf(session.get(id))).toBe('staged');
    expect(textOf(session.get(old))).toBe('old');
    await check.noValue(store, id);
    await expectEnded(session, old);
    gate.open();
    expect(await committing.promise).toBe(2);
    check.throws('VARVE_SESSION_ENDED', () => session.get(id));
    await expectEnded(session, old);
    await check.value(store, id, bytesOf('staged'));
  });

  it('is not undone by abandon or dispose while the commit is in flight', async () => {
    const { store, disk } = await stores.wrapped();
    const session = store.session();
    const id = session.push(bytesOf('stays'));
    const gate = disk.hold('datasync');
    const committing = session.commit();
    session.abandon();
    await gate.reached();
    session[Symbol.dispose]();
    gate.open();
    await committing;
    await check.value(store, id, bytesOf('stays'));
  });

  it('works with `using` and `return session.commit()`', async () => {
    const { store } = await stores.wrapped();
    let id: GrainId | undefined;
    const write = (): Promise<number> => {
      using session = store.session();
      id = session.push(bytesOf('used'));
      return session.commit();
    };
    expect(await write()).toBe(1);
    expect(textOf(store.get(id as GrainId))).toBe('used');
  });

  it('also comes if the commit rejects, and get no longer works', async () => {
    const { store, disk } = await stores.wrapped();
    const old = await committed(store, bytesOf('old'));
    const session = store.session();
    const id = session.push(longBytesOf('refused'));
    disk.fail('write', 'ENOSPC', { times: 2 });
    await check.rejects('VARVE_IO', () => session.commit());
    check.throws('VARVE_SESSION_ENDED', () => session.get(id));
    await expectEnded(session, old);
    await check.noValue(store, id);
  });

  it('resolves to currentBatch if there was nothing to commit, and syncs nothing', async () => {
    const { store, disk } = await stores.wrapped();
    await committed(store, bytesOf('one'));
    const from = disk.calls.length;
    const session = store.session();
    expect(await session.commit()).toBe(1);
    expect(store.session().commitSync()).toBe(1);
    expect(disk.calls.slice(from)).toEqual([]);
    check.throws('VARVE_SESSION_ENDED', () => session.get(1n as GrainId));
  });
});

describe('the end by abandon', () => {
  it('frees the grains, so the next session gets them', async () => {
    const { store } = await stores.wrapped();
    const old = await committed(store, bytesOf('old'));
    for (const end of ['abandon', Symbol.dispose] as const) {
      const session = store.session();
      const ids = [0, 100, 5000].map((length) => session.push(patternOf(length)));
      session.archive(old);
      session[end]();
      for (const id of ids) await check.noValue(store, id);
      check.throws('VARVE_SESSION_ENDED', () => session.get(ids[0] as GrainId));
      await expectEnded(session, old);
      const next = store.session();
      next.archive(old);
      expect([0, 100, 5000].map((length) => next.push(patternOf(length)))).toEqual(ids);
      next.abandon();
      await check.sound(store);
    }
    expect(store.currentBatch).toBe(1);
  });

  it('frees the space of values that were written ahead of the commit', async () => {
    const { store } = await stores.wrapped();
    const size = (): number => store.statistics().fileBytes;
    const push = (): number => {
      using session = store.session();
      session.push(new Uint8Array(2 * mebibyte));
      return size();
    };
    const first = push();
    for (let n = 0; n < 5; n += 1) expect(push()).toBe(first);
    expect(store.statistics()).toMatchObject({ values: 0, commits: 0 });
  });
});

describe('commitSync', () => {
  it('commits on the calling thread, and ends the session', async () => {
    const { store, disk } = await stores.wrapped();
    const session = store.session();
    const id = session.push(bytesOf('at once'));
    const syncs = disk.count('datasync');
    expect(session.commitSync()).toBe(1);
    expect(textOf(store.get(id))).toBe('at once');
    expect(store.currentBatch).toBe(1);
    expect(disk.count('datasync')).toBe(syncs + 1);
    expect(disk.calls.every(({ operation, sync }) => operation !== 'write' || sync)).toBe(true);
    check.throws('VARVE_SESSION_ENDED', () => session.get(id));
    await expectEnded(session, id);
  });

  it('throws VARVE_BUSY, the session still open, while another commit is queued', async () => {
    const { store } = await stores.wrapped();
    const other = store.session();
    other.push(bytesOf('queued'));
    const session = store.session();
    const id = session.push(bytesOf('waits'));
    const committing = other.commit();
    check.throws('VARVE_BUSY', () => session.commitSync());
    expect(textOf(session.get(id))).toBe('waits');
    const second = session.push(bytesOf('more'));
    expect(await committing).toBe(1);
    expect(session.commitSync()).toBe(2);
    await check.value(store, id, bytesOf('waits'));
    await check.value(store, second, bytesOf('more'));
  });

  it('throws VARVE_BUSY while another commit is being synced, and commit still works', async () => {
    const { store, disk } = await stores.wrapped();
    const gate = disk.hold('datasync');
    const committing = watch(commit(store, (session) => void session.push(bytesOf('slow'))));
    await gate.reached();
    const session = store.session();
    const id = session.push(bytesOf('waits'));
    for (let n = 0; n < 3; n += 1) check.throws('VARVE_BUSY', () => session.commitSync());
    const then = watch(session.commit());
    gate.open();
    expect(await committing.promise).toBe(1);
    expect(await then.promise).toBe(2);
    await check.value(store, id, bytesOf('waits'));
  });

  it('never throws VARVE_BUSY for background work, without a turn of the event loop', async () => {
    const { store, disk } = await stores.wrapped({ settleBytes: 2048 });
    const ids: GrainId[] = [];
    const from = disk.calls.length;
    for (let n = 0; n < 700; n += 1) {
      const session = store.session();
      ids.push(session.push(patternOf(200, n)));
      if (n % 3 === 2) session.archive(ids[n - 2] as GrainId);
      if (n % 50 === 49) session.checkpointTo(n - 20);
      expect(session.commitSync()).toBe(n + 1);
    }
    expect(disk.calls.slice(from).filter(({ sync }) => !sync)).toEqual([]);
    await check.sound(store);
    expect(store.statistics().commits).toBe(700);
  });

  it('ends the session with any other error', async () => {
    const { store, disk } = await stores.wrapped();
    const id = await committed(store, bytesOf('old'));
    const session = store.session();
    session.archive(id);
    session.push(longBytesOf('refused'));
    const fault = disk.fail('write', 'ENOSPC', { times: 2 });
    expect(check.throws('VARVE_IO', () => session.commitSync()).cause).toBe(fault.error);
    await expectEnded(session, id);
    await commit(store, (next) => next.archive(id));
    expect(store.currentBatch).toBe(2);
  });
});

describe('a session that is garbage-collected unended', () => {
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;

  /** Reserves grains and archives `id` in a session that nobody holds. */
  function forgetSession(store: Store, id: GrainId): WeakRef<Session> {
    const session = store.session();
    session.push(patternOf(5000));
    session.push(new Uint8Array(2 * mebibyte));
    session.archive(id);
    return new WeakRef(session);
  }

  function canArchive(store: Store, id: GrainId): boolean {
    const session = store.session();
    try {
      session.archive(id);
      return true;
    } catch {
      return false;
    } finally {
      session.abandon();
    }
  }

  it('is abandoned', async () => {
    const { store } = await stores.wrapped();
    const id = await committed(store, bytesOf('value'));
    const forgotten = forgetSession(store, id);
    expect(canArchive(store, id)).toBe(false);
    for (let round = 0; round < 100 && !canArchive(store, id); round += 1) {
      collectGarbage();
      await turns();
    }
    expect(forgotten.deref()).toBe(undefined);
    expect(canArchive(store, id)).toBe(true);
    // A quiet store with a grain that is neither free nor in use would not be sound.
    await check.sound(store);
  });

  it('is not abandoned while its commit is in flight', async () => {
    const { store, disk } = await stores.wrapped();
    const gate = disk.hold('datasync');
    let id: GrainId | undefined;
    const start = (): Promise<number> => {
      const session = store.session();
      id = session.push(bytesOf('on its way'));
      return session.commit();
    };
    const committing = start();
    await gate.reached();
    for (let round = 0; round < 5; round += 1) {
      collectGarbage();
      await turns();
    }
    gate.open();
    expect(await committing).toBe(1);
    expect(textOf(store.get(id as GrainId))).toBe('on its way');
  });
});
