/**
 * Bytes that lie in several places of the file: read or written in any pieces, they are where a
 * plain list of places, one for each byte, has them.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type FilePart, partsWithin, writesTo } from '../../../src/store/file/file-parts.ts';
import { expectSameBytes, patternOf } from '../../support/bytes.ts';

/** Places of different lengths, in any order in the file, now and then with nothing in one. */
const parts: fc.Arbitrary<FilePart[]> = fc
  .array(fc.record({ gap: fc.nat(9), bytes: fc.nat(40), key: fc.nat() }), {
    minLength: 1,
    maxLength: 8,
  })
  .map((wanted) => {
    let offset = 0;
    const placed = wanted.map(({ gap, bytes, key }) => {
      const part = { offset: offset + gap, bytes, key };
      offset += gap + bytes;
      return part;
    });
    placed.sort((one, other) => one.key - other.key);
    return placed.map((part) => ({ offset: part.offset, bytes: part.bytes }));
  });

/** The place in the file of each byte. */
function placesOf(list: Iterable<FilePart>): number[] {
  return [...list].flatMap(({ offset, bytes }) =>
    Array.from({ length: bytes }, (_, at) => offset + at),
  );
}

const fileBytes = 8 * 50;

describe('bytes in several places', () => {
  it('are the places that a list of all places gives, for any start and count', () => {
    fc.assert(
      fc.property(parts, fc.nat(340), fc.nat(340), (list, from, length) => {
        const found = [...partsWithin(list, from, length)];
        expect(placesOf(found)).toEqual(placesOf(list).slice(from, from + length));
        expect(found.every(({ bytes }) => bytes > 0)).toBe(true);
        expect(found.length).toBeLessThanOrEqual(list.length);
      }),
      { numRuns: 500 },
    );
  });

  it('are all returned in pieces of any length, one after another', () => {
    fc.assert(
      fc.property(parts, fc.integer({ min: 1, max: 50 }), (list, piece) => {
        const all = placesOf(list);
        const told: number[] = [];
        for (let at = 0; at < all.length; at += piece) {
          const length = Math.min(piece, all.length - at);
          told.push(...placesOf(partsWithin(list, at, length)));
        }
        expect(told).toEqual(all);
      }),
    );
  });

  it('are written there, in whatever chunks they come, by one write for each place', () => {
    fc.assert(
      fc.property(parts, fc.array(fc.nat(30), { maxLength: 12 }), (list, lengths) => {
        const places = placesOf(list);
        const chunks: Uint8Array[] = [];
        let length = 0;
        for (const wanted of lengths) {
          const chunk = patternOf(Math.min(wanted, places.length - length), chunks.length);
          chunks.push(chunk);
          length += chunk.length;
        }
        const expected = new Uint8Array(fileBytes);
        for (const [at, byte] of Buffer.concat(chunks).entries()) {
          expected[places[at] as number] = byte;
        }
        const written = new Uint8Array(fileBytes);
        const writes = writesTo(list, chunks);
        for (const { offset, chunks: here } of writes) {
          written.set(Buffer.concat(here), offset);
        }
        expectSameBytes(written, expected);
        const filled = writes.map(({ chunks: here }) => Buffer.concat(here).length);
        expect(filled.reduce((sum, bytes) => sum + bytes, 0)).toBe(length);
        expect(new Set(writes.map(({ offset }) => offset)).size).toBe(writes.length);
      }),
      { numRuns: 500 },
    );
  });

  it('are written without a copy of any, and the chunks that were given stay as they are', () => {
    const bytes = patternOf(100);
    const chunks = [bytes.subarray(0, 10), bytes.subarray(10)];
    const list = [
      { offset: 1000, bytes: 40 },
      { offset: 0, bytes: 60 },
    ];
    const writes = writesTo(list, chunks);
    expect(writes.map(({ offset }) => offset)).toEqual([1000, 0]);
    const [first, second] = writes.map((write) => write.chunks);
    expect(first?.map((chunk) => chunk.length)).toEqual([10, 30]);
    expect(second?.map((chunk) => chunk.length)).toEqual([60]);
    for (const chunk of [...(first ?? []), ...(second ?? [])]) {
      expect(chunk.buffer).toBe(bytes.buffer);
    }
    expect(chunks.map((chunk) => chunk.length)).toEqual([10, 90]);
  });

  it('are no write if there are none', () => {
    const list = [{ offset: 5, bytes: 10 }];
    expect(writesTo(list, [])).toEqual([]);
    expect([...partsWithin(list, 0, 0)]).toEqual([]);
    expect([...partsWithin(list, 10, 5)]).toEqual([]);
  });
});
