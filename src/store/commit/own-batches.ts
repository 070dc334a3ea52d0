/**
 * Batches of the store's own: they move maps and push a settle on, and no session is in them.
 *
 * Invariants:
 * - If no commit is in flight, such a batch is made on the calling thread, so that `commitSync` never
 *   finds it in flight. Otherwise it waits for the batch in flight. Its large writes have been made
 *   before.
 * - The sync of copies takes its turn as a batch does: of two syncs at once, one may get the error of
 *   the other's writes.
 */

import type { Steps } from '../file/effects.ts';
import type { MapMove } from './commit-plan.ts';

/** The content of a batch of the store's own. */
export interface OwnBatch {
  readonly moves?: readonly MapMove[];
  /** Gives back all empty maps. */
  readonly drops?: boolean;
  /** Begins a settle, if none is under way. */
  readonly settles?: boolean;
}

/** Takes part in the batches of sessions. */
export interface Rider {
  /** A batch begins. Returns what it does besides. */
  ride(): Steps<OwnBatch>;
  /** A batch with that is durable. `moved`: its maps could move. */
  committed(moved: boolean): void;
}

/** Work of the store's own: a batch, or the sync of copies before it. */
export type OwnWork = OwnBatch | 'sync of copies';

/** Own work that waits for the batch in flight. */
export class WaitingOwn {
  readonly work: OwnWork;
  readonly #resolve: (isDone: boolean) => void;
  readonly #reject: (error: unknown) => void;

  constructor(work: OwnWork, resolve: (isDone: boolean) => void, reject: (error: unknown) => void) {
    this.work = work;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  async settle(outcome: Promise<boolean>): Promise<void> {
    try {
      this.#resolve(await outcome);
    } catch (error) {
      this.#reject(error);
    }
  }
}
