/**
 * A push that takes several turns: it can be ended from outside while it waits.
 *
 * Invariants:
 * - Its session cannot be committed until it has settled.
 * - The first of these ends it, with its error: the end of the session, the signal, or its own
 *   failure. A source that never answers keeps nothing waiting.
 * - Before it settles, its writes have returned, and its grains are the session's or free again.
 */

import { sessionEnded } from '../commit/open-sessions.ts';
import type { PushInFlight, SessionWork } from '../commit/session-work.ts';
import type { Reservation } from '../grains/atlas.ts';
import type { StoreCore } from '../state/core.ts';

export class RunningPush implements PushInFlight {
  readonly core: StoreCore;
  readonly work: SessionWork;
  #failure: { readonly error: unknown } | undefined;
  #interrupt: ((error: unknown) => void) | undefined;

  constructor(core: StoreCore, work: SessionWork) {
    this.core = core;
    this.work = work;
  }

  /** The session has ended. */
  end(): void {
    this.fail(sessionEnded(this.work, this.core));
  }

  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#interrupt?.(error);
  }

  /** Grains for a value of `length` bytes. Throws as `Atlas.reserve`. */
  reserve(length: number): Reservation {
    return this.core.atlas.reserve(length, this.work.preferred);
  }

  /**
   * Gives grains back, and the pages of a map that was made for them. Requires: no write of them is
   * in flight.
   */
  giveBack({ stratum, index, count }: Reservation): void {
    stratum.release(index, count);
    this.core.atlas.dropUnused();
  }

  /** Throws if the push has been ended, or the store takes no more writes. */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
    if (this.work.writeError !== undefined) throw this.work.writeError;
    this.core.checkSound();
  }

  /**
   * The answer, or the error that ends the push before it comes. One wait at a time: a
   * race against one promise for the whole push would keep a reaction for each chunk.
   */
  async wait<Result>(ask: () => Promise<Result>): Promise<Result> {
    this.check();
    try {
      const result = await new Promise<Result>((resolve, reject) => {
        this.#interrupt = reject;
        ask().then(resolve, reject);
      });
      this.check();
      return result;
    } finally {
      this.#interrupt = undefined;
    }
  }
}
