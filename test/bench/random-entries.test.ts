/**
 * The entries that the questions of the forest are asked about.
 *
 * What is checked is what every contestant relies on: the same entries each time, no key twice,
 * bytes that sort as numbers do, and values that can be told from each other.
 */
import { describe, expect, it } from 'vitest';
import {
  belongsTo,
  entriesOf,
  keysOf,
  randomNumbers,
  randomOrder,
} from '../../bench/support/random-entries.ts';

describe('random entries', () => {
  it('are the same each time, differ with another seed, and have no duplicates', () => {
    const numbers = randomNumbers(10_000);
    expect(randomNumbers(10_000)).toEqual(numbers);
    expect(new Set([...numbers, ...randomNumbers(10_000, 2)]).size).toBe(20_000);
  });

  it('spread over all 64 bits', () => {
    const sixteenths = new Set(randomNumbers(1_000).map((number) => number >> 60n));
    expect(sixteenths.size).toBe(16);
  });

  it('have keys that sort as their numbers do', () => {
    const sorted = keysOf(randomNumbers(1_000)).sort(Buffer.compare);
    expect(sorted).toEqual(keysOf(randomNumbers(1_000).sort()));
  });

  it('have values that begin with their keys', () => {
    const { keys, values } = entriesOf(randomNumbers(100), 20);
    expect(values.every((value, at) => belongsTo(value, keys[at] as Buffer))).toBe(true);
    expect(values.every(({ length }) => length === 20)).toBe(true);
    expect(belongsTo(values[1] as Buffer, keys[0] as Buffer)).toBe(false);
  });

  it('are asked for in an order that names each of them once', () => {
    const order = randomOrder(1_000);
    expect(order).not.toEqual(order.slice().sort());
    expect(order.slice().sort()).toEqual(Uint32Array.from({ length: 1_000 }, (_, at) => at));
  });
});
