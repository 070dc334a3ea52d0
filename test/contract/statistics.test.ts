/**
 * What a store says of itself: `statistics`, held against what was put in and what the disk saw,
 * and `verify`, that yields nothing for a sound store, idle or busy, and finds damage.
 */

import { describe, expect, it } from 'vitest';
import { type GrainId, memoryFileSystem, type Store } from '../../src/index.ts';
import { patternOf } from '../support/bytes.ts';
import {
  bytesOf,
  check,
  commit,
  committed,
  contentOf,
  findingsOf,
  listOf,
  longBytesOf,
  overwrite,
  placeOf,
  present,
  storePath,
  storesOfTest,
  turns,
  watch,
} from '../support/fixtures/store-checks.ts';

const stores = storesOfTest();
const mebibyte = 1024 * 1024;

describe('statistics', () => {
  it('are those of an empty store at first', async () => {
    const { store } = await stores.wrapped();
    expect(store.statistics()).toEqual({
      fileBytes: expect.any(Number),
      freeBytes: expect.any(Number),
      valueBytes: 0,
      values: 0,
      archivedValues: 0,
      commitLogBytes: 0,
      oldestGuard: undefined,
      commits: 0,
      sessionsCommitted: 0,
      syncs: 0,
      bytesWritten: 0,
      memory: {
        budgetBytes: 64 * mebibyte,
        usedBytes: expect.any(Number),
        blockBytes: 0,
        markBytes: 0,
        nodeBytes: 0,
        reservedBytes: 0,
      },
      strata: [],
    });
  });

  it('count values and their bytes, archived ones included, until they are freed', async () => {
    const { store, disk } = await stores.wrapped();
    const lengths = [0, 1, 300, 5000, 2 * mebibyte];
    const ids: GrainId[] = [];
    for (const length of lengths) ids.push(await committed(store, patternOf(length)));
    const valueBytes = lengths.reduce((sum, length) => sum + length, 0);
    const full = { values: 5, archivedValues: 0, valueBytes };
    expect(store.statistics()).toMatchObject(full);
    const session = store.session();
    session.push(patternOf(100));
    session.archive(present(ids[3]));
    expect(store.statistics()).toMatchObject(full);
    const batch = await session.commit();
    const archived = { values: 6, archivedValues: 1, valueBytes: valueBytes + 100 };
    expect(store.statistics()).toMatchObject(archived);
    await store.checkpointTo(batch);
    const freed = { values: 5, archivedValues: 0, valueBytes: valueBytes + 100 - 5000 };
    expect(store.statistics()).toMatchObject(freed);
    await store.close();
    const again = await stores.open(storePath, { fileSystem: disk });
    expect(again.statistics()).toMatchObject(freed);
  });

  it('give the memory that is in use, up to cacheBytes', async () => {
    const { store } = await stores.wrapped({ cacheBytes: mebibyte });
    const ids: GrainId[] = [];
    for (let at = 0; at < 600; at++) ids.push(await committed(store, patternOf(4000, at)));
    for (const id of ids) {
      store.get(id);
      const { budgetBytes, usedBytes, ...parts } = store.statistics().memory;
      expect(budgetBytes).toBe(mebibyte);
      expect(parts.blockBytes + parts.markBytes + parts.nodeBytes).toBe(usedBytes);
      expect(usedBytes).toBeLessThan(1.1 * mebibyte);
    }
    const { usedBytes, blockBytes, markBytes, nodeBytes } = store.statistics().memory;
    expect(usedBytes).toBeGreaterThan(0.9 * mebibyte);
    expect(blockBytes).toBeGreaterThan(0.8 * mebibyte);
    expect(markBytes).toBeGreaterThan(0);
    expect(nodeBytes).toBe(0);
  });

  it('give the length of the file as it is', async () => {
    const { store, disk } = await stores.wrapped();
    for (const length of [100, 300_000, 2 * mebibyte]) {
      await store.put(patternOf(length));
      expect(store.statistics().fileBytes).toBe((await contentOf(disk.inner)).length);
    }
  });

  it('give the free bytes: fewer when a value takes some, more again when it is freed', async () => {
    const { store } = await stores.wrapped();
    await store.put(patternOf(mebibyte));
    const before = store.statistics();
    expect(before.freeBytes).toBeGreaterThan(0);
    expect(before.freeBytes).toBeLessThanOrEqual(before.fileBytes);
    const id = await committed(store, patternOf(2 * mebibyte));
    await store.checkpointTo(await commit(store, (session) => session.archive(id)));
    expect(store.statistics().freeBytes).toBeGreaterThanOrEqual(2 * mebibyte);
  });

  it('count commits, sessions, syncs and bytes since it was opened, as the disk does', async () => {
    const { store, disk } = await stores.wrapped({ settleBytes: 3000 });
    const bytesSince = (from: number): number =>
      disk.calls.slice(from).reduce((sum, call) => {
        return sum + (call.operation === 'write' ? call.bytes : 0);
      }, 0);
    let from = disk.calls.length;
    let syncs = disk.count('datasync');
    for (let round = 0; round < 20; round += 1) {
      await Promise.all([1, 2, 3].map((n) => store.put(patternOf(n * 300, round))));
    }
    await store.put(patternOf(3 * mebibyte));
    await commit(store, (session) => void session.push(patternOf(2 * mebibyte)));
    const { commits, sessionsCommitted, ...seen } = store.statistics();
    expect({ commits, sessionsCommitted }).toEqual({ commits: 22, sessionsCommitted: 62 });
    expect(seen.syncs).toBe(disk.count('datasync') - syncs);
    expect(seen.bytesWritten).toBe(bytesSince(from));
    expect(seen.commitLogBytes).toBeGreaterThan(0);
    await store.close();
    const again = await stores.open(storePath, { fileSystem: disk });
    expect(again.statistics()).toMatchObject({ commits: 0, sessionsCommitted: 0, syncs: 0 });
    from = disk.calls.length;
    syncs = disk.count('datasync');
    await again.put(bytesOf('one'));
    const { bytesWritten } = again.statistics();
    expect(again.statistics()).toMatchObject({ commits: 1, sessionsCommitted: 1 });
    expect(again.statistics().syncs).toBe(disk.count('datasync') - syncs);
    expect(bytesWritten).toBe(bytesSince(from));
  });

  it('have one row for each stratum, and the rows add up to the totals', async () => {
    const { store } = await stores.wrapped();
    for (const length of [10, 100, 1000, 10_000, 100_000, mebibyte]) {
      await store.put(patternOf(length));
    }
    const { strata, valueBytes, values } = store.statistics();
    expect(strata.length).toBeGreaterThan(1);
    expect(strata.map(({ basin }) => basin)).toEqual(strata.map(() => 0));
    expect(strata.map(({ stratum }) => stratum)).toEqual(strata.map((_, n) => n));
    for (const { grainBytes, free } of strata) {
      expect(Number.isInteger(Math.log2(grainBytes))).toBe(true);
      expect(free).toBeGreaterThanOrEqual(0);
    }
    const taken = strata.reduce((sum, row) => sum + row.allocated * row.grainBytes, 0);
    expect(taken).toBeGreaterThanOrEqual(valueBytes + 8 * values);
    expect(taken).toBeLessThanOrEqual(1.2 * valueBytes + 64 * values);
  });
});

