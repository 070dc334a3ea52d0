/**
 * GrainId as its users see it: taken back from where they kept it, built, taken apart, written
 * down and read again.
 *
 * Nothing here says how the bits lie: test/format/grain-id.test.ts does.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GrainId } from '../../src/index.ts';
import { bytesOf, check, committed, storesOfTest } from '../support/fixtures/store-checks.ts';

const stores = storesOfTest();
const lastU64 = 2n ** 64n - 1n;
const wrongTypes: readonly unknown[] = [undefined, null, 1, 1.5, '1', '0-0-1', {}, [], true];

const anyParts = fc.record({
  basin: fc.integer({ min: 0, max: 253 }),
  stratum: fc.integer({ min: 0, max: 253 }),
  index: fc.oneof(
    fc.maxSafeNat().map((n) => n % 2 ** 48),
    fc.constantFrom(0, 2 ** 48 - 1),
  ),
});

describe('GrainId.from', () => {
  it('returns the same number for every u64 except 0n', () => {
    for (const value of [1n, 255n, 2n ** 48n, 2n ** 63n, lastU64]) {
      expect(GrainId.from(value)).toBe(value);
    }
  });

  it('refuses 0n and anything that is not a u64', () => {
    for (const value of [0n, -1n, -(2n ** 63n), lastU64 + 1n, 2n ** 80n]) {
      const error = check.throws('VARVE_INVALID_ARGUMENT', () => GrainId.from(value));
      expect(error.actual).toBe(value);
    }
  });

  it('refuses anything that is not a bigint', () => {
    for (const value of wrongTypes) {
      check.throws('VARVE_INVALID_ARGUMENT', () => GrainId.from(value as bigint));
    }
  });

  it('takes the id of a stored value', async () => {
    const { store } = await stores.wrapped();
    const id = await committed(store, bytesOf('kept'));
    expect(GrainId.from(BigInt(id.toString()))).toBe(id);
  });
});

describe('GrainId.of and GrainId.parts', () => {
  it('are each the inverse of the other', () => {
    fc.assert(
      fc.property(anyParts, (parts) => {
        const id = GrainId.of(parts.basin, parts.stratum, parts.index);
        expect(typeof id).toBe('bigint');
        expect(id > 0n && id <= lastU64).toBe(true);
        expect(GrainId.parts(id)).toEqual(parts);
        expect(GrainId.from(id)).toBe(id);
      }),
    );
  });

  it('give each place an id of its own', () => {
    fc.assert(
      fc.property(anyParts, anyParts, (one, other) => {
        const same =
          one.basin === other.basin && one.stratum === other.stratum && one.index === other.index;
        const ids = [one, other].map((at) => GrainId.of(at.basin, at.stratum, at.index));
        expect(ids[0] === ids[1]).toBe(same);
      }),
    );
  });

  it('count parts from 0 and never give 0n', () => {
    expect(GrainId.of(0, 0, 0)).not.toBe(0n);
    expect(GrainId.parts(GrainId.of(0, 0, 0))).toEqual({ basin: 0, stratum: 0, index: 0 });
  });

  it('are exact for every index below 2^48', () => {
    for (const index of [2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 2 ** 47 + 1, 2 ** 48 - 1]) {
      expect(GrainId.parts(GrainId.of(1, 2, index)).index).toBe(index);
    }
  });

  it('refuse a part out of range, of each of the three', () => {
    for (const wrong of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 254]) {
      check.throws('VARVE_INVALID_ARGUMENT', () => GrainId.of(wrong, 0, 0));
      check.throws('VARVE_INVALID_ARGUMENT', () => GrainId.of(0, wrong, 0));
    }
    for (const wrong of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 48, 2 ** 53]) {
      check.throws('VARVE_INVALID_ARGUMENT', () => GrainId.of(0, 0, wrong));
    }
  });

  it('refuse parts of the wrong type', () => {
    for (const wrong of ['0', 0n, null, undefined, {}]) {
      check.throws('VARVE_INVALID_ARGUMENT', () => GrainId.of(wrong as number, 0, 0));
      check.throws('VARVE_INVALID_ARGUMENT', () => GrainId.of(0, wrong as number, 0));
      check.throws('VARVE_INVALID_ARGUMENT', () => GrainId.of(0, 0, wrong as number));
    }
  });

  it('split the ids of stored values, which are neighbours in their stratum', async () => {
    const { store } = await stores.wrapped();
    const session = store.session();
    const ids = [session.push(bytesOf('one')), session.push(bytesOf('two'))];
    await session.commit();
    const [one, two] = ids.map((id) => GrainId.parts(id));
    expect(two).toMatchObject({ basin: one?.basin, stratum: one?.stratum });
    expect(two?.index).toBeGreaterThan(one?.index ?? 0);
  });
});

describe('GrainId.format and GrainId.parse', () => {
  it('are each the inverse of the other', () => {
    fc.assert(
      fc.property(anyParts, ({ basin, stratum, index }) => {
        const id = GrainId.of(basin, stratum, index);
        expect(GrainId.parse(GrainId.format(id))).toBe(id);
      }),
    );
  });

  it('write down and read every id that GrainId.from takes', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 1n, max: lastU64 }), (value) => {
        const id = GrainId.from(value);
        expect(GrainId.parse(GrainId.format(id))).toBe(id);
      }),
      { examples: [[1n], [lastU64], [2n ** 48n], [2n ** 56n - 1n], [0xff00_0000_0000_0001n]] },
    );
  });

  it('give a text that is safe as a file name and on a command line', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 1n, max: lastU64 }), (value) => {
        expect(GrainId.format(GrainId.from(value))).toMatch(/^[a-z0-9][a-z0-9.-]*$/);
      }),
    );
  });

  it('refuse text that format would not have produced', () => {
    const text = GrainId.format(GrainId.of(1, 2, 3));
    const near = [`${text} `, ` ${text}`, `${text}\n`, `0${text}`, `+${text}`, `${text}.0`];
    const far = [
      '',
      'x',
      '-',
      '1',
      '1-2',
      '1-2-',
      '1-2-3-4',
      '-1-2-3',
      '1-2--3',
      '1-2-3n',
      '1e0-2-3',
    ];
    const outOfRange = ['254-0-0', '0-254-0', `0-0-${2 ** 48}`, '0-0-99999999999999999999'];
    const hex = ['x0000000000000000', 'x0101000000000000', 'x00000000000000AB', 'x1'];
    for (const wrong of [...near, ...far, ...outOfRange, ...hex, '01-2-3', '1-02-3', '1-2-03']) {
      check.throws('VARVE_INVALID_ARGUMENT', () => GrainId.parse(wrong));
    }
  });

  it('refuse every text that differs from the one that format returns', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[0-9a-fx-]{1,24}$/)), (text) => {
        let id: GrainId;
        try {
          id = GrainId.parse(text);
        } catch (error) {
          expect(error).toMatchObject({ code: 'VARVE_INVALID_ARGUMENT' });
          return;
        }
        expect(GrainId.format(id)).toBe(text);
      }),
    );
  });

  it('refuse anything that is not a text, or not an id', () => {
    for (const wrong of [undefined, null, 1, 1n, {}, ['1-2-3']]) {
      check.throws('VARVE_INVALID_ARGUMENT', () => GrainId.parse(wrong as string));
    }
    for (const wrong of [...wrongTypes, 0n, -1n, lastU64 + 1n]) {
      check.throws('VARVE_INVALID_ARGUMENT', () => GrainId.format(wrong as GrainId));
      check.throws('VARVE_INVALID_ARGUMENT', () => GrainId.parts(wrong as GrainId));
    }
    for (const partless of [1n, lastU64] as GrainId[]) {
      check.throws('VARVE_INVALID_ARGUMENT', () => GrainId.parts(partless));
    }
  });
});
