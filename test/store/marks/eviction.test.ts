/**
 * A store that keeps only the mark pages that cannot go: every value is read as it is, whatever is
 * under way, damage is healed as it would be at opening, and a batch that is durable reads nothing.
 */

import { afterEach, describe, expect, it, vi } from 'vitest';
import { mapHeadPage, markPagePage } from '../../../src/format/grain-map.ts';
import { grainsPerMarkPage, pageBytes } from '../../../src/format/layout.ts';
import { type GrainId, memoryFileSystem } from '../../../src/index.ts';
import { SmallRecords } from '../../../src/store/commit/small-record.ts';
import { defaultLimits } from '../../../src/store/grains/atlas.ts';
import type { GrainMap } from '../../../src/store/grains/grain-map.ts';
import type { MarkPage } from '../../../src/store/marks/mark-page.ts';
import { checkOptions } from '../../../src/store/open/store-options.ts';
import { openStore } from '../../../src/store/store.ts';
import { verifyStore } from '../../../src/store/verify/verify.ts';
import { Breather } from '../../../src/util/breather.ts';
import { expectSameBytes, patternOf } from '../../support/bytes.ts';
import { WrappedFileSystem } from '../../support/disks/wrapped-file-system.ts';
import { type CoreLab, headedLimits, labPath, openLab } from '../../support/fixtures/core-lab.ts';

/** No settle comes due by the bytes of the log. */
const settleBytes = 2 ** 40;
/** A few values fill a stratum, which has one mark page. */
const limits = { markBytes: 0, grainsPerStratum: 64 };
const options = { settleBytes, cacheBytes: 0, limits };

let disk = new WrappedFileSystem(memoryFileSystem());
let lab: CoreLab;
let lengths = new Map<GrainId, number>();

async function open(): Promise<void> {
  lab = await openLab({ ...options, fileSystem: disk });
}

async function openNew(): Promise<void> {
  disk = new WrappedFileSystem(memoryFileSystem());
  lengths = new Map();
  await open();
}

afterEach(async () => {
  expect(await lab.findings()).toEqual([]);
  expect(lab.core.recovery.healed).toEqual([]);
  await lab.close();
});

/** Values of 13 grains each. */
async function push(count: number, length = 400): Promise<GrainId[]> {
  const session = lab.session();
  const ids = Array.from({ length: count }, (_, at) => session.push(patternOf(length + (at % 8))));
  await session.commit();
  for (const [at, id] of ids.entries()) lengths.set(id, length + (at % 8));
  return ids;
}

async function archive(ids: Iterable<GrainId>): Promise<void> {
  const session = lab.session();
  for (const id of ids) session.archive(id);
  await session.commit();
}

async function checkpoint(): Promise<void> {
  const session = lab.session();
  session.checkpointTo(lab.core.published.currentBatch);
  await session.commit();
}

/** Changes no marks. */
async function commitNoValue(): Promise<void> {
  const session = lab.session();
  session.setEmbeddedHeader(null);
  await session.commit();
}

/** Commits until a settle that begins now is over. */
async function settle(): Promise<void> {
  while (!lab.core.housekeeping.canSettle) await commitNoValue();
  lab.core.housekeeping.beginSettle();
  while (!lab.core.housekeeping.canSettle) await commitNoValue();
}

function readAll(): void {
  for (const [id, length] of lengths) {
    expectSameBytes(lab.core.read(id) as Uint8Array, patternOf(length));
  }
}

function loadedPages(): MarkPage[] {
  return [...lab.core.atlas.strata()].flatMap(({ maps }) =>
    maps.flatMap((map) => (map.opened ? map.pages.filter((page) => page.loaded) : [])),
  );
}

function dirtyPages(): MarkPage[] {
  return [...lab.core.atlas.strata()].flatMap((stratum) => [...stratum.pages.dirty.keys()]);
}

/** The reads of the file while `act` runs, and how many of them come after its last write. */
async function readsIn(act: () => Promise<unknown>): Promise<{ all: number; after: number }> {
  let all = 0;
  let before = 0;
  disk.before = ({ operation }) => {
    if (operation === 'read') all += 1;
    if (operation === 'write') before = all;
  };
  await act();
  disk.before = undefined;
  return { all, after: all - before };
}

