/**
 * Stored values: how many grains of which size, with how little padding, and what their CRC covers.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GrainId } from '../../src/format/grain-id.ts';
import {
  grainExpMax,
  grainExpMin,
  grainExpStep,
  grainsPerValueMax,
  valueBytesMax,
  valuePrefixBytes,
} from '../../src/format/layout.ts';
import {
  encodeValuePrefix,
  grainCount,
  grainExpFor,
  grainExpSuits,
  valueCrc,
  valueCrcStart,
} from '../../src/format/value.ts';
import { crc32 } from '../../src/util/crc.ts';
import { getU32 } from '../../src/util/little-endian.ts';
import { upTo } from './arbitraries.ts';

/** What is wrong with the grains chosen for a value of this length; nothing, it is hoped. */
function wrongWith(length: number, grainExp: number): string | undefined {
  const count = grainCount(length, grainExp);
  const padding = count * 2 ** grainExp - valuePrefixBytes - length;
  if (grainExp < grainExpMin || grainExp > grainExpMax) return `${length}: 2^${grainExp}`;
  if ((grainExp - grainExpMin) % grainExpStep !== 0) return `${length}: 2^${grainExp}`;
  if (count < 1 || count > grainsPerValueMax) return `${length}: ${count} grains`;
  if (padding < 0 || padding >= 2 ** grainExp) return `${length}: padding of ${padding}`;
  if (length >= 256 && padding * 8 > length) return `${length}: ${padding} of it are padding`;
  if (length < 256 && padding >= 32 && padding * 8 > length) return `${length}: ${padding} wasted`;
  return undefined;
}

function expectWell(length: number): void {
  const wrong = wrongWith(length, grainExpFor(length));
  if (wrong !== undefined) expect(wrong).toBe('nothing');
  if (!grainExpSuits(length, grainExpFor(length))) expect(length).toBe('suited by its own grain');
}

/** Lengths of every order of magnitude, as many of each. */
const anyLength = fc
  .double({ min: 0, max: Math.log(valueBytesMax), noNaN: true })
  .map((log) => Math.min(valueBytesMax, Math.floor(Math.exp(log))));

describe('grains', () => {
  it('waste at most an eighth of a value of 256 bytes or more, for every length to 100,000', () => {
    for (let length = 0; length <= 100_000; length++) expectWell(length);
  });

  it('waste as little for any length up to the longest value', () => {
    expectWell(valueBytesMax);
    for (let grainExp = grainExpMin; grainExp <= grainExpMax; grainExp += grainExpStep) {
      const most = grainsPerValueMax * 2 ** grainExp - valuePrefixBytes;
      for (let length = most - 2; length <= most + 2; length++) {
        if (length <= valueBytesMax) expectWell(length);
      }
    }
    fc.assert(
      fc.property(anyLength, (length) => expectWell(length)),
      { numRuns: 5000 },
    );
  });

  it('are the smallest in which the value takes no more than 255', () => {
    for (const length of [0, 8152, 8153, 32_632, 32_633, valueBytesMax]) {
      const grainExp = grainExpFor(length);
      expect(grainCount(length, grainExp)).toBeLessThanOrEqual(grainsPerValueMax);
      if (grainExp > grainExpMin) {
        expect(grainCount(length, grainExp - grainExpStep)).toBeGreaterThan(grainsPerValueMax);
      }
    }
  });

  it('of another size suit a value only if they too waste little', () => {
    const grainExp = fc.integer({ min: 0, max: (grainExpMax - grainExpMin) / grainExpStep });
    fc.assert(
      fc.property(anyLength, grainExp, (length, step) => {
        const chosen = grainExpMin + step * grainExpStep;
        const suits = grainExpSuits(length, chosen);
        expect(suits).toBe(wrongWith(length, chosen) === undefined);
      }),
      { numRuns: 2000 },
    );
  });

  it('suit a value up to just an eighth of padding', () => {
    for (let grainExp = grainExpMin; grainExp <= grainExpMax; grainExp += grainExpStep) {
      for (let count = 1; count <= 20; count++) {
        const room = count * 2 ** grainExp - valuePrefixBytes;
        for (let padding = Math.floor(room / 9) - 2; padding < room / 9 + 2; padding++) {
          const length = room - padding;
          if (padding < 0 || grainCount(length, grainExp) !== count || length < 256) continue;
          const suits = padding * 8 <= length;
          if (grainExpSuits(length, grainExp) !== suits)
            expect(`${length} in 2^${grainExp}`).toBe(suits);
        }
      }
    }
  });

  it('that do not suit a value are too small, or no larger ones suit it either', () => {
    for (let length = 0; length < 70_000; length += 7) {
      const suited = [];
      for (let grainExp = grainExpFor(length); grainExp <= grainExpMax; grainExp += grainExpStep) {
        suited.push(grainExpSuits(length, grainExp));
      }
      const order = [...suited].sort((one, other) => Number(other) - Number(one));
      if (suited.join() !== order.join()) expect(`${length}: ${suited.join()}`).toBe(order.join());
    }
  });
});

describe('the checksum of a value', () => {
  const id = fc.record({ basin: upTo(253), stratum: upTo(253), index: upTo(2 ** 48 - 1) });

  it('covers its id, its length and its bytes, in this order', () => {
    fc.assert(
      fc.property(id, fc.uint8Array({ maxLength: 900 }), (of, bytes) => {
        const head = Buffer.alloc(12);
        head.writeBigUInt64LE(GrainId.of(of.basin, of.stratum, of.index), 0);
        head.writeUInt32LE(bytes.length, 8);
        expect(valueCrc(of, bytes)).toBe(crc32(Buffer.concat([head, bytes])));
        expect(crc32(bytes, valueCrcStart(of, bytes.length))).toBe(valueCrc(of, bytes));
      }),
    );
  });

  it('differs for the same bytes under another id, and for other bytes', () => {
    const bytes = new Uint8Array(20).fill(7);
    const here = valueCrc({ basin: 0, stratum: 0, index: 5 }, bytes);
    expect(valueCrc({ basin: 0, stratum: 0, index: 6 }, bytes)).not.toBe(here);
    expect(valueCrc({ basin: 0, stratum: 1, index: 5 }, bytes)).not.toBe(here);
    expect(valueCrc({ basin: 0, stratum: 0, index: 5 }, bytes.subarray(1))).not.toBe(here);
  });

  it('stands behind the length in the prefix', () => {
    const prefix = new Uint8Array(valuePrefixBytes);
    encodeValuePrefix(prefix, 0xfedc_ba98, 0x8765_4321);
    expect(getU32(prefix, 0)).toBe(0xfedc_ba98);
    expect(getU32(prefix, 4)).toBe(0x8765_4321);
  });
});
