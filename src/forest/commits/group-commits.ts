/**
 * Makes the transactions that have ended durable, group by group.
 *
 * Invariant: at most one group is being committed, and the next is made of what has ended
 * meanwhile. The state flips when the group's batch is durable, in one go. If a commit fails,
 * everything that stood on its state fails with it, and the state is the durable one again. What a
 * power cut leaves is what the store says: a group is one session, so all of it or nothing. It runs
 * no bodies (`ForestWriter` does).
 */

import { isVarveError } from '../../errors.ts';
import type { BatchId } from '../../index.ts';
import { Breather } from '../../util/breather.ts';
import type { ReadHold } from '../reads/range-iterators.ts';
import type { TransactionScope } from '../transactions/transaction.ts';
import type { TreeRecord } from '../trees/tree-record.ts';
import type { ForestVersion, VersionRoots } from './forest-version.ts';
import { Freeing } from './freeing.ts';
import type { Group, Member } from './group.ts';
import type { Retention } from './retention.ts';
import { Telling } from './telling.ts';
import type { GroundHome, TransactionGround } from './transaction-ground.ts';

/** The trees that a commit changes; undefined where it drops one. */
type Changed = ReadonlyMap<string, TreeRecord | undefined>;

/** What commits ask of the forest. */
export interface CommitsHome extends GroundHome {
  /** The last durable state. */
  durable: ForestVersion;
  readonly automatic: boolean;
  readonly retention: Retention;
  reserveMemory(): void;
  /** Called when a commit has become the durable state. */
  committed(batch: BatchId, changed: Changed): void;
  /** Called later, once everyone who waited for it has been told. */
  announce(batch: BatchId, changed: Changed): void;
}

/** Who runs the bodies. */
export interface BodyRunner {
  /** The transaction whose body is under way. */
  readonly running: TransactionScope | undefined;
  /** What has been changed and belongs to the group joins it. */
  joinAll(): void;
  /** What runs on the present state cannot end well: its ground is gone. */
  failAll(error: unknown): void;
  /** Nothing is committed or waits to be, for now. */
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
  readonly #telling = new Telling<Member>();
  #preparing: Preparing | undefined;
  /** Keeps what the durable state reaches while the next one is being committed. */
  #held: ReadHold | undefined;
  #flushPlanned = false;

  constructor(home: CommitsHome, ground: TransactionGround, runner: BodyRunner) {
    this.#home = home;
    this.#ground = ground;
    this.#runner = runner;
    this.#freeing = new Freeing(home.store, home.automatic, home.retention);
    ground.beforeStoring = () => this.#finishPreparing();
  }

  /** A group is being committed, or space freed for it: the next group has to wait. */
  get underWay(): boolean {
    return this.#ground.inFlight !== undefined || this.#freeing.underWay;
  }

  /** Something is being committed or waits to be, or somebody has yet to be told of a commit. */
  get busy(): boolean {
    return this.underWay || this.#telling.underWay || this.#ground.group.members.length > 0;
  }

  /** Commits what has ended, once whoever was told of the last commit has had a turn. */
  flushSoon(): void {
    if (this.underWay || this.#flushPlanned) return;
    if (this.#ground.group.members.length === 0) {
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
    if (this.underWay || this.#ground.group.members.length === 0) return;
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

  /** The same on the calling thread. */
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

  /** The group that is to be committed; what ends from now on goes into another. */
  #take(): Group {
    const { group } = this.#ground;
    this.#ground.startGroup();
    return group;
  }

  /** The same; undefined if there is nothing to commit, and whoever waits is told. */
  #takeChanged(): Group | undefined {
    const group = this.#take();
    if (!group.isEmpty || !this.#ground.state.isClear) return group;
    const { batch } = this.#home.durable;
    this.#telling.add(
      group.members,
      (member) => member.resolve(batch),
      () => this.#runner.idle(),
    );
    return undefined;
  }

  // ── preparing ──

  /** Its first step sees the state that the group leaves; later ones do not look at it again. */
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

  /** Many nodes are pushed bit by bit, and others have their turns in between. */
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
      // It may have been finished meanwhile.
      if (this.#preparing?.group === group) this.#goOnPreparing();
    });
  }

  /**
   * Before a body pushes nodes that the state has in memory: those of the group under way are
   * pushed, all of them. They belong to its session, which is committed first.
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
    // Until this commit is known to be durable, others may free what the state before it reaches.
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
      group.members,
      (member) => member.resolve(batch),
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
      [...group.members, ...next.members],
      (member) => member.reject(error),
      () => {
        for (const { reject } of group.doubtful) reject(error);
        this.#runner.idle();
      },
    );
  }

  /**
   * Archives what failed transactions have left in the file, and writes all nodes. If the disk
   * refuses, or the store is closed already, the next opening does it.
   */
  async clear(settled: () => Promise<void>): Promise<void> {
    const { journal, store } = this.#home;
    if ((this.#ground.state.isClear && journal.isEmpty) || store.readOnly) return;
    let failure: unknown;
    const reject = (error: unknown): void => {
      if (!isRefusal(error)) failure = error;
    };
    this.#ground.group.needsNodes = true;
    this.#ground.group.members.push({ resolve: () => undefined, reject });
    this.flush();
    await settled();
    if (failure !== undefined) throw failure;
  }
}

/** The store takes no commit: nothing durable is lost by that. */
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
