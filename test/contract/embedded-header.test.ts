/**
 * The embedded header: `setEmbeddedHeader` as part of a commit, and `updateEmbeddedHeader`, which
 * lets one caller after the other read it, change it and commit.
 */

import { describe, expect, it } from 'vitest';
import type { GrainId, Session, Store } from '../../src/index.ts';
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
  watch,
} from '../support/fixtures/store-checks.ts';

const stores = storesOfTest();

/** Commits a value and makes it the embedded header. */
async function setTo(store: Store, text: string): Promise<GrainId> {
  await commit(store, (session) => session.setEmbeddedHeader(session.push(bytesOf(text))));
  return present(store.embeddedHeader);
}

describe('setEmbeddedHeader', () => {
  it('replaces the header with the commit and not before; null clears it', async () => {
    const { store, disk } = await stores.wrapped();
    expect(store.embeddedHeader).toBe(undefined);
    const session = store.session();
    const id = session.push(bytesOf('root'));
    session.setEmbeddedHeader(id);
    const gate = disk.hold('datasync');
    const committing = watch(session.commit());
    await gate.reached();
    expect(store.embeddedHeader).toBe(undefined);
    gate.open();
    await committing.promise;
    expect(store.embeddedHeader).toBe(id);
    await commit(store, (next) => next.setEmbeddedHeader(null));
    expect(store.embeddedHeader).toBe(undefined);
  });

  it('is kept by commits that do not set it, and by reopening', async () => {
    const { store, disk } = await stores.wrapped();
    const id = await setTo(store, 'root');
    await store.put(bytesOf('something else'));
    expect(store.embeddedHeader).toBe(id);
    const reader = await stores.open(storePath, { fileSystem: disk, readOnly: true });
    expect(reader.embeddedHeader).toBe(id);
    await store.close();
    const again = await stores.open(storePath, { fileSystem: disk });
    expect(again.embeddedHeader).toBe(id);
    expect(textOf(again.get(id))).toBe('root');
    await commit(again, (session) => session.setEmbeddedHeader(null));
    await again.close();
    const cleared = await stores.open(storePath, { fileSystem: disk });
    expect(cleared.embeddedHeader).toBe(undefined);
  });

  it('takes an id of this session, or a committed one', async () => {
    const { store } = await stores.wrapped();
    const old = await committed(store, bytesOf('old'));
    await commit(store, (session) => session.setEmbeddedHeader(old));
    expect(store.embeddedHeader).toBe(old);
    await setTo(store, 'own');
    expect(textOf(store.get(present(store.embeddedHeader)))).toBe('own');
  });

  it('throws VARVE_NOT_FOUND for any other id, and keeps the header that was set', async () => {
    const { store } = await stores.wrapped();
    const old = await committed(store, bytesOf('old'));
    const staged = store.session().push(bytesOf('staged by another'));
    const session = store.session();
    session.setEmbeddedHeader(old);
    const withdrawn = session.push(bytesOf('withdrawn'));
    session.archive(withdrawn);
    for (const id of [staged, withdrawn, (old + 1n) as GrainId, 0n as GrainId]) {
      const error = check.throws('VARVE_NOT_FOUND', () => session.setEmbeddedHeader(id));
      expect(error.grainId).toBe(id);
    }
    for (const wrong of [undefined, 1, '1-2-3', {}]) {
      const id = wrong as unknown as GrainId;
      check.throws('VARVE_INVALID_ARGUMENT', () => session.setEmbeddedHeader(id));
    }
    await session.commit();
    expect(store.embeddedHeader).toBe(old);
  });

  it('of the last session to commit wins in a batch; in a session, the last call', async () => {
    const { store } = await stores.wrapped();
    const sessions = ['one', 'two', 'three'].map((text) => {
      const session = store.session();
      session.setEmbeddedHeader(session.push(bytesOf(`${text}, first`)));
      session.setEmbeddedHeader(session.push(bytesOf(text)));
      return session;
    });
    const [one, two, three] = sessions as [Session, Session, Session];
    const batches = await Promise.all([three.commit(), one.commit(), two.commit()]);
    expect(new Set(batches).size).toBe(1);
    expect(textOf(store.get(present(store.embeddedHeader)))).toBe('two');
    expect((await logOf(store)).map(({ embeddedHeader }) => embeddedHeader)).toEqual([
      store.embeddedHeader,
    ]);
  });

  it('makes a commit, also if the session did nothing else', async () => {
    const { store } = await stores.wrapped();
    expect(await commit(store, (session) => session.setEmbeddedHeader(null))).toBe(1);
    expect(store.currentBatch).toBe(1);
  });

  it('rejects the commit with VARVE_NOT_FOUND if the value is gone by then', async () => {
    const { store } = await stores.wrapped();
    const id = await committed(store, bytesOf('going'));
    const session = store.session();
    session.setEmbeddedHeader(id);
    const pushed = session.push(bytesOf('with it'));
    await store.checkpointTo(await commit(store, (other) => other.archive(id)));
    await check.rejects('VARVE_NOT_FOUND', () => session.commit());
    await check.noValue(store, pushed);
    expect(store.embeddedHeader).toBe(undefined);
  });
});

