/**
 * What reading a value asks of the disk: nothing where it is in memory, one block where its grain map
 * is known, and the first time after an opening the map's pages besides.
 */

import { describe, expect, it } from 'vitest';
import { grainsPerMarkPage, kindMap, kindMarks, pageBytes } from '../../src/format/layout.ts';
import { GrainId, type Store } from '../../src/index.ts';
import type { StoreCore } from '../../src/store/state/core.ts';
import { getU32 } from '../../src/util/little-endian.ts';
import { expectSameBytes, patternOf } from '../support/bytes.ts';
import { addMapTo, headedGrains, openLab } from '../support/fixtures/core-lab.ts';
import { CountedDisk } from './counted-disk.ts';

const kibibyte = 1024;

/** A store just opened in which values of so many bytes lie one after another. */
async function reopened(count: number, length: number) {
  const disk = new CountedDisk();
  const first = await disk.open();
  const session = first.session();
  const ids = Array.from({ length: count }, (_, at) => session.push(patternOf(length, at)));
  await session.commit();
  await first.close();
  return { disk, store: await disk.open(), ids };
}

type Reader = Pick<Store, 'get'> | Pick<StoreCore, 'read'>;

function get(from: Reader, id: GrainId | undefined, bytes: Uint8Array): void {
  const found = 'read' in from ? from.read(id as GrainId) : from.get(id as GrainId);
  expectSameBytes(found as Uint8Array, bytes);
}

describe('a get', () => {
  it('reads nothing if the value is in memory', async () => {
    const { disk, store, ids } = await reopened(200, 100);
    for (const [at, id] of ids.entries()) get(store, id, patternOf(100, at));
    const again = await disk.readsOf(() => {
      for (const [at, id] of ids.entries()) {
        get(store, id, patternOf(100, at));
        expect(store.lengthOf(id)).toBe(100);
        expect(store.has(id)).toBe(true);
      }
    });
    expect(again).toEqual([]);
    await store.close();
  });

  it('reads one block if the value lies in one and the mark page is known', async () => {
    const { disk, store, ids } = await reopened(200, 100);
    get(store, ids[0], patternOf(100, 0));
    // Of 128 bytes with its prefix: no such value lies in two blocks.
    const reads = await disk.readsOf(() => get(store, ids[100], patternOf(100, 100)));
    expect(reads).toEqual([pageBytes]);
    await store.close();
  });

  it('reads two blocks if the value lies in two', async () => {
    const { disk, store, ids } = await reopened(3, 4000);
    store.has(ids[1] as GrainId);
    expect(await disk.readsOf(() => get(store, ids[1], patternOf(4000, 1)))).toEqual([
      pageBytes,
      pageBytes,
    ]);
    // It begins in a block that the one before it ends in.
    const reads = await disk.readsOf(() => get(store, ids[2], patternOf(4000, 2)));
    expect(reads).toEqual([pageBytes]);
    await store.close();
  });

  it('reads a mark page and a block when it is the first of an opened store', async () => {
    const { disk, store, ids } = await reopened(200, 100);
    const reads = await disk.readsOf(() => get(store, ids[3], patternOf(100, 3)));
    expect(reads).toEqual([pageBytes, pageBytes]);
    await store.close();
  });

  it('also reads the head once, if the map has one, and each mark page once', async () => {
    const { fileSystem } = new CountedDisk();
    const lab = await openLab({ fileSystem });
    addMapTo(lab.core, { grains: headedGrains });
    const session = lab.session();
    // 120 grains each: some of them in the first mark page, some in the second.
    const ids = Array.from({ length: 150 }, (_, at) => session.push(patternOf(3800, at)));
    await session.commit();
    await lab.close();

    const again = await openLab({ fileSystem });
    const from = fileSystem.calls.length;
    const isInSecond = (id: bigint) => GrainId.parts(id as GrainId).index >= grainsPerMarkPage;
    const second = ids.findIndex(isInSecond);
    expect(second).toBeGreaterThan(0);
    for (const at of [0, second]) get(again.core, ids[at], patternOf(3800, at));
    const reads = fileSystem.calls.slice(from);
    const kinds = reads.map(({ position }) => {
      const kind = new Uint8Array(4);
      again.file.readSync(kind, position);
      return getU32(kind, 0);
    });
    expect(new Set(reads.map(({ bytes }) => bytes))).toEqual(new Set([pageBytes]));
    expect(kinds.slice(0, 2)).toEqual([kindMap, kindMarks]);
    expect(kinds.filter((kind) => kind === kindMap).length).toBe(1);
    expect(kinds.filter((kind) => kind === kindMarks).length).toBe(2);
    await again.close();
  });

  it('reads a value of more than 64 KiB past the cache: its prefix, and the rest', async () => {
    const length = 70 * kibibyte;
    const { disk, store, ids } = await reopened(2, length);
    store.has(ids[0] as GrainId);
    for (let round = 0; round < 2; round++) {
      const reads = await disk.readsOf(() => get(store, ids[0], patternOf(length, 0)));
      expect(reads).toEqual([8, length]);
    }
    await store.close();
  });

  it('reads no more than the blocks that the value lies in', async () => {
    for (const length of [1000, 10 * kibibyte, 60 * kibibyte]) {
      const { disk, store, ids } = await reopened(3, length);
      store.has(ids[1] as GrainId);
      const counts = await disk.during(() => get(store, ids[1], patternOf(length, 1)));
      const blocks = Math.ceil((length + 8) / pageBytes) + 1;
      expect(counts.reads).toBeLessThanOrEqual(blocks);
      expect(counts.bytesRead).toBeLessThanOrEqual(blocks * pageBytes);
      await store.close();
    }
  });
});

it('a getAsync reads the prefix and the bytes of the value, past the cache', async () => {
  const { disk, store, ids } = await reopened(3, 5000);
  store.has(ids[1] as GrainId);
  const reads = await disk.readsOf(() => store.getAsync(ids[1] as GrainId));
  expect(reads).toEqual([8, 5000]);
  await store.close();
});

it('has and lengthOf read the mark page once, and the length its block', async () => {
  const { disk, store, ids } = await reopened(200, 100);
  const id = ids[7] as GrainId;
  expect(await disk.readsOf(() => store.has(id))).toEqual([pageBytes]);
  expect(await disk.readsOf(() => store.lengthOf(id))).toEqual([pageBytes]);
  expect(await disk.readsOf(() => store.get(id))).toEqual([]);
  await store.close();
});

it('a value that has just been committed is read from the disk once', async () => {
  const disk = new CountedDisk();
  const store = await disk.open();
  const { id } = await store.put(patternOf(100));
  expect(await disk.readsOf(() => get(store, id, patternOf(100)))).toEqual([pageBytes]);
  const { id: beside } = await store.put(patternOf(100, 2));
  expect(await disk.readsOf(() => get(store, beside, patternOf(100, 2)))).toEqual([]);
  await store.close();
});
