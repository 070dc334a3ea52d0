/**
 * Sessions that take over the work of others: `adopt`.
 *
 * Random programs of it beside pushes in flight are in test/store/streams.
 */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { type GrainId, type Session, Store } from '../../src/index.ts';
import { patternOf } from '../support/bytes.ts';
import { afterKill, carrying, isHome } from '../support/fixtures/carrying-store.ts';
import {
  bytesOf,
  check,
  committed,
  storesOfTest,
  textOf,
  turns,
} from '../support/fixtures/store-checks.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const stores = storesOfTest();
const long = 3 * 1024 * 1024 + 333;

describe('adopt', () => {
  it('moves all work, and the other session ends', async () => {
    const { store } = await stores.wrapped();
    const old = await committed(store, bytesOf('old'));
    const [session, other] = [store.session(), store.session()];
    const ids = [session.push(bytesOf('a')), other.push(bytesOf('b'))];
    const large = other.push(patternOf(long));
    const withdrawn = other.push(bytesOf('withdrawn'));
    other.archive(withdrawn);
    other.archive(old);
    other.setEmbeddedHeader(ids[1] as GrainId);
    other.checkpointTo(1);
    session.adopt(other);
    check.throws('VARVE_SESSION_ENDED', () => other.push(bytesOf('late')));
    check.throws('VARVE_SESSION_ENDED', () => session.adopt(other));
    expect(textOf(session.get(ids[1] as GrainId))).toBe('b');
    await session.commit();
    expect(ids.map((id) => textOf(store.get(id)))).toEqual(['a', 'b']);
    expect(store.embeddedHeader).toBe(ids[1]);
    expect(store.checkpoint).toBe(1);
    await check.value(store, large, patternOf(long));
    await check.noValue(store, withdrawn);
    await store.checkpointTo(store.currentBatch);
    await check.noValue(store, old);
  });

  it('refuses itself, what is no session, that of another store and of an update', async () => {
    const { store } = await stores.wrapped();
    const elsewhere = stores.keep(await Store.inMemory());
    const [session, foreign] = [store.session(), elsewhere.session()];
    for (const other of [session, foreign, {}, undefined]) {
      check.throws('VARVE_INVALID_ARGUMENT', () => session.adopt(other as typeof session));
    }
    await store.updateEmbeddedHeader((own) => {
      check.throws('VARVE_INVALID_ARGUMENT', () => session.adopt(own));
      return null;
    });
    for (const one of [session, foreign]) one.abandon();
  });

  it('rejects the commit if a write ahead of the other session has failed', async () => {
    const { store, disk } = await stores.wrapped();
    const [session, other] = [store.session(), store.session()];
    disk.fail('write', 'EIO', { times: 1 });
    other.push(patternOf(long));
    session.adopt(other);
    await check.rejects('VARVE_IO', () => session.commit());
  });

  it('takes the embedded header of the other session, if that has set one', async () => {
    const { store } = await stores.wrapped();
    type Setting = 'none' | 'null' | 'value';
    const set = (session: Session, setting: Setting, text: string): GrainId | undefined => {
      if (setting === 'none') return undefined;
      const id = setting === 'null' ? null : session.push(bytesOf(text));
      session.setEmbeddedHeader(id);
      return id ?? undefined;
    };
    for (const before of ['none', 'null', 'value'] as const) {
      for (const after of ['none', 'null', 'value'] as const) {
        const first = await committed(store, bytesOf('first'));
        await store.updateEmbeddedHeader(() => first);
        const [session, other] = [store.session(), store.session()];
        const own = set(session, before, 'own');
        const adopted = set(other, after, 'adopted');
        session.adopt(other);
        await session.commit();
        const expected = after === 'none' ? (before === 'none' ? first : own) : adopted;
        expect(store.embeddedHeader, `${before}, ${after}`).toBe(expected);
      }
    }
  });

  it('gives all back if the session is abandoned, as if both were', async () => {
    const { store } = await stores.wrapped();
    const old = [await committed(store, bytesOf('a')), await committed(store, bytesOf('b'))];
    const [session, other] = [store.session(), store.session()];
    session.archive(old[0] as GrainId);
    other.archive(old[1] as GrainId);
    other.push(bytesOf('small'));
    other.push(patternOf(long));
    session.adopt(other);
    check.throws('VARVE_ALREADY_ARCHIVED', () => session.archive(old[1] as GrainId));
    session.abandon();
    await check.sound(store);
    const again = store.session();
    for (const id of old) again.archive(id);
    await again.commit();
  });

  it('takes over while a push of its own is in flight, and is busy until that has settled', async () => {
    const { store, disk } = await stores.wrapped();
    const [session, other] = [store.session(), store.session()];
    const gate = disk.hold('write');
    session.push(patternOf(700_000, 1));
    const pushing = session.pushAsync(patternOf(500_000, 2));
    await gate.reached();
    const adopted = [3, 4].map((seed) => other.push(patternOf(500_000, seed)));
    session.adopt(other);
    await check.rejects('VARVE_BUSY', () => session.commit());
    gate.open();
    const own = await pushing;
    await session.commit();
    await check.value(store, own, patternOf(500_000, 2));
    for (const [at, id] of adopted.entries()) {
      await check.value(store, id, patternOf(500_000, at + 3));
    }
  });

  it('has values that the record carries, which a process that dies leaves in the log', async () => {
    const { store, disk } = await carrying(stores);
    const [session, other, third] = [store.session(), store.session(), store.session()];
    const ids = [session, other, third].map((one, at) => one.push(patternOf(40, at)));
    other.adopt(third);
    session.adopt(other);
    await session.commit();
    for (const [at, id] of ids.entries()) {
      expect(await isHome(disk, id, patternOf(40, at))).toBe(false);
    }
    const next = await afterKill(stores, disk);
    for (const [at, id] of ids.entries()) await check.value(next, id, patternOf(40, at));
  });

  it('is over for the other session, also when that is collected', async () => {
    const { store } = await stores.wrapped();
    const session = store.session();
    const id = (() => {
      const other = store.session();
      const pushed = other.push(bytesOf('adopted'));
      session.adopt(other);
      return pushed;
    })();
    for (let round = 0; round < 10; round++) {
      await turns();
      collectGarbage();
    }
    await session.commit();
    expect(textOf(store.get(id))).toBe('adopted');
  });

  it('refuses a session that is committing or has ended, and one that has ended adopts none', async () => {
    const { store } = await stores.wrapped();
    const [session, other, third] = [store.session(), store.session(), store.session()];
    other.push(bytesOf('other'));
    const committing = other.commit();
    check.throws('VARVE_SESSION_ENDED', () => session.adopt(other));
    await committing;
    check.throws('VARVE_SESSION_ENDED', () => session.adopt(other));
    session.abandon();
    check.throws('VARVE_SESSION_ENDED', () => session.adopt(third));
    expect(textOf(third.get(third.push(bytesOf('open'))))).toBe('open');
    await store.close();
    check.throws('VARVE_CLOSED', () => third.adopt(session));
  });
});
