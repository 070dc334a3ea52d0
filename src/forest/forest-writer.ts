/**
 * Runs transactions one after the other and makes them durable in groups.
 *
 * Invariant: a body runs alone, on the state that those before it left; at most one group is being
 * committed, and the next is made of what has ended meanwhile. Where a commit fails everything
 * that stood on its state fails with it, and the state is the durable one again. What a power cut
 * leaves is what the store says: a group is one session, so all of it or nothing.
 */

import { invalidArgument, isVarveError, VarveError } from '../errors.ts';
import type { BatchId } from '../index.ts';
import { isThenable } from '../util/thenable.ts';
import type { Transaction } from './contract.ts';
import type { ForestVersion, VersionRoots } from './forest-version.ts';
import { Freeing } from './freeing.ts';
import { Group, type Member } from './group.ts';
import type { ReadHold } from './range-iterators.ts';
import { TransactionScope } from './transaction.ts';
import { type GroundHome, TransactionGround } from './transaction-ground.ts';
import type { TreeUse } from './tree-use.ts';

/** What the writer asks of the forest. */
export interface WriterHome extends GroundHome {
  /** The last durable state. */
  durable: ForestVersion;
  readonly automatic: boolean;
  checkWritable(): void;
  reserveMemory(): void;
  /** Called after each commit, once everyone has been told. */
  committed(batch: BatchId, trees: readonly string[]): void;
}

interface Waiting {
  readonly body: (tx: TransactionScope) => unknown;
  readonly resolve: (result: unknown, batch: BatchId) => void;
  readonly reject: (error: unknown) => void;
}

export class ForestWriter {
  readonly #home: WriterHome;
  readonly #queue: Waiting[] = [];
  readonly #ground: TransactionGround;
  #running: TransactionScope | undefined;
  /** Keeps what the durable state reaches while the next one is being committed. */
  #held: ReadHold | undefined;
  /** Transactions that ran on the state of a commit that failed. */
  readonly #failed = new WeakSet<TransactionScope>();
  #idle: (() => void) | undefined;
  #flushPlanned = false;
  /** Puts that have changed nodes together and are not yet part of the state. */
  #puts: TransactionScope | undefined;
  readonly #freeing: Freeing;

  constructor(home: WriterHome) {
    this.#home = home;
    this.#ground = new TransactionGround(home);
    this.#freeing = new Freeing(home.store, home.automatic);
  }

  // ── running ──

