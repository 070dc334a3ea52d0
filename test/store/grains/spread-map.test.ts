/**
 * Stores with a grain map in several extents: values that lie across their borders are the same
 * bytes before and after a commit, a kill, a close; a torn one is noticed; and when the map is given
 * back, all of its extents are.
 */

import { describe, expect, it } from 'vitest';
import { mapOverheadPages, mapPages } from '../../../src/format/grain-map.ts';
import { grainsPerMarkPage, pageBytes } from '../../../src/format/layout.ts';
import type { AddedMap } from '../../../src/format/log-record.ts';
import { type FileSystem, type GrainId, memoryFileSystem, Store } from '../../../src/index.ts';
import { Space } from '../../../src/store/file/space.ts';
import { Atlas, defaultLimits } from '../../../src/store/grains/atlas.ts';
import type { GrainMap } from '../../../src/store/grains/grain-map.ts';
import { applyRecord, type ReplayParts } from '../../../src/store/open/replay.ts';
import { expectSameBytes, patternOf } from '../../support/bytes.ts';
import { PagedMemory } from '../../support/disks/paged-memory.ts';
import {
  addMapTo,
  type CoreLab,
  headedGrains,
  labPath,
  openLab,
} from '../../support/fixtures/core-lab.ts';

type Values = Map<GrainId, number>;

const corrupt = expect.objectContaining({ code: 'VARVE_CORRUPT' });
const mebibyte = 1024 * 1024;

function pushAll(lab: CoreLab, values: Values, lengths: readonly number[]): Promise<number> {
  const session = lab.session();
  for (const length of lengths) {
    const id = session.push(patternOf(length, length));
    values.set(id, length);
    expectSameBytes(session.get(id) as Uint8Array, patternOf(length, length));
  }
  return session.commit();
}

async function expectAll(lab: CoreLab, values: Values): Promise<void> {
  for (const [id, length] of values) {
    const place = lab.core.place(id);
    if (place === undefined) throw new Error('the value is there');
    expectSameBytes(lab.core.values.read(place), patternOf(length, length));
    const bytes = await lab.core.values.readAsync(place);
    expectSameBytes(bytes, patternOf(length, length));
  }
  expect(await lab.findings()).toEqual([]);
}

/** Values that lie in more than one place. */
function spreadOf(lab: CoreLab, values: Values): GrainId[] {
  return [...values.keys()].filter((id) => lab.core.place(id)?.parts !== undefined);
}

/** A batch that stores no value. */
async function commitNothing(lab: CoreLab): Promise<void> {
  const session = lab.session();
  session.setEmbeddedHeader(null);
  await session.commit();
}

function usedPages({ core }: CoreLab): number {
  let pages = core.space.endPage;
  for (const free of core.space.stretches()) pages -= free.pages;
  return pages;
}

const someLengths = Array.from({ length: 40 }, (_, at) => (at % 3 === 0 ? 8152 - at : at * 7));

describe.each([
  ['of one mark page', { grains: 8000, further: [1, 5, 3, 39] }],
  ['with a head', { grains: headedGrains, further: [140, 1, 2, 3] }],
])('a map in several extents, %s,', (_, wanted) => {
  it('has the values that were put into it, committed, killed and closed', async () => {
    const fileSystem = memoryFileSystem();
    let lab = await openLab({ fileSystem });
    const map = addMapTo(lab.core, wanted);
    expect(map.extents.length).toBe(5);
    const values: Values = new Map();
    const lengths = map.hasHead ? Array<number>(60).fill(8000) : [];
    await pushAll(lab, values, [...lengths, ...someLengths.slice(0, 20)]);
    await pushAll(lab, values, someLengths.slice(20));
    const spread = spreadOf(lab, values).length;
    expect(spread).toBeGreaterThan(2);
    await expectAll(lab, values);
    for (let round = 0; round < 2; round++) {
      await lab.kill();
      lab = await openLab({ fileSystem });
      expect(lab.core.recovery.revertedBatch).toBe(undefined);
      await expectAll(lab, values);
      expect(spreadOf(lab, values).length).toBe(spread);
      await pushAll(lab, values, [10 + round]);
    }
    await lab.close();
    lab = await openLab({ fileSystem });
    expect(lab.core.atlas.stratum(0, 0)?.maps[0]?.extents).toEqual(map.extents);
    await expectAll(lab, values);
    await lab.close();
  });

  it('loses only the last batch if its value is torn in any of its places', async () => {
    const bytes = 8152;
    for (const torn of [0, 1]) {
      const fileSystem = memoryFileSystem();
      let lab = await openLab({ fileSystem });
      addMapTo(lab.core, wanted);
      const values: Values = new Map();
      const tried: Values = new Map();
      do {
        for (const [id, length] of tried) values.set(id, length);
        tried.clear();
        await pushAll(lab, tried, [bytes]);
      } while (spreadOf(lab, tried).length === 0);
      const [id] = spreadOf(lab, tried) as [GrainId];
      const part = lab.core.place(id)?.parts?.[torn];
      lab.file.writeSync([new Uint8Array([1])], (part?.offset ?? 0) + 40);
      await lab.kill();
      lab = await openLab({ fileSystem });
      expect(lab.core.recovery.revertedBatch).toBe(values.size + 1);
      expect(lab.core.place(id)).toBe(undefined);
      await expectAll(lab, values);
      await pushAll(lab, values, [bytes]);
      await expectAll(lab, values);
      await lab.close();
    }
  });

  it('is given back with all of its extents when it holds nothing', async () => {
    const fileSystem = memoryFileSystem();
    const lab = await openLab({ fileSystem, settleBytes: 1 });
    const map = addMapTo(lab.core, wanted);
    const values: Values = new Map();
    await pushAll(lab, values, someLengths);
    // Room elsewhere, so that the map is not kept for what comes next.
    addMapTo(lab.core, { grains: 2 * headedGrains });
    const archiving = lab.session();
    for (const id of values.keys()) archiving.archive(id);
    const archived = await archiving.commit();
    const before = usedPages(lab);
    const freeing = lab.session();
    freeing.checkpointTo(archived);
    await freeing.commit();
    for (let at = 0; at < 20; at++) await commitNothing(lab);
    expect(lab.core.atlas.stratum(0, 0)?.maps.includes(map)).toBe(false);
    // A few pages for basins, the root and the log have come since.
    expect(before - usedPages(lab)).toBeGreaterThan(mapPages(map.grains, 5) - 32);
    expect(lab.core.atlas.leaving.size).toBe(0);
    expect(await lab.findings()).toEqual([]);
    await lab.close();
  });
});

