/**
 * GrainIds: parts and whole are the same thing said twice, in memory, in text and on disk.
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
const invalid = expect.objectContaining({ code: 'VARVE_INVALID_ARGUMENT' });

describe('a GrainId', () => {
  it('has 8 bits basin and 8 bits stratum, counted from 1, and 48 bits index', () => {
    expect(GrainId.of(0, 0, 0)).toBe(0x0101_0000_0000_0000n);
    expect(GrainId.of(253, 253, grainIndexLimit - 1)).toBe(0xfefe_ffff_ffff_ffffn);
    expect(GrainId.of(1, 2, 3)).toBe(0x0203_0000_0000_0003n);
  });

  it('gives its parts back, as itself, in text, and on disk', () => {
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

  it('is another for other parts', () => {
    fc.assert(
      fc.property(parts, parts, (one, other) => {
        const same = JSON.stringify(one) === JSON.stringify(other);
        const ids = [one, other].map(({ basin, stratum, index }) =>
          joinGrainId(basin, stratum, index),
        );
        expect(ids[0] === ids[1]).toBe(same);
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
  it('says no to every number that can name no value', () => {
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

describe('bad parts and ids are VARVE_INVALID_ARGUMENT', () => {
  it.each([
    [-1, 0, 0],
    [basinsMax, 0, 0],
    [0, -1, 0],
    [0, strataMax, 0],
    [0, 0, -1],
    [0, 0, grainIndexLimit],
    [0.5, 0, 0],
    [Number.NaN, 0, 0],
    ['0' as unknown as number, 0, 0],
    [0, 0, 3n as unknown as number],
  ])('in of(%s, %s, %s)', (basin, stratum, index) => {
    expect(() => GrainId.of(basin, stratum, index)).toThrow(invalid);
  });

  it('in from and parts', () => {
    for (const value of [0n, -1n, 2n ** 64n, 5 as unknown as bigint]) {
      expect(() => GrainId.from(value)).toThrow(invalid);
    }
    for (const value of [0n, 1n, 2n ** 64n - 1n, '1' as unknown as bigint]) {
      expect(() => GrainId.parts(value as GrainId)).toThrow(invalid);
    }
  });

  it.each([
    '',
    '1-2',
    '1-2-3-4',
    '01-2-3',
    '1-2-03',
    ' 1-2-3',
    '1-2-3 ',
    '1-2-3\n',
    '+1-2-3',
    '254-0-0',
    '0-254-0',
    '0-0-281474976710656',
    '0-0-99999999999999999999',
    'x0000000000000000',
    'x0101000000000000',
    'x00000000000000AB',
    'x1',
    '1e2-0-0',
  ])('in parse(%j)', (text) => {
    expect(() => GrainId.parse(text)).toThrow(invalid);
  });

  it('in parse of anything that is not a text', () => {
    expect(() => GrainId.parse(7 as unknown as string)).toThrow(invalid);
  });
});