describe('the size of a store', () => {
  it('is small for small contents: ten values of 100 bytes, one of 1 MiB', async () => {
    const ten = (await stores.wrapped()).store;
    for (let n = 0; n < 10; n += 1) await ten.put(patternOf(100, n));
    expect(ten.statistics().fileBytes).toBeLessThanOrEqual(256 * 1024);
    const one = (await stores.wrapped()).store;
    await one.put(patternOf(mebibyte));
    expect(one.statistics().fileBytes).toBeLessThanOrEqual(1.5 * mebibyte);
  });

  it('stays within 1.5 times the live bytes through rounds of random replacement', async () => {
    const { store } = await stores.wrapped({ settleBytes: 65_536 });
    let seed = 7;
    const random = (limit: number): number => {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
      return seed % limit;
    };
    const length = (): number => 300 + random(20_000);
    const live: GrainId[] = [];
    await commit(store, (session) => {
      for (let n = 0; n < 800; n += 1) live.push(session.push(patternOf(length())));
    });
    for (let round = 0; round < 60; round += 1) {
      const session = store.session();
      for (let n = 0; n < 50; n += 1) {
        const at = random(live.length);
        session.archive(present(live[at]));
        live[at] = session.push(patternOf(length()));
      }
      await store.checkpointTo(await session.commit());
    }
    const { fileBytes, valueBytes } = store.statistics();
    expect(fileBytes / valueBytes).toBeLessThanOrEqual(1.5);
  });
});

