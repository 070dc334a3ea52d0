/**
 * The pages of the file, against a plain set of pages: nothing is given out twice, what is free
 * adds up, neighbours are one stretch, and what is free is used before the file grows.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { pageBytes } from '../../../src/format/layout.ts';
import { PageRanges } from '../../../src/store/file/page-ranges.ts';
import { type Extent, Space } from '../../../src/store/file/space.ts';
import { growthBytes } from '../../../src/store/file/space-shares.ts';

const corrupt = expect.objectContaining({ code: 'VARVE_CORRUPT' });
const internal = expect.objectContaining({ code: 'VARVE_INTERNAL' });

/** Disjoint stretches with gaps between them, in any order. */
const disjoint = fc
  .array(fc.tuple(fc.nat(30), fc.integer({ min: 1, max: 40 }), fc.nat()), { maxLength: 20 })
  .map((steps) => {
    let page = 0;
    const extents = steps.map(([gap, pages, order]) => {
      const extent = { page: page + gap, pages, order };
      page = extent.page + pages;
      return extent;
    });
    return extents.sort((one, other) => one.order - other.order);
  });

const command = fc.oneof(
  fc.record({
    allocate: fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 300 })),
  }),
  fc.record({ free: fc.nat() }),
);

/** Holds the space against the extents in use. */
function expectAddsUp(space: Space, used: readonly Extent[]): void {
  const end = used.reduce((most, { page, pages }) => Math.max(most, page + pages), 0);
  expect(space.endPage).toBe(end);
  const owner = new Uint8Array(end);
  for (const { page, pages } of used) {
    expect(owner.subarray(page, page + pages).includes(1)).toBe(false);
    owner.fill(1, page, page + pages);
  }
  let free = 0;
  for (const { page, pages } of space.stretches()) {
    free += pages;
    // A stretch is free throughout, and what is beside it is in use: neighbours are one.
    expect(owner.subarray(page, page + pages).every((byte) => byte === 0)).toBe(true);
    expect(page === 0 || owner[page - 1] === 1).toBe(true);
    expect(owner[page + pages]).toBe(1);
  }
  expect(space.freePages).toBe(free);
  const usedPages = used.reduce((sum, { pages }) => sum + pages, 0);
  expect(free + usedPages).toBe(end);
}

function longestFree(space: Space): number {
  return Math.max(0, ...[...space.stretches()].map(({ pages }) => pages));
}

