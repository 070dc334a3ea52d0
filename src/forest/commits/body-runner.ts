/**
 * Runs one body at a time, and ends its transaction.
 *
 * Invariant: a body that ends well has joined the working state before the next one runs; one that
 * fails leaves nothing. A body fails too if the commit that it stands on does.
 */

import { invalidArgument, isVarveError, type VarveError } from '../../errors.ts';
import type { BatchId } from '../../index.ts';
import { assert } from '../../util/assert.ts';
import { abandon, isThenable } from '../../util/thenable.ts';
import { runBody, runOnStack } from '../transactions/body-context.ts';
import { TransactionScope } from '../transactions/transaction.ts';
import type { WaitingBody } from '../transactions/waiting-bodies.ts';
import type { DurableState } from './durable-state.ts';
import type { WorkingState } from './working-state.ts';

export class BodyRunner {
  readonly #durable: DurableState;
  readonly #state: WorkingState;
  #running: TransactionScope | undefined;
  /** Transactions that were running when the commit that they depend on failed. */
  readonly #failed = new WeakSet<TransactionScope>();

  constructor(durable: DurableState, state: WorkingState) {
    this.#durable = durable;
    this.#state = state;
  }

  get running(): TransactionScope | undefined {
    return this.#running;
  }

  /**
   * Runs a body and ends its transaction. True if the body awaits: then `goOn` is called when it
   * has ended. Requires: none is running.
   */
  run(waiting: WaitingBody, goOn: () => void): boolean {
    assert(this.#running === undefined, 'bodies run one at a time');
    const tx = new TransactionScope(this.#durable.context, this.#state);
    this.#running = tx;
    let result: unknown;
    try {
      result = runIn(tx, waiting);
      // Reading `then` of the result may throw: the body fails with that error.
      if (isThenable(result)) {
        if (!waiting.mayAwait) throw refusedPromise(result);
        this.#goOnAfter(result, tx, waiting, goOn);
        return true;
      }
    } catch (error) {
      this.#giveUp(tx, waiting, error);
      return false;
    }
    this.#finish(tx, waiting, result);
    return false;
  }

  #goOnAfter(
    result: PromiseLike<unknown>,
    tx: TransactionScope,
    waiting: WaitingBody,
    goOn: () => void,
  ): void {
    Promise.resolve(result).then(
      (value) => {
        this.#finish(tx, waiting, value);
        goOn();
      },
      (error: unknown) => {
        this.#giveUp(tx, waiting, error);
        goOn();
      },
    );
  }

  #finish(tx: TransactionScope, waiting: WaitingBody, result: unknown): void {
    try {
      if (tx.broken !== undefined) throw tx.broken;
      this.#state.join(tx);
      const resolve = (batch: BatchId): void => waiting.resolve(result, batch);
      this.#state.group.waiters.push({ resolve, reject: waiting.reject });
      this.#end(tx);
    } catch (error) {
      this.#giveUp(tx, waiting, error);
    }
  }

  #end(tx: TransactionScope): void {
    tx.end();
    if (this.#running === tx) this.#running = undefined;
  }

  /** Fails the transaction: drops its changes and withdraws its pushes. */
  #giveUp(tx: TransactionScope, waiting: WaitingBody, error: unknown): void {
    tx.giveUp();
    this.#end(tx);
    if (this.#failed.has(tx)) {
      waiting.reject(tx.broken);
      return;
    }
    this.#state.withdraw(tx.edit);
    // If the commit in flight fails, that failure may have caused this error: hold the rejection
    // back until the commit ends.
    const doubted = isVarveError(error) ? this.#state.inFlight : undefined;
    if (doubted === undefined) waiting.reject(error);
    else doubted.doubtful.push({ reject: waiting.reject, error });
  }

  /** Fails the running transaction: the state that it started from is gone. */
  fail(error: unknown): void {
    if (this.#running === undefined) return;
    this.#failed.add(this.#running);
    this.#running.breakWith(error as Error);
  }
}

function runIn(tx: TransactionScope, { body, mayAwait, within }: WaitingBody): unknown {
  const run = mayAwait ? runBody : runOnStack;
  const runHere = (): unknown => run(tx.body, () => body(tx));
  return within === undefined ? runHere() : within(runHere);
}

/** The transaction has ended when its promise settles: later writes are refused. */
function refusedPromise(result: PromiseLike<unknown>): VarveError {
  abandon(result);
  return invalidArgument('transactionSync', 'a body that returns no promise', result);
}
