/**
 * Runs the bodies of transactions one after the other.
 *
 * Invariant: a body runs alone, on the state that earlier bodies left. A body that fails leaves no
 * changes, and the next ones run. While many bodies wait, the event loop gets regular turns.
 * `GroupCommits` makes ended transactions durable.
 */

import { invalidArgument, VarveError } from '../../errors.ts';
import type { BatchId, GrainId } from '../../index.ts';
import { present } from '../../util/assert.ts';
import { Breather } from '../../util/breather.ts';
import type { Transaction } from '../contract.ts';
import { captureContext, isWithin } from '../transactions/body-context.ts';
import type { TransactionScope } from '../transactions/transaction.ts';
import { WaitingBodies, type WaitingBody } from '../transactions/waiting-bodies.ts';
import type { TreeSchema } from '../trees/tree-schema.ts';
import { BodyRunner } from './body-runner.ts';
import type { DurableState } from './durable-state.ts';
import type { Freeing } from './freeing.ts';
import { type CommitsOwner, GroupCommits } from './group-commits.ts';
import { SharedPuts } from './shared-puts.ts';
import { WorkingState } from './working-state.ts';

/** The life of the forest around its writer. */
export interface WriterOwner {
  /** Throws if the forest takes no transactions. */
  checkWritable(): void;
  /** Called after all promises that waited for a commit have resolved. */
  announce(batch: BatchId, changed: ReadonlySet<string>): void;
}

/** The result of a body, and the batch that made its changes durable. */
interface Ended<T> {
  readonly result: T;
  readonly batch: BatchId;
}

export class ForestWriter implements CommitsOwner {
  readonly #owner: WriterOwner;
  readonly #durable: DurableState;
  readonly #queue = new WaitingBodies<WaitingBody>();
  readonly #state: WorkingState;
  readonly #bodies: BodyRunner;
  readonly #puts: SharedPuts;
  readonly #commits: GroupCommits;
  /** No body runs although some wait: the event loop has its turn. */
  #isResting = false;
  /** Measures the work since the event loop's last turn, while bodies wait. */
  #breather: Breather | undefined;
  #idle: (() => void) | undefined;

  constructor(owner: WriterOwner, durable: DurableState, freeing: Freeing) {
    this.#owner = owner;
    this.#durable = durable;
    this.#state = new WorkingState(durable, () => this.#commits.finishPreparing());
    this.#bodies = new BodyRunner(durable, this.#state);
    this.#puts = new SharedPuts(durable, this.#state);
    this.#commits = new GroupCommits(durable, this.#state, freeing, this);
  }

  // ── running ──

  /** Runs `body` after those that were queued before; resolves to its result and its batch. */
  run<T>(body: (tx: Transaction) => T | Promise<T>): Promise<Ended<T>> {
    return this.#run(body, true);
  }

  /** As `run`, for a body that does not return a promise: it is queued like any other. */
  runAtOnce<T>(body: (tx: TransactionScope) => T): Promise<Ended<T>> {
    return this.#run(body, false);
  }

  #run<T>(body: (tx: TransactionScope) => T | Promise<T>, mayAwait: boolean): Promise<Ended<T>> {
    return new Promise((resolve, reject) => {
      this.#checkMayWrite();
      if (typeof body !== 'function') throw invalidArgument('transaction', 'a function', body);
      const done: WaitingBody['resolve'] = (result, batch) =>
        resolve({ result: result as T, batch });
      const { waits } = this;
      const within = waits ? captureContext() : undefined;
      this.#queue.add({ body, mayAwait, within, resolve: done, reject });
      if (!waits) this.#runAll();
    });
  }

  #checkMayWrite(): void {
    this.#owner.checkWritable();
    this.checkOutside();
  }

  /**
   * Refuses a call from within the running body: each would wait for the other. Throws
   * `VARVE_BUSY`.
   */
  checkOutside(): void {
    if (this.running === undefined || !isWithin(this.running.body)) return;
    const message =
      "inside a transaction's body, write through its 'tx'; the body cannot close the forest";
    throw new VarveError('VARVE_BUSY', message);
  }

  /** Puts one entry and resolves to its batch; see `SharedPuts`. */
  put<K, V, R>(schema: TreeSchema<K, V, R>, key: Uint8Array, value: Uint8Array): Promise<BatchId> {
    if (this.waits || !this.#puts.mayTake(schema, value)) {
      const put = this.runAtOnce((tx) => tx.writing(schema).putEncoded(key, value));
      return put.then(({ batch }) => batch);
    }
    return new Promise((resolve, reject) => {
      this.#checkMayWrite();
      this.#puts.put(schema, key, value);
      this.#state.group.waiters.push({ resolve, reject });
      this.#commits.flushSoon();
    });
  }

  joinAll(): void {
    this.#puts.join();
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
      if (!this.#bodies.run(waiting, () => this.#runAll())) continue;
      // Ended transactions must not wait for this body.
      this.#commits.flush();
      return;
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

  // ── what commits ask ──

  get running(): TransactionScope | undefined {
    return this.#bodies.running;
  }

  failAll(error: unknown): void {
    this.#puts.drop();
    this.#bodies.fail(error);
  }

  announce(batch: BatchId, changed: ReadonlySet<string>): void {
    this.#owner.announce(batch, changed);
  }

  idle(): void {
    this.#idle?.();
    this.#idle = undefined;
  }

  /** A transaction archives the value, and is running or not durable yet. */
  isArchived(id: GrainId): boolean {
    return this.#state.isArchived(id) || this.running?.archives.has(id) === true;
  }

  // ── at once ──

  /**
   * Runs and commits on the calling thread. Throws `VARVE_BUSY`, before `body` runs, if another
   * transaction or commit is under way.
   */
  runSync<T>(body: (tx: Transaction) => T): T {
    this.#owner.checkWritable();
    if (typeof body !== 'function') throw invalidArgument('transactionSync', 'a function', body);
    if (this.busy || this.#durable.context.store.committing) {
      throw new VarveError('VARVE_BUSY', 'another transaction or commit is under way');
    }
    let ended: (() => unknown) | undefined;
    const resolve = (result: unknown): void => {
      ended = () => result;
    };
    const reject = (error: unknown): void => {
      ended = () => {
        throw error;
      };
    };
    const waiting = { body, mayAwait: false, within: undefined, resolve, reject };
    this.#bodies.run(waiting, () => undefined);
    if (ended === undefined) this.#commits.flushSync();
    this.#runAll();
    return present(ended, 'the outcome of a transaction')() as T;
  }

  /** A transaction is queued, running or not durable yet. */
  get busy(): boolean {
    return this.waits || this.#queue.length > 0 || this.#commits.busy;
  }

  /** A new transaction would have to wait. */
  get waits(): boolean {
    return this.running !== undefined || this.#isResting;
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
