/**
 * Runs the bodies of transactions one after the other.
 *
 * Invariant: a body runs alone, on the state that earlier bodies left. A body that fails leaves no
 * changes, and the next ones run. While many bodies wait, the event loop gets regular turns.
 * `GroupCommits` makes ended transactions durable.
 */

import { invalidArgument, isVarveError, VarveError } from '../../errors.ts';
import type { BatchId } from '../../index.ts';
import { Breather } from '../../util/breather.ts';
import { isThenable } from '../../util/thenable.ts';
import type { Transaction } from '../contract.ts';
import { captureContext, isWithin, runBody, runOnStack } from '../transactions/body-context.ts';
import { TransactionScope } from '../transactions/transaction.ts';
import type { TreeSchema } from '../trees/tree-schema.ts';
import type { Waiter } from './group.ts';
import { type BodyRunner, type CommitsHome, GroupCommits } from './group-commits.ts';
import { TransactionGround } from './transaction-ground.ts';
import { WaitingBodies } from './waiting-bodies.ts';

/** The parts of the forest that the writer needs. */
export interface WriterHome extends CommitsHome {
  checkWritable(): void;
}

interface Waiting {
  readonly body: (tx: TransactionScope) => unknown;
  /** The body may await. Until it ends, it must write only through its transaction. */
  readonly mayAwait: boolean;
  /** Runs the body in its caller's async context; undefined if that is the current one. */
  readonly within: (<T>(run: () => T) => T) | undefined;
  readonly resolve: (result: unknown, batch: BatchId) => void;
  readonly reject: (error: unknown) => void;
}

/** The result of a body, and the batch that made its changes durable. */
interface Ended<T> {
  readonly result: T;
  readonly batch: BatchId;
}

export class ForestWriter implements BodyRunner {
  readonly #home: WriterHome;
  readonly #queue = new WaitingBodies<Waiting>();
  readonly #ground: TransactionGround;
  readonly #commits: GroupCommits;
  #running: TransactionScope | undefined;
  /** No body runs although some wait: the event loop has its turn. */
  #isResting = false;
  /** Measures the work since the event loop's last turn, while bodies wait. */
  #breather: Breather | undefined;
  /** Transactions that were running when the commit that they depend on failed. */
  readonly #failed = new WeakSet<TransactionScope>();
  #idle: (() => void) | undefined;
  /** Puts that share one edit and have not joined the working state yet. */
  #puts: TransactionScope | undefined;

  constructor(home: WriterHome) {
    this.#home = home;
    this.#ground = new TransactionGround(home);
    this.#commits = new GroupCommits(home, this.#ground, this);
  }

  // ── running ──

  /** Runs `body` after those that were queued before; resolves to its result and its batch. */
  run<T>(body: (tx: Transaction) => T | Promise<T>): Promise<Ended<T>> {
    return this.#run(body, true);
  }

  /** As `run`, for a body that does not await. */
  runAtOnce<T>(body: (tx: TransactionScope) => T): Promise<Ended<T>> {
    return this.#run(body, false);
  }

