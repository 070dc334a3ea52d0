/**
 * `StoreOptions`, one by one, and `Store.inMemory`: what each says, its default, and what is
 * refused before a file is touched.
 *
 * What opening rejects with because of the file itself is in opening.test.ts.
 */

import fs from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { memoryFileSystem, Store, type StoreOptions } from '../../src/index.ts';
import { expectSameBytes, patternOf } from '../support/bytes.ts';
import { WrappedFileSystem } from '../support/disks/wrapped-file-system.ts';
import {
  bytesOf,
  check,
  committed,
  contentOf,
  longBytesOf,
  overwrite,
  present,
  storePath,
  storesOfTest,
  turns,
  watch,
} from '../support/fixtures/store-checks.ts';
import { makeTemporaryFolder, removeTemporaryFolder } from '../support/temporary-folder.ts';

const stores = storesOfTest();
const kibibyte = 1024;

let folder: string;
beforeEach(() => {
  folder = makeTemporaryFolder();
});
afterEach(() => removeTemporaryFolder(folder));

describe('create and exclusive', () => {
  it('make the file, and missing folders above it, by default', async () => {
    const path = join(folder, 'a', 'b', 'store');
    const store = await stores.open(path);
    const id = await committed(store, bytesOf('deep'));
    await store.close();
    await check.value(await stores.open(path, { create: false }), id, bytesOf('deep'));
  });

  it('create a new store with exclusive if there is none', async () => {
    const path = join(folder, 'store');
    const store = await stores.open(path, { exclusive: true });
    await store.close();
    await check.rejects('VARVE_EXISTS', () => stores.open(path, { exclusive: true }));
  });

  it('have their defaults when they are undefined', async () => {
    const options = { create: undefined, exclusive: undefined, readOnly: undefined };
    const rest = { fileSystem: undefined, cacheBytes: undefined, settleBytes: undefined };
    const path = join(folder, 'store');
    const store = await stores.open(path, { ...options, ...rest, signal: undefined });
    expect(store.readOnly).toBe(false);
    expect(fs.existsSync(path)).toBe(true);
  });
});

describe('a creation that was cut short', () => {
  const cut: readonly (readonly [string, (newStoreBytes: number) => number])[] = [
    ['an empty file', () => 0],
    ['one zero', () => 1],
    ['a page of zeros', () => 4 * kibibyte],
    ['zeros as long as a new store', (newStoreBytes) => newStoreBytes],
  ];
  for (const [what, lengthOf] of cut) {
    it(`is created again with create, else VARVE_NOT_FOUND: ${what}`, async () => {
      const path = join(folder, 'store');
      const length = lengthOf(await newStoreBytes());
      fs.writeFileSync(path, new Uint8Array(length));
      for (const options of [{ create: false }, { readOnly: true }]) {
        await check.rejects('VARVE_NOT_FOUND', () => stores.open(path, options));
        expectSameBytes(fs.readFileSync(path), new Uint8Array(length));
      }
      const store = await stores.open(path);
      expect(store.recovery).toMatchObject({ clean: true, revertedBatch: undefined });
      await check.value(store, await committed(store, bytesOf('new')), bytesOf('new'));
    });
  }

  it('is not assumed if the zeros are longer than a new store', async () => {
    const path = join(folder, 'store');
    fs.writeFileSync(path, new Uint8Array((await newStoreBytes()) + 1));
    await check.rejects('VARVE_NOT_A_STORE', () => stores.open(path));
  });

  async function newStoreBytes(): Promise<number> {
    const store = stores.keep(await Store.inMemory());
    return store.statistics().fileBytes;
  }
});

