/**
 * A queue of bodies, first in, first out.
 *
 * Invariant: adding and taking are O(1) amortised, however many wait, and a taken body is not kept
 * in memory. It runs nothing.
 */

import type { BatchId } from '../../index.ts';
import type { TransactionScope } from './transaction.ts';

/** A body that waits for its turn, or has it. */
export interface WaitingBody {
  readonly body: (tx: TransactionScope) => unknown;
  /** The body may await. Until it ends, it must write only through its transaction. */
  readonly mayAwait: boolean;
  /** Runs the body in its caller's async context; undefined if that is the current one. */
  readonly within: (<T>(run: () => T) => T) | undefined;
  readonly resolve: (result: unknown, batch: BatchId) => void;
  readonly reject: (error: unknown) => void;
}

/** Taken slots at the front of the array that are kept before it is shortened. */
const takenMax = 1024;

export class WaitingBodies<T> {
  #bodies: T[] = [];
  #taken = 0;

  get length(): number {
    return this.#bodies.length - this.#taken;
  }

  add(body: T): void {
    this.#bodies.push(body);
  }

  /** The one that has waited longest. */
  take(): T | undefined {
    if (this.length === 0) return undefined;
    const body = this.#bodies[this.#taken] as T;
    // Drop the reference.
    this.#bodies[this.#taken] = undefined as T;
    this.#taken += 1;
    if (this.#taken === this.#bodies.length) {
      this.#bodies = [];
      this.#taken = 0;
    } else if (this.#taken > takenMax && this.#taken * 2 > this.#bodies.length) {
      this.#bodies = this.#bodies.slice(this.#taken);
      this.#taken = 0;
    }
    return body;
  }
}
