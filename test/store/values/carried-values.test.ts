/**
 * Carried values laid over the file: against a model, a file of bytes that has them all, whatever is
 * added, freed and written to its grains in which order.
 *
 * That commits, openings and settles call it rightly is for `carried-commits.test.ts`.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { pageBytes } from '../../../src/format/layout.ts';
import { CarriedValues, type HomeWrite } from '../../../src/store/values/carried-values.ts';
import { patternOf } from '../../support/bytes.ts';

const grain = 32;
const grainCount = (3 * pageBytes) / grain;
const fileBytes = grainCount * grain;

type Step =
  | { readonly step: 'add'; readonly at: number; readonly count: number }
  | { readonly step: 'free'; readonly which: number }
  | { readonly step: 'settle'; readonly back: number; readonly count: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      step: fc.constant('add' as const),
      // Often beside another one, and across the end of a page.
      at: fc.oneof(
        fc.nat(grainCount - 1),
        fc.integer({ min: pageBytes / grain - 6, max: pageBytes / grain + 6 }),
      ),
      count: fc.oneof(fc.integer({ min: 1, max: 4 }), fc.constant(140)),
    }),
  },
  { weight: 2, arbitrary: fc.record({ step: fc.constant('free' as const), which: fc.nat(50) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      step: fc.constant('settle' as const),
      back: fc.nat(4),
      count: fc.integer({ min: 0, max: 5 }),
    }),
  },
);

interface Known {
  readonly offset: number;
  readonly batch: number;
  readonly bytes: Uint8Array;
}

/** A file, and what readers should see of it. */
class Model {
  readonly carried = new CarriedValues();
  readonly file = new Uint8Array(fileBytes).fill(0xee);
  readonly seen = this.file.slice();
  readonly known = new Map<number, Known>();
  batch = 0;

  take(asked: Step): void {
    if (asked.step === 'add') this.#add(asked.at * grain, asked.count * grain);
    else if (asked.step === 'free') this.#free(asked.which);
    else this.#settle(this.batch - asked.back, asked.count);
    expect(this.carried.size).toBe(this.known.size);
  }

  #add(offset: number, length: number): void {
    if (offset + length > fileBytes) return;
    const isTaken = (one: Known): boolean =>
      one.offset < offset + length && one.offset + one.bytes.length > offset;
    if ([...this.known.values()].some(isTaken)) return;
    this.batch += 1;
    const bytes = patternOf(length, this.batch);
    this.carried.add(this.batch, offset, bytes);
    this.known.set(offset, { offset, batch: this.batch, bytes: bytes.slice() });
    this.seen.set(bytes, offset);
    // They are copied.
    bytes.fill(0);
  }

  #free(which: number): void {
    const one = [...this.known.values()][which];
    if (one === undefined) {
      this.carried.remove(which * grain + 1);
      return;
    }
    this.carried.remove(one.offset);
    this.known.delete(one.offset);
    // What the grains of a freed value hold means nothing: they show what the file has.
    const { offset, bytes } = one;
    this.seen.set(this.file.subarray(offset, offset + bytes.length), offset);
  }

  #settle(base: number, count: number): void {
    const due = [...this.known.values()].filter(({ batch }) => batch <= base);
    expect(this.carried.hasUpTo(base)).toBe(due.length > 0);
    const writes = this.carried.writesUpTo(base, count);
    expect(writes.length).toBeLessThanOrEqual(count);
    if (count > 0) expect(writes.length > 0).toBe(due.length > 0);
    this.#expectApart(writes, due);
    for (const write of writes) {
      let at = write.offset;
      for (const chunk of write.chunks) {
        this.file.set(chunk, at);
        at += chunk.length;
      }
      this.carried.wentHome(write);
      for (const { offset } of write.values) this.known.delete(offset);
    }
    if (writes.length < count) expect(this.carried.hasUpTo(base)).toBe(false);
  }

  /** Values that adjoin go in one write; none goes that is not due. */
  #expectApart(writes: readonly HomeWrite[], due: readonly Known[]): void {
    const offsets = new Set(due.map(({ offset }) => offset));
    let end = -1;
    for (const { offset, values } of writes) {
      expect(offset).toBeGreaterThan(end);
      end = offset;
      for (const value of values) {
        expect(value.offset).toBe(end);
        expect(offsets.has(value.offset)).toBe(true);
        end += value.length;
      }
    }
  }

  expectSeen(offset: number, length: number): void {
    const target = this.file.slice(offset, offset + length);
    this.carried.overlay(target, offset);
    expect(target).toEqual(this.seen.slice(offset, offset + length));
    const within = new Set(this.carried.within(offset, length));
    for (const one of this.known.values()) {
      const meets = one.offset < offset + length && one.offset + one.bytes.length > offset;
      if (!meets || length === 0) continue;
      expect([...within].some((value) => value.offset === one.offset)).toBe(true);
    }
  }
}

describe('carried values', () => {
  it('are seen over the file, until they are freed or in their grains', () => {
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 60 }),
        fc.array(fc.tuple(fc.nat(fileBytes), fc.nat(2 * pageBytes)), { maxLength: 6 }),
        (steps, ranges) => {
          const model = new Model();
          for (const one of steps) model.take(one);
          model.expectSeen(0, fileBytes);
          for (const [offset, length] of ranges) {
            model.expectSeen(offset, Math.min(length, fileBytes - offset));
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('have the bytes of one value for each byte of its range, across the end of a page', () => {
    const carried = new CarriedValues();
    const bytes = patternOf(96);
    carried.add(1, pageBytes - 32, bytes);
    for (let offset = pageBytes - 40; offset < pageBytes + 70; offset++) {
      const target = new Uint8Array(1);
      carried.overlay(target, offset);
      expect(target[0]).toBe(bytes[offset - (pageBytes - 32)] ?? 0);
    }
    expect(carried.within(pageBytes - 32, 0)).toEqual([]);
  });

  it('are not taken in twice at one place', () => {
    const carried = new CarriedValues();
    carried.add(1, 64, new Uint8Array(32));
    expect(() => carried.add(2, 64, new Uint8Array(32))).toThrow();
    carried.remove(64);
    carried.add(2, 64, new Uint8Array(32));
    expect(carried.size).toBe(1);
  });

  it('that are larger than the memory that is taken at once have memory of their own', () => {
    const carried = new CarriedValues();
    const large = patternOf(40_000);
    carried.add(1, 0, large);
    carried.add(1, 40_000, patternOf(32, 7));
    const target = new Uint8Array(40_032);
    carried.overlay(target, 0);
    expect(target.subarray(0, 40_000)).toEqual(large);
    expect(target.subarray(40_000)).toEqual(patternOf(32, 7));
  });

  it('of later batches stay away from their grains', () => {
    const carried = new CarriedValues();
    carried.add(4, 32, patternOf(32, 4));
    carried.add(5, 64, patternOf(32, 5));
    const writes = carried.writesUpTo(4, 10);
    expect(writes.map(({ offset, values }) => [offset, values.length])).toEqual([[32, 1]]);
    for (const write of writes) carried.wentHome(write);
    expect([carried.hasUpTo(4), carried.hasUpTo(5)]).toEqual([false, true]);
  });
});
