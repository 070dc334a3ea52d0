/**
 * Runs of bits: every function held against the same thing said with an array of booleans.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  clearRun,
  type FreeRun,
  findFreeRun,
  isClear,
  nextClear,
  nextSet,
  runStart,
  setRun,
} from '../../../src/store/marks/bit-runs.ts';

const bitCount = 200;
const at = fc.nat(bitCount - 1);

/** Bits in runs of many lengths: random words would hardly have a long one. */
const bits = fc
  .array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 70 })), { maxLength: 30 })
  .map((runs) => {
    const flags = runs.flatMap(([set, length]) => Array.from({ length }, () => set));
    while (flags.length < bitCount) flags.push(flags.length % 3 === 0);
    return flags.slice(0, bitCount);
  });

function wordsOf(flags: readonly boolean[]): Uint32Array {
  const words = new Uint32Array(Math.ceil(bitCount / 32));
  for (const [index, set] of flags.entries()) if (set) setRun(words, index, 1);
  return words;
}

function flagsOf(words: Uint32Array): boolean[] {
  return Array.from({ length: bitCount }, (_, index) => !isClear(words, index, 1));
}

function next(flags: readonly boolean[], wanted: boolean, from: number, limit: number): number {
  let index = from;
  while (index < limit && flags[index] !== wanted) index += 1;
  return index;
}

describe('a run of bits', () => {
  it('is set and cleared, and no other bit changes', () => {
    fc.assert(
      fc.property(bits, at, fc.nat(bitCount), fc.boolean(), (flags, from, length, set) => {
        const count = Math.min(length, bitCount - from);
        const words = wordsOf(flags);
        if (set) setRun(words, from, count);
        else clearRun(words, from, count);
        const expected = flags.map((flag, index) =>
          index >= from && index < from + count ? set : flag,
        );
        expect(flagsOf(words)).toEqual(expected);
      }),
    );
  });

  it('of one bit, and of 31, 32 and 33 at every place, sets exactly those', () => {
    for (const count of [1, 31, 32, 33, 64, 65]) {
      for (let from = 0; from + count <= bitCount; from++) {
        const words = new Uint32Array(Math.ceil(bitCount / 32));
        setRun(words, from, count);
        expect(nextSet(words, 0, bitCount)).toBe(from);
        expect(nextClear(words, from, bitCount)).toBe(from + count);
        expect(isClear(words, 0, from)).toBe(true);
        clearRun(words, from, count);
        expect(words.every((word) => word === 0)).toBe(true);
      }
    }
  });
});

describe('a search', () => {
  it('finds the next bit that is set, and the next that is not', () => {
    fc.assert(
      fc.property(bits, at, at, (flags, from, limit) => {
        const words = wordsOf(flags);
        const end = Math.max(limit, from);
        expect(nextSet(words, from, end)).toBe(next(flags, true, from, end));
        expect(nextClear(words, from, end)).toBe(next(flags, false, from, end));
      }),
    );
  });

  it('tells whether a run is clear', () => {
    fc.assert(
      fc.property(bits, at, fc.nat(80), (flags, from, length) => {
        const count = Math.min(length, bitCount - from);
        const clear = !flags.slice(from, from + count).includes(true);
        expect(isClear(wordsOf(flags), from, count)).toBe(clear);
      }),
    );
  });

  it('finds the first free run that is long enough, whole, or the length of the longest', () => {
    const range = fc.tuple(at, at).map(([one, other]) => ({
      from: Math.min(one, other),
      limit: Math.max(one, other),
    }));
    fc.assert(
      fc.property(bits, range, fc.integer({ min: 1, max: 90 }), (flags, { from, limit }, want) => {
        const found: FreeRun = { start: -1, end: -1, longest: -1 };
        const is = findFreeRun(wordsOf(flags), { from, limit }, want, found);
        let longest = 0;
        let expected: { start: number; end: number } | undefined;
        for (let start = from; start < limit; ) {
          const end = next(flags, true, start, limit);
          longest = Math.max(longest, end - start);
          if (end - start >= want) {
            expected = { start, end };
            break;
          }
          start = Math.max(end + 1, start + 1);
        }
        expect(is).toBe(expected !== undefined);
        expect(found.longest).toBe(longest);
        if (expected !== undefined) expect(found).toMatchObject(expected);
      }),
    );
  });

  it('finds the start of the free run before a bit, up to its limit', () => {
    const reach = fc.integer({ min: 1, max: 100 });
    fc.assert(
      fc.property(bits, at, reach, (flags, where, back) => {
        let start = where;
        while (start > Math.max(0, where - back) && !flags[start - 1]) start -= 1;
        expect(runStart(wordsOf(flags), where, back)).toBe(start);
      }),
    );
  });
});
