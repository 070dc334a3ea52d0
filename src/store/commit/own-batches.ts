/**
 * Batches of the store's own: they move maps and push a settle on, and no session is in them.
 *
 * Invariants:
 * - If no commit is in flight, such a batch is made on the calling thread, so that `commitSync`
 *   never finds it in flight. Otherwise it waits for the batch in flight. Its large writes have
 *   been made before.
 * - The sync of copies takes its turn as a batch does: of two syncs at once, one may get the error
 *   of the other's writes.
 */

import { isVarveError } from '../../errors.ts';
import { pause, type Steps } from '../file/effects.ts';
import type { StoreCore } from '../state/core.ts';
import type { StoreWatch } from '../watch/store-watch.ts';
import type { MapMove } from './commit-plan.ts';
import type { DurableWriter } from './durable-writer.ts';
import type { GivenBackMaps } from './given-back-maps.ts';

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
  /** The batch that began last has ended, durable or not. */
  over(): void;
}

/** Work of the store's own: a batch, or the sync of copies before it. */
export type OwnWork = OwnBatch | 'sync of copies';

/** Own work that waits for the batch in flight. */
class WaitingOwn {
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

export class OwnBatches {
  readonly #core: StoreCore;
  readonly #watch: StoreWatch;
  readonly #writer: DurableWriter;
  readonly #givenBack: GivenBackMaps;
  readonly #waiting: WaitingOwn[] = [];

  constructor(core: StoreCore, watch: StoreWatch, writer: DurableWriter, givenBack: GivenBackMaps) {
    this.#core = core;
    this.#watch = watch;
    this.#writer = writer;
    this.#givenBack = givenBack;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  /** The work waits for its turn; resolves and rejects as `steps`. */
  queue(work: OwnWork): Promise<boolean> {
    return new Promise((resolve, reject) => {
      this.#waiting.push(new WaitingOwn(work, resolve, reject));
    });
  }

  take(): WaitingOwn | undefined {
    return this.#waiting.shift();
  }

  /** Returns false if the maps of a batch could not move. Throws `VARVE_IO`, `VARVE_POISONED`. */
  *steps(work: OwnWork): Steps<boolean> {
    this.#core.checkSound();
    if (work !== 'sync of copies') return yield* this.#batch(work);
    yield* this.#writer.sync();
    return true;
  }

  *#batch({ moves = [], drops = false, settles = false }: OwnBatch): Steps<boolean> {
    this.#writer.batchBegins();
    this.#watch.batchBegins([]);
    const { atlas, housekeeping, published } = this.#core;
    const dropped = drops ? this.#givenBack.retire(atlas.emptyMaps()) : [];
    const movable = yield* this.movable(moves);
    if (settles && housekeeping.canSettle) housekeeping.beginSettle();
    yield* this.#writer.commit({
      works: [],
      freed: new Map(),
      checkpoint: published.checkpoint,
      dropped,
      moves: movable ?? [],
    });
    if (dropped.length > 0) this.#givenBack.becameDurable();
    return movable !== undefined;
  }

  /** As `movable`, in a batch of sessions: none if marks cannot be read, and the sessions go on. */
  *movableBesides(moves: readonly MapMove[]): Steps<readonly MapMove[] | undefined> {
    try {
      return yield* this.movable(moves);
    } catch (error) {
      if (!isVarveError(error)) throw error;
      return [];
    }
  }

  /**
   * Decides which maps move with a batch that is about to be planned: those that can still move,
   * with their marks in memory until the batch is over. Undefined if all of them have to wait,
   * since a settle writes structures. Requires: if there are any, no settle begins before the batch
   * is durable. Throws `VARVE_CORRUPT`, `VARVE_IO`.
   */
  *movable(moves: readonly MapMove[]): Steps<readonly MapMove[] | undefined> {
    const { atlas, housekeeping } = this.#core;
    if (!housekeeping.canMove) return undefined;
    const { loadedPages } = atlas;
    const movable: MapMove[] = [];
    for (const move of moves) {
      const { stratum, map } = move;
      if (map.vacated || !stratum.maps.includes(map)) continue;
      for (const page of stratum.pagesOf(map)) loadedPages.pin(page);
      movable.push(move);
      yield pause;
    }
    return movable;
  }
}