describe('space', () => {
  it('gives out no page twice, takes pages back as one, and adds up, after any history', () => {
    fc.assert(
      fc.property(disjoint, fc.array(command, { maxLength: 150 }), (first, commands) => {
        const space = new Space();
        space.rebuild(first, 0);
        const used: Extent[] = [...first];
        expectAddsUp(space, used);
        for (const one of commands) {
          if ('allocate' in one) {
            const pages = one.allocate;
            const before = { end: space.endPage, longest: longestFree(space) };
            const page = space.allocate(pages);
            used.push({ page, pages });
            // Twice as long as wanted is always of a higher class, and any of that will do.
            if (before.longest >= 2 * pages) expect(space.endPage).toBe(before.end);
            if (space.endPage > before.end) expect(page).toBe(before.end);
          } else if (used.length > 0) {
            const [gone] = used.splice(one.free % used.length, 1) as [Extent];
            space.free(gone.page, gone.pages);
          }
          expectAddsUp(space, used);
        }
        for (const { page, pages } of used) space.free(page, pages);
        expect([space.endPage, space.freePages, [...space.stretches()]]).toEqual([0, 0, []]);
      }),
      { numRuns: 60 },
    );
  });

  it('takes a stretch of just the length before the file grows, among a few of its class', () => {
    const space = new Space();
    const kept: number[] = [];
    for (let at = 0; at < 7; at++) {
      kept.push(space.allocate(16 + at));
      space.allocate(1);
    }
    for (const [at, page] of kept.entries()) space.free(page, 16 + at);
    const { endPage } = space;
    expect(space.allocate(22)).toBe(kept[6]);
    expect(space.allocate(16)).toBeLessThan(endPage);
    expect(space.endPage).toBe(endPage);
  });

  it('looks at a bounded number of stretches, however many are too short', () => {
    const space = new Space();
    const count = 2000;
    const pages = Array.from({ length: count }, () => {
      const page = space.allocate(17);
      space.allocate(1);
      return page;
    });
    for (const page of pages) space.free(page, 17);
    let looks = 0;
    const get = Map.prototype.get;
    Map.prototype.get = function counted(this: Map<unknown, unknown>, key: unknown) {
      looks += 1;
      return get.call(this, key);
    };
    try {
      for (let at = 0; at < 100; at++) space.allocate(30);
    } finally {
      Map.prototype.get = get;
    }
    expect(looks).toBeLessThan(100 * 20);
  });

  it('gathers free pages from few, long ranges before the file grows', () => {
    fc.assert(
      fc.property(
        disjoint,
        fc.integer({ min: 1, max: 200 }),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 6 }),
        (used, pages, least, most) => {
          const space = new Space();
          space.rebuild(used, 0);
          const before = { end: space.endPage, free: [...space.stretches()] };
          const whole = longestFree(space) >= pages;
          const parts = space.gather(pages, least, most);
          expect(parts.reduce((sum, part) => sum + part.pages, 0)).toBe(pages);
          expectAddsUp(space, [...used, ...parts]);
          expect(parts.length).toBeLessThanOrEqual(most);
          if (whole && before.free.length < 8) expect(parts.length).toBe(1);
          for (const part of parts.slice(0, -1)) expect(part.pages).toBeGreaterThanOrEqual(least);
          const useful = before.free.filter((free) => free.pages >= least);
          // It grows only for what the longest stretches, as many as may be, do not have.
          if (space.endPage > before.end && parts.length < most) {
            expect(useful.length).toBe(parts.length - 1);
          }
        },
      ),
    );
  });

  it('gives the number of pages available without growth, up to the wanted number', () => {
    const space = new Space();
    space.rebuild(
      [
        { page: 10, pages: 1 },
        { page: 31, pages: 1 },
      ],
      0,
    );
    expect(space.availableBacked(15, 5)).toBe(15);
    expect(space.availableBacked(25, 5)).toBe(20);
    expect(space.availableBacked(25, 20)).toBe(20);
    expect(space.availableBacked(25, 21)).toBe(undefined);
  });

  it('cannot be rebuilt from stretches that overlap: VARVE_CORRUPT, with the place', () => {
    fc.assert(
      fc.property(
        disjoint,
        fc.nat(),
        fc.nat(40),
        fc.integer({ min: 1, max: 40 }),
        (used, which, into, pages) => {
          fc.pre(used.length > 0);
          const victim = used[which % used.length] as Extent;
          const page = victim.page + (into % victim.pages);
          expect(() => new Space().rebuild([...used, { page, pages }], 0)).toThrow(corrupt);
        },
      ),
    );
  });

  it('is rebuilt once, and ignores stretches without pages', () => {
    const space = new Space();
    space.rebuild(
      [
        { page: 3, pages: 0 },
        { page: 4, pages: 2 },
        { page: 5, pages: 0 },
      ],
      4096 * 9 + 1,
    );
    expectAddsUp(space, [{ page: 4, pages: 2 }]);
    expect(space.frontierPage).toBe(10);
    expect(() => space.rebuild([], 0)).toThrow(internal);
  });

  it('takes no pages back that are free, or that it never had', () => {
    const space = new Space();
    space.rebuild(
      [
        { page: 0, pages: 2 },
        { page: 8, pages: 1 },
      ],
      0,
    );
    for (const [page, pages] of [
      [2, 6],
      [2, 1],
      [8, 2],
      [9, 1],
      [0, 0],
    ] as const) {
      expect(() => space.free(page, pages)).toThrow(internal);
    }
    for (const pages of [0, -1, 1.5]) expect(() => space.allocate(pages)).toThrow(internal);
    expectAddsUp(space, [
      { page: 0, pages: 2 },
      { page: 8, pages: 1 },
    ]);
  });

  it('knows how far the file was written, and wants some of it ahead', () => {
    const space = new Space();
    space.rebuild([{ page: 0, pages: 100 }], 4096 * 50);
    expect(space.frontierPage).toBe(50);
    space.reach(40);
    expect(space.frontierPage).toBe(50);
    space.reach(120);
    expect(space.frontierPage).toBe(120);
    expect(space.fillPage).toBe(100 + Math.ceil(growthBytes(100 * 4096) / 4096));
  });

  it('wants a thirty-second of the file ahead, and again when a quarter of that is left', () => {
    const space = new Space();
    space.rebuild([{ page: 0, pages: 1024 }], 4096 * 1024);
    expect(space.fillPage).toBe(1024 + 32);
    space.reach(1024 + 9);
    expect(space.isFilledAhead).toBe(true);
    space.allocateForValues(1);
    expect(space.isFilledAhead).toBe(false);
    space.allocateForValues(1023);
    expect(space.fillPage).toBe(2048 + 64);
  });
});

