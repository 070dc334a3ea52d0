/**
 * Decides when archived values are freed: a few batches with each commit. The values of a large
 * commit are freed at once, before the next commit that writes all nodes.
 *
 * Invariant: no checkpoint goes beyond the store's guards, so all that a snapshot reaches stays. It
 * runs only as part of a commit request: no transaction finds the store busy with it.
 */

import { isVarveError } from '../../errors.ts';
import type { BatchId, Session, Store } from '../../index.ts';
import { assert, present } from '../../util/assert.ts';
import type { RootPlan } from '../journal/journal.ts';
import type { Retention } from './retention.ts';

/**
 * Batches that one commit frees at most. If a snapshot was held for long, commits catch up in
 * steps.
 */
const freedBatchesMax = 16;
/**
 * If a commit archives at least this many values, a commit of its own frees them before the next
 * one that writes all nodes. That one reuses the space; without this, the file would hold two
 * generations of nodes.
 */
const archivedForFreeing = 256;

export class Freeing {
  readonly #store: Store;
  readonly #automatic: boolean;
  readonly #retention: Retention;
  #underWay = false;
  /** A batch that archived much: free up to it before the next commit that writes all nodes. */
  #due: BatchId | undefined;
  /** The last batch that is known to have archived anything. */
  #archivedIn: BatchId = 0;

  constructor(store: Store, automatic: boolean, retention: Retention) {
    this.#store = store;
    this.#automatic = automatic;
    this.#retention = retention;
  }

  /** A commit that only frees is being made. */
  get underWay(): boolean {
    return this.#underWay;
  }

  /** Adds a checkpoint up to `batch` to the session of a commit, if it is due. */
  within(session: Session, batch: BatchId): void {
    const { checkpoint } = this.#store;
    if (!this.#automatic || batch <= checkpoint) return;
    // Other users of the store may archive too: without archives of our own, a checkpoint every 16
    // batches is enough.
    if (this.#archivedIn <= checkpoint && batch - checkpoint < freedBatchesMax) return;
    const to = this.#retention.limit(Math.min(batch, checkpoint + freedBatchesMax));
    if (to <= checkpoint) return;
    session.checkpointTo(to);
    if (this.#due !== undefined && this.#due <= to) this.#due = undefined;
  }

  /** Notes that the commit `batch` is durable and archived this number of values. */
  note(batch: BatchId, archived: number): void {
    this.#retention.note(batch, Date.now());
    if (archived > 0) this.#archivedIn = batch;
    if (this.#automatic && archived >= archivedForFreeing) this.#due = batch;
  }

  /** A large commit's archived values must be freed before `next` is written. */
  comesBefore(next: RootPlan): boolean {
    if (this.#due === undefined || next.isLogged) return false;
    return this.#retention.limit(this.#due) === this.#due;
  }

  /**
   * Begins a commit that frees what a large commit archived; calls `done` when it has ended.
   *
   * Requires: `comesBefore` is true.
   */
  begin(done: () => void): void {
    assert(!this.#underWay, 'one commit frees at a time');
    const batch = this.#takeDue();
    this.#underWay = true;
    const ended = (): void => {
      this.#underWay = false;
      done();
    };
    // On failure go on: the next commit reports the error.
    this.#store.checkpointTo(batch).then(ended, ended);
  }

  /** As `begin`, on the calling thread. Also a store that refuses the session is no failure. */
  runSync(): void {
    const batch = this.#takeDue();
    let session: Session | undefined;
    try {
      session = this.#store.session();
      session.checkpointTo(batch);
      session.commitSync();
    } catch (error) {
      // As in `begin`: the next commit reports the error.
      if (!isVarveError(error)) throw error;
    } finally {
      session?.abandon();
    }
  }

  /** Frees all archived values that nothing holds. Rejects as a commit. */
  async freeAll(): Promise<void> {
    if (this.#store.statistics().archivedValues > 0) await this.forgetAll();
  }

  /** As `freeAll`, and forgets the commit log, also if nothing is archived. */
  async forgetAll(): Promise<void> {
    const store = this.#store;
    if (!this.#automatic || store.readOnly) return;
    await store.checkpointTo(this.#retention.limit(store.currentBatch));
  }

  #takeDue(): BatchId {
    const batch = present(this.#due, 'the batch to free');
    this.#due = undefined;
    return batch;
  }
}
