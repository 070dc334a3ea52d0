/**
 * Stored values and GrainIds against any bytes, places, numbers and texts.
 *
 * A value is the bytes that were stored or `VARVE_CORRUPT`, and no memory is taken for bytes that
 * the file does not have, however long it says that it is. What is no id is the caller's mistake:
 * `VARVE_INVALID_ARGUMENT`.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { VarveError } from '../../../src/errors.ts';
import { GrainId } from '../../../src/format/grain-id.ts';
import { grainsPerValueMax, pageBytes, valuePrefixBytes } from '../../../src/format/layout.ts';
import { encodeValuePrefix, valueCrc } from '../../../src/format/value.ts';
import { FileReader } from '../../../src/store/file/file-reader.ts';
import type { ValuePlace } from '../../../src/store/values/value-place.ts';
import { ValueReader } from '../../../src/store/values/value-reader.ts';
import { MemoryBudget } from '../../../src/util/memory-budget.ts';
import { AllocationMeter } from '../../support/allocation-meter.ts';
import { patternOf } from '../../support/bytes.ts';
import { crashScale } from '../../support/crash-scale.ts';
import { GivenFile } from '../../support/disks/given-file.ts';
import { anyMutation } from './mutations.ts';

const runs = 1000 * crashScale;
/** Ends only what hangs. */
const patience = { timeout: 120_000 * crashScale };
const meter = new AllocationMeter();
const id = { basin: 0, stratum: 1, index: 77 };

/** A file with one value, as it was or with another length. */
const valueFiles: fc.Arbitrary<Uint8Array> = fc
  .tuple(fc.nat(300), fc.nat(40))
  .map(([length, padding]) => {
    const bytes = new Uint8Array(valuePrefixBytes + length + padding);
    const value = patternOf(length);
    encodeValuePrefix(bytes, length, valueCrc(id, value));
    bytes.set(value, valuePrefixBytes);
    return bytes;
  });

/** Where marks may say that it is: at its place or far off, in few or in the most grains. */
const valuePlaces: fc.Arbitrary<ValuePlace> = fc
  .record({
    offset: fc.oneof(fc.constant(0), fc.constantFrom(9, 2 ** 40, 2 ** 52)),
    capacity: fc.constantFrom(32, 64, 512, 65_536, 65_568, 2 ** 25, grainsPerValueMax * 2 ** 25),
    apart: fc.option(fc.tuple(fc.nat(60), fc.constantFrom(0, 70, 2 ** 52)), { freq: 3 }),
  })
  .map(({ offset, capacity, apart }) => {
    if (apart === null || apart[0] >= capacity) return { id, offset, capacity, parts: undefined };
    const [first, next] = apart;
    const parts = [
      { offset, bytes: first },
      { offset: next, bytes: capacity - first },
    ];
    return { id, offset, capacity, parts };
  });

const anyChange = fc.oneof(
  fc.constant((bytes: Uint8Array) => bytes),
  anyMutation,
);

describe('a stored value', () => {
  it('is its bytes or VARVE_CORRUPT, whatever its length and its place', patience, async () => {
    const property = fc.asyncProperty(
      valueFiles,
      anyChange,
      valuePlaces,
      fc.constantFrom(0, 32 * pageBytes),
      async (sound, mutate, where, cacheBytes) => {
        const bytes = mutate(sound);
        const reader = new FileReader(new GivenFile(bytes), 'image');
        for (const method of ['read', 'readAsync', 'length', 'measure'] as const) {
          const values = new ValueReader(reader, new MemoryBudget(cacheBytes));
          meter.start();
          const outcome = await outcomeOf(() => values[method](where));
          meter.stop();
          if (outcome instanceof VarveError) expect(outcome.code).toBe('VARVE_CORRUPT');
          const fixed = Math.max(bytes.length, longestReadUnasked, cacheBytes);
          expect(meter.largest, method).toBeLessThanOrEqual(fixed);
          if (outcome instanceof Uint8Array)
            expect(outcome.length).toBeLessThanOrEqual(bytes.length);
        }
      },
    );
    await fc.assert(property, { numRuns: runs });
  });
});

/** A value up to so many bytes is read without asking for the length of the file. */
const longestReadUnasked = 64 * 1024;

/** What the call gives or the VarveError that it throws. */
async function outcomeOf(call: () => unknown): Promise<unknown> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof VarveError) return error;
    throw error;
  }
}

describe('a GrainId', () => {
  const invalid = expect.objectContaining({ code: 'VARVE_INVALID_ARGUMENT' });

  it('is read from any text, or VARVE_INVALID_ARGUMENT', patience, () => {
    const digits = fc.stringMatching(/^[x0-9a-f-]{0,24}$/);
    const parts = fc.tuple(fc.nat(300), fc.nat(300), fc.bigInt({ min: 0n, max: 2n ** 49n }));
    const near = parts.map((three) => three.join('-'));
    fc.assert(
      fc.property(fc.oneof(fc.string(), digits, near), (text) => {
        let parsed: GrainId;
        try {
          parsed = GrainId.parse(text);
        } catch (error) {
          expect(error).toEqual(invalid);
          return;
        }
        expect(GrainId.format(parsed)).toBe(text);
      }),
      { numRuns: runs },
    );
  });

  it('is taken apart from any number, or VARVE_INVALID_ARGUMENT', patience, () => {
    const numbers = fc.oneof(
      fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }),
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    );
    fc.assert(
      fc.property(numbers, (number) => {
        try {
          const { basin: inBasin, stratum, index } = GrainId.parts(GrainId.from(number));
          expect(GrainId.of(inBasin, stratum, index)).toBe(number);
        } catch (error) {
          expect(error).toEqual(invalid);
        }
      }),
      { numRuns: runs },
    );
  });
});