  /** Runs `body` when those before it have; resolves to what it gave, and its batch. */
  run<T>(
    body: (tx: Transaction) => T | Promise<T>,
  ): Promise<{ readonly result: T; readonly batch: BatchId }> {
    return new Promise((resolve, reject) => {
      this.#home.checkWritable();
      if (typeof body !== 'function') throw invalidArgument('transaction', 'a function', body);
      const done: Waiting['resolve'] = (result, batch) => resolve({ result: result as T, batch });
      this.#queue.push({ body, resolve: done, reject });
      if (this.#running === undefined) this.#runAll();
    });
  }

  /**
   * Puts one entry in a transaction of its own or, where nothing can go wrong half way, together
   * with the puts before it: nodes that several of them change are copied once. Resolves as `run`.
   */
  put<K, V, R>(use: TreeUse<K, V, R>, key: Uint8Array, value: Uint8Array): Promise<BatchId> {
    const isShared = this.#ground.shares.count > 0;
    if (this.#running !== undefined || isShared || !use.isPlain(value)) {
      return this.run((tx) => {
        (tx as TransactionScope).writing(use).putEncoded(key, value);
      }).then(({ batch }) => batch);
    }
    return new Promise((resolve, reject) => {
      this.#home.checkWritable();
      const puts = this.#puts ?? new TransactionScope(this.#ground);
      // Where a node cannot be read nothing has changed yet: it is this put's own failure.
      puts.putPlain(use, key, value);
      this.#puts = puts;
      this.#ground.group.members.push({ resolve, reject });
      this.#flushSoon();
    });
  }

  /** Others go on from what the puts have changed. */
  #endPuts(): void {
    if (this.#puts === undefined) return;
    this.#ground.state.join(this.#puts, this.#ground.group);
    this.#puts.end();
    this.#puts = undefined;
  }

  /** Runs what waits, until a body has to be waited for. */
  #runAll(): void {
    this.#endPuts();
    for (;;) {
      const waiting = this.#queue.shift();
      if (waiting === undefined) break;
      const tx = new TransactionScope(this.#ground);
      this.#running = tx;
      let result: unknown;
      try {
        result = waiting.body(tx);
      } catch (error) {
        this.#giveUp(tx, waiting, error);
        continue;
      }
      if (isThenable(result)) {
        // Those before it are not to wait for it.
        this.#flush();
        this.#goOnAfter(result, tx, waiting);
        return;
      }
      this.#finish(tx, waiting, result);
    }
    this.#flushSoon();
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

  /** The transaction comes to nothing: its changes are forgotten, what it pushed is given back. */
  #giveUp(tx: TransactionScope, waiting: Waiting, error: unknown): void {
    tx.claim?.abandon();
    this.#end(tx);
    if (this.#failed.has(tx)) {
      waiting.reject(tx.broken);
      return;
    }
    this.#ground.withdraw(tx.edit);
    // Where the commit that it stood on fails, that is why what it read was not there.
    const doubted = isVarveError(error) ? this.#ground.inFlight : undefined;
    if (doubted === undefined) waiting.reject(error);
    else doubted.doubtful.push({ reject: waiting.reject, error });
  }

  // ── committing ──

  /** Commits what has ended, once whoever was told of the last one has had a turn. */
  #flushSoon(): void {
    if (this.#committing || this.#flushPlanned) return;
    if (this.#ground.group.members.length === 0) {
      this.#tellIdle();
      return;
    }
    this.#flushPlanned = true;
    queueMicrotask(() => {
      this.#flushPlanned = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#committing || this.#ground.group.members.length === 0) return;
    this.#endPuts();
    if (this.#freeing.comesBefore(this.#ground.group)) {
      this.#freeing.begin(() => this.#flush());
      return;
    }
    const group = this.#takeChanged();
    if (group === undefined) {
      this.#tellIdle();
      return;
    }
    let roots: VersionRoots;
    try {
      roots = this.#prepare(group);
      // Until this commit is known to be durable, others may free what the state before it reaches.
      this.#held = this.#home.durable.hold(this.#home.store, () => undefined);
    } catch (error) {
      this.#fail(group, error);
      return;
    }
    this.#ground.inFlight = group;
    group.session.commit().then(
      (batch) => this.#done(group, roots, batch),
      (error: unknown) => this.#fail(group, error),
    );
  }

  /** The group that is to be committed; what ends from now on goes into another. */
  #take(): Group {
    const group = this.#ground.group;
    this.#ground.group = new Group(this.#home);
    return group;
  }

  /** The same; undefined where there is nothing to commit, and whoever waits is told. */
  #takeChanged(): Group | undefined {
    const group = this.#take();
    if (!group.isEmpty || !this.#ground.state.isClear) return group;
    for (const member of group.members) member.resolve(this.#home.durable.batch);
    return undefined;
  }

  #prepare(group: Group): VersionRoots {
    const { state } = this.#ground;
    for (const id of state.takeLeftOver()) group.leftOver.push(id);
    const pending = [...(this.#running?.edit.pushed ?? [])];
    for (const id of pending) group.taken.add(id);
    const { shares } = state;
    const roots = group.prepare({ shares, pending, record: (name) => state.record(name) });
    state.pending = pending;
    this.#freeing.within(group.session, this.#home.durable.batch);
    return roots;
  }

  #done(group: Group, roots: VersionRoots, batch: BatchId): void {
    const { nodes } = this.#home;
    this.#letGo();
    this.#home.durable = this.#home.durable.next(batch, roots, group.changed);
    group.enter(roots);
    this.#home.reserveMemory();
    this.#ground.inFlight = undefined;
    this.#freeing.note(batch, group.archived);
    this.#ground.state.committed(group);
    for (const ref of group.stored) nodes.cache.add(ref);
    for (const ref of group.gone) nodes.forget(ref);
    for (const member of group.members) member.resolve(batch);
    for (const { reject, error } of group.doubtful) reject(error);
    this.#home.committed(batch, [...group.changed.keys()]);
    this.#afterCommit();
  }

  #afterCommit(): void {
    if (this.#running === undefined) this.#flushSoon();
    else this.#flush();
    this.#tellIdle();
  }

  #letGo(): void {
    this.#held?.release();
    this.#held = undefined;
  }

  #fail(group: Group, error: unknown): void {
    this.#letGo();
    this.#puts = undefined;
    this.#ground.inFlight = undefined;
    const next = this.#take();
    for (const one of [group, next]) one.abandon();
    this.#ground.state.reset();
    const running = this.#running;
    if (running !== undefined) {
      this.#failed.add(running);
      running.breakWith(error as Error);
    }
    for (const one of [group, next]) for (const member of one.members) member.reject(error);
    for (const { reject } of group.doubtful) reject(error);
    this.#tellIdle();
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
      resolve: () => undefined,
      reject: (error) => {
        failure = { error };
      },
    };
    try {
      result = body(tx);
      if (isThenable(result)) {
        // Nobody waits for it: what it does later is refused.
        Promise.resolve(result).catch(() => undefined);
        throw invalidArgument('transactionSync', 'a body that returns no promise', result);
      }
      this.#finish(tx, waiting, result);
    } catch (error) {
      this.#giveUp(tx, waiting, error);
    }
    if (failure === undefined) this.#flushSync();
    // What the body has begun, and waits for its end.
    this.#runAll();
    const failed = failure as { readonly error: unknown } | undefined;
    if (failed !== undefined) throw failed.error;
    return result as T;
  }

