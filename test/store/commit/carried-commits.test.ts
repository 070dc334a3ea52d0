/**
 * Commits whose record carries the values: one write and one sync; every way to read sees the values,
 * before and after a settle has written them to their grains, whatever fails then, and over a kill.
 *
 * Power cuts at every write are for `crash/`, damages for `damage/`, `CarriedValues` itself for
 * `carried-values.test.ts`.
 */

import { describe, expect, it } from 'vitest';
import { partsOfGrainId } from '../../../src/format/grain-id.ts';
import { sectorBytes, valuePrefixBytes } from '../../../src/format/layout.ts';
import { encodeValuePrefix, valueCrc } from '../../../src/format/value.ts';
import {
  type FileSystem,
  type GrainId,
  memoryFileSystem,
  type StorageFile,
  Store,
} from '../../../src/index.ts';
import { defaultLimits } from '../../../src/store/grains/atlas.ts';
import { checkOptions } from '../../../src/store/open/store-options.ts';
import { openStore } from '../../../src/store/store.ts';
import { expectSameBytes, patternOf } from '../../support/bytes.ts';
import { powerCut, restarted } from '../../support/disks/disk-state.ts';
import { SimulatedDisk } from '../../support/disks/simulated-disk.ts';
import type { FileCall, WrappedFileSystem } from '../../support/disks/wrapped-file-system.ts';
import {
  check,
  contentOf,
  overwrite,
  present,
  storePath,
  storesOfTest,
  watch,
} from '../../support/fixtures/store-checks.ts';

const stores = storesOfTest();

/** Where the value is in its grains; -1 if it is not there. */
function homeIn(content: Uint8Array, id: GrainId, bytes: Uint8Array): number {
  const value = new Uint8Array(valuePrefixBytes + bytes.length);
  const parts = present(partsOfGrainId(id));
  encodeValuePrefix(value, bytes.length, valueCrc(parts, bytes));
  value.set(bytes, valuePrefixBytes);
  return Buffer.from(content.buffer, content.byteOffset, content.length).indexOf(value);
}

async function isHome(disk: FileSystem, id: GrainId, bytes: Uint8Array): Promise<boolean> {
  return homeIn(await contentOf(disk), id, bytes) >= 0;
}

/** A store whose next commits carry their values: the file has been written where they go. */
async function carrying(options = {}): Promise<{ store: Store; disk: WrappedFileSystem }> {
  const { store, disk } = await stores.wrapped({ settleBytes: 1e9, ...options });
  await store.put(patternOf(5000));
  await store.put(patternOf(10));
  return { store, disk };
}

/** Another store, on a copy of the file: as a killed process leaves it. */
async function afterKill(disk: FileSystem, options = {}): Promise<Store> {
  const fileSystem = memoryFileSystem();
  await overwrite(fileSystem, await contentOf(disk));
  return await stores.open(storePath, { fileSystem, ...options });
}

async function expectRead(store: Store, id: GrainId, bytes: Uint8Array): Promise<void> {
  expectSameBytes(present(store.get(id)), bytes);
  expectSameBytes(present(await store.getAsync(id)), bytes);
  expect([store.has(id), store.lengthOf(id)]).toEqual([true, bytes.length]);
  expectSameBytes(present(store.view().get(id)), bytes);
  if (store.readOnly) return;
  const session = store.session();
  expectSameBytes(present(session.get(id)), bytes);
  session.abandon();
}

/** Where the home write of the values that adjoin from `id` on will go, by a copy that is settled. */
async function homeOf(disk: FileSystem, id: GrainId, bytes: Uint8Array): Promise<number> {
  const fileSystem = memoryFileSystem();
  await overwrite(fileSystem, await contentOf(disk));
  await (await Store.open(storePath, { fileSystem })).close();
  const home = homeIn(await contentOf(fileSystem), id, bytes);
  expect(home).toBeGreaterThan(0);
  return home;
}

/** Writes that begin up to 4 KiB before, and have the byte at `home` in them. */
function writesTo(home: number): (call: FileCall) => boolean {
  return ({ position, bytes }) => position <= home && home < position + bytes;
}