describe('readOnly', () => {
  async function someStore() {
    const { store, disk } = await stores.wrapped();
    const id = await committed(store, bytesOf('written'));
    return { store, disk, id };
  }

  it('reads and refuses every write with VARVE_READ_ONLY', async () => {
    const { store: writer, disk, id } = await someStore();
    await writer.close();
    const store = await stores.open(storePath, { fileSystem: disk, readOnly: true });
    expect(store.readOnly).toBe(true);
    await check.value(store, id, bytesOf('written'));
    check.throws('VARVE_READ_ONLY', () => store.session());
    await check.rejects('VARVE_READ_ONLY', () => store.put(bytesOf('no')));
    await check.rejects('VARVE_READ_ONLY', () => store.checkpointTo(1));
    await check.rejects('VARVE_READ_ONLY', () => store.updateEmbeddedHeader(() => null));
    using guard = store.guard();
    expect(guard.batch).toBe(1);
  });

  it('never writes, syncs or grows the file, not even on close', async () => {
    const { store: writer, disk, id } = await someStore();
    await writer.close();
    const before = await contentOf(disk.inner);
    const from = disk.calls.length;
    const store = await stores.open(storePath, { fileSystem: disk, readOnly: true });
    await check.value(store, id, bytesOf('written'));
    await store.close();
    const operations = new Set(disk.calls.slice(from).map(({ operation }) => operation));
    expect([...operations].sort()).toEqual(['close', 'open', 'read']);
    expectSameBytes(await contentOf(disk.inner), before);
  });

  it('opens beside a live writer, at the batch of that moment', async () => {
    const { store: writer, disk, id } = await someStore();
    const reader = await stores.open(storePath, { fileSystem: disk, readOnly: true });
    expect(reader.currentBatch).toBe(1);
    const later = await writer.put(bytesOf('later'));
    expect(reader.currentBatch).toBe(1);
    expect(reader.get(later.id)).toBe(undefined);
    await check.value(reader, id, bytesOf('written'));
    const second = await stores.open(storePath, { fileSystem: disk, readOnly: true });
    await check.value(second, later.id, bytesOf('later'));
  });

  it('throws VARVE_SNAPSHOT_GONE for a value freed since, whatever its grains hold', async () => {
    const { store: writer, disk } = await someStore();
    const session = writer.session();
    const ids = Array.from({ length: 40 }, (_, n) => session.push(patternOf(300 + n, n)));
    await session.commit();
    const options = { fileSystem: disk, readOnly: true, cacheBytes: 0 };
    const reader = await stores.open(storePath, options);
    const freeing = writer.session();
    for (const id of ids) freeing.archive(id);
    await writer.checkpointTo(await freeing.commit());
    for (let n = 0; n < 150; n += 1) await writer.put(patternOf(280 + ((n * 53) % 400), n));
    for (const id of ids) {
      const error = check.throws('VARVE_SNAPSHOT_GONE', () => reader.get(id));
      expect(error).toMatchObject({ grainId: id, batch: reader.currentBatch });
    }
    await reader.close();
  });

  it('recovers in memory a store that was not closed, and leaves its bytes', async () => {
    const { disk, id } = await someStore();
    const left = await contentOf(disk.inner);
    const fileSystem = memoryFileSystem();
    await overwrite(fileSystem, left);
    const store = await stores.open(storePath, { fileSystem, readOnly: true });
    expect(store.recovery).toMatchObject({ clean: false, replayedBatches: 1 });
    await check.value(store, id, bytesOf('written'));
    await store.close();
    expectSameBytes(await contentOf(fileSystem), left);
  });
});

