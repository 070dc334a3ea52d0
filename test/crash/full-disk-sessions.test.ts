/**
 * Sessions that share a turn on a full disk: each is told of what the disk refused to it alone. And
 * the kinds of values with which a full disk was once found to stay full.
 */

import { describe, expect, it } from 'vitest';
import { type GrainId, type Session, Store } from '../../src/index.ts';
import { inChunks, patternOf } from '../support/bytes.ts';
import { SimulatedDisk } from '../support/disks/simulated-disk.ts';
import { SmallDisk } from '../support/disks/small-disk.ts';
import type { Random } from '../support/random.ts';
import { type FullDiskLife, filledLife, finish } from './full-disk.ts';

/** Deletes so many values, the oldest first, and frees them. */
async function makeRoom(life: FullDiskLife, count: number): Promise<void> {
  await life.remove([...life.live.keys()].slice(0, count), 'own');
}

describe('sessions that commit in one turn on a full disk', () => {
  it('two whose values find no room are rejected, the others are committed', async () => {
    const settings = {
      seed: 31,
      kind: 'length',
      pages: 300,
      step: 5,
      lengthOf: () => 3000,
    } as const;
    const { life } = await filledLife(settings);
    const { store } = life;
    await makeRoom(life, 20);
    const [gone] = life.live.keys();
    if (gone === undefined) throw new Error('the store is empty');
    const sessions = [3000, 400_000, 2900, 500_000].map((length, seed) => {
      const session = store.session();
      return { id: session.push(patternOf(length, seed)), session, length, seed };
    });
    const deleting = store.session();
    deleting.archive(gone);
    const commits = [...sessions.map(({ session }) => session), deleting].map((one) =>
      one.commit(),
    );
    const told = await Promise.allSettled(commits);
    const expected = ['fulfilled', 'rejected', 'fulfilled', 'rejected', 'fulfilled'];
    expect(told.map(({ status }) => status)).toEqual(expected);
    for (const one of told) {
      if (one.status === 'rejected') expect(one.reason).toMatchObject({ code: 'VARVE_IO' });
    }
    for (const [at, { id, length, seed }] of sessions.entries()) {
      if (at % 2 === 1) expect(store.has(id)).toBe(false);
      else life.live.set(id, { length, seed });
    }
    life.live.delete(gone);
    await life.check(true);
    await store.checkpointTo(store.currentBatch);
    await life.reopen();
    await life.check(true);
    await life.close();
  });

  it('a deletion is committed if the record of values beside it finds no room', async () => {
    const settings = {
      seed: 32,
      kind: 'length',
      pages: 300,
      step: 40,
      lengthOf: () => 100,
    } as const;
    const { life, bytes } = await filledLife(settings);
    const { store } = life;
    await makeRoom(life, 2000);
    for (let turn = 0, isRefused = false; !isRefused; turn++) {
      const [gone] = life.live.keys();
      if (gone === undefined) throw new Error('every value has found room');
      const deleting = store.session();
      deleting.archive(gone);
      const putting = store.session();
      const bytesOfIt = patternOf(100, turn);
      const id = putting.push(bytesOfIt);
      const [put, deleted] = await Promise.allSettled([putting.commit(), deleting.commit()]);
      expect(deleted.status, `turn ${turn}`).toBe('fulfilled');
      life.live.delete(gone);
      isRefused = put.status === 'rejected';
      if (!isRefused) life.live.set(id, { length: 100, seed: turn });
    }
    await life.check();
    await store.checkpointTo(store.currentBatch);
    await finish(life, bytes);
  });
});