  #flushSync(): void {
    const group = this.#takeChanged();
    if (group === undefined) return;
    let batch: BatchId;
    let roots: VersionRoots;
    try {
      if (this.#freeing.comesBefore(group)) this.#freeing.runSync();
      roots = this.#prepare(group);
      batch = group.session.commitSync();
    } catch (error) {
      this.#fail(group, error);
      return;
    }
    this.#done(group, roots, batch);
  }

  /** The next group has to wait. */
  get #committing(): boolean {
    return this.#ground.inFlight !== undefined || this.#freeing.underWay;
  }

  /** A transaction is queued, running or not durable yet. */
  get busy(): boolean {
    if (this.#running !== undefined || this.#committing) return true;
    return this.#queue.length > 0 || this.#ground.group.members.length > 0;
  }

  /** A transaction that is begun now has to wait for another one. */
  get waits(): boolean {
    return this.#running !== undefined;
  }

  /** Nothing is queued, running or being committed any more. */
  async settled(): Promise<void> {
    while (this.busy) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    }
  }

  /**
   * Archives what failed transactions have left in the file, and writes all nodes. Where the disk
   * refuses, the next opening does it.
   */
  async clear(): Promise<void> {
    const { journal, store } = this.#home;
    if ((this.#ground.state.isClear && journal.isEmpty) || store.readOnly) return;
    let failure: unknown;
    const reject = (error: unknown): void => {
      const isRefusal = isVarveError(error, 'VARVE_IO') || isVarveError(error, 'VARVE_POISONED');
      if (!isRefusal) failure = error;
    };
    this.#ground.group.needsNodes = true;
    this.#ground.group.members.push({ resolve: () => undefined, reject });
    this.#flush();
    await this.settled();
    if (failure !== undefined) throw failure;
  }

  #tellIdle(): void {
    this.#idle?.();
    this.#idle = undefined;
  }
}
