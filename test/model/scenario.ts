/**
 * A hand-made history: named steps, and faults that hit exactly where the script says.
 *
 * For rules whose absence a random history hardly ever meets. A scenario does not judge; the test
 * compares what is there at the end. Values are written as '0a 3b': byte a in grain 0, b in grain 3.
 */

import { Crash, Disk, DiskError, type Faults, noFaults } from './disk.ts';
import { Engine } from './engine.ts';
import { createStore, isBlank } from './opening.ts';
import type { Rules } from './rules.ts';
import type { Sector, Write } from './sectors.ts';
import { Corrupt, Poisoned, Rejected } from './state.ts';

type Matches = (write: Write) => boolean;

export const none: Matches = () => false;

/** Matches writes to places that begin with one of these. */
export function at(...prefixes: readonly string[]): Matches {
  return ({ place }) => prefixes.some((prefix) => place.startsWith(prefix));
}

/** Matches what makes something blank. */
export const blanks: Matches = ({ sector }) => sector === undefined;

export function not(matches: Matches): Matches {
  return (write) => !matches(write);
}

export class Scenario {
  readonly #disk = new Disk();
  readonly #rules: Rules;
  #engine: Engine | undefined;
  #failed = false;

  constructor(rules: Rules) {
    this.#rules = rules;
  }

  /** A new process opens the file, and creates the store where there is none. */
  open(): this {
    this.#engine = undefined;
    if (isBlank(this.#disk)) createStore(this.#disk, this.#rules);
    this.#engine = new Engine(this.#disk, this.#rules);
    return this;
  }

  commit(puts: string, frees: readonly number[] = []): this {
    const parsed = puts.split(' ').map((put) => ({ grain: Number(put[0]), bytes: put.slice(1) }));
    this.#engine?.commit({ puts: parsed.filter(({ bytes }) => bytes !== ''), frees });
    return this;
  }

  close(): this {
    this.#engine?.close();
    return this;
  }

  /** The power goes during the step's `count`-th sync; only what `survives` matches is on the disk. */
  cutDuring(count: number, survives: Matches, step: () => unknown): this {
    return this.#withFaults(step, {
      onSync: () => (--count === 0 ? 'cut' : 'none'),
      survivors: () => survives,
    });
  }

  /**
   * The step's `count`-th sync fails; only what `survives` matches is on the disk, but the page
   * cache goes on showing the rest.
   */
  failSync(count: number, survives: Matches, step: () => unknown): this {
    return this.#withFaults(step, {
      onSync: () => (--count === 0 ? 'error' : 'none'),
      survivors: () => survives,
    });
  }

  /** The step's first write that matches reports an error, but lands in the page cache. */
  failWrite(matches: Matches, step: () => unknown, andAlso: Partial<Faults> = {}): this {
    let failed = false;
    const onWrite = (write: Write) => {
      if (failed || !matches(write)) return 'none';
      failed = true;
      return 'error';
    };
    return this.#withFaults(step, { onWrite, failedWriteLands: () => true, ...andAlso });
  }

  /** The power goes while nothing is being written. */
  cut(): this {
    this.#disk.cutPower();
    return this;
  }

  rot(page: string, damage: Sector): this {
    this.#disk.rot(page, damage);
    return this;
  }

  /** The last batch and the bytes of each grain, as in '3 ab-----a'; or why opening refuses. */
  shows(): string {
    try {
      const engine = this.open().#engine as Engine;
      const values = engine.values().map((value) => value ?? '-');
      return `${engine.last} ${values.join('')}`;
    } catch (error) {
      if (error instanceof Corrupt) return 'refused as corrupt';
      throw error;
    }
  }

  /** Whether the step that met the last fault failed. */
  get failed(): boolean {
    return this.#failed;
  }

  #withFaults(step: () => unknown, faults: Partial<Faults>): this {
    this.#disk.faults = { ...noFaults, ...faults };
    this.#failed = false;
    try {
      step();
    } catch (error) {
      const expected = [Crash, DiskError, Poisoned, Rejected].some((kind) => error instanceof kind);
      if (!expected) throw error;
      this.#failed = true;
    } finally {
      this.#disk.faults = noFaults;
    }
    return this;
  }
}
