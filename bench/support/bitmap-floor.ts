/**
 * The least that giving out grains can cost where values are picked at random: the bits of one
 * value are cleared in a bare bitmap, and those of another set, in typed arrays.
 *
 * Invariant: it touches the memory that any allocator with a bitmap has to touch, in the same
 * random order: what is remembered of the value, and its bits. A freed place is taken again as it
 * is, the last one first: nothing is searched for and nothing is joined.
 */

import { Dice } from './atlas-bed.ts';

export class BitmapFloor {
  readonly #dice = new Dice();
  readonly #indexes: Float64Array;
  readonly #counts: Uint8Array;
  readonly #bits: Uint32Array;
  #values: number;

  /** So many values with `grains` grains each, all taken. */
  constructor(values: number, grains: number) {
    this.#values = values;
    this.#indexes = new Float64Array(values);
    this.#counts = new Uint8Array(values).fill(grains);
    this.#bits = new Uint32Array(Math.ceil((values * grains) / 32) + 1);
    for (let at = 0; at < values; at++) {
      this.#indexes[at] = at * grains;
      this.#flip(at);
    }
  }

  /** Frees a group and allocates as many, until there were so many `pairs`. */
  churn(pairs: number, group: number): void {
    for (let paired = 0; paired < pairs; paired += group) {
      for (let done = 0; done < group; done++) this.#free();
      for (let done = 0; done < group; done++) this.#allocate();
    }
  }

  /** Frees one of the values; what is free lies behind those that are taken. */
  #free(): void {
    const at = this.#dice.next(this.#values);
    this.#flip(at);
    const last = this.#values - 1;
    this.#values = last;
    const index = this.#indexes[at] as number;
    const count = this.#counts[at] as number;
    this.#indexes[at] = this.#indexes[last] as number;
    this.#counts[at] = this.#counts[last] as number;
    this.#indexes[last] = index;
    this.#counts[last] = count;
  }

  #allocate(): void {
    this.#flip(this.#values);
    this.#values += 1;
  }

  /** Set bits become clear and clear ones set: of one word, or of two. */
  #flip(at: number): void {
    const index = this.#indexes[at] as number;
    const count = this.#counts[at] as number;
    const word = Math.floor(index / 32);
    const from = index % 32;
    const ones = 2 ** count - 1;
    this.#bits[word] = (this.#bits[word] as number) ^ (ones << from);
    if (from + count <= 32) return;
    this.#bits[word + 1] = (this.#bits[word + 1] as number) ^ (ones >>> (32 - from));
  }
}
