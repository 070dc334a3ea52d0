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
import type { BatchId, GrainId } from '../../index.ts';
import { present } from '../../util/assert.ts';
import { Breather } from '../../util/breather.ts';
import type { RootPlan } from '../journal/journal.ts';
import type { Hold } from '../reads/range-iterators.ts';
import type { TransactionScope } from '../transactions/transaction.ts';
import { CommitPreparation } from './commit-preparation.ts';
import type { DurableState, PreparedCommit } from './durable-state.ts';
import type { Freeing } from './freeing.ts';
import type { Group, Waiter } from './group.ts';
import { Notifier } from './notifier.ts';
import type { WorkingState } from './working-state.ts';

/** The part that runs bodies. */
export interface CommitsOwner {
  /** The transaction whose body is running. */
  readonly running: TransactionScope | undefined;
  /** Joins shared puts to the group that takes new transactions. */
  joinAll(): void;
  /** Fails the running transaction: the state that it started from is gone. */
  failAll(error: unknown): void;
  /** Called after all promises that waited for a commit have resolved. */
  announce(batch: BatchId, changed: ReadonlySet<string>): void;
  /** Called when nothing is in flight and nothing waits. */
  idle(): void;
}

const none: readonly GrainId[] = [];

/** A commit on its way. */
interface Flight {
  readonly group: Group;
  readonly plan: RootPlan;
  readonly preparation: CommitPreparation;
  /** Pushes its nodes and its root; none if that takes one step. */
  steps: Generator<void, PreparedCommit> | undefined;
}

export class GroupCommits {
  readonly #durable: DurableState;
  readonly #state: WorkingState;
  readonly #freeing: Freeing;
  readonly #owner: CommitsOwner;
  readonly #notifier = new Notifier<Waiter>();
  /** The commit in flight, while its nodes are being pushed in turns of the event loop. */
  #preparing: Flight | undefined;
  /** Holds the durable state while the next one is in flight. */
  #held: Hold | undefined;
  #flushPlanned = false;

  constructor(durable: DurableState, state: WorkingState, freeing: Freeing, owner: CommitsOwner) {
    this.#durable = durable;
    this.#state = state;
    this.#freeing = freeing;
    this.#owner = owner;
  }

  /** A group is in flight, or space is being freed for it: the next group must wait. */
  get underWay(): boolean {
    return this.#state.inFlight !== undefined || this.#freeing.underWay;
  }

  /** A group is in flight or waits, or some promises of a commit have yet to settle. */
  get busy(): boolean {
    return this.underWay || this.#notifier.underWay || this.#hasWaiters;
  }

