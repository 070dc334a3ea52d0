/**
 * An Atlas with values in it, for measuring allocation: no file, no store, only what is known in
 * memory.
 *
 * Invariant: it does to the Atlas what a store does: reserve a value's grains and release them
 * (`reservations`), or also commit it, and archive and free it (`values`). What it remembers of its
 * values lies in typed arrays, so that it costs little itself.
 */

import { noHistory } from '../../src/store/file/page-source.ts';
import { Space } from '../../src/store/file/space.ts';
import { Atlas, defaultLimits } from '../../src/store/grains/atlas.ts';
import type { Stratum } from '../../src/store/grains/stratum.ts';

/** Nothing was ever written, so nothing is ever read. */
const noPages = {
  salt: new Uint8Array(8),
  history: noHistory,
  readPage: (): never => {
    throw new Error('a grain map that was never written is not read');
  },
};

/** Numbers from 0 to `below`, cheap and the same in each run. */
export class Dice {
  #state = 1;

  next(below: number): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((this.#state / 2 ** 32) * below);
  }
}

/** What is done with grains: only given out and taken back, or marked as a batch marks them too. */
export type Treatment = 'reservations' | 'values';

export class AtlasBed {
  readonly #atlas = new Atlas(noPages, new Space(), defaultLimits);
  readonly #lengths: () => number;
  readonly #published: boolean;
  readonly #dice = new Dice();
  /** The one stratum that every value is in: lengths are such that they have grains of one size. */
  #home: Stratum | undefined;
  #indexes = new Float64Array(1024);
  #counts = new Uint8Array(1024);
  #values = 0;
  #next = 0;

  /** `lengths` gives the length of the next value. */
  constructor(lengths: () => number, treatment: Treatment) {
    this.#lengths = lengths;
    this.#published = treatment === 'values';
  }

  get values(): number {
    return this.#values;
  }

  #allocate(): void {
    const length = this.#lengths();
    const { stratum, index, count } = this.#atlas.reserve(length, this.#home);
    this.#home ??= stratum;
    if (this.#published) {
      const { basin, number } = stratum;
      stratum.publish('allocate', { basin, stratum: number, index, count, length });
    }
    if (this.#values === this.#indexes.length) this.#grow();
    this.#indexes[this.#values] = index;
    this.#counts[this.#values] = count;
    this.#values += 1;
  }

  #grow(): void {
    const indexes = new Float64Array(this.#values * 2);
    indexes.set(this.#indexes);
    this.#indexes = indexes;
    const counts = new Uint8Array(this.#values * 2);
    counts.set(this.#counts);
    this.#counts = counts;
  }

  /** Frees one of the values, picked at random. */
  #free(): void {
    this.#freeAt(this.#dice.next(this.#values));
  }

  /** Frees the one after that freed before, about as they lie in the stratum. */
  #freeNext(): void {
    this.#next = this.#next < this.#values ? this.#next : 0;
    this.#freeAt(this.#next++);
  }

  /** Frees so many values that came last. */
  freeLast(count: number): void {
    for (let done = 0; done < count; done++) this.#freeAt(this.#values - 1);
  }

  /**
   * Frees a group and allocates as many, until there were so many `pairs`. The loop is here, and not
   * where it is measured, so that the engine compiles it once for all beds.
   */
  churn(pairs: number, group: number, picked: 'at random' | 'in order'): void {
    for (let paired = 0; paired < pairs; paired += group) {
      if (picked === 'at random') for (let done = 0; done < group; done++) this.#free();
      else for (let done = 0; done < group; done++) this.#freeNext();
      for (let done = 0; done < group; done++) this.#allocate();
    }
  }

  #freeAt(at: number): void {
    const stratum = this.#home as Stratum;
    const index = this.#indexes[at] as number;
    const count = this.#counts[at] as number;
    this.#values -= 1;
    this.#indexes[at] = this.#indexes[this.#values] as number;
    this.#counts[at] = this.#counts[this.#values] as number;
    if (this.#published) {
      const run = { basin: stratum.basin, stratum: stratum.number, index, count, length: 0 };
      stratum.publish('archive', run);
      stratum.publish('free', run);
    } else stratum.release(index, count);
  }

  fill(count: number): this {
    while (this.#values < count) this.#allocate();
    return this;
  }

  /** Frees values here and there until so many are left. */
  thin(count: number): this {
    while (this.#values > count) this.#free();
    return this;
  }
}
