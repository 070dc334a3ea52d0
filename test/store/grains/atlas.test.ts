/**
 * The Atlas against a plain list of places in the file: no two values on one byte, none on a page
 * of another structure, free runs of any suiting size before a new map, limits to the last grain.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { grainExpFor, grainExpSuits } from '../../../src/format/value.ts';
import { Space } from '../../../src/store/file/space.ts';
import {
  Atlas,
  type AtlasLimits,
  defaultLimits,
  type Reservation,
} from '../../../src/store/grains/atlas.ts';
import type { Stratum } from '../../../src/store/grains/stratum.ts';
import { PagedMemory } from '../../support/disks/paged-memory.ts';

function atlasOf(limits: Partial<AtlasLimits> = {}): { atlas: Atlas; space: Space } {
  const space = new Space();
  space.rebuild([{ page: 0, pages: 40 }], 0);
  return { atlas: new Atlas(new PagedMemory(), space, { ...defaultLimits, ...limits }), space };
}

function placesOf({ stratum, index, count }: Reservation): { from: number; to: number }[] {
  const parts = stratum.partsOf(index, count * stratum.grainBytes);
  return parts.map(({ offset, bytes }) => ({ from: offset, to: offset + bytes }));
}

/** Nobody's bytes are another's, and all of them are in the data of their map. */
function expectApart(live: readonly Reservation[], atlas: Atlas): void {
  const places = live.flatMap(placesOf).sort((one, other) => one.from - other.from);
  let end = 40 * 4096;
  for (const { from, to } of places) {
    expect(from).toBeGreaterThanOrEqual(end);
    end = to;
  }
  let lastPage = 40;
  const maps = [...atlas.strata()].flatMap((stratum) => stratum.maps);
  const extents = maps.flatMap((map) => map.extents);
  for (const { page, pages } of extents.sort((one, other) => one.page - other.page)) {
    expect(page).toBeGreaterThanOrEqual(lastPage);
    lastPage = page + pages;
  }
  for (const place of live) {
    const map = place.stratum.mapOf(place.index);
    for (const { from, to } of placesOf(place)) {
      const extent = map.extents.find(
        ({ page, pages }) => from >= page * 4096 && to <= (page + pages) * 4096,
      );
      expect(extent).not.toBe(undefined);
      const isFirst = extent?.page === map.page;
      if (isFirst) expect(from).toBeGreaterThanOrEqual(map.grainOffset(map.firstIndex));
    }
  }
}

const length = fc.oneof(fc.nat(300), fc.nat(20_000), fc.nat(400_000));
const command = fc.oneof(
  { weight: 3, arbitrary: fc.record({ reserve: length, near: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ release: fc.nat() }) },
);

