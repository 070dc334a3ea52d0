/**
 * Real stores, read through `spec/format.ksy`: what stands there for another language to read is
 * held, value by value and record by record, against what the Store gives.
 *
 * Invariant: the reader is made from the description alone (`kaitai-reader.ts`). Damage is not
 * tried: the description checks no CRC.
 */

import { beforeAll, describe, expect, it } from 'vitest';
import { type FileSystem, GrainId, memoryFileSystem, Store } from '../../src/index.ts';
import { defaultLimits } from '../../src/store/grains/atlas.ts';
import { checkOptions } from '../../src/store/open/store-options.ts';
import { openStore } from '../../src/store/store.ts';
import { expectSameBytes, patternOf } from '../support/bytes.ts';
import { SimulatedDisk } from '../support/disks/simulated-disk.ts';
import { addMapTo, headedGrains, labPath, openLab } from '../support/fixtures/core-lab.ts';
import { check, contentOf, logOf, storePath } from '../support/fixtures/store-checks.ts';
import { compileKsy, type FoundValue, KaitaiReader } from './kaitai-reader.ts';

let compiled: Awaited<ReturnType<typeof compileKsy>>;

beforeAll(async () => {
  compiled = await compileKsy(new URL('../../spec/format.ksy', import.meta.url));
});

/** What a test knows to be in a store. */
type Expected = Map<GrainId, { readonly bytes: Uint8Array; archived: boolean }>;

/** Lengths on both sides of what each grain size holds. */
const lengths = [0, 1, 23, 24, 25, 100, 1000, 8152, 8153, 32_632, 32_633, 130_552, 130_553];

async function pushAll(store: Store, expected: Expected, of: readonly number[]): Promise<number> {
  const session = store.session();
  for (const length of of) {
    const bytes = patternOf(length, expected.size);
    expected.set(session.push(bytes), { bytes, archived: false });
  }
  return await session.commit();
}

/** Archives every value of a remainder, by its place in the order of pushing. */
async function archiveSome(store: Store, expected: Expected, every: number): Promise<number> {
  const session = store.session();
  for (const [at, [id, value]] of [...expected].entries()) {
    if (at % every !== 0 || value.archived) continue;
    session.archive(id);
    value.archived = true;
  }
  return await session.commit();
}

async function checkpoint(store: Store, expected: Expected): Promise<void> {
  await store.checkpointTo(store.currentBatch);
  for (const [id, { archived }] of expected) if (archived) expected.delete(id);
}

/** A history with every kind of change; small enough settles for several generations of each. */
async function fill(store: Store, expected: Expected): Promise<void> {
  await pushAll(store, expected, lengths);
  await fillSmall(store, expected);
  for (let round = 0; round < 12; round++) {
    await pushAll(store, expected, [...lengths.slice(0, 9), round * 10]);
    await archiveSome(store, expected, 11 + round);
  }
}

/** Small values, so little of everything that nothing is settled for it. */
async function fillSmall(store: Store, expected: Expected): Promise<void> {
  // Enough operations for a body of several sectors, then for one with an extent of its own.
  await pushAll(store, expected, Array<number>(120).fill(200));
  const many = Array.from({ length: 1500 }, (_, at) => (at * 37) % 150);
  await pushAll(store, expected, many);
  await archiveSome(store, expected, 3);
  await checkpoint(store, expected);
  const [id] = [...expected].find(([, { archived }]) => !archived) ?? [];
  await store.updateEmbeddedHeader(() => id ?? null);
}

function expectSameValues(
  store: Store,
  found: ReadonlyMap<string, FoundValue>,
  expected: Expected,
): void {
  expect(found.size).toBe(expected.size);
  for (const [id, { bytes, archived }] of expected) {
    const value = found.get(GrainId.format(id));
    expect(value?.archived, GrainId.format(id)).toBe(archived);
    expectSameBytes(value?.data ?? new Uint8Array(), bytes);
    expectSameBytes(store.get(id) ?? new Uint8Array(), bytes);
  }
  expect(store.statistics().values).toBe(found.size);
}

/** The records that the reader finds after the checkpoint, against those of the Store. */
async function expectSameLog(
  store: Store,
  reader: KaitaiReader,
  records: ReturnType<KaitaiReader['retainedRecords']>,
): Promise<void> {
  const entries = await logOf(store);
  const kept = records.filter(({ body }) => body.batch.value > store.checkpoint);
  expect(kept.map(({ body }) => body.batch.value)).toEqual(entries.map(({ batch }) => batch));
  for (const [at, entry] of entries.entries()) {
    const record = kept[at];
    if (record === undefined) continue;
    const { embeddedHeader, committedAt } = record.body;
    expect(committedAt.value).toBe(entry.committedAt);
    expect(idOf(embeddedHeader)).toBe(entry.embeddedHeader);
    const changes = entry.changes.map((change) => ({ ...change, id: GrainId.format(change.id) }));
    expect(reader.changesOf(record)).toEqual(changes);
  }
}

