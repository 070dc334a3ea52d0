/**
 * Sessions that share a turn on a full disk: each is told of what the disk refused to it alone. And
 * the kinds of values with which a full disk was once found to stay full.
 */

import { describe, expect, it } from 'vitest';
import { patternOf } from '../support/bytes.ts';
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

  it('a deletion is committed where the record of values beside it finds no room', async () => {
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