describe('streams on a full disk', () => {
  it.each(['length', 'sparse'] as const)(
    'are refused and leave nothing, and find room once there is some: by %s',
    async (kind) => {
      const length = 700_000;
      const lengthOf = (): number => 60_000;
      const { life, bytes } = await filledLife({ seed: 34, kind, pages: 600, step: 4, lengthOf });
      const { store } = life;
      const session = store.session();
      const sources = [length, length + 1, 2 * length];
      const refused = await Promise.allSettled([
        ...sources.map((one) => session.pushStream(inChunks(patternOf(one)), { length: one })),
        session.pushAsync(patternOf(2 * length)),
      ]);
      for (const one of refused) {
        if (one.status === 'rejected') expect(one.reason).toMatchObject({ code: 'VARVE_IO' });
      }
      expect(refused.map(({ status }) => status)).toContain('rejected');
      // The session goes on: what it deletes is durable.
      for (const one of refused) if (one.status === 'fulfilled') session.archive(one.value);
      const [gone] = life.live.keys();
      if (gone === undefined) throw new Error('the store is empty');
      session.archive(gone);
      await session.commit();
      life.live.delete(gone);
      await life.check(true);
      // All values are in one map: as long as one is left, no page is free.
      await makeRoom(life, life.live.size);
      await store.checkpointTo(store.currentBatch);
      let id: GrainId | undefined;
      // Each refusal shows where a sparse file has no room.
      for (let tries = 0; id === undefined && tries < 6; tries++) {
        const again = store.session();
        const pushing = again.pushStream(inChunks(patternOf(length, 5)), { length });
        const committing = pushing.then(async (pushed) => {
          await again.commit();
          return pushed;
        });
        id = await committing.catch((error: { code: string }) => {
          expect(error.code).toBe('VARVE_IO');
          again.abandon();
          return undefined;
        });
      }
      if (id === undefined) throw new Error('the disk has room, and no value finds it');
      life.live.set(id, { length, seed: 5 });
      await life.check(true);
      await life.reopen();
      await finish(life, bytes);
    },
  );
});

describe('a checkpoint in steps', () => {
  it('counts as one session', async () => {
    const lengthOf = (random: Random): number => 20 + random.below(80);
    const settings = { seed: 9, kind: 'length' as const, pages: 300, step: 200, lengthOf };
    const { life } = await filledLife(settings);
    for (let time = 0; time < 4; time++) {
      await life.remove([...life.live.keys()].slice(0, 1500), 'none');
    }
    const before = life.store.statistics();
    await life.store.checkpointTo(life.store.currentBatch);
    const after = life.store.statistics();
    expect(after.commits - before.commits).toBeGreaterThan(1);
    expect(after.sessionsCommitted - before.sessionsCommitted).toBe(1);
  });

  it('that cannot be read rejects its session alone', async () => {
    const room = new SmallDisk(300, 'length');
    let isBroken = false;
    const disk = new SimulatedDisk({
      records: false,
      faultOf: (operation) => room.faultOf(operation),
      readFaultOf: ({ kind }) =>
        isBroken && kind === 'read' ? { kind: 'error', code: 'EIO' } : undefined,
    });
    const open = async (): Promise<Store> =>
      await Store.open('store', { fileSystem: disk, cacheBytes: 0 });
    let store = await open();
    const ids: GrainId[] = [];
    const commit = async (change: (session: Session) => void): Promise<number> => {
      const session = store.session();
      change(session);
      return await session.commit();
    };
    for (let time = 0; time < 30; time++) {
      await commit((session) => {
        for (let at = 0; at < 100; at++) ids.push(session.push(patternOf(50)));
      });
    }
    for (let time = 0; time < 5; time++) {
      await commit((session) => {
        for (const id of ids.splice(0, 200)) session.archive(id);
      });
    }
    await store.close();
    store = await open();
    const changes: ((session: Session) => void)[] = [
      (session) => session.archive(ids[0] as GrainId),
      (session) => void session.push(patternOf(30)),
      (session) => void session.push(patternOf(900_000)),
      (session) => session.checkpointTo(store.currentBatch),
    ];
    const sessions = changes.map((change) => {
      const session = store.session();
      change(session);
      return session;
    });
    isBroken = true;
    const outcomes = await Promise.allSettled(sessions.map((session) => session.commit()));
    isBroken = false;
    const expected = ['fulfilled', 'fulfilled', 'rejected', 'rejected'];
    expect(outcomes.map(({ status }) => status)).toEqual(expected);
    await store.close();
  });
});

describe('a disk of 4 MiB', () => {
  it.each([
    [4000, 10, 100],
    [1000, 1, 10],
  ])(
    'is filled with values of %d bytes, %d a commit, emptied %d at a time and filled again',
    async (length, each, deletedAtOnce) => {
      const settings = {
        seed: 33,
        kind: 'length',
        pages: 1024,
        step: each,
        lengthOf: () => length,
      };
      const { life, bytes } = await filledLife({ ...settings, kind: 'length' });
      const ids = [...life.live.keys()];
      for (let at = 0; at < ids.length; at += deletedAtOnce) {
        await life.remove(ids.slice(at, at + deletedAtOnce), 'own');
      }
      expect(life.store.statistics().values).toBe(0);
      await finish(life, bytes);
    },
  );
});