function idOf(id: KaitaiReader['store']['header']['embeddedHeader']): GrainId | undefined {
  return id.isNone ? undefined : GrainId.of(id.basin, id.stratum, id.index.value);
}

describe('a store that was closed', () => {
  let fileSystem: FileSystem;
  let reader: KaitaiReader;
  let store: Store;
  const expected: Expected = new Map();

  beforeAll(async () => {
    fileSystem = memoryFileSystem();
    // Few strata to a basin, so that there is a second basin.
    const limits = { ...defaultLimits, strataPerBasin: 3 };
    store = await openStore(checkOptions(storePath, { fileSystem, settleBytes: 4096 }, limits));
    await fill(store, expected);
    await store.close();
    reader = new KaitaiReader(compiled, await contentOf(fileSystem));
    store = await Store.open(storePath, { fileSystem, readOnly: true });
    return () => store.close();
  });

  it('has every value, with its id and its mark, at the end of its structures', async () => {
    expectSameValues(store, reader.settledValues(), expected);
    expect(reader.strata.map(({ grainExp }) => grainExp)).toEqual([5, 7, 9, 11]);
    expect(reader.store.rootDocument?.basins.length).toBe(2);
    await check.sound(store);
  });

  it('has in its basin the counts of the store', () => {
    const { values, archivedValues, valueBytes } = store.statistics();
    const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0);
    expect(sum(reader.strata.map(({ numValues }) => numValues.value))).toBe(values);
    const archived = reader.strata.map(({ numArchivedValues }) => numArchivedValues.value);
    expect(sum(archived)).toBe(archivedValues);
    expect(archivedValues).toBeGreaterThan(0);
    expect(sum(reader.strata.map((stratum) => stratum.valueBytes.value))).toBe(valueBytes);
  });

  it('was settled more than once, so both slots have been used', () => {
    const [stratum] = reader.strata;
    expect(stratum?.maps.length).toBeGreaterThan(1);
    expect(stratum?.maps[0]?.generation).toBeGreaterThan(1);
    expect(reader.store.rootDocument?.basinNames[0]?.generation).toBeGreaterThan(1);
  });

  it('has a header that is clean and a log with nothing to be replayed', () => {
    const { header } = reader.store;
    expect(header.isHeader).toBe(true);
    expect(header.clean).toBe(1);
    expect(header.base.value).toBe(store.currentBatch);
    expect(header.checkpoint.value).toBe(store.checkpoint);
    expect(idOf(header.embeddedHeader)).toBe(store.embeddedHeader);
    expect(reader.unsettledRecords()).toEqual([]);
  });

  it('has every retained record in the segments that its root names', async () => {
    await expectSameLog(store, reader, reader.retainedRecords());
  });
});

describe('a store with a map that is not of one mark page in one extent', () => {
  it.each<[string, { grains: number; further?: number[] }, boolean]>([
    ['has a head', { grains: headedGrains }, true],
    ['has a head and several extents', { grains: headedGrains, further: [120, 3, 1] }, true],
    ['has several extents', { grains: 8000, further: [30, 3, 1] }, false],
  ])('has every value, in the log and in the structures, where it %s', async (_, map, headed) => {
    const fileSystem = memoryFileSystem();
    const lab = await openLab({ fileSystem });
    addMapTo(lab.core, map);
    const first = lab.session();
    const bytes = patternOf(10);
    const expected: Expected = new Map([[first.push(bytes), { bytes, archived: false }]]);
    await first.commit();
    await lab.kill();
    const store = await Store.open(labPath, { fileSystem });
    await pushAll(store, expected, [10, ...Array<number>(headed ? 68 : 25).fill(8000), 100, 200]);
    await archiveSome(store, expected, 7);
    const logged = new KaitaiReader(compiled, await contentOf(fileSystem, labPath));
    expect(logged.store.rootDocument).toBe(undefined);
    expectSameValues(store, logged.values(), expected);
    await store.close();
    const settled = new KaitaiReader(compiled, await contentOf(fileSystem, labPath));
    const again = await Store.open(labPath, { fileSystem, readOnly: true });
    expectSameValues(again, settled.settledValues(), expected);
    await check.sound(again);
    await again.close();
    const [found] = settled.strata[0]?.maps ?? [];
    expect(found?.hasHead).toBe(headed);
    expect(found?.head !== undefined).toBe(headed);
    expect(found?.markPages.map(({ generation }) => generation)).toEqual(headed ? [1, 1] : [1]);
    expect(found?.furtherExtents.map(({ pages }) => pages)).toEqual(map.further ?? []);
  });
});