  #run<T>(body: (tx: TransactionScope) => T | Promise<T>, mayAwait: boolean): Promise<Ended<T>> {
    return new Promise((resolve, reject) => {
      this.#checkMayWrite();
      if (typeof body !== 'function') throw invalidArgument('transaction', 'a function', body);
      const done: Waiting['resolve'] = (result, batch) => resolve({ result: result as T, batch });
      const { waits } = this;
      const within = waits ? captureContext() : undefined;
      this.#queue.add({ body, mayAwait, within, resolve: done, reject });
      if (!waits) this.#runAll();
    });
  }

  #checkMayWrite(): void {
    this.#home.checkWritable();
    this.checkOutside();
  }

  /**
   * Refuses a call from within the running body: each would wait for the other. Throws
   * `VARVE_BUSY`.
   */
  checkOutside(): void {
    if (this.#running === undefined || !isWithin(this.#running.body)) return;
    const message =
      "inside a transaction's body, write through its 'tx'; the body cannot close the forest";
    throw new VarveError('VARVE_BUSY', message);
  }

  /**
   * Puts one entry and resolves to its batch. A put that cannot fail half way shares an edit with
   * the puts before it: a node that several change is copied once. Any other put is a transaction
   * of its own.
   */
  put<K, V, R>(schema: TreeSchema<K, V, R>, key: Uint8Array, value: Uint8Array): Promise<BatchId> {
    const isShared = this.#ground.shares.count > 0;
    if (this.waits || isShared || !schema.isPlain(value)) {
      return this.runAtOnce((tx) => tx.writing(schema).putEncoded(key, value)).then(
        ({ batch }) => batch,
      );
    }
    return new Promise((resolve, reject) => {
      this.#checkMayWrite();
      const puts = this.#puts ?? new TransactionScope(this.#ground);
      // If a node cannot be read, nothing has changed yet: only this put fails.
      puts.putPlain(schema, key, value);
      this.#puts = puts;
      this.#ground.group.waiters.push({ resolve, reject });
      this.#commits.flushSoon();
    });
  }

  /** Joins the shared puts to the working state, so that the next body sees them. */
  joinAll(): void {
    if (this.#puts === undefined) return;
    this.#ground.state.join(this.#puts, this.#ground.group);
    this.#puts.end();
    this.#puts = undefined;
  }

  /**
   * Runs waiting bodies until one awaits or the event loop's turn is due. After a turn one body
   * runs in any case, so that a slow machine makes progress.
   */
  #runAll(hasRested = false): void {
    this.joinAll();
    for (let mayRest = !hasRested; ; mayRest = true) {
      if (mayRest && this.#queue.length > 0 && this.#breather?.due === true) {
        this.#rest(this.#breather);
        return;
      }
      const waiting = this.#queue.take();
      if (waiting === undefined) break;
      if (this.#queue.length > 0) this.#breather ??= new Breather();
      const tx = new TransactionScope(this.#ground);
      this.#running = tx;
      let result: unknown;
      let awaits: boolean;
      try {
        result = runIn(tx, waiting);
        // Reading `then` of the result may throw: the body fails with that error.
        awaits = isThenable(result);
      } catch (error) {
        this.#giveUp(tx, waiting, error);
        continue;
      }
      if (awaits) {
        this.#goOnAfter(result as PromiseLike<unknown>, tx, waiting);
        // Ended transactions must not wait for this body.
        this.#commits.flush();
        return;
      }
      this.#finish(tx, waiting, result);
    }
    this.#breather = undefined;
    this.#commits.flushSoon();
  }

  #rest(breather: Breather): void {
    this.#isResting = true;
    this.#commits.flushSoon();
    void breather.turn().then(() => {
      this.#isResting = false;
      this.#runAll(true);
    });
  }

  #goOnAfter(result: PromiseLike<unknown>, tx: TransactionScope, waiting: Waiting): void {
    const ended = (settle: () => void): void => {
      settle();
      this.#runAll();
    };
    Promise.resolve(result).then(
      (value) => ended(() => this.#finish(tx, waiting, value)),
      (error: unknown) => ended(() => this.#giveUp(tx, waiting, error)),
    );
  }

  #finish(tx: TransactionScope, waiting: Waiting, result: unknown): void {
    try {
      if (tx.broken !== undefined) throw tx.broken;
      this.#join(tx, {
        resolve: (batch) => waiting.resolve(result, batch),
        reject: waiting.reject,
      });
    } catch (error) {
      this.#giveUp(tx, waiting, error);
    }
  }

  /** Adds the transaction's changes to the working state and to the next commit. */
  #join(tx: TransactionScope, waiter: Waiter): void {
    this.#ground.state.join(tx, this.#ground.group);
    this.#ground.group.waiters.push(waiter);
    this.#end(tx);
  }

  #end(tx: TransactionScope): void {
    tx.end();
    if (this.#running === tx) this.#running = undefined;
  }

  /** Fails the transaction: drops its changes and withdraws its pushes. */
  #giveUp(tx: TransactionScope, waiting: Waiting, error: unknown): void {
    tx.claim?.abandon();
    this.#end(tx);
    if (this.#failed.has(tx)) {
      waiting.reject(tx.broken);
      return;
    }
    this.#withdraw(tx);
    // If the commit in flight fails, that failure may have caused this error: hold the rejection
    // back until the commit ends.
    const doubted = isVarveError(error) ? this.#ground.inFlight : undefined;
    if (doubted === undefined) waiting.reject(error);
    else doubted.doubtful.push({ reject: waiting.reject, error });
  }

  #withdraw(tx: TransactionScope): void {
    try {
      this.#ground.withdraw(tx.edit);
    } catch (error) {
      // A store that takes no more commits needs no withdrawal.
      const isOver = isVarveError(error, 'VARVE_CLOSED') || isVarveError(error, 'VARVE_POISONED');
      if (!isOver) throw error;
    }
  }

  // ── what commits ask ──

  get running(): TransactionScope | undefined {
    return this.#running;
  }

  failAll(error: unknown): void {
    this.#puts = undefined;
    const running = this.#running;
    if (running === undefined) return;
    this.#failed.add(running);
    running.breakWith(error as Error);
  }

  idle(): void {
    this.#idle?.();
    this.#idle = undefined;
  }

  // ── at once ──

  /**
   * Runs and commits on the calling thread. Throws `VARVE_BUSY`, before `body` runs, if another
   * transaction or commit is under way.
   */
  runSync<T>(body: (tx: Transaction) => T): T {
    this.#home.checkWritable();
    if (typeof body !== 'function') throw invalidArgument('transactionSync', 'a function', body);
    if (this.busy || this.#home.store.committing) {
      throw new VarveError('VARVE_BUSY', 'another transaction or commit is under way');
    }
    const tx = new TransactionScope(this.#ground);
    this.#running = tx;
    let result: T | undefined;
    let failure: { readonly error: unknown } | undefined;
    const waiting: Waiting = {
      body,
      mayAwait: false,
      within: undefined,
      resolve: () => undefined,
      reject: (error) => {
        failure = { error };
      },
    };
    try {
      result = runIn(tx, waiting) as T;
      if (isThenable(result)) {
        // Ignore its outcome: the transaction has ended, so later writes are refused.
        Promise.resolve(result).catch(() => undefined);
        throw invalidArgument('transactionSync', 'a body that returns no promise', result);
      }
      this.#finish(tx, waiting, result);
    } catch (error) {
      this.#giveUp(tx, waiting, error);
    }
    if (failure === undefined) this.#commits.flushSync();
    this.#runAll();
    const failed = failure as { readonly error: unknown } | undefined;
    if (failed !== undefined) throw failed.error;
    return result as T;
  }

  /** A transaction is queued, running or not durable yet. */
  get busy(): boolean {
    return this.waits || this.#queue.length > 0 || this.#commits.busy;
  }

  /** A new transaction would have to wait. */
  get waits(): boolean {
    return this.#running !== undefined || this.#isResting;
  }

  /** Resolves when no transaction is queued, running or in flight. */
  async settled(): Promise<void> {
    while (this.busy) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    }
  }

  /** Runs `GroupCommits.clear`, which waits until nothing is under way. */
  async clear(): Promise<void> {
    await this.#commits.clear(() => this.settled());
  }
}

function runIn(tx: TransactionScope, { body, mayAwait, within }: Waiting): unknown {
  const run = mayAwait ? runBody : runOnStack;
  const runHere = (): unknown => run(tx.body, () => body(tx));
  return within === undefined ? runHere() : within(runHere);
}