describe('recovery', () => {
  it('says that a new store and a closed one are clean', async () => {
    const { store, disk } = await stores.wrapped();
    const clean = { clean: true, revertedBatch: undefined, replayedBatches: 0, healed: [] };
    expect(store.recovery).toEqual(clean);
    await store.put(bytesOf('value'));
    await store.close();
    expect((await stores.open(storePath, { fileSystem: disk })).recovery).toEqual(clean);
  });

  it('has the number of batches that were read back if the store was not closed', async () => {
    const { store, disk } = await stores.wrapped();
    const ids = [];
    for (let n = 0; n < 5; n += 1) ids.push(await committed(store, patternOf(100, n)));
    const fileSystem = memoryFileSystem();
    await overwrite(fileSystem, await contentOf(disk.inner));
    const again = await stores.open(storePath, { fileSystem });
    expect(again.recovery).toMatchObject({ clean: false, replayedBatches: 5, healed: [] });
    expect(again.currentBatch).toBe(5);
    for (const [n, id] of ids.entries()) await check.value(again, id, patternOf(100, n));
  });

  it('says which batch was found incomplete and taken back', async () => {
    const { store, disk } = await stores.wrapped();
    const kept = await committed(store, bytesOf('acknowledged'));
    const gate = disk.hold('datasync');
    const lost = watch(store.put(longBytesOf('not acknowledged')));
    await gate.reached();
    const left = await contentOf(disk.inner);
    const offset = Buffer.from(left).indexOf('not acknowledged');
    gate.open();
    const { id } = await lost.promise;
    const fileSystem = memoryFileSystem();
    await overwrite(fileSystem, left);
    await overwrite(fileSystem, new Uint8Array(4), offset);
    const again = await stores.open(storePath, { fileSystem });
    expect(again.recovery).toMatchObject({ clean: false, revertedBatch: 2 });
    expect(again.currentBatch).toBe(1);
    await check.value(again, kept, bytesOf('acknowledged'));
    expect(again.get(id)).toBe(undefined);
    expect((await again.put(bytesOf('next'))).batch).toBe(2);
  });
});

describe('cacheBytes and settleBytes', () => {
  it('change the number of reads from the disk, but no result', async () => {
    for (const cacheBytes of [0, 1, 64 * kibibyte, undefined]) {
      const { store, disk } = await stores.wrapped({ cacheBytes });
      const id = await committed(store, patternOf(1000));
      const from = disk.calls.length;
      for (let n = 0; n < 3; n += 1) expectSameBytes(present(store.get(id)), patternOf(1000));
      if (cacheBytes === 0) expect(disk.calls.length - from).toBeGreaterThanOrEqual(3);
      if (cacheBytes === undefined) expect(disk.calls.length - from).toBeLessThanOrEqual(1);
    }
  });

  it('lose nothing, however often they make the store settle', async () => {
    const { store, disk } = await stores.wrapped({ settleBytes: 1 });
    const ids = [];
    for (let n = 0; n < 40; n += 1) ids.push(await committed(store, patternOf(50 + n, n)));
    await store.close();
    const again = await stores.open(storePath, { fileSystem: disk, settleBytes: 600 });
    for (const [n, id] of ids.entries()) await check.value(again, id, patternOf(50 + n, n));
  });
});

describe('signal', () => {
  const reason = new Error('the user left');

  it('rejects with its reason if it was aborted before, and touches nothing', async () => {
    const disk = new WrappedFileSystem(memoryFileSystem());
    const signal = AbortSignal.abort(reason);
    const open = Store.open(storePath, { fileSystem: disk, signal });
    await expect(open).rejects.toBe(reason);
    expect(disk.calls).toEqual([]);
  });

  it('rejects with its reason if it is aborted during opening, and unlocks', async () => {
    const disk = new WrappedFileSystem(memoryFileSystem());
    const gate = disk.hold('datasync');
    const controller = new AbortController();
    const open = watch(Store.open(storePath, { fileSystem: disk, signal: controller.signal }));
    await gate.reached();
    controller.abort(reason);
    gate.open();
    await expect(open.promise).rejects.toBe(reason);
    await stores.open(storePath, { fileSystem: disk });
  });

  it('does nothing to an open store', async () => {
    const controller = new AbortController();
    const { store } = await stores.wrapped({ signal: controller.signal });
    controller.abort(reason);
    await turns();
    await check.value(store, await committed(store, bytesOf('on')), bytesOf('on'));
  });
});