describe('a store that was not closed', () => {
  it('has its values in the settled structures and the log since', async () => {
    const fileSystem = memoryFileSystem();
    const store = await Store.open(storePath, { fileSystem, settleBytes: 16_384 });
    const expected: Expected = new Map();
    await fill(store, expected);
    // Larger grains than any before: the log adds a stratum and its first map.
    await pushAll(store, expected, [600_000, 10]);
    const reader = new KaitaiReader(compiled, await contentOf(fileSystem));
    const records = reader.unsettledRecords();
    expect(reader.store.header.clean).toBe(0);
    expect(reader.store.header.base.value).toBeGreaterThan(0);
    expect(records.length).toBeGreaterThan(1);
    expect(reader.settledValues().size).not.toBe(expected.size);
    expectSameValues(store, reader.values(), expected);
    await check.sound(store);
    await store.close();
  });

  it('has only the log before the first settle', async () => {
    const fileSystem = memoryFileSystem();
    const store = await Store.open(storePath, { fileSystem });
    const expected: Expected = new Map();
    await fillSmall(store, expected);
    await pushAll(store, expected, lengths);
    const reader = new KaitaiReader(compiled, await contentOf(fileSystem));
    expect(reader.store.rootDocument).toBe(undefined);
    const records = reader.unsettledRecords();
    const outside = records.filter((record) => reader.isOutside(record));
    const inlineSectors = records
      .filter((record) => !reader.isOutside(record))
      .map(({ head }) => head.numSectors);
    expect(outside.length).toBeGreaterThan(0);
    expect(Math.max(...inlineSectors)).toBeGreaterThan(1);
    expectSameValues(store, reader.values(), expected);
    await expectSameLog(store, reader, records);
    await check.sound(store);
    await store.close();
  });

  it('has dropped its empty maps, and its log says so', async () => {
    const fileSystem = memoryFileSystem();
    const store = await Store.open(storePath, { fileSystem, settleBytes: 2048 });
    const expected: Expected = new Map();
    for (let round = 0; round < 10; round++) {
      await pushAll(store, expected, Array<number>(10).fill(30_000));
    }
    await archiveSome(store, expected, 1);
    await checkpoint(store, expected);
    for (let round = 0; round < 10; round++) await pushAll(store, expected, [10, 20]);
    const reader = new KaitaiReader(compiled, await contentOf(fileSystem));
    const logged = [...reader.retainedRecords(), ...reader.unsettledRecords()];
    expect(logged.flatMap((record) => reader.droppedMaps(record)).length).toBeGreaterThan(0);
    expectSameValues(store, reader.values(), expected);
    await check.sound(store);
    await store.close();
  });

  it.each([4096, 100_000_000])(
    'is being compacted, settled every %i bytes, and has its values where its log has moved them',
    async (settleBytes) => {
      const disk = new SimulatedDisk();
      const store = await Store.open(storePath, { fileSystem: disk, settleBytes });
      const expected: Expected = new Map();
      await pushAll(store, expected, [300_000, 200_000]);
      for (let round = 0; round < 4; round++) {
        await pushAll(store, expected, Array<number>(50).fill(400));
      }
      const session = store.session();
      for (const [at, [id, value]] of [...expected].entries()) {
        if (at > 1 && at % 5 > 0) continue;
        session.archive(id);
        value.archived = true;
      }
      await session.commit();
      await checkpoint(store, expected);
      const first = disk.operations.length;
      await store.compact();
      let replaced = 0;
      // What a process leaves that is killed before one of the compaction's syncs.
      for (const { number, kind } of disk.operations.slice(first)) {
        const state = disk.before[number];
        if (kind !== 'datasync' || state === undefined) continue;
        const killed = new SimulatedDisk({ state, records: false });
        const reader = new KaitaiReader(compiled, await contentOf(killed));
        const records = reader.unsettledRecords();
        replaced += records.flatMap((record) => reader.droppedMaps(record, true)).length;
        expectSameValues(store, reader.values(), expected);
      }
      expect(replaced).toBeGreaterThan(0);
      expectSameValues(store, new KaitaiReader(compiled, await contentOf(disk)).values(), expected);
      await check.sound(store);
      await store.close();
    },
  );

  it('has, when it is new, a header and a blank log', async () => {
    const fileSystem = memoryFileSystem();
    const store = await Store.open(storePath, { fileSystem });
    const reader = new KaitaiReader(compiled, await contentOf(fileSystem));
    expect(reader.store.header.isHeader).toBe(true);
    expect(reader.store.header.generation.value).toBe(2);
    expect(reader.unsettledRecords()).toEqual([]);
    expect(reader.values().size).toBe(0);
    await store.close();
  });
});
