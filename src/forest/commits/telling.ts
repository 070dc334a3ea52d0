/**
 * Tells those who wait for commits how these ended.
 *
 * Invariant: in the order of the commits, and everybody. Telling one costs little, but what follows
 * from it in the program runs before the event loop has its next turn: so after every thousand
 * there is a turn. It decides nothing about commits.
 */

import { Breather } from '../../util/breather.ts';

/** How many are told in one turn of the event loop. */
const toldAtOnce = 1000;

/** The outcome of one commit: `tell` is called for each of `waiting`, then `over` once. */
interface News<T> {
  readonly waiting: readonly T[];
  readonly tell: (one: T) => void;
  readonly over: () => void;
}

export class Telling<T> {
  /** The oldest are being told, or are the next. */
  readonly #news: News<T>[] = [];
  #resting = false;

  /** Some have yet to be told. */
  get underWay(): boolean {
    return this.#news.length > 0;
  }

  /**
   * Calls `tell` for each of `waiting`, then `over`. If there are at most a thousand, and no older
   * news is left, it does so before it returns. `over` may add more.
   */
  add(waiting: readonly T[], tell: (one: T) => void, over: () => void): void {
    this.#news.push({ waiting, tell, over });
    if (this.#news.length === 1) this.#goOn(0);
  }

  /** Tells those from number `from` of the oldest news on. */
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
      // `over` may have added news that is being told already, and rests.
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
