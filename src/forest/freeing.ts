/**
 * When what commits have archived is freed: batch by batch with later commits, or at once where a
 * commit has left much behind.
 *
 * Invariant: it never asks for more than the store's guards allow, so what a snapshot reaches stays.
 * A freeing that fails is left to later commits.
 */

import type { BatchId, Session, Store } from '../index.ts';

/** Batches that one commit frees at most: what a snapshot held for long is freed bit by bit. */
const freedBatchesMax = 16;
/**
 * A commit that leaves behind so many nodes has them freed by a commit of their own, so that the
 * next one finds their space: else the file would hold two generations of what is replaced.
 */
const goneForFreeing = 256;

export class Freeing {
  readonly #store: Store;
  readonly #automatic: boolean;
  #underWay = false;

  constructor(store: Store, automatic: boolean) {
    this.#store = store;
    this.#automatic = automatic;
  }

  /** A commit that only frees is being made. */
  get underWay(): boolean {
    return this.#underWay;
  }

  /** As a part of a commit: frees what those up to `batch` have archived. */
  within(session: Session, batch: BatchId): void {
    const { checkpoint } = this.#store;
    if (!this.#automatic || batch <= checkpoint) return;
    session.checkpointTo(Math.min(batch, checkpoint + freedBatchesMax));
  }

  #isDue(gone: number): boolean {
    return this.#automatic && gone >= goneForFreeing;
  }

  /** After a commit that has left `gone` nodes behind. `done` is called where it begins one. */
  after(batch: BatchId, gone: number, done: () => void): void {
    if (!this.#isDue(gone)) return;
    this.#underWay = true;
    const ended = (): void => {
      this.#underWay = false;
      done();
    };
    this.#store.checkpointTo(batch).then(ended, ended);
  }

  /** The same on the calling thread. */
  afterSync(batch: BatchId, gone: number): void {
    if (!this.#isDue(gone)) return;
    const session = this.#store.session();
    try {
      session.checkpointTo(batch);
      session.commitSync();
    } catch {
      // The commit before is durable all the same; another one frees it, or says what is wrong.
      session.abandon();
    }
  }
}