  get #hasWaiters(): boolean {
    return this.#state.group.waiters.length > 0;
  }

  /**
   * Commits ended transactions in a microtask: callers whose promises have just resolved can join.
   */
  flushSoon(): void {
    if (this.underWay || this.#flushPlanned) return;
    if (!this.#hasWaiters) {
      this.#owner.idle();
      return;
    }
    this.#flushPlanned = true;
    queueMicrotask(() => {
      this.#flushPlanned = false;
      this.flush();
    });
  }

  flush(): void {
    if (this.underWay || !this.#hasWaiters) return;
    this.#owner.joinAll();
    const plan = this.#plan();
    if (plan === undefined) this.#owner.idle();
    else if (this.#freeing.comesBefore(plan)) this.#freeing.begin(() => this.flush());
    else {
      this.#preparing = this.#begin(plan);
      this.#goOnPreparing(this.#preparing, new Breather());
    }
  }

  /** As `flush`, on the calling thread. */
  flushSync(): void {
    const plan = this.#plan();
    if (plan === undefined) return;
    if (this.#freeing.comesBefore(plan)) this.#freeing.runSync();
    const flight = this.#begin(plan);
    let batch: BatchId;
    let prepared: PreparedCommit;
    try {
      prepared = present(this.#prepare(flight), 'a commit that is prepared without turns');
      batch = flight.group.session.commitSync();
    } catch (error) {
      this.#fail(flight, error);
      return;
    }
    this.#done(flight, prepared, batch);
  }

  /** Plans the next commit. If nothing has changed, resolves the waiters and returns undefined. */
  #plan(): RootPlan | undefined {
    const state = this.#state;
    if (!state.group.isEmpty || !state.isClear) {
      const now = (trees: ReadonlySet<string>) => this.#durable.frozenTrees(trees);
      return this.#durable.journal.plan(state.group, now);
    }
    const { batch } = this.#durable.version;
    this.#notifier.add(
      state.takeGroup().waiters,
      (waiter) => waiter.resolve(batch),
      () => this.#owner.idle(),
    );
    return undefined;
  }

  /** Takes the group to commit; transactions that end from now on join a new one. */
  #begin(plan: RootPlan): Flight {
    const state = this.#state;
    const { running } = this.#owner;
    const pending = running === undefined ? none : running.edit.pushed.slice();
    const leftOver = state.takeLeftOver();
    const group = state.beginCommit(pending);
    const left = { shares: state.shares, pending, leftOver };
    const preparation = new CommitPreparation(this.#durable, group, plan, left);
    return { group, plan, preparation, steps: undefined };
  }

  // ── preparing ──

  /** Prepares the commit; returns undefined if the event loop's turn comes before the end. */
  #prepare(flight: Flight, breather?: Breather): PreparedCommit | undefined {
    const { group, preparation } = flight;
    let prepared = flight.steps === undefined ? preparation.inOneStep() : undefined;
    while (prepared === undefined) {
      flight.steps ??= preparation.steps();
      const { done, value } = flight.steps.next();
      if (done === true) prepared = value;
      else if (breather?.due === true) return undefined;
    }
    this.#freeing.within(group.session, this.#durable.version.batch);
    return prepared;
  }

  /** Pushes nodes in steps and gives the event loop its turns in between. */
  #goOnPreparing(flight: Flight, breather?: Breather): void {
    try {
      const prepared = this.#prepare(flight, breather);
      if (prepared !== undefined) {
        this.#commit(flight, prepared);
        return;
      }
    } catch (error) {
      this.#preparing = undefined;
      this.#fail(flight, error);
      return;
    }
    void breather?.turn().then(() => {
      // `finishPreparing` may have run meanwhile.
      if (this.#preparing === flight) this.#goOnPreparing(flight, breather);
    });
  }

  /**
   * Called before a body pushes nodes that are in memory only: pushes the rest of the group in
   * flight at once. Those nodes belong to that group's session, which commits first. The group that
   * the body pushes into writes all nodes (`Group.needsNodes`). Therefore no commit that writes a
   * share of an earlier state names nodes of a body that may fail.
   */
  finishPreparing(): void {
    if (this.#preparing !== undefined) this.#goOnPreparing(this.#preparing);
  }

  // ── committing ──

  #commit(flight: Flight, prepared: PreparedCommit): void {
    // Reads use the durable state until this commit replaces it. Hold it: a checkpoint of another
    // user of the store could free what this commit archives.
    this.#held = this.#durable.version.hold(() => undefined);
    this.#preparing = undefined;
    flight.group.session.commit().then(
      (batch) => this.#done(flight, prepared, batch),
      (error: unknown) => this.#fail(flight, error),
    );
  }

  #done({ group, plan }: Flight, prepared: PreparedCommit, batch: BatchId): void {
    this.#letGo();
    this.#durable.advance(batch, group, plan, prepared);
    this.#state.endCommit();
    this.#freeing.note(batch, group.archived);
    this.#notifier.add(
      group.waiters,
      (waiter) => waiter.resolve(batch),
      () => {
        for (const { reject, error } of group.doubtful) reject(error);
        this.#owner.announce(batch, group.named);
        this.#owner.idle();
      },
    );
    if (this.#owner.running === undefined) this.flushSoon();
    else this.flush();
    this.#owner.idle();
  }

  #letGo(): void {
    this.#held?.release();
    this.#held = undefined;
  }

  #fail({ group }: Flight, error: unknown): void {
    this.#letGo();
    const next = this.#state.reset();
    this.#owner.failAll(error);
    this.#notifier.add(
      [...group.waiters, ...next.waiters],
      (waiter) => waiter.reject(error),
      () => {
        for (const { reject } of group.doubtful) reject(error);
        this.#owner.idle();
      },
    );
  }

  /**
   * Archives the values that failed transactions left in the file, and writes all nodes. If the
   * disk refuses or the store is closed, the next open does it.
   */
  async clear(settled: () => Promise<void>): Promise<void> {
    const { journal, context } = this.#durable;
    if ((this.#state.isClear && journal.isEmpty) || context.store.readOnly) return;
    let failure: unknown;
    const reject = (error: unknown): void => {
      if (!isRefusal(error)) failure = error;
    };
    this.#state.group.requireNodes();
    this.#state.group.waiters.push({ resolve: () => undefined, reject });
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
