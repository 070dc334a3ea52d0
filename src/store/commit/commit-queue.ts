/**
 * The sessions that wait for their batch, in the order in which they asked.
 *
 * Invariant: each session is taken once for each try, and answered once. All that wait share the
 * next batch, except a session that is to be alone in its own. It decides nothing else.
 */

import type { SessionWork } from './session-work.ts';

/** A session that waits for its batch. */
export class Waiting {
  readonly work: SessionWork;
  /** The batch that it is durable with. */
  batch = 0;
  /** It shares its batch with no other session. */
  alone = false;
  readonly #resolve: (batch: number) => void;
  readonly #reject: (error: unknown) => void;

  constructor(
    work: SessionWork,
    resolve: (batch: number) => void,
    reject: (error: unknown) => void,
  ) {
    this.work = work;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  durable(): void {
    this.work.done();
    this.#resolve(this.batch);
  }

  failed(error: unknown): void {
    this.work.rejected();
    this.#reject(error);
  }
}

export class CommitQueue {
  #waiting: Waiting[] = [];

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  add(one: Waiting): void {
    this.#waiting.push(one);
  }

  /** The sessions that the next batch is for. */
  take(): Waiting[] {
    if (this.#waiting[0]?.alone === true) return this.#waiting.splice(0, 1);
    const waiting = this.#waiting;
    this.#waiting = [];
    return waiting;
  }

  /** Puts sessions back in front, each for a batch of its own. */
  takeApart(waiting: Iterable<Waiting>): void {
    const alone = [...waiting];
    for (const one of alone) one.alone = true;
    this.#waiting.unshift(...alone);
  }
}
