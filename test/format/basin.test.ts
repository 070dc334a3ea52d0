/**
 * Basin documents: come back as they were written; any other bytes are a basin or VARVE_CORRUPT.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Basin, decodeBasin, encodeBasin, type MapEntry } from '../../src/format/basin.ts';
import { openDocument, sealDocument } from '../../src/format/document.ts';
import { type MapExtent, mapOverheadPages, mapPages } from '../../src/format/grain-map.ts';
import {
  furtherExtentsMax,
  grainExpMax,
  grainExpMin,
  grainsPerMarkPage,
  kindBasin,
  markPagesMax,
  sealBytes,
  strataMax,
} from '../../src/format/layout.ts';
import { setU32 } from '../../src/util/little-endian.ts';
import { basin, expectCorrupt, expectSoundOrCorrupt, flipped, salt } from './arbitraries.ts';

const map: MapEntry = {
  firstIndex: 0,
  grains: 10,
  page: 50,
  further: [],
  generation: 1,
  crc: 2,
  free: 3,
  longestFree: 3,
};

function basinOf(maps: MapEntry[], part: Partial<Basin['strata'][number]> = {}): Uint8Array {
  const counts = { values: 0, archivedValues: 0, valueBytes: 0, allocatedGrains: 0 };
  return encodeBasin({ strata: [{ grainExp: 5, ...counts, endIndex: 2 ** 40, maps, ...part }] });
}

describe('a basin', () => {
  it('comes back as it was written, sealed, and a flipped bit anywhere is noticed', () => {
    fc.assert(
      fc.property(basin, salt, fc.nat(), (written, ofFile, bit) => {
        const bytes = encodeBasin(written);
        const place = { kind: kindBasin, page: 30, capacityPages: 2, generation: 4, stamp: 8 };
        const name = sealDocument(bytes, place, ofFile);
        expect(openDocument(bytes, kindBasin, name, ofFile).stamp).toBe(8);
        expect(decodeBasin(bytes, 0)).toEqual(written);
        expectCorrupt(() => openDocument(flipped(bytes, bit), kindBasin, name, ofFile));
      }),
    );
  });

  it('is a basin or VARVE_CORRUPT for any bytes, and for sound ones with a bit changed', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expectSoundOrCorrupt(() => decodeBasin(bytes, 0));
      }),
    );
    fc.assert(
      fc.property(basin, fc.nat(), fc.nat(40), (written, bit, cut) => {
        const bytes = encodeBasin(written);
        expectSoundOrCorrupt(() => decodeBasin(flipped(bytes, bit), 0));
        const short = bytes.subarray(0, Math.max(0, bytes.length - 1 - cut));
        expectCorrupt(() => decodeBasin(short, 0));
      }),
    );
  });

  it('has at most 254 strata, and a larger claim takes no memory', () => {
    const bytes = encodeBasin({ strata: [] });
    setU32(bytes, sealBytes, strataMax + 1);
    expectCorrupt(() => decodeBasin(bytes, 0));
    const many = basinOf([]);
    setU32(many, sealBytes + 8, 0xffff_ffff);
    expectCorrupt(() => decodeBasin(many, 0));
  });

  it('has grains of a size that the format knows', () => {
    for (const grainExp of [0, grainExpMin - 1, grainExpMax + 1, 255]) {
      expectCorrupt(() => decodeBasin(basinOf([], { grainExp }), 0));
    }
    for (const grainExp of [grainExpMin, grainExpMax]) {
      expect(decodeBasin(basinOf([], { grainExp }), 0).strata[0]?.grainExp).toBe(grainExp);
    }
  });

  it('has maps of a possible size, in order, within the end of their stratum', () => {
    const most = markPagesMax * grainsPerMarkPage;
    expect(decodeBasin(basinOf([{ ...map, grains: most }]), 0).strata[0]?.maps.length).toBe(1);
    for (const grains of [0, most + 1]) {
      expectCorrupt(() => decodeBasin(basinOf([{ ...map, grains }]), 0));
    }
    expectCorrupt(() => decodeBasin(basinOf([map, { ...map, firstIndex: 9 }]), 0));
    expectCorrupt(() => decodeBasin(basinOf([{ ...map, firstIndex: 5 }, map]), 0));
    expectCorrupt(() => decodeBasin(basinOf([map], { endIndex: 9 }), 0));
    expect(decodeBasin(basinOf([map], { endIndex: 10 }), 0).strata[0]?.endIndex).toBe(10);
  });

  it('has maps in at most 16 extents, each of a page of grains at least', () => {
    const single = { ...map, grains: 20 * 128, page: 50 };
    const headed = { ...map, grains: grainsPerMarkPage + 1, page: 50 };
    const decoded = (entry: MapEntry, grainExp = 5): unknown =>
      decodeBasin(basinOf([entry], { grainExp }), 0).strata[0]?.maps[0];
    const extents = (count: number, pages = 1): MapExtent[] =>
      Array.from({ length: count }, (_, at) => ({ page: 100 + 10 * at, pages }));
    for (const count of [0, 1, furtherExtentsMax]) {
      const entry = { ...single, further: extents(count) };
      expect(decoded(entry)).toEqual(entry);
      expect(decoded({ ...entry, further: extents(1, 19) })).toMatchObject({ page: 50 });
    }
    expectCorrupt(() => decoded({ ...single, further: extents(furtherExtentsMax + 1) }));
    expectCorrupt(() => decoded({ ...single, further: extents(1, 20) }));
    expectCorrupt(() => decoded({ ...single, further: extents(1, 0xffff_ffff) }));
    expectCorrupt(() => decoded({ ...single, further: extents(2, 10) }));
    expectCorrupt(() => decoded({ ...single, further: extents(1, 0) }));
    expectCorrupt(() => decoded({ ...single, further: [...extents(2), ...extents(1, 0)] }));
    const pages = mapPages(headed.grains, 5) - mapOverheadPages(headed.grains);
    const most = { ...headed, further: extents(1, pages - 1) };
    expect(decoded(most)).toEqual(most);
    expectCorrupt(() => decoded({ ...headed, further: extents(1, pages) }));
  });

  it('is refused if it claims extents that it does not have', () => {
    const bytes = basinOf([map]);
    for (const count of [1, furtherExtentsMax, furtherExtentsMax + 1, 0xffff]) {
      const claims = bytes.slice();
      claims[claims.length - 2] = count & 0xff;
      claims[claims.length - 1] = count >>> 8;
      expectCorrupt(() => decodeBasin(claims, 0));
    }
  });
});
