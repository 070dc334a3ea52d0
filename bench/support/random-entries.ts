/**
 * Entries under random keys of 64 bits, in random order, the same in each run and for each
 * contestant.
 *
 * Invariant: keys as bytes sort as their numbers do (big-endian), and a value begins with its key,
 * so that it can be told whether what was read is what was stored. Keys lie in one piece of memory
 * and values in another: a million of each of their own would cost more than storing them.
 */

import { Dice } from './atlas-bed.ts';

export const keyLength = 8;

/** Keys and values as bytes, those at one index belonging together. */
export interface Entries {
  readonly keys: readonly Buffer[];
  readonly values: readonly Buffer[];
}

/** Chris Doty-Humphrey's sfc32, with which no two of ten million numbers were alike. */
class WideDice {
  #a = 0x9e3779b9;
  #b = 0x243f6a88;
  #c: number;
  #turn = 1;

  constructor(seed: number) {
    this.#c = seed;
    for (let done = 0; done < 16; done++) this.next();
  }

  /** 32 bits. */
  next(): number {
    const result = (((this.#a + this.#b) | 0) + this.#turn) | 0;
    this.#turn = (this.#turn + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + result) | 0;
    return result;
  }
}

/** So many numbers of 64 bits; another seed gives others. */
export function randomNumbers(count: number, seed = 1): BigUint64Array {
  const numbers = new BigUint64Array(count);
  const halves = new Uint32Array(numbers.buffer);
  const dice = new WideDice(seed);
  for (let at = 0; at < halves.length; at++) halves[at] = dice.next();
  return numbers;
}

/** The numbers as keys, big-endian, one behind the other in memory. */
export function keysOf(numbers: BigUint64Array): Buffer[] {
  const all = Buffer.alloc(numbers.length * keyLength);
  return Array.from(numbers, (number, at) => {
    const start = at * keyLength;
    all.writeBigUInt64BE(number, start);
    return all.subarray(start, start + keyLength);
  });
}

/** The entries of these numbers, with values of so many bytes, at least as many as a key has. */
export function entriesOf(numbers: BigUint64Array, valueBytes: number): Entries {
  const keys = keysOf(numbers);
  const all = Buffer.alloc(numbers.length * valueBytes, 7);
  const values = keys.map((key, at) => {
    const start = at * valueBytes;
    all.set(key, start);
    return all.subarray(start, start + valueBytes);
  });
  return { keys, values };
}

/** Whether `value`, which may be a view of more, begins with its key. */
export function belongsTo(value: Uint8Array, key: Buffer): boolean {
  return Buffer.compare(value.subarray(0, keyLength), key) === 0;
}

/** The indexes below `count`, each once, in random order. */
export function randomOrder(count: number): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, at) => at);
  const dice = new Dice();
  for (let at = count - 1; at > 0; at--) {
    const other = dice.next(at + 1);
    const index = order[at] as number;
    order[at] = order[other] as number;
    order[other] = index;
  }
  return order;
}
