/**
 * Makes ended transactions durable, group by group.
 *
 * Invariants:
 * - At most one group is in flight; transactions that end meanwhile form the next one.
 * - The durable state flips in one go, when the group's batch is durable.
 * - If a commit fails, all transactions that depend on it fail, and the working state is the
 *   durable one again.
 * - A group is one session: a power cut leaves all of it or nothing.
 *
 * It runs no bodies (`ForestWriter` does).
 */

import { isVarveError } from '../../errors.ts';
import type { BatchId } from '../../index.ts';
import { Breather } from '../../util/breather.ts';
import type { Hold } from '../reads/range-iterators.ts';
import type { TransactionScope } from '../transactions/transaction.ts';
import type { TreeRecord } from '../trees/tree-record.ts';
import type { ForestVersion, VersionRoots } from './forest-version.ts';
import { Freeing } from './freeing.ts';
import type { Group, Waiter } from './group.ts';
import { Notifier } from './notifier.ts';
import type { Retention } from './retention.ts';
import type { GroundHome, TransactionGround } from './transaction-ground.ts';

/** The records of the trees that a commit changes; undefined if it removes one. */
type Changed = ReadonlyMap<string, TreeRecord | undefined>;

/** The parts of the forest that commits need. */
export interface CommitsHome extends GroundHome {
  /** The last durable state. */
  durable: ForestVersion;
  readonly automatic: boolean;
  readonly retention: Retention;
  reserveMemory(): void;
  /** Called when a commit has become the durable state, before its promises resolve. */
  committed(batch: BatchId, changed: Changed): void;
  /** Called after all promises that waited for the commit have resolved. */
  announce(batch: BatchId, changed: Changed): void;
}

/** The part that runs bodies. */
export interface BodyRunner {
  /** The transaction whose body is running. */
  readonly running: TransactionScope | undefined;
  /** Joins shared puts to the group that takes new transactions. */
  joinAll(): void;
  /** Fails the running transaction: the state that it started from is gone. */
  failAll(error: unknown): void;
  /** Called when nothing is in flight and nothing waits. */
  idle(): void;
}

/** A group whose nodes and root are being pushed. */
interface Preparing {
  readonly group: Group;
  readonly steps: Generator<void, VersionRoots>;
  readonly breather: Breather;
}

export class GroupCommits {
  readonly #home: CommitsHome;
  readonly #ground: TransactionGround;
  readonly #runner: BodyRunner;
  readonly #freeing: Freeing;
  readonly #telling = new Notifier<Waiter>();
  #preparing: Preparing | undefined;
  /** Holds the durable state while the next one is in flight. */
  #held: Hold | undefined;
  #flushPlanned = false;

  constructor(home: CommitsHome, ground: TransactionGround, runner: BodyRunner) {
    this.#home = home;
    this.#ground = ground;
    this.#runner = runner;
    this.#freeing = new Freeing(home.store, home.automatic, home.retention);
    ground.beforeStoring = () => this.#finishPreparing();
  }

  /** A group is in flight, or space is being freed for it: the next group must wait. */
  get underWay(): boolean {
    return this.#ground.inFlight !== undefined || this.#freeing.underWay;
  }

  /** A group is in flight or waits, or some promises of a commit have yet to settle. */
  get busy(): boolean {
    return this.underWay || this.#telling.underWay || this.#ground.group.waiters.length > 0;
  }