describe('verify of a sound store', () => {
  it('yields nothing: empty, with values of all kinds, with and without deep', async () => {
    const { store } = await stores.wrapped({ settleBytes: 5000 });
    expect(await findingsOf(store)).toEqual([]);
    const ids: GrainId[] = [];
    for (let n = 0; n < 60; n += 1) ids.push(await committed(store, patternOf(n * n * 9, n)));
    await commit(store, (session) => {
      for (const id of ids.slice(0, 30)) session.archive(id);
    });
    for (const deep of [false, true]) expect(await findingsOf(store, deep)).toEqual([]);
    await store.checkpointTo(40);
    await store.checkpointTo(store.currentBatch);
    for (const deep of [false, true]) expect(await findingsOf(store, deep)).toEqual([]);
    expect(await listOf(store.verify())).toEqual([]);
    expect(await listOf(store.verify({ deep: undefined, signal: undefined }))).toEqual([]);
  });

  it('yields nothing while sessions are open, committing, or writing large values', async () => {
    const { store, disk } = await stores.wrapped();
    const id = await committed(store, bytesOf('old'));
    const open = store.session();
    open.push(patternOf(3000));
    open.archive(id);
    expect(await findingsOf(store)).toEqual([]);
    const writing = disk.hold('write');
    const large = watch(store.put(patternOf(3 * mebibyte)));
    await writing.reached();
    expect(await findingsOf(store)).toEqual([]);
    writing.open();
    const syncing = disk.hold('datasync');
    const small = watch(open.commit());
    await syncing.reached();
    expect(await findingsOf(store)).toEqual([]);
    syncing.open();
    await Promise.all([small.promise, large.promise]);
  });

  it('yields nothing while others commit, archive and checkpoint', async () => {
    const { store } = await stores.wrapped({ settleBytes: 3000 });
    for (let n = 0; n < 10; n += 1) await store.put(patternOf(mebibyte, n));
    let done = false;
    const write = async (): Promise<void> => {
      const ids: GrainId[] = [];
      for (let n = 0; n < 150; n += 1) {
        const session = store.session();
        ids.push(session.push(patternOf(100 + n * 10, n)));
        if (n > 20) session.archive(present(ids[n - 20]));
        const batch = await session.commit();
        if (n % 10 === 0) await store.checkpointTo(batch);
        await turns(1);
      }
      done = true;
    };
    const writing = write();
    let runs = 0;
    while (!done) {
      expect(await findingsOf(store)).toEqual([]);
      runs += 1;
    }
    await writing;
    expect(runs).toBeGreaterThan(1);
  });

  it('changes nothing, and reads values only with deep', async () => {
    const { store, disk } = await stores.wrapped();
    await store.put(patternOf(2 * mebibyte));
    const before = await contentOf(disk.inner);
    const bytesRead = async (deep: boolean): Promise<number> => {
      const from = disk.calls.length;
      await findingsOf(store, deep);
      const calls = disk.calls.slice(from);
      expect(calls.every(({ operation }) => operation === 'read')).toBe(true);
      return calls.reduce((sum, { bytes }) => sum + bytes, 0);
    };
    expect(await bytesRead(false)).toBeLessThan(mebibyte);
    expect(await bytesRead(true)).toBeGreaterThan(2 * mebibyte);
    expect(Buffer.compare(await contentOf(disk.inner), before)).toBe(0);
  });

  it('ends with the reason of its signal', async () => {
    const { store } = await stores.wrapped();
    for (let n = 0; n < 12; n += 1) await store.put(patternOf(mebibyte, n));
    const reason = new Error('enough');
    const before = listOf(store.verify({ deep: true, signal: AbortSignal.abort(reason) }));
    await expect(before).rejects.toBe(reason);
    const controller = new AbortController();
    const meanwhile = watch(listOf(store.verify({ deep: true, signal: controller.signal })));
    controller.abort(reason);
    await expect(meanwhile.promise).rejects.toBe(reason);
  });

  it('refuses options of the wrong type', async () => {
    const { store } = await stores.wrapped();
    for (const wrong of [{ deep: 1 }, { deep: 'yes' }, { signal: {} }]) {
      const verify = async (): Promise<unknown> => listOf(store.verify(wrong as never));
      await check.rejects('VARVE_INVALID_ARGUMENT', verify);
    }
  });
});

