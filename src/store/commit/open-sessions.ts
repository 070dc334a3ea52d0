/**
 * The open sessions of a store. Those that are garbage-collected are abandoned; when the store
 * closes, all of them are.
 *
 * Watching an object for collection costs more than the rest of a small session (measured: 2.5 of 5
 * microseconds), and most sessions end in the turn that made them. Therefore a new session is held
 * here until the turn ends; only if it is still open then, it is watched.
 */

import { VarveError } from '../../errors.ts';
import type { StoreCore } from '../state/core.ts';
import type { SessionWork } from './session-work.ts';

/**
 * The error of a call after the end of a session: it has ended, or the store was closed before it
 * did.
 */
export function sessionEnded({ closedWithStore }: SessionWork, core: StoreCore): VarveError {
  if (closedWithStore) return core.closedError();
  return new VarveError('VARVE_SESSION_ENDED', 'the session has ended');
}

/** Throws if the session cannot change: it has ended, or the store takes no writes. */
export function checkSession(work: SessionWork, core: StoreCore): void {
  if (!work.isOpen) throw sessionEnded(work, core);
  core.checkWritable();
}

export class OpenSessions {
  /** Sessions made in earlier turns: watched. */
  readonly #watched = new Set<SessionWork>();
  /** Sessions made in this turn: held, not yet watched. */
  readonly #fresh = new Map<SessionWork, object>();
  #turnUnderWay = false;
  readonly #collected = new FinalizationRegistry<SessionWork>((work) => {
    this.#watched.delete(work);
    if (work.isOpen) work.giveUp();
  });

  get size(): number {
    return this.#watched.size + this.#fresh.size;
  }

  /** `session` is the object that the user holds. */
  add(work: SessionWork, session: object): void {
    this.#fresh.set(work, session);
    if (this.#turnUnderWay) return;
    this.#turnUnderWay = true;
    queueMicrotask(() => this.#watch());
  }

  #watch(): void {
    this.#turnUnderWay = false;
    for (const [work, session] of this.#fresh) {
      this.#watched.add(work);
      this.#collected.register(session, work, session);
    }
    this.#fresh.clear();
  }

  /** The session has ended. */
  delete(work: SessionWork, session: object): void {
    if (this.#fresh.delete(work)) return;
    this.#watched.delete(work);
    this.#collected.unregister(session);
  }

  /** Abandons every session: the store is closed. */
  abandonAll(): void {
    for (const work of [...this.#watched, ...this.#fresh.keys()]) work.closeWithStore();
    this.#watched.clear();
    this.#fresh.clear();
  }
}
