/**
 * The cursors: what a writer puts down a reader takes off again, at every width, and bytes that a
 * disk made up never get a reader past their end.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { VarveError } from '../../src/errors.ts';
import { ByteReader, ByteWriter } from '../../src/util/cursor.ts';

const twoTo48 = 2 ** 48;
const twoTo52 = 2 ** 52;

type Field =
  | {
      readonly kind: 'u8' | 'u16' | 'u32' | 'u48' | 'varint' | 'zigzag';
      readonly value: number;
    }
  | { readonly kind: 'u64'; readonly value: bigint }
  | { readonly kind: 'bytes'; readonly value: Uint8Array }
  | { readonly kind: 'zeros'; readonly value: number };

function numbers(kind: (Field & { value: number })['kind'], min: number, max: number) {
  return fc.record({
    kind: fc.constant(kind),
    value: fc.oneof(fc.integer({ min, max }), fc.constantFrom(min, max)),
  }) as fc.Arbitrary<Field>;
}

const field: fc.Arbitrary<Field> = fc.oneof(
  numbers('u8', 0, 0xff),
  numbers('u16', 0, 0xffff),
  numbers('u32', 0, 0xffff_ffff),
  numbers('u48', 0, twoTo48 - 1),
  numbers('varint', 0, Number.MAX_SAFE_INTEGER),
  numbers('zigzag', -twoTo52, twoTo52 - 1),
  numbers('zeros', 0, 40),
  fc.record({
    kind: fc.constant('u64' as const),
    value: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  }),
  fc.record({ kind: fc.constant('bytes' as const), value: fc.uint8Array({ maxLength: 40 }) }),
);

function write(writer: ByteWriter, one: Field): void {
  if (one.kind === 'u64') writer.u64(one.value);
  else if (one.kind === 'bytes') writer.bytes(one.value);
  else writer[one.kind](one.value);
}

function expectRead(reader: ByteReader, one: Field): void {
  if (one.kind === 'bytes') {
    expect([...reader.bytes(one.value.length)]).toEqual([...one.value]);
  } else if (one.kind === 'zeros') reader.zeros(one.value);
  else expect(reader[one.kind]()).toBe(one.value);
}

function codeOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    return error instanceof VarveError ? error.code : `another error: ${String(error)}`;
  }
  return 'nothing was thrown';
}

function readerOf(...bytes: number[]): ByteReader {
  return new ByteReader(new Uint8Array(bytes), 'a test');
}

function varintOf(value: number): number[] {
  const writer = new ByteWriter();
  writer.varint(value);
  return [...writer.view()];
}

describe('cursors', () => {
  it('give back every field that was written, in order, whatever the capacity', () => {
    fc.assert(
      fc.property(fc.array(field, { maxLength: 60 }), fc.nat(300), (fields, capacity) => {
        const writer = new ByteWriter(capacity);
        for (const one of fields) write(writer, one);
        const bytes = writer.view();
        expect(bytes.length).toBe(writer.length);
        const reader = new ByteReader(bytes, 'a test');
        for (const one of fields) expectRead(reader, one);
        expect(reader.at).toBe(bytes.length);
        expect(reader.remaining).toBe(0);
        reader.end();
      }),
    );
  });

  it('write the low byte first at every width', () => {
    const writer = new ByteWriter();
    writer.u8(0x01);
    writer.u16(0x0302);
    writer.u32(0x0706_0504);
    writer.u48(0x0d0c_0b0a_0908);
    writer.u64(0x1514_1312_1110_0f0en);
    expect([...writer.view()]).toEqual(Array.from({ length: 21 }, (_, at) => at + 1));
  });

  it('begin at the given place', () => {
    const reader = new ByteReader(new Uint8Array([9, 9, 7]), 'a test', undefined, 2);
    expect(reader.u8()).toBe(7);
    reader.end();
  });

  it('write zeros over the old content of the buffer', () => {
    const writer = new ByteWriter(4);
    writer.bytes(new Uint8Array([1, 2]));
    writer.zeros(9);
    expect([...writer.view()]).toEqual([1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  });
});

describe('varints', () => {
  it.each([
    [0, 1],
    [127, 1],
    [128, 2],
    [16_383, 2],
    [16_384, 3],
    [2 ** 28 - 1, 4],
    [2 ** 28, 5],
    [2 ** 32 - 1, 5],
    [2 ** 32, 5],
    [2 ** 35 - 1, 5],
    [2 ** 35, 6],
    [2 ** 49 - 1, 7],
    [2 ** 49, 8],
    [Number.MAX_SAFE_INTEGER, 8],
  ])('write %d in %d bytes and read it back', (value, length) => {
    const bytes = varintOf(value);
    expect(bytes.length).toBe(length);
    expect(readerOf(...bytes).varint()).toBe(value);
  });

  it('refuse a number above the safe integers, and one of nine bytes', () => {
    const full = Array.from({ length: 7 }, () => 0xff);
    expect(codeOf(() => readerOf(...full, 0x1f).varint())).toBe('VARVE_CORRUPT');
    expect(codeOf(() => readerOf(...full, 0xff, 0x00).varint())).toBe('VARVE_CORRUPT');
    expect(readerOf(...full, 0x0f).varint()).toBe(Number.MAX_SAFE_INTEGER);
  });

  it('count signed numbers from zero outwards', () => {
    const order = [0, -1, 1, -2, 2, -3];
    for (const [at, value] of order.entries()) {
      const writer = new ByteWriter();
      writer.zigzag(value);
      expect([...writer.view()]).toEqual([at]);
      expect(readerOf(at).zigzag()).toBe(value);
    }
  });
});

describe('a reader', () => {
  const widths = { u8: 1, u16: 2, u32: 4, u48: 6, u64: 8, varint: 1, zigzag: 1 } as const;

  it.each(Object.entries(widths))(
    'ends before a cut %s, with VARVE_CORRUPT and its place',
    (kind, width) => {
      for (let length = 0; length < width; length++) {
        const reader = new ByteReader(new Uint8Array(length + 3), 'a test', 1000, 3);
        const act = (): unknown => reader[kind as keyof typeof widths]();
        expect(act).toThrow(VarveError);
        expect(act).toThrow(expect.objectContaining({ code: 'VARVE_CORRUPT', offset: 1003 }));
        expect(reader.at).toBe(3);
      }
    },
  );

  it('takes no bytes that are not there', () => {
    const reader = readerOf(1, 2, 3);
    expect(codeOf(() => reader.bytes(4))).toBe('VARVE_CORRUPT');
    expect(codeOf(() => reader.zeros(4))).toBe('VARVE_CORRUPT');
    expect([...reader.bytes(3)]).toEqual([1, 2, 3]);
  });

  it('refuses a reserved byte that is set, and bytes after the end', () => {
    expect(codeOf(() => readerOf(0, 0, 1).zeros(3))).toBe('VARVE_CORRUPT');
    expect(codeOf(() => readerOf(0).end())).toBe('VARVE_CORRUPT');
  });

  it('gives numbers or VARVE_CORRUPT for any bytes, and stays within them', () => {
    const step = fc.constantFrom('u8', 'u16', 'u32', 'u48', 'u64', 'varint', 'zigzag', 'end');
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.array(step), (bytes, steps) => {
        const reader = new ByteReader(bytes, 'a test', 0);
        for (const kind of steps) {
          const code = codeOf(() => {
            const value = reader[kind as keyof typeof widths | 'end']();
            if (typeof value === 'number') expect(Number.isSafeInteger(value)).toBe(true);
          });
          expect(['VARVE_CORRUPT', 'nothing was thrown']).toContain(code);
          expect(reader.at).toBeLessThanOrEqual(bytes.length);
          expect(reader.remaining).toBe(bytes.length - reader.at);
        }
      }),
    );
  });
});
