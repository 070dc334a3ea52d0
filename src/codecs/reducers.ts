/**
 * The ready-made reducers.
 *
 * Invariant: `reduce` is associative and `reduce([])` is neutral, so that a node can hold the
 * summary of all entries below it. The function of a reducer is not part of its name: always open a
 * tree with the function that it was made with.
 */

import { invalidArgument } from '../errors.ts';
import type { Reducer } from './codec.ts';

type NumberOf<K, V> = (key: K, value: V) => number;

function encodeNumbers(values: readonly number[]): Uint8Array {
  return new Uint8Array(Float64Array.from(values).buffer);
}

function decodeNumbers(bytes: Uint8Array): number[] {
  // A copy has the alignment that a double needs.
  return Array.from(new Float64Array(bytes.slice().buffer));
}

function numeric<K, V>(
  name: string,
  of: NumberOf<K, V>,
  join: (one: number, other: number) => number,
  neutral: number,
): Reducer<K, V, number> {
  return Object.freeze<Reducer<K, V, number>>({
    name,
    byteLength: 8,
    map: of,
    reduce: (parts) => parts.reduce(join, neutral),
    encode: (value) => encodeNumbers([value]),
    decode: (bytes) => decodeNumbers(bytes)[0] as number,
  });
}

const add = (one: number, other: number): number => one + other;

function count(): Reducer<unknown, unknown, number> {
  return numeric<unknown, unknown>('count', () => 1, add, 0);
}

/** The sum of a number of each entry. */
function sum<K, V>(of: NumberOf<K, V>): Reducer<K, V, number> {
  return numeric('sum', of, add, 0);
}

/** The smallest number of the entries; `Infinity` without entries. */
function min<K, V>(of: NumberOf<K, V>): Reducer<K, V, number> {
  return numeric('min', of, (one, other) => Math.min(one, other), Number.POSITIVE_INFINITY);
}

/** The largest number of the entries; `-Infinity` without entries. */
function max<K, V>(of: NumberOf<K, V>): Reducer<K, V, number> {
  return numeric('max', of, (one, other) => Math.max(one, other), Number.NEGATIVE_INFINITY);
}

/**
 * Counts entries by their number: below the first bound, from each bound to the next, and from the
 * last bound on. There is one count more than bounds. Bounds must rise.
 */
function histogram<K, V>(
  of: NumberOf<K, V>,
  bounds: readonly number[],
): Reducer<K, V, readonly number[]> {
  const rise = bounds.every((bound, index) => index === 0 || bound > (bounds[index - 1] as number));
  if (!rise || bounds.some(Number.isNaN)) {
    throw invalidArgument('histogram: bounds', 'numbers that rise', bounds);
  }
  const own = [...bounds];
  return Object.freeze<Reducer<K, V, readonly number[]>>({
    name: `histogram(${own.join(',')})`,
    byteLength: (own.length + 1) * 8,
    map(key, value) {
      const number = of(key, value);
      const found = own.findIndex((bound) => number < bound);
      const bucket = found === -1 ? own.length : found;
      return Array.from({ length: own.length + 1 }, (_, index) => (index === bucket ? 1 : 0));
    },
    reduce(parts) {
      const all = Array.from({ length: own.length + 1 }, () => 0);
      for (const part of parts) {
        for (const [index, entries] of part.entries()) all[index] = (all[index] ?? 0) + entries;
      }
      return all;
    },
    encode: encodeNumbers,
    decode: decodeNumbers,
  });
}

/** Ready-made reducers. */
export const reducers: {
  // biome-ignore lint/suspicious/noExplicitAny: it takes trees of any keys and values
  count(): Reducer<any, any, number>;
  readonly sum: typeof sum;
  readonly min: typeof min;
  readonly max: typeof max;
  readonly histogram: typeof histogram;
} = Object.freeze({ count, sum, min, max, histogram });
