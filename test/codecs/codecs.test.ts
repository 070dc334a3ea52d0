/**
 * The ready-made codecs and reducers: encodings sort as values do, and come back as they were.
 *
 * Invariant: each key codec is held against the order that its values have in the language, for
 * any two values; the tuple codec too, nested and with parts of every kind.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { codecs, Forest, type KeyCodec, reducers } from '../../src/forest/index.ts';

type Order<T> = (one: T, other: T) => number;

const natural = <T extends number | bigint | string>(one: T, other: T): number => {
  if (one === other) return 0;
  return one < other ? -1 : 1;
};

function byCodePoint(one: string, other: string): number {
  const [a, b] = [one, other].map((text) => [...text].map((sign) => sign.codePointAt(0) as number));
  for (let at = 0; ; at++) {
    const [x, y] = [a?.[at], b?.[at]];
    if (x === undefined || y === undefined) return (a?.length ?? 0) - (b?.length ?? 0);
    if (x !== y) return x - y;
  }
}

const bytewise: Order<Uint8Array> = (one, other) => Buffer.compare(one, other);

interface Kind<T> {
  readonly codec: KeyCodec<T>;
  readonly values: fc.Arbitrary<T>;
  readonly order: Order<T>;
}

const text = fc.string({ unit: 'binary' });
const bytes = fc.oneof(
  fc.uint8Array(),
  fc.array(fc.constantFrom(0, 1, 255), { maxLength: 6 }).map((all) => Uint8Array.from(all)),
);
const u32 = fc.oneof(fc.nat(0xffff_ffff), fc.nat(5));
const signed = fc.oneof(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.bigInt(-5n, 5n));
const doubles = fc.oneof(fc.double({ noNaN: true }), fc.constantFrom(-0, 0, 5e-324, -5e-324));
/** -0 comes directly before 0. */
const bySign: Order<number> = (one, other) => {
  if (one !== other) return one - other;
  return Number(Object.is(other, -0)) - Number(Object.is(one, -0));
};
const kinds: Record<string, Kind<never>> = {
  bytes: { codec: codecs.bytes, values: bytes, order: bytewise },
  utf8: { codec: codecs.utf8, values: text, order: byCodePoint },
  u32: { codec: codecs.u32, values: u32, order: natural },
  uint: { codec: codecs.uint, values: fc.maxSafeNat(), order: natural },
  u64: { codec: codecs.u64, values: fc.bigInt(0n, 2n ** 64n - 1n), order: natural },
  i64: { codec: codecs.i64, values: signed, order: natural },
  f64: { codec: codecs.f64, values: doubles, order: bySign },
} as unknown as Record<string, Kind<never>>;

const parts: Kind<never>[] = Object.values(kinds);

function tupleOf(some: readonly Kind<never>[]): Kind<readonly never[]> {
  const order: Order<readonly never[]> = (one, other) => {
    for (const [at, part] of some.entries()) {
      const found = part.order(one[at] as never, other[at] as never);
      if (found !== 0) return found;
    }
    return 0;
  };
  const codec = codecs.tuple(...some.map((part) => part.codec)) as unknown as KeyCodec<
    readonly never[]
  >;
  return { codec, values: fc.tuple(...some.map((part) => part.values)), order };
}

function holds<T>({ codec, values, order }: Kind<T>): void {
  fc.assert(
    fc.property(values, values, (one, other) => {
      const [a, b] = [codec.encode(one).slice(), codec.encode(other).slice()];
      expect(Math.sign(Buffer.compare(a, b))).toBe(Math.sign(order(one, other)));
      expect(order(codec.decode(a.slice()), one)).toBe(0);
      if (codec.byteLength !== undefined) expect(a.length).toBe(codec.byteLength);
    }),
  );
}

