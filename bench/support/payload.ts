/**
 * Bytes to be stored, made before the clock runs: random, so that nothing that compresses gains by
 * it, and cheap to take.
 *
 * Invariant: what `next` gives is a view of memory that is never changed. The same in each run.
 */

import { Dice } from './atlas-bed.ts';

const poolBytes = 4 * 1024 * 1024;

export class Payload {
  readonly #pool = new Uint8Array(poolBytes);
  readonly dice = new Dice();

  constructor() {
    for (let at = 0; at < poolBytes; at++) this.#pool[at] = this.dice.next(256);
  }

  /** `length` bytes from somewhere in the pool; at most as many as are in it. */
  next(length: number): Uint8Array {
    const at = this.dice.next(poolBytes - length + 1);
    return this.#pool.subarray(at, at + length);
  }
}

/** One value of `length` bytes, however large. */
export function randomValue(length: number): Uint8Array {
  const payload = new Payload();
  const value = new Uint8Array(length);
  for (let at = 0; at < length; at += poolBytes) {
    value.set(payload.next(Math.min(poolBytes, length - at)), at);
  }
  return value;
}