it('a file grows by 64 KiB at least, a sixteenth while small, a sixty-fourth when large', () => {
  const mebibyte = 1024 * 1024;
  expect(growthBytes(0)).toBe(64 * 1024);
  expect(growthBytes(8 * mebibyte)).toBe(mebibyte / 2);
  expect(growthBytes(32 * mebibyte)).toBe(mebibyte);
  expect(growthBytes(640 * mebibyte)).toBe(10 * mebibyte);
  expect(growthBytes(1024 ** 4)).toBe(32 * mebibyte);
  let last = 0;
  for (let bytes = 1; bytes < 1024 ** 5; bytes *= 1.3) {
    const growth = growthBytes(bytes);
    expect(growth).toBeGreaterThanOrEqual(last);
    last = growth;
  }
});

describe('the reserve', () => {
  it('is joined with an adjacent free range', () => {
    const space = new Space(() => 8);
    // Two free stretches of 5 and 4 pages, and the disk is full.
    space.rebuild(
      [
        { page: 5, pages: 1 },
        { page: 10, pages: 1 },
      ],
      11 * pageBytes,
    );
    space.refused(11, 20, true);
    space.keepReserve();
    expect(space.allocateForValues(4)).toBe(6);
    // The reserve is pages 0 to 4. Page 5 beside it becomes free, and what lies behind it.
    space.free(5, 1);
    space.free(6, 4);
    space.keepReserve();
    const rest = [...space.stretches()].sort((one, other) => one.page - other.page);
    expect(rest[0]).toEqual({ page: 0, pages: 10 });
    expect(space.freePages).toBe(10);
  });

  it('is made of written pages, also if unwritten ones are beside them', () => {
    const space = new Space((end) => Math.floor(end / 10));
    space.rebuild([{ page: 0, pages: 40 }], 45 * pageBytes);
    space.keepReserve();
    const behind = space.allocateForValues(20);
    space.allocateForValues(30);
    space.free(behind, 20);
    space.keepReserve();
    expect(space.freePages).toBe(20 + 5);
  });
});

it('a refused length within the file makes no hole', () => {
  const ranges = new PageRanges();
  ranges.add(5, 5);
  expect(ranges.empty).toBe(true);
});

it('nothing is written behind the end of a file that was cut', () => {
  const space = new Space(() => 0);
  space.rebuild([{ page: 0, pages: 10 }], 40 * pageBytes);
  space.cut(10);
  expect([space.endPage, space.frontierPage]).toEqual([10, 10]);
});