describe('verify of a damaged store', () => {
  async function damaged(
    change: (store: Store) => Promise<Uint8Array>,
  ): Promise<{ store: Store; offset: number }> {
    const fileSystem = memoryFileSystem();
    const first = await stores.open(storePath, { fileSystem });
    const sequence = await change(first);
    await first.close();
    const offset = placeOf(await contentOf(fileSystem), sequence);
    await overwrite(fileSystem, Uint8Array.of((sequence[0] ?? 0) ^ 0xff), offset);
    return { store: await stores.open(storePath, { fileSystem }), offset };
  }

  it('finds a value that fails its checksum, with its id and place, only with deep', async () => {
    let id: GrainId | undefined;
    const { store, offset } = await damaged(async (first) => {
      for (let n = 0; n < 20; n += 1) await first.put(patternOf(500, n));
      id = await committed(first, longBytesOf('this one will rot'));
      return bytesOf('this one will rot');
    });
    expect(await findingsOf(store, false)).toEqual([]);
    const findings = await findingsOf(store);
    expect(findings).toEqual([
      { message: expect.stringContaining('checksum'), offset: expect.any(Number), grainId: id },
    ]);
    expect(offset - present(findings[0]?.offset)).toBeLessThan(64);
    await store.close();
  });

  it('finds each of several faults, and continues to the end', async () => {
    const fileSystem = memoryFileSystem();
    const first = await stores.open(storePath, { fileSystem });
    const ids: GrainId[] = [];
    for (let n = 0; n < 30; n += 1)
      ids.push(await committed(first, longBytesOf(`the value of ${n}.`)));
    await first.close();
    const content = await contentOf(fileSystem);
    const rotten = [3, 11, 29];
    for (const n of rotten) {
      const offset = placeOf(content, bytesOf(`the value of ${n}.`));
      await overwrite(fileSystem, bytesOf('T'), offset);
    }
    const store = await stores.open(storePath, { fileSystem });
    const found = (await findingsOf(store)).map(({ grainId }) => grainId);
    expect(found).toEqual(rotten.map((n) => ids[n]));
    await store.close();
  });

  it('finds a damaged copy of the file header', async () => {
    const fileSystem = memoryFileSystem();
    const first = await stores.open(storePath, { fileSystem });
    await first.put(bytesOf('value'));
    await first.close();
    await overwrite(fileSystem, bytesOf('rot'), 4096 + 100);
    const store = await stores.open(storePath, { fileSystem, readOnly: true });
    expect(await findingsOf(store, false)).toMatchObject([{ offset: 4096 }]);
    await store.close();
  });
});
