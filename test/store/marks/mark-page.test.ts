/**
 * One mark page against an array of marks: what is committed, taken, counted and measured, and
 * which marks no history leaves behind.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  grainsPerMarkPage,
  markArchived,
  markContinues,
  markFree,
  marksBytes,
  markValue,
} from '../../../src/format/layout.ts';
import { runLengthMax } from '../../../src/store/marks/length-buckets.ts';
import { MarkPage, unwrittenPage } from '../../../src/store/marks/mark-page.ts';

function pageOf(grains: number, marks?: Uint8Array): MarkPage {
  const page = new MarkPage({ ordinal: 0, firstIndex: 100, grains }, unwrittenPage);
  page.load(marks, 3);
  return page;
}

function marksOf(marks: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(marksBytes);
  for (const [at, mark] of marks.entries()) {
    bytes[at >>> 2] = (bytes[at >>> 2] as number) | (mark << ((at & 3) * 2));
  }
  return bytes;
}

/** Values and gaps from the start of a page on. */
const history = fc.array(
  fc.record({
    gap: fc.integer({ min: 0, max: 300 }),
    count: fc.integer({ min: 1, max: 255 }),
    becomes: fc.constantFrom('value', 'archived', 'free'),
  }),
  { maxLength: 60 },
);
const pageGrains = fc.oneof(fc.integer({ min: 1, max: 3000 }), fc.constant(grainsPerMarkPage));

