/**
 * Changes to bytes as fast-check makes them: bits turned over, numbers set to extremes, stretches
 * filled, copied, cut off or added.
 *
 * Invariant: applying one never fails, whatever the bytes, and leaves those that it was given as
 * they are. It knows no layout: places lean towards the front, where the fields are.
 */

import fc from 'fast-check';

export type Mutation = (bytes: Uint8Array) => Uint8Array;

/** Places, taken modulo the length. */
const place: fc.Arbitrary<number> = fc.oneof(fc.nat(40), fc.nat(200), fc.nat(0xffff));

/** What length fields, counts and places in a file are most dangerous as. */
const extreme: fc.Arbitrary<bigint> = fc.oneof(
  fc.constantFrom(0n, 1n, 2n, 0x7fn, 0x80n, 0xffn, 0x100n, 0xfffn, 0x1000n),
  fc.constantFrom(0x7fffn, 0xffffn, 0xff_ffffn, 0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn),
  fc.constantFrom(0x1_0000_0000n, 2n ** 36n, 2n ** 40n, 2n ** 47n, 2n ** 48n - 1n, 2n ** 64n - 1n),
  fc.bigInt({ min: 0n, max: 300n }),
);

const width: fc.Arbitrary<number> = fc.constantFrom(1, 2, 4, 4, 6, 6, 8);

function changed(bytes: Uint8Array, change: (copy: Uint8Array) => void): Uint8Array {
  const copy = bytes.slice();
  if (copy.length > 0) change(copy);
  return copy;
}

function put(bytes: Uint8Array, at: number, part: Uint8Array): void {
  const start = at % bytes.length;
  bytes.set(part.subarray(0, bytes.length - start), start);
}

function littleEndian(value: bigint, count: number): Uint8Array {
  return Uint8Array.from({ length: count }, (_, at) => Number((value >> BigInt(8 * at)) & 0xffn));
}

const flip: fc.Arbitrary<Mutation> = fc.tuple(place, fc.nat(7)).map(([at, bit]) => (bytes) => {
  return changed(bytes, (copy) => {
    const index = at % copy.length;
    copy[index] = (copy[index] as number) ^ (1 << bit);
  });
});

/** A number of one to eight bytes, often an extreme one. */
const number: fc.Arbitrary<Mutation> = fc
  .tuple(place, width, extreme)
  .map(([at, count, value]) => (bytes) => {
    return changed(bytes, (copy) => put(copy, at, littleEndian(value, count)));
  });

const fill: fc.Arbitrary<Mutation> = fc
  .tuple(place, fc.nat(64), fc.constantFrom(0, 0xff, 0x55, 0xaa))
  .map(([at, count, byte]) => (bytes) => {
    return changed(bytes, (copy) => put(copy, at, new Uint8Array(count).fill(byte)));
  });

const overwrite: fc.Arbitrary<Mutation> = fc.tuple(place, fc.uint8Array({ maxLength: 32 })).map(
  ([at, part]) =>
    (bytes) =>
      changed(bytes, (copy) => put(copy, at, part)),
);

const copyWithin: fc.Arbitrary<Mutation> = fc
  .tuple(place, place, fc.nat(64))
  .map(([from, to, count]) => (bytes) => {
    return changed(bytes, (copy) => {
      const start = from % copy.length;
      put(copy, to, copy.slice(start, start + count));
    });
  });

const cut: fc.Arbitrary<Mutation> = place.map(
  (at) => (bytes) => bytes.slice(0, at % (bytes.length + 1)),
);

const extend: fc.Arbitrary<Mutation> = fc
  .tuple(fc.uint8Array({ maxLength: 32 }), fc.nat(3000))
  .map(([part, zeros]) => (bytes) => {
    const longer = new Uint8Array(bytes.length + part.length + zeros);
    longer.set(bytes);
    longer.set(part, bytes.length);
    return longer;
  });

/** One to four changes of any kind. */
export const anyMutation: fc.Arbitrary<Mutation> = chained(
  fc.oneof({ arbitrary: number, weight: 4 }, flip, fill, overwrite, copyWithin, cut, extend),
);

function chained(one: fc.Arbitrary<Mutation>): fc.Arbitrary<Mutation> {
  return fc
    .array(one, { minLength: 1, maxLength: 4 })
    .map((list) => (bytes) => list.reduce((before, mutate) => mutate(before), bytes));
}
