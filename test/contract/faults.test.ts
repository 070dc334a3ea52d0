/**
 * A disk that refuses: a write that fails rejects its own commit and leaves nothing behind; a sync
 * that fails poisons the store; and what each leaves to those who come after.
 *
 * Power cuts are not simulated here.
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
  contentOf,
  logOf,
  longBytesOf,
  placeOf,
  storePath,
  storesOfTest,
  textOf,
  turns,
  watch,
} from '../support/fixtures/store-checks.ts';

const stores = storesOfTest();
const kibibyte = 1024;
const mebibyte = kibibyte * kibibyte;

async function withValue(): Promise<{ store: Store; disk: WrappedFileSystem; id: GrainId }> {
  const { store, disk } = await stores.wrapped();
  return { store, disk, id: await committed(store, bytesOf('old')) };
}

describe('a full disk', () => {
  for (const way of ['commit', 'commitSync', 'put'] as const) {
    it(`rejects that ${way} alone with VARVE_IO and the cause`, async () => {
      const { store, disk, id: old } = await withValue();
      const fault = disk.fail('write', 'ENOSPC');
      const session = store.session();
      const id = session.push(bytesOf('no room for this'));
      if (way === 'put') session.abandon();
      const error = await check.rejects('VARVE_IO', async () =>
        way === 'put' ? store.put(bytesOf('no room for this')) : session[way](),
      );
      expect(error).toMatchObject({ path: storePath, cause: fault.error });
      expect(error.message).toContain('ENOSPC');
      await check.noValue(store, id);
      await check.value(store, old, bytesOf('old'));
      await check.sound(store);
      fault.stop();
      // Not where it was refused: that may be a place without blocks in a sparse file.
      const later = await store.put(bytesOf('now there is'));
      expect(later.batch).toBe(2);
      await check.value(store, later.id, bytesOf('now there is'));
    });
  }

  it('leaves nothing of the refused commit after reopening', async () => {
    const { store, disk, id: old } = await withValue();
    const fault = disk.fail('write', 'ENOSPC', { partialBytes: 300 });
    const session = store.session();
    const id = session.push(patternOf(1000));
    session.archive(old);
    await check.rejects('VARVE_IO', () => session.commit());
    fault.stop();
    for (const closed of [false, true]) {
      if (closed) await store.close();
      const again = await stores.open(storePath, { fileSystem: disk, readOnly: true });
      expect(again).toMatchObject({ currentBatch: 1, embeddedHeader: undefined });
      await check.noValue(again, id);
      await check.value(again, old, bytesOf('old'));
      expect(again.statistics()).toMatchObject({ values: 1, archivedValues: 0 });
    }
  });

  it('lets another session archive the values that the refused session had archived', async () => {
    const { store, disk, id: old } = await withValue();
    const session = store.session();
    session.push(bytesOf('refused'));
    session.archive(old);
    const fault = disk.fail('write', 'ENOSPC');
    await check.rejects('VARVE_IO', () => session.commit());
    fault.stop();
    expect(await commit(store, (next) => next.archive(old))).toBe(2);
  });

  it('rejects only those sessions of a batch whose bytes it refused', async () => {
    const { store, disk } = await withValue();
    const small = [store.session(), store.session()];
    const ids = small.map((session, n) => session.push(bytesOf(`small ${n}`)));
    const large = store.session();
    const refused = large.push(patternOf(200 * kibibyte));
    const fault = disk.fail('write', 'ENOSPC', { when: ({ bytes }) => bytes > 100 * kibibyte });
    const commits = [small[0], large, small[1]].map((session) => watch(session?.commit() as never));
    await turns();
    expect(commits.map(({ state }) => state)).toEqual(['resolved', 'rejected', 'resolved']);
    const error = await check.rejects('VARVE_IO', () => commits[1]?.promise as Promise<unknown>);
    expect(error.cause).toBe(fault.error);
    for (const [n, id] of ids.entries()) expect(textOf(store.get(id))).toBe(`small ${n}`);
    await check.noValue(store, refused);
    expect(store.currentBatch).toBe(2);
    expect((await logOf(store, { after: 1 }))[0]?.changes.map(({ id }) => id)).toEqual(ids);
  });

  it.each([
    { it: 'that carries the values', bytesFor: bytesOf, at: 1 },
    // The values go first, then the record, in one write each.
    { it: 'after their values', bytesFor: longBytesOf, at: 2 },
  ])('rejects all of them if it refuses the record $it, and takes it back', async (way) => {
    for (const partialBytes of [0, 512, 700]) {
      const { store, disk, id: old } = await withValue();
      let writes = 0;
      const when = (): boolean => ++writes === way.at;
      disk.fail('write', 'EIO', { when, partialBytes });
      const commits = [1, 2].map((n) => watch(store.put(way.bytesFor(`refused ${n}`))));
      for (const { promise } of commits) await check.rejects('VARVE_IO', () => promise);
      expect(store.currentBatch).toBe(1);
      const left = await stores.open(storePath, { fileSystem: disk, readOnly: true });
      expect(left.currentBatch).toBe(1);
      const { batch } = await store.put(bytesOf('after it'));
      expect(batch).toBe(2);
      await check.value(store, old, bytesOf('old'));
      await check.sound(store);
    }
  });

  it('does not lose commits if it refuses for a while, several times', async () => {
    const { store, disk } = await stores.wrapped({ settleBytes: 3000 });
    const kept = new Map<GrainId, number>();
    for (let n = 0; n < 250; n += 1) {
      // One write in the commit fails, another each time, housekeeping's included.
      let writes = 0;
      const failing = n % 11;
      const fault = disk.fail('write', 'ENOSPC', { when: () => ++writes === failing, times: 1 });
      try {
        kept.set((await store.put(patternOf(100 + n, n))).id, n);
      } catch (error) {
        expect(error).toMatchObject({ code: 'VARVE_IO', cause: fault.error });
      }
      fault.stop();
    }
    expect(kept.size).toBeGreaterThan(150);
    await check.sound(store);
    await store.close();
    const again = await stores.open(storePath, { fileSystem: disk });
    expect(again.statistics().values).toBe(kept.size);
    for (const [id, n] of kept) await check.value(again, id, patternOf(100 + n, n));
  });

  it('does not stop close from unlocking', async () => {
    const { store, disk, id } = await withValue();
    const fault = disk.fail('write', 'ENOSPC');
    const error = await check.rejects('VARVE_IO', () => store.close());
    expect(error.cause).toBe(fault.error);
    fault.stop();
    const again = await stores.open(storePath, { fileSystem: disk });
    await check.value(again, id, bytesOf('old'));
  });
});

describe('a failed sync', () => {
  for (const way of ['commit', 'commitSync', 'put'] as const) {
    it(`rejects that ${way} with VARVE_POISONED and the disk's error as its cause`, async () => {
      const { store, disk, id: old } = await withValue();
      const fault = disk.fail('datasync', 'EIO');
      const session = store.session();
      const id = session.push(bytesOf('who knows'));
      if (way === 'put') session.abandon();
      const error = await check.rejects('VARVE_POISONED', async () =>
        way === 'put' ? store.put(bytesOf('who knows')) : session[way](),
      );
      expect(error).toMatchObject({ path: storePath, cause: fault.error });
      await check.noValue(store, id);
      await check.value(store, old, bytesOf('old'));
      expect(store).toMatchObject({ currentBatch: 1, committing: false });
      await store.close();
    });
  }

  async function poisoned(bytes = bytesOf('who knows')): Promise<{
    store: Store;
    disk: WrappedFileSystem;
    old: GrainId;
    lost: GrainId;
  }> {
    const { store, disk, id: old } = await withValue();
    const fault = disk.fail('datasync', 'EIO', { times: 1 });
    const session = store.session();
    const lost = session.push(bytes);
    await check.rejects('VARVE_POISONED', () => session.commit());
    fault.stop();
    return { store, disk, old, lost };
  }

  it('ends all writing until the store is opened again', async () => {
    const { store, disk, old } = await poisoned();
    const from = disk.calls.length;
    for (let n = 0; n < 2; n += 1) {
      check.throws('VARVE_POISONED', () => store.session());
      await check.rejects('VARVE_POISONED', () => store.put(bytesOf('no')));
      await check.rejects('VARVE_POISONED', () => store.put(new Uint8Array(2 * mebibyte)));
      await check.rejects('VARVE_POISONED', () => store.checkpointTo(1));
      await check.rejects('VARVE_POISONED', () => store.updateEmbeddedHeader(() => old));
    }
    const written = disk.calls.slice(from).filter(({ operation }) => operation !== 'read');
    expect(written).toEqual([]);
    await store.close();
  });

  it('rejects sessions that were open or queued when it failed', async () => {
    const { store, disk } = await withValue();
    const syncs = disk.count('datasync');
    const gate = disk.hold('datasync');
    disk.fail('datasync', 'EIO');
    const open = store.session();
    open.push(bytesOf('open'));
    const openSync = store.session();
    openSync.push(bytesOf('open too'));
    const first = watch(store.put(bytesOf('first')));
    await gate.reached();
    const queued = watch(store.put(bytesOf('queued')));
    gate.open();
    expect((await check.rejects('VARVE_POISONED', () => first.promise)).cause).not.toBe(undefined);
    await check.rejects('VARVE_POISONED', () => queued.promise);
    await check.rejects('VARVE_POISONED', () => open.commit());
    check.throws('VARVE_POISONED', () => openSync.commitSync());
    check.throws('VARVE_SESSION_ENDED', () => openSync.push(bytesOf('ended')));
    expect(disk.count('datasync')).toBe(syncs + 1);
    await store.close();
  });

  it('does not affect reads', async () => {
    const { store, old, lost } = await poisoned();
    await check.value(store, old, bytesOf('old'));
    await check.noValue(store, lost);
    expect(await logOf(store)).toMatchObject([{ batch: 1 }]);
    expect(store.statistics()).toMatchObject({ values: 1, commits: 1 });
    using guard = store.guard();
    expect(guard.batch).toBe(1);
    await check.sound(store);
    await store.close();
  });

  it.each([
    ['larger batch', longBytesOf('who knows')],
    ['batch with a new map', new Uint8Array(100_000)],
  ])('does not publish a %s either', async (_, bytes) => {
    const { store, old, lost } = await poisoned(bytes);
    await check.value(store, old, bytesOf('old'));
    await check.noValue(store, lost);
    expect(store.currentBatch).toBe(1);
    await store.close();
  });

  it('lets close write nothing, sync nothing, and unlock', async () => {
    const { store, disk } = await poisoned();
    const from = disk.calls.length;
    await store.close();
    expect(disk.calls.slice(from).map(({ operation }) => operation)).toEqual(['close']);
    await stores.open(storePath, { fileSystem: disk });
  });

  it('keeps or loses the whole batch, and the reopened store says which', async () => {
    const { store, disk, old, lost } = await poisoned();
    const offset = placeOf(await contentOf(disk.inner), bytesOf('who knows'));
    await store.close();
    const survived = await stores.open(storePath, { fileSystem: disk });
    await check.value(survived, lost, bytesOf('who knows'));
    await check.value(survived, old, bytesOf('old'));
    expect(survived.currentBatch).toBe(2);
    expect(offset).toBeGreaterThan(0);
  });

  it('does not reuse the grains of the failed commit', async () => {
    const { store, disk, id: old } = await withValue();
    disk.fail('datasync', 'EIO');
    const waiting = store.session();
    const lost = store.session();
    const id = lost.push(bytesOf('who knows'));
    await check.rejects('VARVE_POISONED', () => lost.commit());
    check.throws('VARVE_POISONED', () => waiting.push(bytesOf('who knows')));
    expect(waiting.get(id)).toBe(undefined);
    expect(textOf(waiting.get(old))).toBe('old');
    await store.close();
  });

  it('poisons on close too: VARVE_POISONED, unlocked, nothing lost', async () => {
    const { store, disk, id } = await withValue();
    const fault = disk.fail('datasync', 'EIO', { times: 1 });
    const error = await check.rejects('VARVE_POISONED', () => store.close());
    expect(error.cause).toBe(fault.error);
    const again = await stores.open(storePath, { fileSystem: disk });
    await check.value(again, id, bytesOf('old'));
    expect(again.recovery.clean).toBe(false);
  });

  it.each([
    { it: 'that carries the value', bytesFor: bytesOf, from: 1 },
    { it: 'after the value', bytesFor: longBytesOf, from: 2 },
    { it: 'after the value and its map', bytesFor: () => new Uint8Array(100_000), from: 4 },
  ])('poisons also if a record $it can be neither written nor taken back', async (way) => {
    const { store, disk, id } = await withValue();
    let writes = 0;
    const when = (): boolean => ++writes >= way.from;
    disk.fail('write', 'EIO', { when, times: 1, partialBytes: 512 });
    const fault = disk.fail('write', 'EIO', { when: () => writes >= way.from });
    await check.rejects('VARVE_POISONED', () => store.put(way.bytesFor('half there')));
    fault.stop();
    await check.rejects('VARVE_POISONED', () => store.put(bytesOf('no more')));
    await check.value(store, id, bytesOf('old'));
    const from = disk.calls.length;
    await store.close();
    expect(disk.calls.slice(from).map(({ operation }) => operation)).toEqual(['close']);
  });

  it('does not poison if nothing of such a record is in the file', async () => {
    const { store, disk, id } = await withValue();
    const fault = disk.fail('write', 'EIO');
    await check.rejects('VARVE_IO', () => store.put(bytesOf('not there')));
    expect(fault.count).toBe(2);
    fault.stop();
    expect((await store.put(bytesOf('there'))).batch).toBe(2);
    await check.value(store, id, bytesOf('old'));
  });

  it('stops the writing of large data', async () => {
    const { store, disk } = await withValue();
    const writing = disk.hold('write');
    const large = watch(store.put(new Uint8Array(20 * mebibyte)));
    await writing.reached();
    disk.fail('datasync', 'EIO');
    await check.rejects('VARVE_POISONED', () => store.put(bytesOf('poison')));
    const from = disk.calls.length;
    writing.open();
    await check.rejects('VARVE_POISONED', () => large.promise);
    expect(disk.calls.slice(from)).toEqual([]);
    await store.close();
  });
});