describe('mark pages in memory', () => {
  it('are those with changes, until a settle has written them', async () => {
    await openNew();
    await push(100);
    expect(dirtyPages().length).toBeGreaterThan(15);
    expect(loadedPages()).toEqual(dirtyPages());
    await settle();
    readAll();
    // Besides the dirty ones each stratum may have its current run in one.
    const kept = new Set(dirtyPages());
    const others = loadedPages().filter((page) => !kept.has(page));
    expect(others.length).toBeLessThanOrEqual([...lab.core.atlas.strata()].length);
    for (const page of others) expect(page.grains - page.name.free).toBeLessThan(page.grains);
  });

  it('are loaded again whatever write of a settle is under way', async () => {
    await openNew();
    const ids = await push(100);
    await settle();
    // Half of the pages change, and the others are loaded again and again.
    await archive(ids.slice(0, 50));
    let writes = 0;
    disk.before = ({ operation }) => {
      if (operation !== 'write') return;
      writes += 1;
      readAll();
    };
    await settle();
    disk.before = undefined;
    expect(writes).toBeGreaterThan(15);
    expect(dirtyPages().length).toBeLessThan(5);
  });

  it('stay for a session that archives a value, and for a checkpoint that frees it', async () => {
    await openNew();
    const ids = await push(100);
    await settle();
    const session = lab.session();
    const archived = ids.filter((_, at) => at % 3 === 0);
    for (const id of archived) {
      session.archive(id);
      lengths.delete(id);
    }
    readAll();
    expect((await readsIn(() => session.commit())).all).toBe(0);
    await settle();
    readAll();
    // Nothing is read once the record is written: no read may fail then.
    const { all, after } = await readsIn(checkpoint);
    expect(all).toBeGreaterThan(10);
    expect(after).toBe(0);
    for (const id of archived) expect(lab.core.read(id)).toBe(undefined);
  });

  it('stay for a small commit, which carries a value and frees others', async () => {
    await openNew();
    const ids = await push(100);
    await settle();
    const archived = ids.filter((_, at) => at % 10 === 0);
    await archive(archived);
    for (const id of archived) lengths.delete(id);
    await settle();
    const session = lab.session();
    const id = session.push(patternOf(20));
    session.checkpointTo(lab.core.published.currentBatch);
    readAll();
    const { carried } = lab.core.values;
    const { size } = carried;
    const small = vi.spyOn(SmallRecords.prototype, 'of');
    const { all, after } = await readsIn(() => session.commit());
    expect(small).toHaveReturnedWith(expect.objectContaining({ plan: expect.anything() }));
    small.mockRestore();
    expect(carried.size).toBe(size + 1);
    expect(all).toBeGreaterThan(5);
    expect(after).toBe(0);
    lengths.set(id, 20);
    for (const one of archived) expect(lab.core.read(one)).toBe(undefined);
    // The page of the carried value goes, and comes again, before and after the value is home.
    readAll();
    await settle();
    readAll();
    expect(carried.size).toBe(0);
  });

  it('make room for others before a settle is due by bytes', async () => {
    await openNew();
    await push(900);
    expect(dirtyPages().length).toBeGreaterThan(150);
    for (let commit = 0; commit < 8; commit++) await commitNoValue();
    expect(dirtyPages().length).toBeLessThan(70);
    readAll();
  });

  it('give out what is free in those that are not loaded', async () => {
    await openNew();
    const ids = await push(200);
    const freed = ids.filter((_, at) => at % 2 === 0);
    await archive(freed);
    for (const id of freed) lengths.delete(id);
    await checkpoint();
    await settle();
    readAll();
    const grains = (): number[] => [...lab.core.atlas.strata()].map((one) => one.totalGrains);
    const before = grains();
    const again = await push(80);
    expect(again.filter((id) => freed.includes(id)).length).toBeGreaterThan(70);
    expect(grains()).toEqual(before);
    readAll();
  });

  it('are no more while the store is verified', async () => {
    await openNew();
    await push(300);
    await settle();
    readAll();
    const before = loadedPages().length;
    let most = 0;
    disk.before = () => {
      most = Math.max(most, loadedPages().length);
    };
    expect(await lab.findings()).toEqual([]);
    disk.before = undefined;
    expect(most).toBeLessThanOrEqual(before + 1);
  });

  it('may go in any turn of a verification', async () => {
    await openNew();
    const ids = await push(100);
    await settle();
    readAll();
    let evicted = 0;
    let turns = 0;
    class Reading extends Breather {
      override get due(): boolean {
        return true;
      }

      /** Reads a value of another page than the turn before. */
      override async turn(): Promise<void> {
        const before = loadedPages();
        turns += 1;
        lab.core.read(ids[(turns * 7) % ids.length] as GrainId);
        evicted += before.filter((page) => !page.loaded).length;
      }
    }
    const request = { deep: false, signal: undefined, quiet: () => true, breather: new Reading() };
    for await (const finding of verifyStore(lab.core, request)) expect(finding).toBe(undefined);
    expect(evicted).toBeGreaterThan(10);
  });
});