describe('updateEmbeddedHeader', () => {
  it('commits the session that it passes, with the returned id as the header', async () => {
    const { store } = await stores.wrapped();
    const batch = await store.updateEmbeddedHeader((session, current) => {
      expect(current).toBe(undefined);
      return session.push(bytesOf('first root'));
    });
    expect(batch).toBe(1);
    const first = present(store.embeddedHeader);
    const second = await store.updateEmbeddedHeader(async (session, current) => {
      expect(current).toBe(first);
      await turns(1);
      session.archive(present(current));
      return session.push(bytesOf('second root'));
    });
    expect(second).toBe(2);
    expect(textOf(store.get(present(store.embeddedHeader)))).toBe('second root');
    expect(store.statistics().archivedValues).toBe(1);
    expect(await store.updateEmbeddedHeader(() => null)).toBe(3);
    expect(store.embeddedHeader).toBe(undefined);
  });

  it('runs updates one after the other, each on the durable result of the one before', async () => {
    const { store, disk } = await stores.wrapped();
    let running = 0;
    const rounds = 40;
    const seen: (string | undefined)[] = [];
    const update = (): Promise<number> =>
      store.updateEmbeddedHeader(async (session, current) => {
        running += 1;
        expect(running).toBe(1);
        expect(current).toBe(store.embeddedHeader);
        const text = current === undefined ? '0' : textOf(session.get(current));
        seen.push(text);
        await turns(1);
        running -= 1;
        if (current !== undefined) session.archive(current);
        return session.push(bytesOf(String(Number(text) + 1)));
      });
    const batches = await Promise.all(Array.from({ length: rounds }, update));
    expect(batches).toEqual(Array.from({ length: rounds }, (_, n) => n + 1));
    expect(seen).toEqual(Array.from({ length: rounds }, (_, n) => String(n)));
    const reader = await stores.open(storePath, { fileSystem: disk, readOnly: true });
    expect(textOf(reader.get(present(reader.embeddedHeader)))).toBe(String(rounds));
  });

  it('does not start the next update before the commit has settled', async () => {
    const { store, disk } = await stores.wrapped();
    const gate = disk.hold('datasync');
    let started = 0;
    const update = (): Promise<number> =>
      store.updateEmbeddedHeader((session) => {
        started += 1;
        return session.push(bytesOf(`root ${started}`));
      });
    const updates = [watch(update()), watch(update())];
    await gate.reached();
    await turns();
    expect(started).toBe(1);
    gate.open();
    expect(await Promise.all(updates.map(({ promise }) => promise))).toEqual([1, 2]);
    expect(started).toBe(2);
  });

  it('commits nothing if update throws or rejects, and the next one runs', async () => {
    const { store } = await stores.wrapped();
    const id = await setTo(store, 'root');
    const reason = new Error('no');
    let pushed: GrainId | undefined;
    const failing = [
      (session: Session): GrainId => {
        pushed = session.push(bytesOf('pushed in vain'));
        session.archive(id);
        throw reason;
      },
      async (session: Session): Promise<GrainId> => {
        pushed = session.push(bytesOf('pushed in vain'));
        await turns(1);
        throw reason;
      },
    ];
    for (const update of failing) {
      await expect(store.updateEmbeddedHeader(update)).rejects.toBe(reason);
      await check.noValue(store, present(pushed));
      expect(store).toMatchObject({ currentBatch: 1, embeddedHeader: id });
    }
    expect(await store.updateEmbeddedHeader(() => id)).toBe(2);
  });

  it('commits nothing if update returns something that is not an id, or an id without a value', async () => {
    const { store } = await stores.wrapped();
    const update = (result: unknown) => () =>
      store.updateEmbeddedHeader((session) => {
        session.push(bytesOf('pushed in vain'));
        return result as GrainId;
      });
    await check.rejects('VARVE_INVALID_ARGUMENT', update(undefined));
    await check.rejects('VARVE_INVALID_ARGUMENT', update('root'));
    await check.rejects('VARVE_NOT_FOUND', update(0n));
    await check.rejects('VARVE_NOT_FOUND', update(12345n));
    expect(store).toMatchObject({ currentBatch: 0, embeddedHeader: undefined });
    expect(store.statistics().values).toBe(0);
  });

  it('rejects anything that is not a function', async () => {
    const { store } = await stores.wrapped();
    for (const wrong of [undefined, null, 1n, {}]) {
      const update = () => store.updateEmbeddedHeader(wrong as never);
      await check.rejects('VARVE_INVALID_ARGUMENT', update);
    }
  });

  it('rejects as the commit does, and the next one runs', async () => {
    const { store, disk } = await stores.wrapped();
    const fault = disk.fail('write', 'ENOSPC');
    const update = () => store.updateEmbeddedHeader((session) => session.push(bytesOf('root')));
    expect((await check.rejects('VARVE_IO', update)).cause).toBe(fault.error);
    fault.stop();
    expect(store.embeddedHeader).toBe(undefined);
    expect(await update()).toBe(1);
  });

  it('rejects if update ended the session itself', async () => {
    const { store } = await stores.wrapped();
    const update = () =>
      store.updateEmbeddedHeader((session) => {
        session.abandon();
        return null;
      });
    await check.rejects('VARVE_SESSION_ENDED', update);
    expect(await store.updateEmbeddedHeader(() => null)).toBe(1);
  });

  it('does not make other sessions wait', async () => {
    const { store } = await stores.wrapped();
    let finish: (() => void) | undefined;
    const updating = store.updateEmbeddedHeader(async (session) => {
      await new Promise<void>((resolve) => {
        finish = resolve;
      });
      return session.push(bytesOf('late root'));
    });
    await turns();
    expect((await store.put(bytesOf('meanwhile'))).batch).toBe(1);
    finish?.();
    expect(await updating).toBe(2);
  });
});
