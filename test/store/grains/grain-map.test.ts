/**
 * A grain map in memory: where its grains are, in one extent or in several, which page has which, and
 * what its basin is told.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type MapExtent, mapOverheadPages, mapPages } from '../../../src/format/grain-map.ts';
import { grainsPerMarkPage } from '../../../src/format/layout.ts';
import { GrainMap, newMapEntry } from '../../../src/store/grains/grain-map.ts';

const grains = 2 * grainsPerMarkPage + 10;

function mapOf(firstIndex: number, count: number, grainExp = 7): GrainMap {
  const placement = { grains: count, page: 50, further: [] };
  return new GrainMap(newMapEntry(firstIndex, placement), grainExp, true);
}

function openMap(): GrainMap {
  const map = mapOf(1000, grains);
  map.open(undefined);
  return map;
}

describe('a grain map', () => {
  it('has its grains behind its pages, one after another', () => {
    const map = openMap();
    const data = (50 + mapOverheadPages(grains)) * 4096;
    expect(map.grainOffset(1000)).toBe(data);
    expect(map.grainOffset(1003)).toBe(data + 3 * 128);
    expect(map.extents).toEqual([{ page: 50, pages: mapPages(grains, 7) }]);
    expect(map.grainOffset(1000 + grains) / 4096).toBeLessThanOrEqual(50 + mapPages(grains, 7));
    expect(map.parts(1000, grains * 128)).toBe(undefined);
  });

  it('has two pages before its grains if it has one mark page, else its head too', () => {
    const overhead = (count: number): number => mapOf(0, count).grainOffset(0) / 4096 - 50;
    expect([1, grainsPerMarkPage].map(overhead)).toEqual([2, 2]);
    expect([grainsPerMarkPage + 1, 2 * grainsPerMarkPage + 1].map(overhead)).toEqual([6, 8]);
    expect([1, grainsPerMarkPage].map((count) => mapOf(0, count).hasHead)).toEqual([false, false]);
    expect(mapOf(0, grainsPerMarkPage + 1).hasHead).toBe(true);
  });

  it('has as many mark pages as its grains need, the last one shorter', () => {
    const map = openMap();
    expect(map.pages.map((page) => [page.ordinal, page.firstIndex, page.grains])).toEqual([
      [0, 1000, grainsPerMarkPage],
      [1, 1000 + grainsPerMarkPage, grainsPerMarkPage],
      [2, 1000 + 2 * grainsPerMarkPage, 10],
    ]);
    expect(map.pageOf(1000 + grainsPerMarkPage - 1).ordinal).toBe(0);
    expect(map.pageOf(1000 + grainsPerMarkPage).ordinal).toBe(1);
  });

  it('knows no pages before it is opened', () => {
    const map = mapOf(0, 10);
    expect(map.opened).toBe(false);
    expect(() => map.pages).toThrow(expect.objectContaining({ code: 'VARVE_INTERNAL' }));
  });

  it('gives its basin the committed counts, opened or not', () => {
    const entry = {
      firstIndex: 5,
      grains: 300,
      page: 9,
      further: [{ page: 100, pages: 1 }],
      generation: 4,
      crc: 77,
      free: 120,
      longestFree: 90,
    };
    const map = new GrainMap(entry, 5, true);
    expect(map.committedGrains).toBe(180);
    expect(map.entry()).toEqual(entry);
    const name = { generation: 3, crc: 1, free: 120, longestFree: 80 };
    map.open([name]);
    expect(map.entry()).toEqual({ ...entry, longestFree: 80 });
    for (const page of map.pages) {
      page.load(undefined, 0);
      page.sealedAs({ generation: 4, crc: 2 }, 1);
    }
    expect(map.entry().longestFree).toBe(256);
    map.countCommitted(1);
    expect(map.entry().free).toBe(119);
  });

  it('that is new is entirely free, and its longest run counts as 256 at most', () => {
    const entry = (count: number) => newMapEntry(0, { grains: count, page: 1, further: [] });
    expect(entry(100)).toMatchObject({ free: 100, longestFree: 100, generation: 0 });
    expect(entry(1000)).toMatchObject({ free: 1000, longestFree: 256 });
  });

  it('of one mark page has it under the name that its basin gives', () => {
    const further: MapExtent[] = [];
    const placed = { firstIndex: 5, grains: 300, page: 9, further };
    const map = new GrainMap(
      { ...placed, generation: 4, crc: 77, free: 120, longestFree: 90 },
      5,
      true,
    );
    map.open([map.singleName()]);
    const name = { generation: 4, crc: 77, free: 120, longestFree: 90 };
    expect(map.pages.map((page) => page.name)).toEqual([name]);
  });
});

/** Extents of a map in any order in the file, all of its pages in them, and the map. */
const spread = fc
  .record({
    grainExp: fc.constantFrom(5, 7, 11, 13, 15),
    grainPages: fc.integer({ min: 1, max: 30 }),
    headed: fc.boolean(),
    further: fc.array(fc.record({ pages: fc.integer({ min: 1, max: 6 }), key: fc.nat() }), {
      maxLength: 15,
    }),
    firstKey: fc.nat(),
    less: fc.nat(100),
  })
  .map(({ headed, further, firstKey, less, ...wish }) => {
    const grainExp = headed ? 5 : wish.grainExp;
    const { grainPages } = wish;
    const perPage = 4096 / 2 ** grainExp;
    const least = headed ? grainsPerMarkPage + 1 : 1;
    const count = Math.max(least, Math.floor(grainPages * perPage) - less);
    const capped = headed ? count : Math.min(count, grainsPerMarkPage);
    let room = mapPages(capped, grainExp) - mapOverheadPages(capped) - 1;
    const wanted: { pages: number; key: number }[] = [];
    for (const { pages, key } of further) {
      if (room < pages) break;
      wanted.push({ pages, key });
      room -= pages;
    }
    let firstPages = mapPages(capped, grainExp);
    for (const { pages } of wanted) firstPages -= pages;
    const all = [{ pages: firstPages, key: firstKey }, ...wanted];
    const page: number[] = [];
    let next = 3;
    const order = [...all.keys()].sort(
      (one, other) => (all[one]?.key ?? 0) - (all[other]?.key ?? 0),
    );
    for (const at of order) {
      page[at] = next;
      next += (all[at]?.pages ?? 0) + ((all[at]?.key ?? 0) % 2);
    }
    const [first, ...others] = all.map(
      ({ pages }, at): MapExtent => ({ page: page[at] ?? 0, pages }),
    );
    return { grainExp, grains: capped, page: first?.page ?? 0, further: others };
  });