describe('arguments that are refused', () => {
  it('are VARVE_INVALID_ARGUMENT before a file is touched', async () => {
    const disk = new WrappedFileSystem(memoryFileSystem());
    const wrong: readonly Record<string, unknown>[] = [
      { create: 1 },
      { create: null },
      { exclusive: 'yes' },
      { readOnly: 0 },
      { fileSystem: {} },
      { fileSystem: 'disk' },
      { cacheBytes: -1 },
      { cacheBytes: 0.5 },
      { cacheBytes: '1' },
      { cacheBytes: Number.NaN },
      { settleBytes: 0 },
      { settleBytes: Number.POSITIVE_INFINITY },
      { waitForLockMs: -1 },
      { waitForLockMs: 0.5 },
      { waitForLockMs: '1' },
      { waitForLockMs: Number.NaN },
      { signal: {} },
      { readonly: true },
      { path: 'elsewhere' },
    ];
    for (const options of wrong) {
      const all = { fileSystem: disk, ...options } as StoreOptions;
      await check.rejects('VARVE_INVALID_ARGUMENT', () => Store.open(storePath, all));
    }
    const urls = ['https://varve.test/x', 'file:///a%00b', 'file:///a%2Fb'].map(
      (url) => new URL(url),
    );
    for (const path of [undefined, null, 1, '', 'a\0b', {}, ...urls]) {
      const open = () => Store.open(path as string, { fileSystem: disk });
      await check.rejects('VARVE_INVALID_ARGUMENT', open);
    }
    for (const options of [null, 1, 'create']) {
      const open = () => Store.open(join(folder, 'store'), options as unknown as StoreOptions);
      await check.rejects('VARVE_INVALID_ARGUMENT', open);
    }
    expect(disk.calls).toEqual([]);
    expect(fs.readdirSync(folder)).toEqual([]);
  });

  it('are VARVE_INVALID_ARGUMENT if the name of an option is unknown', async () => {
    await check.rejects('VARVE_INVALID_ARGUMENT', () =>
      Store.inMemory({ readOnly: true } as object),
    );
    const store = stores.keep(await Store.inMemory());
    check.throws('VARVE_INVALID_ARGUMENT', () => store.commitLog({ from: 1 } as object));
    check.throws('VARVE_INVALID_ARGUMENT', () => store.commitLog([] as object));
    check.throws('VARVE_INVALID_ARGUMENT', () => store.verify({ full: true } as object));
    check.throws('VARVE_INVALID_ARGUMENT', () => store.verify(null as never));
    expect(store.statistics().oldestGuard).toBe(undefined);
  });
});

describe('Store.inMemory', () => {
  it('is a store under the path :memory: with nothing on disk', async () => {
    const store = stores.keep(await Store.inMemory());
    expect(store.path).toBe(':memory:');
    expect(store.readOnly).toBe(false);
    const id = await committed(store, bytesOf('in memory'));
    await check.value(store, id, bytesOf('in memory'));
    expect(fs.existsSync(':memory:')).toBe(false);
  });

  it('makes another store each time', async () => {
    const one = stores.keep(await Store.inMemory());
    const other = stores.keep(await Store.inMemory({ cacheBytes: 0 }));
    const id = await committed(one, bytesOf('of one'));
    expect(other.get(id)).toBe(undefined);
    expect(other.currentBatch).toBe(0);
  });

  it('refuses a wrong cacheBytes', async () => {
    const make = () => Store.inMemory({ cacheBytes: -1 });
    await check.rejects('VARVE_INVALID_ARGUMENT', make);
  });
});

describe('the properties of a store', () => {
  it('are those of a store never written to, then of the last durable batch', async () => {
    const { store, disk } = await stores.wrapped();
    const fresh = { path: storePath, readOnly: false, currentBatch: 0, checkpoint: 0 };
    expect(store).toMatchObject({ ...fresh, committing: false, embeddedHeader: undefined });
    const gate = disk.hold('datasync');
    const put = watch(store.put(bytesOf('value')));
    await gate.reached();
    expect(store).toMatchObject({ currentBatch: 0, committing: true });
    gate.open();
    expect((await put.promise).batch).toBe(1);
    expect(store).toMatchObject({ currentBatch: 1, committing: false, checkpoint: 0 });
  });
});
