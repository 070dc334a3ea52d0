/**
 * Settles the promises of callers that wait for commits.
 *
 * Invariant: all are settled, in the order of the commits. Settling one costs little, but the code
 * that waited for it runs before the event loop's next turn. Therefore the loop gets a turn after
 * every thousand. It decides nothing about commits.
 */

import { Breather } from '../../util/breather.ts';

/** Callers that are settled in one turn of the event loop. */
const toldAtOnce = 1000;

/** The outcome of one commit: `tell` is called for each of `waiting`, then `over` once. */
interface News<T> {
  readonly waiting: readonly T[];
  readonly tell: (one: T) => void;
  readonly over: () => void;
}

export class Telling<T> {
  /** Oldest first; the first one is in progress or next. */
  readonly #news: News<T>[] = [];
  #resting = false;

  /** Some callers have yet to be settled. */
  get underWay(): boolean {
    return this.#news.length > 0;
  }

  /**
   * Calls `tell` for each of `waiting`, then `over`. With at most a thousand callers, and no older
   * outcome left, it does so before it returns. `over` may add more.
   */
  add(waiting: readonly T[], tell: (one: T) => void, over: () => void): void {
    this.#news.push({ waiting, tell, over });
    if (this.#news.length === 1) this.#goOn(0);
  }

  /** Goes on with the oldest outcome, at the caller with index `from`. */
  #goOn(from: number): void {
    let at = from;
    let left = toldAtOnce;
    for (let news = this.#news[0]; news !== undefined; news = this.#news[0]) {
      for (; at < news.waiting.length; at++) {
        if (left === 0) {
          this.#rest(at);
          return;
        }
        news.tell(news.waiting[at] as T);
        left -= 1;
      }
      at = 0;
      this.#news.shift();
      news.over();
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