  /**
   * Commits ended transactions in a microtask: callers whose promises have just resolved can join.
   */
  flushSoon(): void {
    if (this.underWay || this.#flushPlanned) return;
    if (this.#ground.group.waiters.length === 0) {
      this.#runner.idle();
      return;
    }
    this.#flushPlanned = true;
    queueMicrotask(() => {
      this.#flushPlanned = false;
      this.flush();
    });
  }

  flush(): void {
    if (this.underWay || this.#ground.group.waiters.length === 0) return;
    this.#runner.joinAll();
    if (this.#freeing.comesBefore(this.#ground.group)) {
      this.#freeing.begin(() => this.flush());
      return;
    }
    const group = this.#takeChanged();
    if (group === undefined) {
      this.#runner.idle();
      return;
    }
    this.#ground.inFlight = group;
    this.#preparing = { group, steps: this.#prepare(group), breather: new Breather() };
    this.#goOnPreparing();
  }

  /** As `flush`, on the calling thread. */
  flushSync(): void {
    const group = this.#takeChanged();
    if (group === undefined) return;
    let batch: BatchId;
    let roots: VersionRoots;
    try {
      if (this.#freeing.comesBefore(group)) this.#freeing.runSync();
      roots = runToEnd(this.#prepare(group));
      batch = group.session.commitSync();
    } catch (error) {
      this.#fail(group, error);
      return;
    }
    this.#done(group, roots, batch);
  }

  /** Takes the group to commit; transactions that end from now on join a new one. */
  #take(): Group {
    const { group } = this.#ground;
    this.#ground.startGroup();
    return group;
  }

  /** As `#take`. If nothing changed, resolves the waiters and returns undefined. */
  #takeChanged(): Group | undefined {
    const group = this.#take();
    if (!group.isEmpty || !this.#ground.state.isClear) return group;
    const { batch } = this.#home.durable;
    this.#telling.add(
      group.waiters,
      (waiter) => waiter.resolve(batch),
      () => this.#runner.idle(),
    );
    return undefined;
  }

  // ── preparing ──

  /** The first step captures the state that the group leaves; later steps do not read it again. */
  *#prepare(group: Group): Generator<void, VersionRoots> {
    const { state } = this.#ground;
    for (const id of state.takeLeftOver()) group.leftOver.push(id);
    const pending = [...(this.#runner.running?.edit.pushed ?? [])];
    for (const id of pending) group.taken.add(id);
    state.pending = pending;
    const { shares } = state;
    const prepared = group.prepare({ shares, pending, record: (name) => state.record(name) });
    const roots = yield* prepared;
    this.#freeing.within(group.session, this.#home.durable.batch);
    return roots;
  }

  /** Pushes nodes in steps and gives the event loop its turns in between. */
  #goOnPreparing(): void {
    const { group, steps, breather } = this.#preparing as Preparing;
    try {
      for (;;) {
        const { done, value } = steps.next();
        if (done === true) {
          this.#commit(group, value);
          return;
        }
        if (breather.due) break;
      }
    } catch (error) {
      this.#preparing = undefined;
      this.#fail(group, error);
      return;
    }
    void breather.turn().then(() => {
      // `#finishPreparing` may have run meanwhile.
      if (this.#preparing?.group === group) this.#goOnPreparing();
    });
  }

  /**
   * Called before a body pushes nodes that are in memory only: pushes the rest of the group in
   * flight at once. Those nodes belong to that group's session, which commits first.
   */
  #finishPreparing(): void {
    if (this.#preparing === undefined) return;
    const { group, steps } = this.#preparing;
    try {
      this.#commit(group, runToEnd(steps));
    } catch (error) {
      this.#preparing = undefined;
      this.#fail(group, error);
    }
  }

  // ── committing ──

  #commit(group: Group, roots: VersionRoots): void {
    // Reads use the durable state until this commit replaces it. Hold it: a checkpoint of another
    // user of the store could free what this commit archives.
    this.#held = this.#home.durable.hold(this.#home.store, () => undefined);
    this.#preparing = undefined;
    group.session.commit().then(
      (batch) => this.#done(group, roots, batch),
      (error: unknown) => this.#fail(group, error),
    );
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
    this.#home.committed(batch, group.changed);
    this.#telling.add(
      group.waiters,
      (waiter) => waiter.resolve(batch),
      () => {
        for (const { reject, error } of group.doubtful) reject(error);
        this.#home.announce(batch, group.changed);
        this.#runner.idle();
      },
    );
    this.#afterCommit();
  }

  #afterCommit(): void {
    if (this.#runner.running === undefined) this.flushSoon();
    else this.flush();
    this.#runner.idle();
  }

  #letGo(): void {
    this.#held?.release();
    this.#held = undefined;
  }

  #fail(group: Group, error: unknown): void {
    this.#letGo();
    this.#ground.inFlight = undefined;
    const next = this.#take();
    for (const one of [group, next]) one.abandon();
    this.#ground.state.reset();
    this.#runner.failAll(error);
    this.#telling.add(
      [...group.waiters, ...next.waiters],
      (waiter) => waiter.reject(error),
      () => {
        for (const { reject } of group.doubtful) reject(error);
        this.#runner.idle();
      },
    );
  }

  /**
   * Archives the values that failed transactions left in the file, and writes all nodes. If the
   * disk refuses or the store is closed, the next open does it.
   */
  async clear(settled: () => Promise<void>): Promise<void> {
    const { journal, store } = this.#home;
    if ((this.#ground.state.isClear && journal.isEmpty) || store.readOnly) return;
    let failure: unknown;
    const reject = (error: unknown): void => {
      if (!isRefusal(error)) failure = error;
    };
    this.#ground.group.needsNodes = true;
    this.#ground.group.waiters.push({ resolve: () => undefined, reject });
    this.flush();
    await settled();
    if (failure !== undefined) throw failure;
  }
}

/** The store refuses commits; nothing durable is lost. */
export function isRefusal(error: unknown): boolean {
  if (isVarveError(error, 'VARVE_IO') || isVarveError(error, 'VARVE_POISONED')) return true;
  return isVarveError(error, 'VARVE_CLOSED');
}

function runToEnd<T>(steps: Generator<void, T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}
