/**
 * Runs transactions one after the other.
 *
 * Invariant: a body runs alone, on the state that those before it left. If it fails, nothing of it
 * is left, and those behind it run. Many bodies that wait give the event loop its turns. What has
 * ended is made durable by `GroupCommits`.
 */

import { invalidArgument, isVarveError, VarveError } from '../../errors.ts';
import type { BatchId } from '../../index.ts';
import { Breather } from '../../util/breather.ts';
import { isThenable } from '../../util/thenable.ts';
import type { Transaction } from '../contract.ts';
import { captureContext, isWithin, runBody, runOnStack } from '../transactions/body-context.ts';
import { TransactionScope } from '../transactions/transaction.ts';
import type { TreeUse } from '../trees/tree-use.ts';
import type { Member } from './group.ts';
import { type BodyRunner, type CommitsHome, GroupCommits } from './group-commits.ts';
import { TransactionGround } from './transaction-ground.ts';
import { WaitingBodies } from './waiting-bodies.ts';

/** What the writer asks of the forest. */
export interface WriterHome extends CommitsHome {
  checkWritable(): void;
}

interface Waiting {
  readonly body: (tx: TransactionScope) => unknown;
  /** It may await, and is not to write otherwise meanwhile. */
  readonly mayAwait: boolean;
  /** Runs the body in the context of whoever asked for it; undefined where that is here. */
  readonly within: (<T>(run: () => T) => T) | undefined;
  readonly resolve: (result: unknown, batch: BatchId) => void;
  readonly reject: (error: unknown) => void;
}

/** How a transaction of the user's own and its batch come back. */
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
  /** Bodies wait although none runs: others have their turn. */
  #isResting = false;
  /** Measures the work since others had a turn, as long as bodies wait. */
  #breather: Breather | undefined;
  /** Transactions that ran on the state of a commit that failed. */
  readonly #failed = new WeakSet<TransactionScope>();
  #idle: (() => void) | undefined;
  /** Puts that have changed nodes together and are not yet part of the state. */
  #puts: TransactionScope | undefined;

  constructor(home: WriterHome) {
    this.#home = home;
    this.#ground = new TransactionGround(home);
    this.#commits = new GroupCommits(home, this.#ground, this);
  }

  // ── running ──

  /** Runs `body` when those before it have; resolves to what it gave, and its batch. */
  run<T>(body: (tx: Transaction) => T | Promise<T>): Promise<Ended<T>> {
    return this.#run(body, true);
  }

  /** As `run`, of a body that does not await. */
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
   * A body that is under way would wait for what it asks for, and that for the body. Throws
   * `VARVE_BUSY`.
   */
  checkOutside(): void {
    if (this.#running === undefined || !isWithin(this.#running.body)) return;
    const message =
      "the body of a transaction writes through its own 'tx', and does not close the forest";
    throw new VarveError('VARVE_BUSY', message);
  }

  /**
   * Puts one entry in a transaction of its own or, if nothing can go wrong half way, together with
   * the puts before it: nodes that several of them change are copied once. Resolves as `run`.
   */
  put<K, V, R>(use: TreeUse<K, V, R>, key: Uint8Array, value: Uint8Array): Promise<BatchId> {
    const isShared = this.#ground.shares.count > 0;
    if (this.waits || isShared || !use.isPlain(value)) {
      return this.runAtOnce((tx) => tx.writing(use).putEncoded(key, value)).then(
        ({ batch }) => batch,
      );
    }
    return new Promise((resolve, reject) => {
      this.#checkMayWrite();
      const puts = this.#puts ?? new TransactionScope(this.#ground);
      // If a node cannot be read nothing has changed yet: it is this put's own failure.
      puts.putPlain(use, key, value);
      this.#puts = puts;
      this.#ground.group.members.push({ resolve, reject });
      this.#commits.flushSoon();
    });
  }

  /** Others go on from what the puts have changed. */
  joinAll(): void {
    if (this.#puts === undefined) return;
    this.#ground.state.join(this.#puts, this.#ground.group);
    this.#puts.end();
    this.#puts = undefined;
  }

  /**
   * Runs what waits, until a body has to be waited for or others are to have their turn. After a
   * rest one body runs in any case, however slow the machine is.
   */
  #runAll(hasRested = false): void {
    this.joinAll();
    for (let mayRest = !hasRested; ; mayRest = true) {
      if (mayRest && this.#breather?.due === true) {
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
        // What the body gave may throw when it is looked at: that is the body's failure too.
        awaits = isThenable(result);
      } catch (error) {
        this.#giveUp(tx, waiting, error);
        continue;
      }
      if (awaits) {
        this.#goOnAfter(result as PromiseLike<unknown>, tx, waiting);
        // Those before it are not to wait for it.
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

  /** What the transaction did becomes part of the next commit. */
  #join(tx: TransactionScope, member: Member): void {
    this.#ground.state.join(tx, this.#ground.group);
    this.#ground.group.members.push(member);
    this.#end(tx);
  }

  #end(tx: TransactionScope): void {
    tx.end();
    if (this.#running === tx) this.#running = undefined;
  }

  /** The transaction fails: its changes are forgotten, what it pushed is given back. */
  #giveUp(tx: TransactionScope, waiting: Waiting, error: unknown): void {
    tx.claim?.abandon();
    this.#end(tx);
    if (this.#failed.has(tx)) {
      waiting.reject(tx.broken);
      return;
    }
    this.#withdraw(tx);
    // If the commit that it stood on fails, that is why what it read was not there.
    const doubted = isVarveError(error) ? this.#ground.inFlight : undefined;
    if (doubted === undefined) waiting.reject(error);
    else doubted.doubtful.push({ reject: waiting.reject, error });
  }

  #withdraw(tx: TransactionScope): void {
    try {
      this.#ground.withdraw(tx.edit);
    } catch (error) {
      // Of a store that takes no commits any more nothing need be taken back.
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

  /** Runs and commits on the calling thread. Throws `VARVE_BUSY` before `body` runs. */
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
        // Nobody waits for it: what it does later is refused.
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

  /** A transaction that is begun now has to wait for another one. */
  get waits(): boolean {
    return this.#running !== undefined || this.#isResting;
  }

  /** Nothing is queued, running or being committed any more. */
  async settled(): Promise<void> {
    while (this.busy) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    }
  }

  /** As `GroupCommits.clear`, once nothing is under way. */
  async clear(): Promise<void> {
    await this.#commits.clear(() => this.settled());
  }
}

function runIn(tx: TransactionScope, { body, mayAwait, within }: Waiting): unknown {
  const run = mayAwait ? runBody : runOnStack;
  const runHere = (): unknown => run(tx.body, () => body(tx));
  return within === undefined ? runHere() : within(runHere);
}
