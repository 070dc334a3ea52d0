/**
 * Tells those who wait for commits how these ended.
 *
 * Invariant: in the order of the commits, and everybody. Telling one costs little, but what follows
 * from it in the program runs before the event loop has its next turn: so after every thousand
 * there is a turn. It decides nothing about commits.
 */

import { Breather } from '../util/breather.ts';

/** How many are told in one turn of the event loop. */
const toldAtOnce = 1000;

/** What a commit has come to: to be told to each of `waiting`, and then it is over. */
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
   * Calls `tell` for each of `waiting`, then `over`: before it returns, if there are few and nobody
   * else has yet to be told. `over` may add more.
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
      // What it added may have come to a rest.
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