describe('a mark page that is loaded again', () => {
  it('is read once more if the read fails', async () => {
    await openNew();
    const [first] = (await push(60)) as [GrainId];
    await settle();
    readAll();
    for (const act of [(): unknown => lab.core.read(first), () => lab.session().archive(first)]) {
      readAll();
      const fault = disk.fail('read', 'EIO', { times: 1 });
      expect(act).toThrow(expect.objectContaining({ code: 'VARVE_IO' }));
      expect(fault.count).toBe(1);
    }
    readAll();
  });

  /** The page of a value, which is not loaded. */
  function pageOf(id: GrainId): { page: MarkPage; offset: number } {
    for (const [other] of lengths) if (other !== id) lab.core.read(other);
    const { basin, stratum, index } = lab.core.place(id)?.id ?? fail();
    const map = lab.core.atlas.stratum(basin, stratum)?.mapWith(index) ?? fail();
    const page = map.pageOf(index);
    for (const [other] of lengths) if (!sharesPage(other, page)) lab.core.read(other);
    expect(page.loaded).toBe(false);
    return { page, offset: markPagePage(map, page.ordinal, page.name.generation) * pageBytes };
  }

  function sharesPage(id: GrainId, page: MarkPage): boolean {
    const { basin, stratum, index } = lab.core.place(id)?.id ?? fail();
    return lab.core.atlas.stratum(basin, stratum)?.mapWith(index)?.pageOf(index) === page;
  }

  function fail(): never {
    throw new Error('there is no such value');
  }

  it('is healed with every batch that it held', async () => {
    await openNew();
    // Of one page: a value before each settle, the last of them in the damaged generation only.
    const ids = await push(1);
    await settle();
    ids.push(...(await push(1)));
    await push(1);
    ids.push(...(await push(1)));
    await settle();
    ids.push(...(await push(60)));
    await settle();
    const { page, offset } = pageOf(ids[0] as GrainId);
    expect(page.stamp).toBeGreaterThan(0);
    lab.file.writeSync([new Uint8Array(40).fill(0xa5)], offset + 50);
    readAll();
    expect(lab.core.recovery.healed).toEqual([`a mark page, at byte ${offset}, was damaged`]);
    expect(dirtyPages()).toContain(page);
    await settle();
    readAll();
    expect(await lab.findings()).toEqual([]);
    await lab.close();
    await open();
    readAll();
  });
});

it('a page below a healed head is loaded again as a later settle wrote it', async () => {
  const headed = { ...options, limits: { ...headedLimits, markBytes: 0 } };
  disk = new WrappedFileSystem(memoryFileSystem());
  lengths = new Map();
  lab = await openLab({ ...headed, fileSystem: disk });
  for (let round = 0; round < 2; round++) {
    await push(60);
    await settle();
  }
  await lab.close();
  lab = await openLab({ ...headed, fileSystem: disk });
  const map = lab.core.atlas.stratum(0, 0)?.maps[0] as GrainMap;
  expect([map.opened, map.hasHead]).toEqual([false, true]);
  const offset = mapHeadPage(map.page, map.name.generation) * pageBytes;
  lab.file.writeSync([new Uint8Array(40).fill(0xa5)], offset + 50);
  readAll();
  expect(lab.core.recovery.healed.length).toBe(1);
  // The log that healed it goes, with its segment.
  const { page: segment } = lab.core.log.current;
  while (lab.core.log.current.page === segment) await commitNoValue();
  await checkpoint();
  await settle();
  await settle();
  expect(lab.core.log.segments.map(({ page }) => page)).not.toContain(segment);
  const first = map.pages[0] as MarkPage;
  lab.core.atlas.find({ basin: 0, stratum: 0, index: grainsPerMarkPage });
  expect(loadedPages()).not.toContain(first);
  readAll();
  expect(loadedPages()).toContain(first);
  expect(await lab.findings()).toEqual([]);
  await lab.close();
  lab = await openLab({ ...headed, fileSystem: disk });
  readAll();
});

it('a reader that evicts them reads its batch, however often the writer has settled since', async () => {
  await openNew();
  const ids = await push(60);
  await settle();
  const request = { fileSystem: disk, readOnly: true, cacheBytes: 0 };
  const reader = await openStore(
    checkOptions(labPath, request, { ...defaultLimits, markBytes: 0 }),
  );
  const expected = new Map(lengths);
  const readByReader = (): void => {
    for (const [id, length] of expected) {
      expectSameBytes(reader.get(id) as Uint8Array, patternOf(length));
    }
  };
  for (let round = 0; round < 4; round++) {
    readByReader();
    await archive(ids.filter((_, at) => at % 4 === round));
    for (const [at, id] of ids.entries()) if (at % 4 === round) lengths.delete(id);
    await push(30);
    readByReader();
    await settle();
  }
  readByReader();
  await checkpoint();
  await push(60);
  for (const id of ids) {
    expect(() => reader.get(id)).toThrow(expect.objectContaining({ code: 'VARVE_SNAPSHOT_GONE' }));
    expect(reader.has(id)).toBe(true);
  }
  await reader.close();
});
