/**
 * What a life's commits were told, put into the order in which the store did their work.
 *
 * Invariant: `next` gives every accepted session once, a batch after the batch before it. Callers
 * hear of their batches in another order: a `commitSync` returns before those that waited for the
 * batch before have been told, and a session that only checkpoints may be told of a batch that
 * reached as far before the sessions of that batch are.
 */

import type { Work } from '../oracles/expected-content.ts';

/** A commit that was asked for: the disk's next operation then, and when it was answered. */
export interface Asked {
  readonly work: Work;
  readonly from: number;
  until: number;
}

export interface Told {
  readonly batch: number;
  readonly work: Work;
}

export class Answers {
  readonly #asked: Asked[] = [];
  /** Asked for and without a place in the order, in the order of asking. */
  readonly #open = new Set<Work>();
  readonly #accepted: Told[] = [];

  ask(work: Work, from: number): Asked {
    const asked = { work, from, until: Number.POSITIVE_INFINITY };
    this.#asked.push(asked);
    this.#open.add(work);
    return asked;
  }

  accept(batch: number, work: Work): void {
    this.#accepted.push({ batch, work });
  }

  refuse(work: Work): void {
    this.#open.delete(work);
  }

  /** All sessions asked for before that operation of the disk, and whether each still waited. */
  waitingAt(operation: number): { readonly work: Work; readonly waited: boolean }[] {
    return this.#asked
      .filter(({ from }) => from <= operation)
      .map(({ work, until }) => ({ work, waited: operation < until }));
  }

  /** The next session in order, if it is known; `batch`: the newest batch that has any. */
  next(batch: number): Told | undefined {
    const at = this.#accepted.findIndex(
      (told) => told.batch <= batch || (told.batch === batch + 1 && !this.#isEarly(told)),
    );
    const [told] = at < 0 ? [] : this.#accepted.splice(at, 1);
    if (told !== undefined) this.#open.delete(told.work);
    return told;
  }

  /** It may have had nothing to do, and others asked for before it may have begun its batch. */
  #isEarly({ batch, work }: Told): boolean {
    if (work.operations.length > 0 || work.header !== undefined) return false;
    for (const before of this.#open) {
      if (before === work) return false;
      const told = this.#accepted.find((one) => one.work === before);
      if (told === undefined || told.batch <= batch) return true;
    }
    return false;
  }
}
