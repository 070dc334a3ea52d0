/**
 * A grain map in memory: where its grains are, which page has which, and what its basin is told.
 */

import { describe, expect, it } from 'vitest';
import { mapOverheadPages } from '../../src/format/grain-map.ts';
import { grainsPerMarkPage } from '../../src/format/layout.ts';
import { GrainMap, newMapEntry } from '../../src/store/grain-map.ts';

const grains = 2 * grainsPerMarkPage + 10;

function openMap(): GrainMap {
  const map = new GrainMap(newMapEntry(1000, grains, 50), 7, true);
  map.open(undefined);
  return map;
}

describe('a grain map', () => {
  it('has its grains behind its pages, one after another', () => {
    const map = openMap();
    const data = (50 + mapOverheadPages(grains)) * 4096;
    expect(map.grainOffset(1000)).toBe(data);
    expect(map.grainOffset(1003)).toBe(data + 3 * 128);
    expect(map.grainOffset(1000 + grains) / 4096).toBeLessThanOrEqual(50 + map.extentPages);
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
    const map = new GrainMap(newMapEntry(0, 10, 50), 7, true);
    expect(map.opened).toBe(false);
    expect(() => map.pages).toThrow(expect.objectContaining({ code: 'VARVE_INTERNAL' }));
  });

  it('tells its basin what is committed, opened or not', () => {
    const entry = {
      firstIndex: 5,
      grains: 300,
      page: 9,
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
    for (const page of map.pages) page.hint = 100;
    expect(map.entry().longestFree).toBe(100);
    map.committedGrains = 181;
    expect(map.entry().free).toBe(119);
  });

  it('that is new is free throughout, in runs of as much as is told apart', () => {
    expect(newMapEntry(0, 100, 1)).toMatchObject({ free: 100, longestFree: 100, generation: 0 });
    expect(newMapEntry(0, 1000, 1)).toMatchObject({ free: 1000, longestFree: 256 });
  });
});
