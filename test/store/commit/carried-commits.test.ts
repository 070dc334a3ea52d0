/**
 * Commits whose record carries the values: one write and one sync; every way to read sees the values,
 * before and after a settle has written them to their grains, and over a kill.
 *
 * What fails is for `settle/home-writes.test.ts`, damages for `damage/`, `CarriedValues` itself for
 * `carried-values.test.ts`.
 */

import { describe, expect, it } from 'vitest';
import { sectorBytes } from '../../../src/format/layout.ts';
import {
  type FileSystem,
  type GrainId,
  memoryFileSystem,
  type StorageFile,
} from '../../../src/index.ts';
import { defaultLimits } from '../../../src/store/grains/atlas.ts';
import { checkOptions } from '../../../src/store/open/store-options.ts';
import { openStore } from '../../../src/store/store.ts';
import { expectSameBytes, patternOf } from '../../support/bytes.ts';
import {
  afterKill,
  carrying,
  expectRead,
  homeOf,
  isHome,
  writesTo,
} from '../../support/fixtures/carrying-store.ts';
import {
  check,
  contentOf,
  findingsOf,
  overwrite,
  present,
  storePath,
  storesOfTest,
  watch,
} from '../../support/fixtures/store-checks.ts';

const stores = storesOfTest();

describe('a small commit', () => {
  it.each(['commit', 'commitSync'] as const)('is one write and one sync, by %s', async (way) => {
    const { store, disk } = await carrying(stores);
    for (const length of [0, 1, 24, 25, 100, 300]) {
      const session = store.session();
      session.push(patternOf(length, length));
      const from = disk.calls.length;
      await session[way]();
      const calls = disk.calls.slice(from).map(({ operation, bytes }) => ({ operation, bytes }));
      expect(calls).toEqual([
        { operation: 'write', bytes: sectorBytes },
        { operation: 'datasync', bytes: 0 },
      ]);
    }
  });

  it('leaves larger values to their grains', async () => {
    const { store, disk } = await carrying(stores);
    for (const length of [505, 5000]) {
      const bytes = patternOf(length, length);
      const { id } = await store.put(bytes);
      expect(await isHome(disk, id, bytes)).toBe(true);
    }
  });

  it('writes values to their grains where the file has never been written', async () => {
    // The first grains of so large a map lie after the end of a new file.
    const limits = { ...defaultLimits, mapBytesMin: 4 * 1024 * 1024 };
    const fileSystem = memoryFileSystem();
    const store = stores.keep(
      await openStore(checkOptions(storePath, { fileSystem, settleBytes: 1e9 }, limits)),
    );
    const [first, second] = [patternOf(50, 3), patternOf(50, 4)];
    const { id } = await store.put(first);
    expect(await isHome(fileSystem, id, first)).toBe(true);
    // Zeros were written ahead with that commit.
    const { id: next } = await store.put(second);
    expect(await isHome(fileSystem, next, second)).toBe(false);
    await expectRead(store, next, second);
  });

  it('writes values to their grains while the disk is full', async () => {
    const { store, disk } = await carrying(stores);
    const fault = disk.fail('write', 'ENOSPC');
    await check.rejects('VARVE_IO', () => store.put(patternOf(600)));
    fault.stop();
    const bytes = patternOf(50, 3);
    const { id } = await store.put(bytes);
    expect(await isHome(disk, id, bytes)).toBe(true);
    await expectRead(store, id, bytes);
  });
});

describe.each([0, undefined])('a carried value, with a cache of %s bytes,', (cacheBytes) => {
  const options = cacheBytes === undefined ? {} : { cacheBytes };

  it('is read before and after it is written to its grains', async () => {
    const { store, disk } = await carrying(stores, options);
    const bytes = patternOf(70, 3);
    const beside = patternOf(40, 4);
    const { id } = await store.put(bytes);
    const { id: other } = await store.put(beside);
    expect(await isHome(disk, id, bytes)).toBe(false);
    await expectRead(store, id, bytes);
    await expectRead(store, other, beside);
    const killed = await afterKill(stores, disk, options);
    await expectRead(killed, id, bytes);
    await store.close();
    expect(await isHome(disk, id, bytes)).toBe(true);
    expect(await isHome(disk, other, beside)).toBe(true);
    const again = await stores.open(storePath, { ...options, fileSystem: disk });
    expect(again.recovery.replayedBatches).toBe(0);
    await expectRead(again, id, bytes);
    await expectRead(again, other, beside);
  });

  it('is read where the file ends before or within it', async () => {
    const { store, disk } = await carrying(stores, options);
    const bytes = patternOf(70, 3);
    const { id } = await store.put(bytes);
    const home = await homeOf(disk, id, bytes);
    for (const end of [home - 20, home, home + 5, home + 30]) {
      const fileSystem = memoryFileSystem();
      await overwrite(fileSystem, (await contentOf(disk)).subarray(0, end));
      const killed = await stores.open(storePath, { ...options, fileSystem });
      await expectRead(killed, id, bytes);
      expect(await findingsOf(killed)).toEqual([]);
      await killed.close();
      const again = await stores.open(storePath, { ...options, fileSystem });
      await expectRead(again, id, bytes);
    }
  });

  it('is read in a store that settles all the time', async () => {
    const { store, disk } = await carrying(stores, { ...options, settleBytes: 1 });
    const kept: [GrainId, Uint8Array][] = [];
    for (let at = 0; at < 60; at++) {
      const bytes = patternOf((at * 7) % 200, at);
      kept.push([(await store.put(bytes)).id, bytes]);
      for (const [id, expected] of kept.slice(-12)) await expectRead(store, id, expected);
    }
    const homes = await Promise.all(
      kept.slice(0, 40).map(([id, bytes]) => isHome(disk, id, bytes)),
    );
    expect(homes.every((home) => home)).toBe(true);
    const killed = await afterKill(stores, disk, options);
    for (const [id, expected] of kept) await expectRead(killed, id, expected);
  });

  it('is read beside a writer, before and after its settle', async () => {
    const { store, disk } = await carrying(stores, options);
    const bytes = patternOf(90, 5);
    const { id } = await store.put(bytes);
    const reader = await stores.open(storePath, { ...options, fileSystem: disk, readOnly: true });
    await expectRead(reader, id, bytes);
    const later = patternOf(91, 6);
    const { id: next } = await store.put(later);
    await reader.refresh();
    const view = reader.view();
    await expectRead(reader, next, later);
    await store.close();
    expect(await isHome(disk, id, bytes)).toBe(true);
    await expectRead(reader, id, bytes);
    await reader.refresh();
    for (const at of [reader, view]) {
      expectSameBytes(present(at.get(id)), bytes);
      expectSameBytes(present(at.get(next)), later);
    }
    await reader.close();
  });
});