describe('a small commit', () => {
  it.each(['commit', 'commitSync'] as const)('is one write and one sync, by %s', async (way) => {
    const { store, disk } = await carrying();
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
    const { store, disk } = await carrying();
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
    const { store, disk } = await carrying();
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
    const { store, disk } = await carrying(options);
    const bytes = patternOf(70, 3);
    const beside = patternOf(40, 4);
    const { id } = await store.put(bytes);
    const { id: other } = await store.put(beside);
    expect(await isHome(disk, id, bytes)).toBe(false);
    await expectRead(store, id, bytes);
    await expectRead(store, other, beside);
    const killed = await afterKill(disk, options);
    await expectRead(killed, id, bytes);
    await store.close();
    expect(await isHome(disk, id, bytes)).toBe(true);
    expect(await isHome(disk, other, beside)).toBe(true);
    const again = await stores.open(storePath, { ...options, fileSystem: disk });
    expect(again.recovery.replayedBatches).toBe(0);
    await expectRead(again, id, bytes);
    await expectRead(again, other, beside);
  });

  it('is read in a store that settles all the time', async () => {
    const { store, disk } = await carrying({ ...options, settleBytes: 1 });
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
    const killed = await afterKill(disk, options);
    for (const [id, expected] of kept) await expectRead(killed, id, expected);
  });

  it('is read beside a writer, before and after its settle', async () => {
    const { store, disk } = await carrying(options);
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
    const { store, disk } = await carrying();
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
      const { store, disk } = await carrying();
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

describe('a home write that fails', () => {
  async function due(settleBytes: number) {
    const { store, disk } = await carrying({ settleBytes });
    const bytes = patternOf(60, 9);
    const { id } = await store.put(bytes);
    expect(await isHome(disk, id, bytes)).toBe(false);
    return { store, disk, id, bytes, home: await homeOf(disk, id, bytes) };
  }

  it('once, is made again by the next commit', async () => {
    const { store, disk, id, bytes, home } = await due(4096);
    const fault = disk.fail('write', 'EIO', { when: writesTo(home), times: 1, partialBytes: 20 });
    for (let at = 0; at < 40; at++) {
      await store.put(patternOf(10, at));
      await expectRead(store, id, bytes);
    }
    expect(fault.count).toBe(1);
    expect(await isHome(disk, id, bytes)).toBe(true);
  });

  it('twice, fails the second commit; later ones are accepted', async () => {
    const { store, disk, id, bytes, home } = await due(4096);
    const fault = disk.fail('write', 'EIO', { when: writesTo(home), times: 2, partialBytes: 20 });
    let rejected = 0;
    for (let at = 0; at < 40; at++) {
      try {
        await store.put(patternOf(10, at));
      } catch (error) {
        rejected += 1;
        expect(error).toMatchObject({ code: 'VARVE_IO', cause: fault.error });
        expect((error as Error).message).toContain('settling');
      }
      await expectRead(store, id, bytes);
    }
    expect([fault.count, rejected]).toEqual([2, 1]);
    expect(await isHome(disk, id, bytes)).toBe(true);
  });

  it('for good, keeps the records that have the values, for the next opening', async () => {
    for (const code of ['EIO', 'ENOSPC']) {
      const { store, disk, id, bytes, home } = await due(4096);
      disk.fail('write', code, { when: writesTo(home) });
      let accepted = 0;
      for (let at = 0; at < 40; at++) {
        await store.put(patternOf(10, at)).then(
          () => (accepted += 1),
          (error: unknown) => expect(error).toMatchObject({ code: 'VARVE_IO' }),
        );
      }
      expect(accepted).toBeGreaterThan(0);
      await expectRead(store, id, bytes);
      const killed = await afterKill(disk.inner);
      await expectRead(killed, id, bytes);
      await check.rejects('VARVE_IO', () => store.close());
      const closed = await afterKill(disk.inner);
      await expectRead(closed, id, bytes);
    }
  });

  // By the seed the disk has kept none, some or all of the writes.
  it.each([0, 1, 2, 3, 4, 5])(
    'is not done if its sync fails: a poisoned store still reads the value, seed %i',
    async (seed) => {
      // The system forgets what it has not written: reads see the old bytes of the file again.
      let home = -1;
      let failing = false;
      const disk = new SimulatedDisk({
        seed,
        faultOf: ({ kind, position, bytes }) => {
          if (kind === 'write' && position <= home && home < position + bytes) failing = true;
          if (!failing || kind !== 'datasync') return undefined;
          return { kind: 'sync', cache: 'dropped', code: 'EIO' };
        },
      });
      const options = { fileSystem: disk, settleBytes: 4096, cacheBytes: 0 };
      const store = stores.keep(await Store.open(storePath, options));
      await store.put(patternOf(5000));
      const bytes = patternOf(60, 9);
      const { id } = await store.put(bytes);
      const { durable } = disk.state;
      const content = new Uint8Array(durable.length);
      durable.read(content, 0);
      const copy = memoryFileSystem();
      await overwrite(copy, content);
      home = await homeOf(copy, id, bytes);
      const filling = async (): Promise<void> => {
        for (let at = 0; at < 40; at++) await store.put(patternOf(10, at));
      };
      await check.rejects('VARVE_POISONED', filling);
      expect(failing).toBe(true);
      expectSameBytes(present(store.get(id)), bytes);
      expectSameBytes(present(await store.getAsync(id)), bytes);
      await store.close();
      const after = new SimulatedDisk({ state: restarted(powerCut(disk.state, () => false)) });
      const again = await Store.open(storePath, { fileSystem: after });
      await expectRead(again, id, bytes);
      await again.close();
    },
  );
});

describe('a batch that carries values', () => {
  it('is there after a power cut, all of it or nothing', async () => {
    const disk = new SimulatedDisk();
    const store = stores.keep(await Store.open(storePath, { fileSystem: disk, settleBytes: 2048 }));
    const lengths = [20, 200, 5, 77];
    const kept: [GrainId, Uint8Array][] = [];
    await store.put(patternOf(5000));
    const from = disk.before.length;
    const acknowledged: number[] = [];
    for (let at = 0; at < 24; at++) {
      const bytes = patternOf(lengths[at % 4] as number, at);
      kept.push([(await store.put(bytes)).id, bytes]);
      acknowledged.push(disk.before.length);
    }
    for (let at = from; at < disk.before.length; at++) {
      const count = acknowledged.filter((done) => done <= at).length;
      for (const keeps of [true, false]) {
        const image = powerCut(disk.before[at] as (typeof disk.before)[0], () => keeps);
        const fileSystem = new SimulatedDisk({ state: restarted(image) });
        const again = await Store.open(storePath, { fileSystem });
        expect(again.currentBatch).toBeGreaterThanOrEqual(1 + count);
        expect(again.currentBatch).toBeLessThanOrEqual(2 + count);
        for (const [id, bytes] of kept.slice(0, again.currentBatch - 1)) {
          expectSameBytes(present(again.get(id)), bytes);
        }
        await check.sound(again);
        await again.close();
      }
    }
  });

  it('is taken from its record though a page of marks that has it was settled', async () => {
    const { store, disk } = await carrying({ settleBytes: 64 * 1024 });
    // Its values are between those that are committed: these do not adjoin.
    const between = store.session();
    // More home writes than ride on one commit: the marks go with a later one, of a later batch.
    const kept: [GrainId, Uint8Array][] = [];
    for (let at = 0; at < 150; at++) {
      const bytes = patternOf(20, at + 1000);
      between.push(patternOf(20));
      kept.push([(await store.put(bytes)).id, bytes]);
      if (at < 110) continue;
      const killed = await afterKill(disk);
      for (const [id, expected] of kept) expectSameBytes(present(killed.get(id)), expected);
      await killed.close();
    }
    const homes = await Promise.all(
      kept.slice(0, 20).map(([id, bytes]) => isHome(disk, id, bytes)),
    );
    expect(homes).toEqual(homes.map(() => true));
    between.abandon();
  });
});
