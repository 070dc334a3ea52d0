/**
 * The pages of the file on a disk that refuses, against a plain list of what is in use: whatever is
 * taken, given back, kept in reserve, written or refused, no page is given out twice, none is lost,
 * and the number of free pages is right.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { pageBytes } from '../../../src/format/layout.ts';
import { PageRanges } from '../../../src/store/file/page-ranges.ts';
import { type Extent, Space } from '../../../src/store/file/space.ts';

const pageCount = fc.integer({ min: 1, max: 30 });
const command = fc.oneof(
  fc.record({ kind: fc.constant('own' as const), pages: pageCount, keep: fc.nat(12) }),
  fc.record({ kind: fc.constant('values' as const), pages: pageCount, grow: fc.boolean() }),
  fc.record({ kind: fc.constant('gather' as const), pages: pageCount, grow: fc.boolean() }),
  fc.record({ kind: fc.constant('free' as const), which: fc.nat() }),
  fc.record({ kind: fc.constant('write' as const), which: fc.nat() }),
  fc.record({ kind: fc.constant('refuse' as const), which: fc.nat() }),
  fc.record({ kind: fc.constant('refuse-end' as const), pages: pageCount }),
  fc.record({ kind: fc.constant('grow' as const), pages: fc.integer({ min: 1, max: 200 }) }),
  fc.record({ kind: fc.constant('reserve' as const) }),
  fc.record({ kind: fc.constant('release' as const) }),
);

type Command = typeof command extends fc.Arbitrary<infer Value> ? Value : never;

class Model {
  readonly space = new Space((endPage) => Math.ceil(endPage / 10));
  readonly used: Extent[] = [];

  run(one: Command): void {
    const { space, used } = this;
    if (one.kind === 'own') this.#take(space.allocate(one.pages, one.keep), one.pages);
    else if (one.kind === 'values') {
      this.#take(space.allocateForValues(one.pages, one.grow), one.pages);
    } else if (one.kind === 'gather') {
      const parts = space.gather(one.pages, 2, 4, one.grow) ?? [];
      used.push(...parts);
      if (parts.length > 0) expect(pagesOf(parts)).toBe(one.pages);
    } else if (one.kind === 'refuse-end') {
      space.refused(space.backedPage, space.backedPage + one.pages, true);
      expect(space.tight).toBe(true);
    } else if (one.kind === 'grow') {
      const from = space.backedPage;
      space.reach(from + one.pages);
      space.written(from, from + one.pages);
    } else if (one.kind === 'reserve') space.keepReserve();
    else if (one.kind === 'release') space.releaseReserve();
    else if (used.length > 0) this.#change(one.kind, one.which % used.length);
  }

  #take(page: number | undefined, pages: number): void {
    if (page !== undefined) this.used.push({ page, pages });
  }

  #change(kind: 'free' | 'write' | 'refuse', at: number): void {
    const { page, pages } = this.used[at] as Extent;
    const end = page + pages;
    if (kind === 'free') {
      this.used.splice(at, 1);
      this.space.free(page, pages);
    } else if (kind === 'write') {
      this.space.written(page, end);
      expect(this.space.wallPage >= end).toBe(true);
    } else {
      this.space.refused(page, end, true);
      expect(this.space.doubts(page * pageBytes, pages * pageBytes)).toBe(true);
    }
  }

  expectAddsUp(): void {
    const { space, used } = this;
    const owners = new Uint8Array(space.endPage);
    const free = [...space.stretches()];
    for (const { page, pages } of [...used, ...free]) {
      expect(page + pages).toBeLessThanOrEqual(space.endPage);
      for (let at = page; at < page + pages; at++) owners[at] = (owners[at] as number) + 1;
    }
    expect(owners.every((count) => count === 1)).toBe(true);
    expect(space.freePages).toBe(pagesOf(free));
  }
}

function pagesOf(extents: readonly Extent[]): number {
  return extents.reduce((sum, { pages }) => sum + pages, 0);
}

describe('space on a full disk', () => {
  it('gives out no page twice and loses none, whichever calls the disk refuses', () => {
    fc.assert(
      fc.property(fc.nat(60), fc.array(command, { maxLength: 120 }), (written, commands) => {
        const model = new Model();
        model.space.rebuild([], written * pageBytes);
        model.space.doubtGrowth();
        for (const one of commands) {
          model.run(one);
          model.expectAddsUp();
        }
        for (const { page, pages } of model.used.splice(0)) model.space.free(page, pages);
        model.expectAddsUp();
      }),
      { numRuns: 300 },
    );
  });

  it('gives out no page that was refused until the file has grown again', () => {
    const space = new Space();
    space.rebuild([], 40 * pageBytes);
    space.doubtGrowth();
    const page = space.allocate(10);
    const behind = space.allocate(1);
    space.refused(page + 3, page + 5, true);
    space.free(page, 10);
    expect(space.freePages).toBe(10);
    expect([space.allocateForValues(5), space.allocateForValues(3)]).toEqual([5, 0]);
    expect(space.allocateForValues(2)).toBe(behind + 1);
    space.written(40, 200);
    expect(space.tight).toBe(false);
    expect(space.allocateForValues(2)).toBe(3);
  });

  it('gives out no free page that a write behind the end has skipped', () => {
    const space = new Space();
    space.rebuild(
      [
        { page: 0, pages: 2 },
        { page: 10, pages: 2 },
        { page: 16, pages: 1 },
      ],
      4 * pageBytes,
    );
    space.refused(10, 12, true);
    space.written(10, 12);
    expect([space.tight, space.freePages]).toEqual([true, 12]);
    // Pages 2 and 3 have been written. Pages 4 to 9 have no blocks: they are neither given out nor
    // taken for the reserve.
    expect(space.allocateForValues(3, false)).toBe(undefined);
    expect(space.allocateForValues(2, false)).toBe(2);
    space.written(12, 120);
    expect([space.tight, space.freePages]).toEqual([false, 10]);
    expect(space.allocateForValues(6, false)).toBe(4);
  });

  it('ignores other errors within the file', () => {
    const space = new Space();
    space.rebuild([{ page: 0, pages: 8 }], 8 * pageBytes);
    space.refused(2, 3, false);
    expect([space.tight, space.doubts(2 * pageBytes, 1)]).toEqual([false, false]);
  });

  it('leaves the reserve alone while the file may grow', () => {
    const space = new Space(() => 8);
    space.rebuild([{ page: 0, pages: 4 }], 12 * pageBytes);
    space.doubtGrowth();
    space.keepReserve();
    expect(space.allocate(4)).toBe(12);
    space.refused(12, 16, true);
    space.free(12, 4);
    expect(space.allocate(4)).toBe(4);
    // No more than leaves what is to be kept.
    expect(space.allocate(2, 3)).toBe(12);
    expect(space.allocate(2, 2)).toBe(8);
  });
});

it('ranges of pages are a set of pages, whatever is added and removed', () => {
  const change = fc.record({
    adds: fc.boolean(),
    page: fc.nat(40),
    pages: fc.integer({ min: 1, max: 9 }),
  });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
      const ranges = new PageRanges();
      const pages = new Set<number>();
      for (const { adds, page, pages: count } of changes) {
        if (adds) ranges.add(page, page + count);
        else ranges.remove(page, page + count);
        for (let at = page; at < page + count; at++) {
          if (adds) pages.add(at);
          else pages.delete(at);
        }
        expect(ranges.pages).toBe(pages.size);
        for (let at = 0; at < 50; at++) expect(ranges.overlaps(at, at + 1)).toBe(pages.has(at));
        let end = 0;
        for (const part of ranges.split(0, 60)) {
          expect(part.page).toBe(end);
          for (let at = part.page; at < part.endPage; at++) {
            expect(pages.has(at)).toBe(part.isWithin);
          }
          end = part.endPage;
        }
        expect(end).toBe(60);
      }
      expect(pagesOf(ranges.takeAll())).toBe(pages.size);
      expect(ranges.empty).toBe(true);
    }),
  );
});