describe('the grains of a carried value', () => {
  it('are never written if it is freed before the settle', async () => {
    const { store, disk } = await carrying(stores);
    const secret = patternOf(50, 77);
    const { id } = await store.put(secret);
    const home = await homeOf(disk, id, secret);
    const session = store.session();
    session.archive(id);
    await store.checkpointTo(await session.commit());
    const from = disk.calls.length;
    expect(store.get(id)).toBe(undefined);
    await store.close();
    const writes = disk.calls.slice(from).filter(({ operation }) => operation === 'write');
    expect(writes.length).toBeGreaterThan(0);
    expect(writes.filter(writesTo(home))).toEqual([]);
    expect(await isHome(disk, id, secret)).toBe(false);
  });

  it('keep the next value, if that is there when the settle comes', async () => {
    for (const length of [50, 5000]) {
      const { store, disk } = await carrying(stores);
      const { id } = await store.put(patternOf(50, 77));
      const session = store.session();
      session.archive(id);
      await store.checkpointTo(await session.commit());
      // Alone, or in a batch that writes its values to their grains.
      const next = store.session();
      const again = next.push(patternOf(50, 78));
      if (length > 50) next.push(patternOf(length));
      await next.commit();
      expect(again).toBe(id);
      await expectRead(store, id, patternOf(50, 78));
      await store.close();
      const reopened = await stores.open(storePath, { fileSystem: disk });
      await expectRead(reopened, id, patternOf(50, 78));
    }
  });

  it('are written while a read is under way that has their old bytes', async () => {
    const inner = memoryFileSystem();
    const slow = new SlowReads(inner);
    const options = { fileSystem: slow, settleBytes: 1e9, cacheBytes: 0 };
    const first = await stores.open(storePath, options);
    await first.put(patternOf(5000));
    const bytes = patternOf(200, 8);
    const { id } = await first.put(bytes);
    slow.holds = true;
    const read = watch(first.getAsync(id));
    await slow.read;
    const closed = first.close();
    slow.release();
    const found = await read.promise.catch((error: unknown) => error);
    await closed;
    if (found instanceof Uint8Array) expectSameBytes(found, bytes);
    else expect(found).toMatchObject({ code: 'VARVE_CLOSED' });
  });

  it('are written by commits while a read is under way that has their old bytes', async () => {
    const slow = new SlowReads(memoryFileSystem());
    const options = { fileSystem: slow, settleBytes: 4096, cacheBytes: 0 };
    const store = await stores.open(storePath, options);
    await store.put(patternOf(5000));
    const bytes = patternOf(200, 8);
    const { id } = await store.put(bytes);
    expect(await isHome(slow.inner, id, bytes)).toBe(false);
    slow.holds = true;
    const read = store.getAsync(id);
    await slow.read;
    for (let at = 0; at < 40; at++) await store.put(patternOf(10, at));
    expect(await isHome(slow.inner, id, bytes)).toBe(true);
    slow.release();
    expectSameBytes(present(await read), bytes);
  });
});

/** Reads that have their bytes at once, and return when they are let. */
class SlowReads implements FileSystem {
  readonly inner: FileSystem;
  holds = false;
  #begun: () => void = () => undefined;
  /** The first read that is held has its bytes. */
  readonly read = new Promise<void>((resolve) => {
    this.#begun = resolve;
  });
  readonly #waiting: (() => void)[] = [];

  constructor(inner: FileSystem) {
    this.inner = inner;
  }

  release(): void {
    this.holds = false;
    for (const go of this.#waiting.splice(0)) go();
  }

  async open(...asked: Parameters<FileSystem['open']>): Promise<StorageFile> {
    const file = await this.inner.open(...asked);
    const read = async (target: Uint8Array, position: number): Promise<number> => {
      const count = await file.read(target, position);
      if (this.holds) {
        await new Promise<void>((resolve) => {
          this.#waiting.push(resolve);
          this.#begun();
        });
      }
      return count;
    };
    return new Proxy(file, {
      get: (of, name) => {
        if (name === 'read') return read;
        const found: unknown = Reflect.get(of, name);
        return typeof found === 'function' ? found.bind(of) : found;
      },
    });
  }
}
