/**
 * GrainIds: parts and whole are the same thing said twice, in memory, in text and on disk. What is no
 * id, and no part of one, is in the contract's tests.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  GrainId,
  joinGrainId,
  setGrainId,
  split,
  splitGrainId,
} from '../../src/format/grain-id.ts';
import { basinsMax, grainIndexLimit, strataMax } from '../../src/format/layout.ts';
import { u64, upTo } from './arbitraries.ts';

const parts = fc.record({
  basin: upTo(basinsMax - 1),
  stratum: upTo(strataMax - 1),
  index: upTo(grainIndexLimit - 1),
});

describe('a GrainId', () => {
  it('has 8 bits basin and 8 bits stratum, counted from 1, and 48 bits index', () => {
    expect(GrainId.of(0, 0, 0)).toBe(0x0101_0000_0000_0000n);
    expect(GrainId.of(253, 253, grainIndexLimit - 1)).toBe(0xfefe_ffff_ffff_ffffn);
    expect(GrainId.of(1, 2, 3)).toBe(0x0203_0000_0000_0003n);
  });

  it('gives its parts back from itself, its text and its bytes', () => {
    fc.assert(
      fc.property(parts, (of) => {
        const { basin, stratum, index } = of;
        const id = GrainId.of(basin, stratum, index);
        expect(id).not.toBe(0n);
        expect(GrainId.from(id)).toBe(id);
        expect(GrainId.parts(id)).toEqual(of);
        expect(joinGrainId(basin, stratum, index)).toBe(id);
        expect(splitGrainId(id)).toBe(true);
        expect({ ...split }).toEqual(of);
        expect(GrainId.parse(GrainId.format(id))).toBe(id);
        const bytes = new Uint8Array(10).fill(0xee);
        setGrainId(bytes, 1, of);
        const onDisk = Buffer.alloc(10, 0xee);
        onDisk.writeBigUInt64LE(id, 1);
        expect(Buffer.compare(bytes, onDisk)).toBe(0);
      }),
    );
  });

  it('survives conversion to text and back for every u64 except 0', () => {
    fc.assert(
      fc.property(
        u64.filter((id) => id > 0n),
        (number) => {
          const id = GrainId.from(number);
          const text = GrainId.format(id);
          expect(GrainId.parse(text)).toBe(id);
          expect(text).toMatch(splitGrainId(id) ? /^\d+-\d+-\d+$/ : /^x[0-9a-f]{16}$/);
        },
      ),
    );
  });
});

describe('splitGrainId', () => {
  it('returns false for every number that can name no value', () => {
    const top = (byte: number): bigint => BigInt(byte) << 56n;
    const next = (byte: number): bigint => BigInt(byte) << 48n;
    for (const id of [
      0n,
      1n,
      -1n,
      top(1),
      next(1),
      top(255) + next(1),
      top(1) + next(255),
      2n ** 64n + top(1) + next(1),
      -(2n ** 64n) + top(1) + next(1),
    ]) {
      expect(splitGrainId(id)).toBe(false);
    }
    expect(splitGrainId(top(254) + next(254))).toBe(true);
  });
});
