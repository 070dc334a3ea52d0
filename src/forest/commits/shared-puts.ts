/**
 * Puts of one entry that share one edit: a node that several of them change is copied once.
 *
 * Invariant: a put that fails has changed nothing, so the others go on. Only puts that cannot fail
 * half way are taken; any other put is a transaction of its own (`ForestWriter.put`).
 */

import { TransactionScope } from '../transactions/transaction.ts';
import type { TreeSchema } from '../trees/tree-schema.ts';
import type { DurableState } from './durable-state.ts';
import type { WorkingState } from './working-state.ts';

export class SharedPuts {
  readonly #durable: DurableState;
  readonly #state: WorkingState;
  /** The puts that have not joined the working state yet. */
  #scope: TransactionScope | undefined;

  constructor(durable: DurableState, state: WorkingState) {
    this.#durable = durable;
    this.#state = state;
  }

  /** The put changes its entry only; with shared nodes it would change the shares too. */
  mayTake<K, V, R>(schema: TreeSchema<K, V, R>, value: Uint8Array): boolean {
    return schema.isPlain(value) && this.#state.shares.count === 0;
  }

  /** Throws if a node cannot be read; then nothing has changed. */
  put<K, V, R>(schema: TreeSchema<K, V, R>, key: Uint8Array, value: Uint8Array): void {
    const scope = this.#scope ?? new TransactionScope(this.#durable.context, this.#state);
    scope.putPlain(schema, key, value);
    this.#scope = scope;
  }

  /** Joins them to the working state, so that the next body sees them. */
  join(): void {
    if (this.#scope === undefined) return;
    this.#state.join(this.#scope);
    this.#scope.end();
    this.#scope = undefined;
  }

  /** Drops them: the commit that they stand on failed. */
  drop(): void {
    this.#scope = undefined;
  }
}
