/**
 * When what commits have archived is freed: batch by batch with later commits, or right before the
 * next one where a commit has left much behind.
 *
 * Invariant: it never asks for more than the store's guards allow: what a snapshot reaches stays.
 * It runs only when a commit is asked for: no transaction finds the store busy with it.
 */

import { isVarveError } from '../../errors.ts';
import type { BatchId, Session, Store } from '../../index.ts';
import type { Retention } from './retention.ts';

/** Batches that one commit frees at most: what a snapshot held for long is freed bit by bit. */
const freedBatchesMax = 16;
/**
 * What a commit leaves behind, where it is so many values, is freed by a commit of its own before
 * the next one, which finds its space: else the file would hold two generations of it.
 */
const goneForFreeing = 256;

export class Freeing {
  readonly #store: Store;
  readonly #automatic: boolean;
  readonly #retention: Retention;
  #underWay = false;
  /** Up to here much is to be freed before space is taken again. */
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

  /** As a part of a commit: frees what those up to `batch` have archived. */
  within(session: Session, batch: BatchId): void {
    const { checkpoint } = this.#store;
    if (!this.#automatic || batch <= checkpoint) return;
    // Others may archive too: of that not every commit need know.
    if (this.#archivedIn <= checkpoint && batch - checkpoint < freedBatchesMax) return;
    const to = this.#retention.limit(Math.min(batch, checkpoint + freedBatchesMax));
    if (to <= checkpoint) return;
    session.checkpointTo(to);
    if (this.#due !== undefined && this.#due <= to) this.#due = undefined;
  }

  /** A commit has archived so many values. */
  note(batch: BatchId, archived: number): void {
    if (archived > 0) this.#archivedIn = batch;
    if (this.#automatic && archived >= goneForFreeing) this.#due = batch;
  }

  /** A commit has left so much behind that it is to be freed before this one writes nodes. */
  comesBefore(next: { readonly isTold: boolean }): boolean {
    if (this.#due === undefined || next.isTold) return false;
    return this.#retention.limit(this.#due) === this.#due;
  }

  /**
   * Begins a commit that frees what a commit before has left behind, where that is much; `done` is
   * called when it has ended. Only where it comes before the next commit.
   */
  begin(done: () => void): void {
    const batch = this.#takeDue();
    this.#underWay = true;
    const ended = (): void => {
      this.#underWay = false;
      done();
    };
    // Where it fails the commit to come says what is wrong.
    this.#store.checkpointTo(batch).then(ended, ended);
  }

  /** The same on the calling thread. */
  runSync(): void {
    const batch = this.#takeDue();
    const session = this.#store.session();
    try {
      session.checkpointTo(batch);
      session.commitSync();
    } catch (error) {
      // As where it is asynchronous: the commit to come says what is wrong.
      if (!isVarveError(error)) throw error;
    } finally {
      session.abandon();
    }
  }

  #takeDue(): BatchId {
    const batch = this.#due as BatchId;
    this.#due = undefined;
    return batch;
  }
}
