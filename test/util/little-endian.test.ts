/**
 * Little-endian integers at offsets: held against Node's Buffer, at every width, at odd places.
 */

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { getU16, getU32, getU48, setU16, setU32, setU48 } from '../../src/util/little-endian.ts';

const widths = [
  { bytes: 2, get: getU16, set: setU16 },
  { bytes: 4, get: getU32, set: setU32 },
  { bytes: 6, get: getU48, set: setU48 },
] as const;

it.each(widths)('integers of $bytes bytes are those of Buffer', ({ bytes, get, set }) => {
  const max = 2 ** (8 * bytes) - 1;
  const value = fc.oneof(fc.integer({ min: 0, max }), fc.constantFrom(0, 1, max - 1, max));
  fc.assert(
    fc.property(
      value,
      fc.nat(20),
      fc.uint8Array({ minLength: 40, maxLength: 40 }),
      (number, at, around) => {
        const expected = Buffer.from(around);
        expected.writeUIntLE(number, at, bytes);
        const found = around.slice();
        set(found, at, number);
        expect(Buffer.compare(found, expected)).toBe(0);
        expect(get(found, at)).toBe(number);
        expect(get(around, at)).toBe(Buffer.from(around).readUIntLE(at, bytes));
      },
    ),
  );
});
