/**
 * Settles the promises of callers that wait for commits.
 *
 * Invariant: all are settled, in the order of the commits. Settling one costs little, but the code
 * that waited for it runs before the event loop's next turn. Therefore the loop gets a turn after
 * every thousand. It decides nothing about commits.
 */

import { Breather } from '../../util/breather.ts';

/** Callers that are settled in one turn of the event loop. */
const notifiedAtOnceMax = 1000;

/** The outcome of one commit: `notify` is called for each of `waiting`, then `over` once. */
interface Outcome<T> {
  readonly waiting: readonly T[];
  readonly notify: (one: T) => void;
  readonly over: () => void;
}

export class Notifier<T> {
  /** Oldest first; the first one is in progress or next. */
  readonly #outcomes: Outcome<T>[] = [];
  #resting = false;

  /** Some callers have yet to be settled. */
  get underWay(): boolean {
    return this.#outcomes.length > 0;
  }

  /**
   * Calls `notify` for each of `waiting`, then `over`. With at most a thousand callers, and no
   * older outcome left, it does so before it returns. `over` may add more.
   */
  add(waiting: readonly T[], notify: (one: T) => void, over: () => void): void {
    this.#outcomes.push({ waiting, notify, over });
    if (this.#outcomes.length === 1) this.#goOn(0);
  }

  /** Goes on with the oldest outcome, at the caller with index `from`. */
  #goOn(from: number): void {
    let at = from;
    let left = notifiedAtOnceMax;
    for (let outcome = this.#outcomes[0]; outcome !== undefined; outcome = this.#outcomes[0]) {
      for (; at < outcome.waiting.length; at++) {
        if (left === 0) {
          this.#rest(at);
          return;
        }
        outcome.notify(outcome.waiting[at] as T);
        left -= 1;
      }
      at = 0;
      this.#outcomes.shift();
      outcome.over();
      // `over` may have added an outcome whose callers are waiting for the next turn.
      if (this.#resting) return;
    }
  }

  #rest(at: number): void {
    this.#resting = true;
    void new Breather().turn().then(() => {
      this.#resting = false;
      this.#goOn(at);
    });
  }
}
