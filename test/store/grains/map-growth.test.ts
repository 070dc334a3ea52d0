/**
 * How large maps are made and where they go: room for the value, growth with the stratum, a map to
 * itself for a large value, and what is free before the file grows.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mapExtents, mapPages, placementIsSound } from '../../../src/format/grain-map.ts';
import {
  furtherExtentsMax,
  grainExpMax,
  grainExpMin,
  grainsPerMarkPage,
  markPagesMax,
} from '../../../src/format/layout.ts';
import { Space } from '../../../src/store/file/space.ts';
import { nextMapGrains, placeMap } from '../../../src/store/grains/map-growth.ts';

const bytesMin = 64 * 1024;
const grainsMax = markPagesMax * grainsPerMarkPage;
const grainExp = fc.integer({ min: grainExpMin, max: grainExpMax });
const count = fc.integer({ min: 1, max: 255 });

describe('the grains of the next map', () => {
  it('are 64 KiB in a new stratum, or the wanted number', () => {
    const first = { grainExp: 5, totalGrains: 0, count: 1 };
    expect(nextMapGrains({ ...first, bytesMin })).toBe(2048);
    expect(nextMapGrains({ ...first, bytesMin: 2 * bytesMin })).toBe(4096);
  });

  it('have room for the value, grow with the stratum, and fit one head', () => {
    fc.assert(
      fc.property(grainExp, count, fc.nat(2 ** 40), fc.nat(2 ** 20), (exp, wanted, total, more) => {
        const request = { grainExp: exp, count: wanted, bytesMin };
        const grains = nextMapGrains({ ...request, totalGrains: total });
        expect(grains).toBeGreaterThanOrEqual(wanted);
        expect(grains).toBeLessThanOrEqual(grainsMax);
        const later = nextMapGrains({ ...request, totalGrains: total + more });
        expect(later).toBeGreaterThanOrEqual(grains);
      }),
    );
  });

  it('are those of the value alone if few values like it would share the map', () => {
    const coarse = { grainExp: 11, bytesMin };
    expect(nextMapGrains({ ...coarse, totalGrains: 0, count: 32 })).toBe(32);
    expect(nextMapGrains({ ...coarse, totalGrains: 0, count: 31 })).toBe(32);
    const shared = nextMapGrains({ ...coarse, totalGrains: 16_000, count: 1 });
    expect(shared).toBeGreaterThan(8 * 32);
    expect(nextMapGrains({ ...coarse, totalGrains: 16_000, count: 32 })).toBe(shared);
    const eighth = Math.ceil(shared / 8);
    expect(nextMapGrains({ ...coarse, totalGrains: 16_000, count: eighth })).toBe(eighth);
  });
});

describe('the place of a map', () => {
  it('is sound, has room for the value, and is used completely', () => {
    const gaps = fc.array(
      fc.tuple(fc.integer({ min: 1, max: 120 }), fc.integer({ min: 1, max: 9 })),
      { maxLength: 30 },
    );
    const wanted = fc.integer({ min: 1, max: 40_000 });
    fc.assert(
      fc.property(gaps, grainExp, wanted, count, (between, exp, most, least) => {
        fc.pre(exp < 16);
        const used = [{ page: 0, pages: 2 }];
        let end = 2;
        for (const [free, pages] of between) {
          used.push({ page: end + free, pages });
          end += free + pages;
        }
        const space = new Space();
        space.rebuild(used, 0);
        const before = space.endPage - space.freePages;
        const place = placeMap(space, exp, Math.max(most, least), least);
        expect(placementIsSound(place, exp)).toBe(true);
        expect(place.grains).toBeGreaterThanOrEqual(least);
        expect(place.grains).toBeLessThanOrEqual(Math.max(most, least));
        expect(place.further.length).toBeLessThanOrEqual(furtherExtentsMax);
        const extents = mapExtents(place, exp);
        const again = new Space();
        again.rebuild([...used, ...extents], 0);
        expect(space.endPage - space.freePages - before).toBe(mapPages(place.grains, exp));
        expect([again.endPage, again.freePages]).toEqual([space.endPage, space.freePages]);
      }),
    );
  });
});