describe('key codecs', () => {
  it.each(Object.entries(kinds))('%s sorts as its values do', (_name, kind) => holds(kind));

  it('tuple sorts by its parts in turn, whatever they are', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...parts), { minLength: 1, maxLength: 3 }), (some) => {
        const inner = tupleOf(some);
        holds(inner);
        holds(tupleOf([inner as never, kinds['utf8'] as never]));
      }),
      { numRuns: 15 },
    );
  });

  it('have names and lengths made of those of their parts', () => {
    expect(codecs.tuple(codecs.u32, codecs.utf8).name).toBe('tuple(u32,utf8)');
    expect(codecs.tuple(codecs.u32, codecs.u64).byteLength).toBe(12);
    expect(codecs.tuple(codecs.utf8).byteLength).toBe(undefined);
  });

  it('refuse values that would not decode to an equal value', () => {
    const invalid = expect.objectContaining({ code: 'VARVE_INVALID_ARGUMENT' }) as Error;
    const wrong: [KeyCodec<never>, unknown[]][] = [
      [codecs.bytes as never, ['a', [1], undefined]],
      [codecs.utf8 as never, [1, '\ud800', 'a\udc00b']],
      [codecs.u32 as never, [-1, 1.5, 2 ** 32, 1n, Number.NaN]],
      [codecs.uint as never, [-1, 0.5, 2 ** 53, '1']],
      [codecs.u64 as never, [-1n, 2n ** 64n, 1]],
      [codecs.i64 as never, [2n ** 63n, -(2n ** 63n) - 1n, 1]],
      [codecs.f64 as never, [Number.NaN, 1n]],
      [codecs.tuple(codecs.u32, codecs.u32) as never, [[1], [1, 2, 3], 'ab', [1, -2]]],
    ];
    for (const [codec, values] of wrong) {
      for (const value of values) expect(() => codec.encode(value as never)).toThrow(invalid);
    }
  });

  it('refuse bytes that no value encodes to', () => {
    const refused = expect.objectContaining({ code: 'VARVE_CODEC' }) as Error;
    const tuple = codecs.tuple(codecs.utf8, codecs.u32);
    const wrong = [new Uint8Array(1), new Uint8Array([0, 7, 1, 1, 1, 1]), new Uint8Array([0, 1])];
    for (const stored of wrong) expect(() => tuple.decode(stored)).toThrow(refused);
    expect(() => codecs.u64.decode(new Uint8Array(7))).toThrow(refused);
  });

  it('f64 keeps -0: a key of its own, directly before 0', async () => {
    const keys = [Number.NEGATIVE_INFINITY, -1, -5e-324, -0, 0, 5e-324, 1, Number.MAX_VALUE];
    const encoded = keys.map((key) => codecs.f64.encode(key));
    expect(encoded.map((one) => codecs.f64.decode(one.slice()))).toEqual(keys);
    expect([...encoded].reverse().sort(Buffer.compare)).toEqual(encoded);
    const [minus, zero] = [codecs.f64.encode(-0), codecs.f64.encode(0)].map((one) =>
      Buffer.from(one).readBigUInt64BE(),
    );
    expect(zero).toBe((minus as bigint) + 1n);
    const forest = await Forest.inMemory();
    const tree = forest.tree('t', { key: codecs.f64, value: codecs.f64 });
    await tree.put(-0, -0);
    await tree.put(0, 1);
    expect([...tree.range()]).toEqual([
      [-0, -0],
      [0, 1],
    ]);
    expect([tree.get(-0), tree.get(0), tree.count({ gte: 0 })]).toEqual([-0, 1, 1]);
    await forest.close();
  });
});

describe('reducers', () => {
  it('are associative and their values come back', () => {
    const of = (_key: number, value: number): number => value;
    const all = [
      reducers.count(),
      reducers.sum(of),
      reducers.min(of),
      reducers.max(of),
      reducers.histogram(of, [0, 10]),
    ];
    const values = fc.array(fc.integer({ min: -100, max: 100 }));
    fc.assert(
      fc.property(values, values, (one, other) => {
        for (const reducer of all) {
          const part = (some: number[]): never =>
            reducer.reduce(some.map((value) => reducer.map(0, value)) as never[]) as never;
          const joined = reducer.reduce([part(one), part(other)]);
          expect(joined).toEqual(part([...one, ...other]));
          expect(reducer.decode(reducer.encode(joined as never).slice())).toEqual(joined);
        }
      }),
    );
  });

  it('with bounds that do not ascend are refused', () => {
    const of = (): number => 1;
    const invalid = expect.objectContaining({ code: 'VARVE_INVALID_ARGUMENT' }) as Error;
    expect(() => reducers.histogram(of, [1, 1])).toThrow(invalid);
    expect(() => reducers.histogram(of, [Number.NaN])).toThrow(invalid);
  });
});
