/**
 * The state that the next transaction starts from: the durable state, the group in flight and the
 * group that ending transactions join.
 *
 * Invariant: it is the state that the last successful transaction left, durable or not, and has
 * nothing of a failed one. If a commit fails, it is the durable state again. It runs and commits
 * nothing.
 */

import { isVarveError } from '../../errors.ts';
import type { GrainId, Session } from '../../index.ts';
import { assert } from '../../util/assert.ts';
import type { NodeRef, TreeRoot } from '../nodes/node.ts';
import type { StartingState, TransactionScope } from '../transactions/transaction.ts';
import type { Edit } from '../trees/edit.ts';
import type { TreeRecord } from '../trees/tree-record.ts';
import type { DurableState } from './durable-state.ts';
import { Group } from './group.ts';

const none: readonly GrainId[] = [];

export class WorkingState implements StartingState {
  readonly beforeStoring: () => void;
  readonly #durable: DurableState;
  #group: Group;
  #inFlight: Group | undefined;
  #shares: TreeRoot;
  /** Values that the running transaction had pushed when the last commit was prepared. */
  #pending: readonly GrainId[];
  /** Values of failed transactions that may be in the file: the next commit archives them. */
  #leftOver: GrainId[];

  /** `beforeStoring` is called before a transaction stores nodes that earlier ones made. */
  constructor(durable: DurableState, beforeStoring: () => void) {
    this.beforeStoring = beforeStoring;
    this.#durable = durable;
    this.#group = this.#newGroup();
    const { shares, pending } = durable.version.roots;
    this.#shares = shares;
    this.#pending = pending;
    this.#leftOver = [...pending];
    durable.context.nodes.findPushedBy((id) => this.#group.get(id) ?? this.#inFlight?.get(id));
  }

  #newGroup(): Group {
    return new Group(this.#durable.context.store);
  }

  /** The group that ending transactions join. */
  get group(): Group {
    return this.#group;
  }

  /** The group that is being committed. */
  get inFlight(): Group | undefined {
    return this.#inFlight;
  }

  get shares(): TreeRoot {
    return this.#shares;
  }

  /** The record that the last successful transaction left; see `OpenTree.left`. */
  record(name: string): TreeRecord | undefined {
    const joined = this.#group.changed;
    if (joined.has(name)) return joined.get(name);
    const inFlight = this.#inFlight?.changed;
    if (inFlight?.has(name) === true) return inFlight.get(name);
    return this.#durable.version.record(name);
  }

  session(): Session {
    return this.#group.session;
  }

  stored(ref: NodeRef): void {
    this.#group.stored.add(ref);
  }

  isPushed(id: GrainId): boolean {
    return this.#group.pushed.has(id) || this.#inFlight?.pushed.has(id) === true;
  }

  isArchived(id: GrainId): boolean {
    return this.#group.archives.has(id) || this.#inFlight?.archives.has(id) === true;
  }

  /** Adds the changes of a successful transaction to the state and to its group. */
  join(tx: TransactionScope): void {
    this.#group.join(tx);
    this.#shares = tx.edit.sharesRoot;
    this.#reserve();
  }

  /** Copies of nodes are about as large as what they replace. */
  #reserve(): void {
    let bytes = this.#group.garbage.bytes;
    if (this.#inFlight !== undefined) bytes += this.#inFlight.garbage.bytes;
    this.#durable.reserveForChanges(bytes);
  }

  /**
   * Withdraws what a failed transaction has pushed. A store that takes no more commits needs no
   * withdrawal.
   */
  withdraw(edit: Edit): void {
    try {
      this.#withdraw(edit);
    } catch (error) {
      const isOver = isVarveError(error, 'VARVE_CLOSED') || isVarveError(error, 'VARVE_POISONED');
      if (!isOver) throw error;
    }
  }

  #withdraw({ pushed, stored }: Edit): void {
    const own = new Set(pushed);
    const ids = [...pushed, ...this.#group.withdraw(stored, own)];
    for (const id of ids) {
      if (own.has(id) && this.#mayBeStored(id)) this.#leftOver.push(id);
      else this.#group.session.archive(id);
    }
    if (this.#group.waiters.length === 0) this.#startAnew();
  }

  /** A commit has stored the value, or the one in flight will. */
  #mayBeStored(id: GrainId): boolean {
    return this.#inFlight?.taken.has(id) === true || this.#durable.context.store.has(id);
  }

  /**
   * Replaces a group without waiters: frees the memory of its session, and drops the error of a
   * write-ahead, which must not reach another transaction.
   */
  #startAnew(): void {
    this.#group.abandon();
    this.#group = this.#newGroup();
  }

  // ── commits ──

  /** No value that only a running or failed transaction knows is in the file. */
  get isClear(): boolean {
    return this.#leftOver.length === 0 && this.#pending.length === 0;
  }

  /** Takes the group out; transactions that end from now on join a new one. */
  takeGroup(): Group {
    const group = this.#group;
    this.#group = this.#newGroup();
    return group;
  }

  /** Takes the group to commit it, with the values that the running transaction has pushed. */
  beginCommit(pending: readonly GrainId[]): Group {
    assert(this.#inFlight === undefined, 'one group is in flight at a time');
    const group = this.takeGroup();
    for (const id of pending) group.taken.add(id);
    this.#inFlight = group;
    this.#pending = pending;
    return group;
  }

  takeLeftOver(): readonly GrainId[] {
    const ids = this.#leftOver;
    if (ids.length === 0) return none;
    this.#leftOver = [];
    return ids;
  }

  /** The group in flight is durable. */
  endCommit(): void {
    assert(this.#inFlight !== undefined, 'a group was in flight');
    this.#inFlight = undefined;
    this.#reserve();
  }

  /** The commit failed: goes back to the durable state. Returns the group that stood on it. */
  reset(): Group {
    const next = this.takeGroup();
    this.#inFlight?.abandon();
    next.abandon();
    this.#inFlight = undefined;
    const { shares, pending } = this.#durable.version.roots;
    this.#shares = shares;
    this.#pending = pending;
    this.#leftOver = [...pending];
    this.#reserve();
    return next;
  }
}