describe('the Atlas', () => {
  it('gives every value bytes of its own, enough of them and few too many', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 120 }), (commands) => {
        const { atlas } = atlasOf();
        const live: Reservation[] = [];
        let preferred: Stratum | undefined;
        for (const one of commands) {
          if ('release' in one) {
            const [gone] = live.splice(one.release % Math.max(1, live.length), 1);
            gone?.stratum.release(gone.index, gone.count);
            continue;
          }
          const place = atlas.reserve(one.reserve, one.near ? preferred : undefined);
          const bytes = place.count * place.stratum.grainBytes;
          expect(bytes).toBeGreaterThanOrEqual(one.reserve + 8);
          const padding = bytes - 8 - one.reserve;
          expect(padding).toBeLessThanOrEqual(Math.max(31, one.reserve / 8));
          expect(place.count).toBeLessThanOrEqual(255);
          live.push(place);
          preferred = place.stratum;
        }
        expectApart(live, atlas);
      }),
      { numRuns: 60 },
    );
  });

  it('adds no map while any stratum has a run in which the value wastes little', () => {
    const { atlas, space } = atlasOf();
    atlas.addBasin(false);
    const [fine, coarse] = [7, 9].map((grainExp) => atlas.addStratum(0, grainExp, false)) as [
      Stratum,
      Stratum,
    ];
    fine.addMap({ firstIndex: 0, grains: 200, page: space.allocate(20), further: [] }, false);
    coarse.addMap({ firstIndex: 0, grains: 100, page: space.allocate(20), further: [] }, false);
    const end = space.endPage;
    const places = Array.from({ length: 3 }, () => atlas.reserve(20_000, fine));
    expect(places.map(({ stratum, count }) => [stratum, count])).toEqual([
      [fine, 157],
      [coarse, 40],
      [coarse, 40],
    ]);
    expect(space.endPage).toBe(end);
    expect(atlas.reserve(20_000, undefined).stratum).toBe(fine);
    expect(space.endPage).toBeGreaterThan(end);
  });

  it('prefers the given stratum if its grains suit', () => {
    const { atlas } = atlasOf();
    const large = atlas.reserve(30_000, undefined).stratum;
    expect(grainExpSuits(3000, large.grainExp)).toBe(true);
    expect(grainExpFor(3000)).not.toBe(large.grainExp);
    expect(atlas.reserve(3000, large).stratum).toBe(large);
    expect(atlas.reserve(3000, undefined).stratum).toBe(large);
    expect(grainExpSuits(10, large.grainExp)).toBe(false);
    expect(atlas.reserve(10, large).stratum).not.toBe(large);
  });

  it('finds a published value only by the index of its first grain', () => {
    const { atlas } = atlasOf();
    const { stratum, index, count } = atlas.reserve(1000, undefined);
    const id = { basin: 0, stratum: 0, index };
    expect(atlas.find(id)).toBe(undefined);
    stratum.publish('allocate', { ...id, count, length: 1000 });
    expect(atlas.find(id)).toEqual({ stratum, map: stratum.mapOf(index), count, archived: false });
    stratum.publish('archive', { ...id, count, length: 1000 });
    expect(atlas.find(id)?.archived).toBe(true);
    expect(atlas.find({ ...id, index: index + 1 })).toBe(undefined);
    expect(atlas.find({ ...id, index: 10_000_000 })).toBe(undefined);
    expect(atlas.find({ ...id, stratum: 1 })).toBe(undefined);
    expect(atlas.find({ ...id, basin: 1 })).toBe(undefined);
  });

  it('says how many bytes are free in its maps', () => {
    const { atlas } = atlasOf();
    expect(atlas.freeGrainBytes()).toBe(0);
    const { stratum, index, count } = atlas.reserve(1000, undefined);
    const all = stratum.totalGrains * 32;
    expect(atlas.freeGrainBytes()).toBe(all);
    stratum.publish('allocate', { basin: 0, stratum: 0, index, count, length: 1000 });
    expect(atlas.freeGrainBytes()).toBe(all - count * 32);
  });

  it('keeps the place of a dropped map until it is released', () => {
    const { atlas } = atlasOf();
    const stratum = atlas.reserve(10, undefined).stratum;
    const [map] = stratum.maps;
    atlas.dropMap(stratum, map?.firstIndex ?? -1);
    atlas.dropMap(stratum, 99);
    expect([...atlas.leaving]).toEqual(map?.extents);
    const before = [...atlas.leaving];
    const next = atlas.reserve(10, undefined);
    expect(next.index).toBe((map?.firstIndex ?? 0) + (map?.grains ?? 0));
    atlas.dropMap(stratum, next.index);
    atlas.left(before);
    expect([atlas.leaving.size, atlas.leavingPages]).toEqual([1, map?.extents[0]?.pages]);
    expect([...atlas.leaving]).not.toContainEqual(map?.extents[0]);
  });
});

describe('limits', () => {
  const tight = { grainsPerStratum: 64, strataPerBasin: 3, basins: 2 };

  it('make a value go to the next stratum, then the next basin, then VARVE_TOO_LARGE', () => {
    const { atlas } = atlasOf(tight);
    const places = Array.from({ length: 6 * 64 }, () => atlas.reserve(20, undefined));
    const ids = places.map(({ stratum, index }) => [stratum.basin, stratum.number, index]);
    expect(ids).toEqual(
      ids.map((_, at) => [Math.floor(at / 192), Math.floor(at / 64) % 3, at % 64]),
    );
    expect(() => atlas.reserve(20, undefined)).toThrow(
      expect.objectContaining({ code: 'VARVE_TOO_LARGE' }),
    );
    const gone = places[200] as Reservation;
    gone.stratum.release(gone.index, gone.count);
    expect(atlas.reserve(20, undefined)).toEqual(gone);
  });

  it('of maps make a value go to the next stratum too', () => {
    const { atlas } = atlasOf({ mapsPerStratum: 2 });
    const strata = new Set<Stratum>();
    while (strata.size < 3) strata.add(atlas.reserve(8000, undefined).stratum);
    expect([...strata].map((stratum) => stratum.maps.length)).toEqual([2, 2, 1]);
  });

  it('refuse a value whose strata are full, though other sizes still fit', () => {
    const { atlas } = atlasOf({ ...tight, basins: 1, strataPerBasin: 2 });
    expect(atlas.reserve(8170, undefined).count).toBe(64);
    for (let at = 0; at < 64; at++) atlas.reserve(20, undefined);
    expect(() => atlas.reserve(20, undefined)).toThrow(
      expect.objectContaining({ code: 'VARVE_TOO_LARGE' }),
    );
  });
});
