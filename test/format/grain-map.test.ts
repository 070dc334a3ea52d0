/**
 * Grain maps on disk: heads and mark pages come back as written, under their names only, and the
 * pages of a map do not overlap.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeMapHead,
  encodeMapHead,
  encodeMarkPage,
  mapHeadPage,
  mapOverheadPages,
  mapPages,
  markPageCount,
  markPagePage,
  openMarkPage,
  type PagePlace,
} from '../../src/format/grain-map.ts';
import {
  grainExpMax,
  grainExpMin,
  grainsPerMarkPage,
  kindMap,
  markPagesMax,
  marksBytes,
  pageBytes,
  sealBytes,
} from '../../src/format/layout.ts';
import { sealBytesOf } from '../../src/format/seal.ts';
import { setU32 } from '../../src/util/little-endian.ts';
import {
  expectCorrupt,
  expectSoundOrCorrupt,
  flipped,
  mapHead,
  salt,
  u32,
  u48,
  upTo,
} from './arbitraries.ts';

const place: fc.Arbitrary<PagePlace> = fc.record({ page: u48, generation: u32, stamp: u48 });

describe('the head of a grain map', () => {
  it('comes back as it was written, in one page', () => {
    fc.assert(
      fc.property(mapHead, place, salt, fc.nat(), (head, where, ofFile, bit) => {
        const { bytes, crc } = encodeMapHead(head, where, ofFile);
        expect(bytes.length).toBe(pageBytes);
        const name = { page: where.page, generation: where.generation, crc };
        expect(decodeMapHead(bytes, name, ofFile)).toEqual({ ...head, stamp: where.stamp });
        expectCorrupt(() => decodeMapHead(flipped(bytes, bit), name, ofFile));
        expectCorrupt(() => decodeMapHead(bytes, { ...name, page: name.page + 1 }, ofFile));
        expectCorrupt(() => decodeMapHead(bytes, name, flipped(ofFile, 3)));
      }),
      { numRuns: 60 },
    );
  });

  it('is a head or VARVE_CORRUPT for any bytes under a sound seal', () => {
    const ofFile = new Uint8Array(8);
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        upTo(markPagesMax * grainsPerMarkPage),
        (body, grains) => {
          const bytes = new Uint8Array(pageBytes);
          bytes.set(body, sealBytes);
          setU32(bytes, sealBytes + 6, grains);
          const seal = { kind: kindMap, generation: 1, length: pageBytes, stamp: 0, page: 3 };
          const crc = sealBytesOf(bytes, seal, ofFile);
          expectSoundOrCorrupt(() => decodeMapHead(bytes, { page: 3, generation: 1, crc }, ofFile));
        },
      ),
    );
  });

  it('has just the mark pages that its grains need', () => {
    const ofFile = new Uint8Array(8);
    const page = { generation: 1, crc: 2, free: 3, longestFree: 3 };
    const where = { page: 9, generation: 1, stamp: 0 };
    for (const pages of [[], [page, page]]) {
      const head = { firstIndex: 0, grains: grainsPerMarkPage, pages };
      const { bytes, crc } = encodeMapHead(head, where, ofFile);
      expectCorrupt(() => decodeMapHead(bytes, { page: 9, generation: 1, crc }, ofFile));
    }
  });
});

describe('a mark page', () => {
  it('keeps its marks behind its seal, and opens under its name only', () => {
    const marks = fc.uint8Array({ minLength: marksBytes, maxLength: marksBytes });
    fc.assert(
      fc.property(marks, place, salt, fc.nat(), (written, where, ofFile, bit) => {
        const { bytes, crc } = encodeMarkPage(written, where, ofFile);
        const name = { page: where.page, generation: where.generation, crc };
        expect(openMarkPage(bytes, name, ofFile)).toMatchObject({ stamp: where.stamp });
        expect(Buffer.compare(bytes.subarray(sealBytes), written)).toBe(0);
        expectCorrupt(() => openMarkPage(flipped(bytes, bit), name, ofFile));
        expectCorrupt(() => openMarkPage(bytes, { ...name, page: name.page + 1 }, ofFile));
        expectCorrupt(() => openMarkPage(bytes, { ...name, crc: crc + 1 }, ofFile));
      }),
      { numRuns: 40 },
    );
  });
});

describe('the pages of a map', () => {
  it('are its head twice, each mark page twice, then grains to the end, none shared', () => {
    fc.assert(
      fc.property(
        upTo(6 * grainsPerMarkPage).map((grains) => grains + 1),
        fc.integer({ min: grainExpMin, max: grainExpMax }),
        upTo(2 ** 40),
        (grains, grainExp, first) => {
          const pages = [mapHeadPage(first, 0), mapHeadPage(first, 1)];
          for (let ordinal = 0; ordinal < markPageCount(grains); ordinal++) {
            pages.push(markPagePage(first, ordinal, 0), markPagePage(first, ordinal, 1));
          }
          const overhead = mapOverheadPages(grains);
          expect(pages).toEqual(Array.from({ length: overhead }, (_, at) => first + at));
          const dataBytes = (mapPages(grains, grainExp) - overhead) * pageBytes;
          expect(dataBytes).toBeGreaterThanOrEqual(grains * 2 ** grainExp);
          expect(dataBytes - grains * 2 ** grainExp).toBeLessThan(pageBytes);
        },
      ),
    );
  });

  it('have one slot for even generations and one for odd', () => {
    expect(mapHeadPage(10, 6)).toBe(10);
    expect(mapHeadPage(10, 7)).toBe(11);
    expect(markPagePage(10, 0, 6)).toBe(12);
    expect(markPagePage(10, 3, 7)).toBe(19);
  });

  it('of the largest map are as many marks as one head can name', () => {
    expect(markPageCount(markPagesMax * grainsPerMarkPage)).toBe(markPagesMax);
    expect(markPageCount(1)).toBe(1);
    expect(markPageCount(grainsPerMarkPage + 1)).toBe(2);
  });
});
