/**
 * Measures contestants in turn: short slices, round after round, so that what a disk or a neighbour
 * does meanwhile falls on all of them alike.
 *
 * Invariant: the order is another one in each round. A contestant that fails is out and the others
 * go on. Prints nothing.
 */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Dice } from './atlas-bed.ts';
import type { Contestant, Effort, SliceEffort } from './contestant.ts';
import { type Measured, measuredOf, type Outcome } from './measured.ts';
import { type Measurable, OpenContestant, type Slice } from './open-contestant.ts';

/** A contestant, where it runs, and what was measured of it so far. */
export class Entry {
  readonly contestant: Contestant;
  readonly slices: Slice[] = [];
  readonly #measurable: Measurable;
  #note: string | undefined;
  #failure: string | undefined;

  constructor(contestant: Contestant, measurable: Measurable) {
    this.contestant = contestant;
    this.#measurable = measurable;
  }

  get outcome(): Outcome {
    return { note: this.#note, failure: this.#failure };
  }

  /** Does `work`; if that fails the contestant is out. */
  async #attempt(work: () => Promise<void>): Promise<void> {
    if (this.#failure !== undefined) return;
    try {
      await work();
    } catch (error) {
      this.#failure = error instanceof Error ? error.message : String(error);
    }
  }

  open(folder: string): Promise<void> {
    return this.#attempt(() => {
      mkdirSync(folder, { recursive: true });
      return this.#measurable.open(folder);
    });
  }

  slice(effort: SliceEffort): Promise<void> {
    return this.#attempt(async () => {
      this.slices.push(await this.#measurable.slice(effort));
    });
  }

  /** Runs that are not counted. */
  warmUp(runs: number): Promise<void> {
    return this.#attempt(async () => {
      await this.#measurable.slice({ slice: 0, warmUp: 0, warmUpRuns: runs - 1, samplesMax: 1 });
    });
  }

  close(): Promise<void> {
    return this.#attempt(async () => {
      this.#note = await this.#measurable.close();
    });
  }
}

/** The entries in another order. */
export function shuffled<Element>(entries: readonly Element[], dice: Dice): Element[] {
  const rest = [...entries];
  return entries.map(() => rest.splice(dice.next(rest.length), 1)[0] as Element);
}

/** Opens every entry in a folder of its own below `folder`. */
export async function openAll(entries: readonly Entry[], folder: string): Promise<void> {
  for (const [at, entry] of entries.entries()) await entry.open(join(folder, String(at)));
}

/** One slice of each entry in each round. */
export async function takeTurns(
  entries: readonly Entry[],
  { rounds, ...slice }: Effort,
  dice: Dice,
): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    // In another order each time, so that no contestant always follows the same neighbour.
    for (const entry of shuffled(entries, dice)) await entry.slice(slice);
  }
}

/** Measures every contestant in this process, each in a folder of its own below `folder`. */
export async function measureInTurn(
  contestants: readonly Contestant[],
  effort: Effort,
  folder: string,
): Promise<Measured[]> {
  const entries = contestants.map((each) => new Entry(each, new OpenContestant(each)));
  await openAll(entries, folder);
  await takeTurns(entries, effort, new Dice());
  for (const entry of entries) await entry.close();
  return entries.map(({ contestant, slices, outcome }) =>
    measuredOf(contestant, [slices], outcome),
  );
}