/** A store whose only grains of 32 KiB are in a map of several extents. */
async function largeGrained(): Promise<{ fileSystem: FileSystem; map: GrainMap }> {
  const fileSystem = memoryFileSystem();
  const lab = await openLab({ fileSystem });
  const map = addMapTo(lab.core, {
    grains: 500,
    grainExp: 15,
    further: Array<number>(15).fill(240),
  });
  await pushAll(lab, new Map(), [2 * mebibyte]);
  await lab.kill();
  return { fileSystem, map };
}

it('large values go through the borders of extents, pushed and put, waiting or not', async () => {
  const { fileSystem, map } = await largeGrained();
  const store = await Store.open(labPath, { fileSystem });
  const lengths = [5 * mebibyte, 4 * mebibyte + 12_345];
  const session = store.session();
  const ids = [session.push(patternOf(lengths[0] ?? 0, 4))];
  expectSameBytes(session.get(ids[0] as GrainId) as Uint8Array, patternOf(lengths[0] ?? 0, 4));
  await session.commit();
  ids.push((await store.put(patternOf(lengths[1] ?? 0, 5))).id);
  await store.close();
  const lab = await openLab({ fileSystem });
  const parts = ids.map((id) => lab.core.place(id)?.parts?.length ?? 1);
  expect(Math.min(...parts)).toBeGreaterThan(1);
  expect(lab.core.atlas.stratum(0, 0)?.maps.map(({ page }) => page)).toEqual([map.page]);
  expect(await lab.findings()).toEqual([]);
  await lab.kill();
  const again = await Store.open(labPath, { fileSystem });
  for (const [at, id] of ids.entries()) {
    expectSameBytes(again.get(id) as Uint8Array, patternOf(lengths[at] ?? 0, 4 + at));
    expectSameBytes((await again.getAsync(id)) as Uint8Array, patternOf(lengths[at] ?? 0, 4 + at));
  }
  await again.close();
});

describe('a record that adds a map is refused', () => {
  const place = { operation: 'add-map', basin: 0, stratum: 0, firstIndex: 0, page: 50 } as const;

  function replay(map: Pick<AddedMap, 'grains' | 'further'>): Atlas {
    const space = new Space();
    space.rebuild([{ page: 0, pages: 40 }], 0);
    const atlas = new Atlas(new PagedMemory(), space, defaultLimits);
    const before = { committedAt: 0, embeddedHeader: 0n, checkpoint: 0, retainedLogBytes: 0 };
    const parts = { atlas, rootStamp: 0 } as unknown as ReplayParts;
    const steps = applyRecord(parts, {
      ...before,
      batch: 1,
      operations: [
        { operation: 'add-basin', basin: 0 },
        { operation: 'add-stratum', basin: 0, stratum: 0, grainExp: 5 },
        { ...place, ...map },
      ],
    });
    Array.from(steps);
    return atlas;
  }

  it.each([1000, headedGrains])('if its first extent has no page of %d grains', (grains) => {
    const most = mapPages(grains, 5) - mapOverheadPages(grains) - 1;
    const further = (pages: number) => [{ page: 900, pages }];
    const [map] = replay({ grains, further: further(most) }).stratum(0, 0)?.maps ?? [];
    expect(map?.extents).toEqual([
      { page: 50, pages: mapOverheadPages(grains) + 1 },
      { page: 900, pages: most },
    ]);
    expect(map?.grainOffset(128)).toBe(900 * pageBytes);
    for (const pages of [most + 1, most + 100, 0xffff_ffff]) {
      expect(() => replay({ grains, further: further(pages) })).toThrow(corrupt);
    }
  });

  it('if an extent has no page, or the map an impossible size', () => {
    const empty = { page: 900, pages: 0 };
    const one = { page: 901, pages: 1 };
    expect(() => replay({ grains: 1000, further: [empty] })).toThrow(corrupt);
    expect(() => replay({ grains: 1000, further: [one, empty] })).toThrow(corrupt);
    expect(() => replay({ grains: 0, further: [] })).toThrow(corrupt);
    expect(() => replay({ grains: 337 * grainsPerMarkPage + 1, further: [] })).toThrow(corrupt);
  });
});
