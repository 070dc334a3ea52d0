/**
 * Grain maps on disk: heads and mark pages come back as written, under their names only, the pages
 * of a map do not overlap, and its extents are all of its pages.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeMapHead,
  encodeMapHead,
  encodeMarkPage,
  hasHead,
  isOwnedBy,
  mapExtents,
  mapHeadPage,
  mapOverheadPages,
  mapPages,
  markPageCount,
  markPagePage,
  openMarkPage,
  ownerOf,
  type PagePlace,
  placementIsSound,
  readFurtherExtents,
  writeFurtherExtents,
} from '../../src/format/grain-map.ts';
import {
  basinsMax,
  furtherExtentsMax,
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
import { ByteReader, ByteWriter } from '../../src/util/cursor.ts';
import { setU32 } from '../../src/util/little-endian.ts';
import {
  expectCorrupt,
  expectSoundOrCorrupt,
  flipped,
  mapHead,
  mapOwner,
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
          setU32(bytes, sealBytes + 8, grains);
          const seal = { kind: kindMap, generation: 1, length: pageBytes, stamp: 0, page: 3 };
          const crc = sealBytesOf(bytes, seal, ofFile);
          expectSoundOrCorrupt(() => decodeMapHead(bytes, { page: 3, generation: 1, crc }, ofFile));
        },
      ),
    );
  });

  it('has exactly the mark pages that its grains need', () => {
    const ofFile = new Uint8Array(8);
    const page = { generation: 1, crc: 2, free: 3, longestFree: 3 };
    const where = { page: 9, generation: 1, stamp: 0 };
    const owner = { basin: 0, stratum: 0, firstIndex: 0, grains: grainsPerMarkPage, grainExp: 5 };
    for (const pages of [[], [page, page]]) {
      const head = { owner, pages };
      const { bytes, crc } = encodeMapHead(head, where, ofFile);
      expectCorrupt(() => decodeMapHead(bytes, { page: 9, generation: 1, crc }, ofFile));
    }
  });
});

describe('a mark page', () => {
  it('keeps its marks behind its seal, and opens under its name only', () => {
    const content = fc.record({
      owner: mapOwner,
      ordinal: upTo(markPagesMax),
      marks: fc.uint8Array({ minLength: marksBytes, maxLength: marksBytes }),
    });
    fc.assert(
      fc.property(content, place, salt, fc.nat(), (written, where, ofFile, bit) => {
        const { owner, ordinal, marks } = written;
        const { bytes, crc } = encodeMarkPage(written, where, ofFile);
        const name = { page: where.page, generation: where.generation, crc };
        const found = openMarkPage(bytes, name, ofFile);
        expect(found.stamp).toBe(where.stamp);
        expect(Buffer.compare(found.marks, marks)).toBe(0);
        expect(ownerOf(bytes, where.page)).toEqual({ owner, part: ordinal });
        expect(isOwnedBy(bytes, owner, ordinal)).toBe(true);
        expect(isOwnedBy(bytes, owner, ordinal ^ 1)).toBe(false);
        const basin = (owner.basin + 1) % basinsMax;
        expect(isOwnedBy(bytes, { ...owner, basin }, ordinal)).toBe(false);
        expectCorrupt(() => openMarkPage(flipped(bytes, bit), name, ofFile));
        expectCorrupt(() => openMarkPage(bytes, { ...name, page: name.page + 1 }, ofFile));
        expectCorrupt(() => openMarkPage(bytes, { ...name, crc: crc + 1 }, ofFile));
      }),
      { numRuns: 40 },
    );
  });
});

const grainCounts = fc
  .oneof(upTo(6 * grainsPerMarkPage), upTo(grainsPerMarkPage), upTo(40 * 128))
  .map((grains) => grains + 1);
const grainExps = fc.integer({ min: grainExpMin, max: grainExpMax });

describe('the pages of a map', () => {
  it('are two slots of its head if it has one, two of each mark page, then grains', () => {
    fc.assert(
      fc.property(grainCounts, grainExps, upTo(2 ** 40), (grains, grainExp, page) => {
        const pages = hasHead(grains) ? [mapHeadPage(page, 0), mapHeadPage(page, 1)] : [];
        for (let ordinal = 0; ordinal < markPageCount(grains); ordinal++) {
          const slots = [0, 1].map((slot) => markPagePage({ page, grains }, ordinal, slot));
          pages.push(...slots);
        }
        const overhead = mapOverheadPages(grains);
        expect(pages).toEqual(Array.from({ length: overhead }, (_, at) => page + at));
        const dataBytes = (mapPages(grains, grainExp) - overhead) * pageBytes;
        expect(dataBytes).toBeGreaterThanOrEqual(grains * 2 ** grainExp);
        expect(dataBytes - grains * 2 ** grainExp).toBeLessThan(pageBytes);
      }),
    );
  });

  it('have a head only if there is more than one mark page', () => {
    for (const grains of [1, 2048, grainsPerMarkPage]) {
      expect([hasHead(grains), mapOverheadPages(grains)]).toEqual([false, 2]);
    }
    for (const grains of [grainsPerMarkPage + 1, 2 * grainsPerMarkPage]) {
      expect([hasHead(grains), mapOverheadPages(grains)]).toEqual([true, 6]);
    }
  });

  it('have one slot for even generations and one for odd', () => {
    expect(mapHeadPage(10, 6)).toBe(10);
    expect(mapHeadPage(10, 7)).toBe(11);
    const headed = { page: 10, grains: 4 * grainsPerMarkPage };
    expect(markPagePage(headed, 0, 6)).toBe(12);
    expect(markPagePage(headed, 3, 7)).toBe(19);
    const single = { page: 10, grains: grainsPerMarkPage };
    expect(markPagePage(single, 0, 6)).toBe(10);
    expect(markPagePage(single, 0, 7)).toBe(11);
  });

  it('of the largest map include as many mark pages as one head can name', () => {
    expect(markPageCount(markPagesMax * grainsPerMarkPage)).toBe(markPagesMax);
    expect(markPageCount(1)).toBe(1);
    expect(markPageCount(grainsPerMarkPage + 1)).toBe(2);
  });
});

describe('the extents of a map', () => {
  const further = fc.array(fc.record({ page: u48, pages: upTo(40) }), {
    maxLength: furtherExtentsMax,
  });

  it('have all pages of the map; the first extent has those that the others leave', () => {
    fc.assert(
      fc.property(grainCounts, grainExps, further, (grains, grainExp, others) => {
        const map = { grains, page: 7, further: others };
        const [first, ...rest] = mapExtents(map, grainExp);
        expect(first?.page).toBe(7);
        expect(rest).toEqual(others);
        const pages = others.reduce((sum, extent) => sum + extent.pages, first?.pages ?? 0);
        expect(pages).toBe(mapPages(grains, grainExp));
      }),
    );
  });

  it('are sound if the first has a page of grains and none is empty', () => {
    fc.assert(
      fc.property(grainCounts, fc.constantFrom(5, 7, 12), further, (grains, grainExp, others) => {
        let grainPages = Math.ceil((grains * 2 ** grainExp) / pageBytes);
        for (const { pages } of others) grainPages -= pages;
        const sound = grainPages >= 1 && others.every(({ pages }) => pages >= 1);
        expect(placementIsSound({ grains, page: 7, further: others }, grainExp)).toBe(sound);
      }),
      { numRuns: 500 },
    );
  });

  it('decode as they were encoded, 10 bytes each, or are VARVE_CORRUPT if too many', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ page: u48, pages: u32 }), { maxLength: furtherExtentsMax + 3 }),
        (extents) => {
          const writer = new ByteWriter();
          writeFurtherExtents(writer, extents);
          expect(writer.length).toBe(10 * extents.length);
          const reader = new ByteReader(writer.view(), 'extents');
          const read = () => readFurtherExtents(reader, extents.length);
          if (extents.length > furtherExtentsMax) expectCorrupt(read);
          else expect(read()).toEqual(extents);
        },
      ),
    );
  });
});