describe('a grain map in several extents', () => {
  it('has each byte of its grains at the place that a list of all its bytes gives', () => {
    fc.assert(
      fc.property(spread, fc.nat(), fc.integer({ min: 1, max: 255 }), (placed, start, most) => {
        const { grainExp, grains: count } = placed;
        const map = new GrainMap(newMapEntry(700, placed), grainExp, true);
        // The place of each 16th byte of the map's pages, its overhead left out.
        const places: number[] = [];
        for (const { page, pages } of map.extents) {
          for (let at = 0; at < pages * 4096; at += 16) places.push(page * 4096 + at);
        }
        places.splice(0, mapOverheadPages(count) * 256);
        const at = start % count;
        const run = Math.min(most, count - at);
        const bytes = run * 2 ** grainExp - 16 * (start % 3);
        const from = (at * 2 ** grainExp) / 16;
        expect(map.grainOffset(700 + at)).toBe(places[from]);
        const one = { offset: map.grainOffset(700 + at), bytes };
        const parts = map.parts(700 + at, bytes);
        const found: number[] = [];
        for (const part of parts ?? [one]) {
          for (let byte = 0; byte < part.bytes; byte += 16) found.push(part.offset + byte);
        }
        const expected = places.slice(from, from + Math.ceil(bytes / 16));
        expect(Buffer.compare(Buffer.from(found.join()), Buffer.from(expected.join()))).toBe(0);
        expect(parts?.length ?? 2).toBeGreaterThan(1);
        expect(parts?.every((part) => part.bytes > 0) ?? true).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  it('has its further extents in its basin entry, and is loaded from that', () => {
    fc.assert(
      fc.property(spread, (placed) => {
        const map = new GrainMap(newMapEntry(700, placed), placed.grainExp, true);
        expect(map.entry()).toMatchObject({ page: placed.page, further: placed.further });
        const again = new GrainMap(map.entry(), placed.grainExp, true);
        expect(again.extents).toEqual(map.extents);
        expect(again.extents.reduce((sum, { pages }) => sum + pages, 0)).toBe(
          mapPages(placed.grains, placed.grainExp),
        );
      }),
    );
  });

  it('knows of no place behind its last extent', () => {
    const further = [{ page: 900, pages: 1 }];
    const map = new GrainMap(newMapEntry(0, { grains: 256, page: 50, further }), 5, true);
    expect([map.grainOffset(127), map.grainOffset(128)]).toEqual([53 * 4096 - 32, 900 * 4096]);
    expect(() => map.grainOffset(256)).toThrow(expect.objectContaining({ code: 'VARVE_INTERNAL' }));
  });

  it('takes no memory for the grains of pages that are not loaded, however many it claims', () => {
    const placement = { grains: 64 * grainsPerMarkPage + 1, page: 2, further: [] };
    const map = new GrainMap(newMapEntry(0, placement), 5, true);
    map.open(undefined);
    const internal = expect.objectContaining({ code: 'VARVE_INTERNAL' });
    for (const page of map.pages) expect(() => page.taken).toThrow(internal);
    expect(map.pages.length).toBe(65);
  });
});