describe('a mark page', () => {
  it('holds every value as it was committed, archived and cleared', () => {
    fc.assert(
      fc.property(pageGrains, history, (grains, steps) => {
        const page = pageOf(grains);
        const marks = Array.from({ length: grains }, () => markFree);
        let at = 0;
        for (const { gap, count, becomes } of steps) {
          at += gap;
          if (at + count > grains) break;
          expect(page.apply('allocate', at, count)).toBe(true);
          marks.fill(markContinues, at, at + count).fill(markValue, at, at + 1);
          if (becomes !== 'value') {
            expect(page.apply('archive', at, count)).toBe(true);
            marks[at] = markArchived;
          }
          if (becomes === 'free') {
            expect(page.apply('free', at, count)).toBe(true);
            marks.fill(markFree, at, at + count);
          }
          at += count;
        }
        page.check(0);
        expect(Array.from({ length: grains }, (_, grain) => page.mark(grain))).toEqual(marks);
        // As a page that is read again finds it.
        const again = pageOf(grains, page.marks);
        let free = 0;
        let longest = 0;
        let run = 0;
        for (const [grain, mark] of marks.entries()) {
          run = mark === markFree ? run + 1 : 0;
          free += mark === markFree ? 1 : 0;
          longest = Math.max(longest, run);
          if (again.isTaken(grain) !== (mark !== markFree)) expect(grain).toBe('free as marked');
          if (mark >= markValue) {
            let end = grain + 1;
            while (marks[end] === markContinues) end += 1;
            expect(page.countAt(grain)).toBe(end - grain);
          } else if (page.countAt(grain) !== 0) expect(grain).toBe('inside no value');
        }
        expect(page.measure()).toEqual({ free, longestFree: Math.min(longest, runLengthMax) });
      }),
      { numRuns: 60 },
    );
  });

  it('takes nothing for free that lies behind its last grain', () => {
    for (const grains of [1, 31, 32, 33, grainsPerMarkPage - 1, grainsPerMarkPage]) {
      const page = pageOf(grains);
      expect(page.isTaken(grains - 1)).toBe(false);
      const behind = page.taken.length * 32;
      for (let at = grains; at < behind; at++) {
        if (!page.isTaken(at)) expect(`grain ${at} of ${grains}`).toBe('taken');
      }
      expect(page.measure()).toEqual({ free: grains, longestFree: Math.min(grains, 256) });
    }
  });

  it('refuses a change that its marks contradict, and stays as it was', () => {
    const values = [
      { at: 3, count: 9, archived: false },
      { at: 12, count: 1, archived: true },
      { at: 20, count: 12, archived: true },
      { at: 40, count: 255, archived: false },
      { at: 299, count: 1, archived: true },
    ];
    const marks = Array.from({ length: 300 }, () => markFree);
    for (const { at, count, archived } of values) {
      marks
        .fill(markContinues, at, at + count)
        .fill(archived ? markArchived : markValue, at, at + 1);
    }
    const wish = fc.record({
      change: fc.constantFrom('allocate' as const, 'archive' as const, 'free' as const),
      at: fc.oneof(fc.constantFrom(...values.map(({ at }) => at)), fc.nat(299)),
      count: fc.oneof(fc.constantFrom(1, 9, 12, 255), fc.integer({ min: 1, max: 255 })),
    });
    fc.assert(
      fc.property(wish, ({ change, at, count }) => {
        fc.pre(at + count <= 300);
        const page = pageOf(300, marksOf(marks));
        const before = page.marks.slice();
        const value = values.find((one) => one.at === at && one.count === count);
        const isFree = marks.slice(at, at + count).every((mark) => mark === markFree);
        const fits =
          change === 'allocate'
            ? isFree
            : value !== undefined && value.archived === (change === 'free');
        expect(page.apply(change, at, count)).toBe(fits);
        if (!fits) expect(Buffer.compare(page.marks, before)).toBe(0);
      }),
      { numRuns: 500 },
    );
  });

  it('changes nothing behind its last grain', () => {
    const internal = expect.objectContaining({ code: 'VARVE_INTERNAL' });
    expect(() => pageOf(10).apply('allocate', 8, 3)).toThrow(internal);
    expect(() => pageOf(10).apply('allocate', 8, 0)).toThrow(internal);
  });

  it('is written to the slot that is not named, or over the damage that was healed', () => {
    const internal = expect.objectContaining({ code: 'VARVE_INTERNAL' });
    const page = pageOf(10);
    expect(page.nextGeneration).toBe(1);
    page.sealedAs({ generation: 1, crc: 5 }, 4);
    expect(page.name).toEqual({ generation: 1, crc: 5, free: 10, longestFree: 10 });
    expect(() => page.sealedAs({ generation: 3, crc: 5 }, 4)).toThrow(internal);
    expect(() => page.sealedAs({ generation: 2, crc: 5 }, 3)).toThrow(internal);
    page.healed();
    expect(page.nextGeneration).toBe(3);
    page.sealedAs({ generation: 3, crc: 6 }, 4);
    expect(page.nextGeneration).toBe(4);
  });

  it('is loaded once, with its own marks, and has none before', () => {
    const place = { ordinal: 0, firstIndex: 0, grains: 10 };
    const page = new MarkPage(place, unwrittenPage);
    const internal = expect.objectContaining({ code: 'VARVE_INTERNAL' });
    expect(page.loaded).toBe(false);
    expect(() => page.mark(0)).toThrow(internal);
    expect(() => page.isTaken(0)).toThrow(internal);
    const marks = marksOf([markValue]);
    page.load(marks, 7);
    expect(page.stamp).toBe(7);
    marks.fill(0);
    expect(page.mark(0)).toBe(markValue);
    expect(() => page.load(undefined, 8)).toThrow(internal);
  });

  it.each([
    ['a value that goes on at the start', [markContinues]],
    ['a value that goes on after nothing', [markValue, markFree, markContinues]],
    ['a mark behind the last grain', [...Array.from({ length: 10 }, () => markFree), markValue]],
  ])('refuses %s as VARVE_CORRUPT', (_, marks) => {
    expect(() => pageOf(10, marksOf(marks)).check(40_960)).toThrow(
      expect.objectContaining({ code: 'VARVE_CORRUPT', offset: 40_960 }),
    );
  });

  it('refuses exactly those marks that no values have', () => {
    const marks = fc.array(fc.constantFrom(markFree, markContinues, markValue, markArchived), {
      maxLength: 14,
    });
    const where = fc.tuple(fc.nat(300), fc.integer({ min: -6, max: 6 }));
    fc.assert(
      fc.property(marks, where, (written, [gap, beyond]) => {
        const grains = Math.max(1, gap + written.length + beyond);
        const all = [...Array.from({ length: gap }, () => markFree), ...written];
        const impossible = all.some((mark, at) => {
          const headless = mark === markContinues && (all[at - 1] ?? markFree) === markFree;
          return headless || (mark !== markFree && at >= grains);
        });
        let refused = false;
        try {
          pageOf(grains, marksOf(all)).check(0);
        } catch {
          refused = true;
        }
        expect(refused).toBe(impossible);
      }),
      { numRuns: 500 },
    );
  });

  it('accepts a full page and an empty one', () => {
    const full = Array.from({ length: grainsPerMarkPage }, (_, at) => (at % 5 === 0 ? 2 : 1));
    pageOf(grainsPerMarkPage, marksOf(full)).check(0);
    pageOf(10).check(0);
  });
});
