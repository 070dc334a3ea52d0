/**
 * The base of a transaction: the working state, and the group that the transaction will join.
 *
 * Invariant: a new transaction sees every transaction that ended well, durable or not, and nothing
 * of a failed one. It commits nothing; `GroupCommits` starts groups and says which one is in
 * flight.
 */

import type { GrainId, Session } from '../../index.ts';
import type { NodeRef, TreeRoot } from '../nodes/node.ts';
import type { TransactionBase } from '../transactions/transaction.ts';
import type { Edit } from '../trees/edit.ts';
import type { TreeRecord } from '../trees/tree-record.ts';
import type { TreeSchema } from '../trees/tree-schema.ts';
import { Group, type GroupHome } from './group.ts';
import { type DurableHome, WorkingState } from './working-state.ts';

/** The parts of the forest that transactions need. */
export interface GroundHome extends GroupHome, DurableHome {
  schemaOf(tree: object): TreeSchema<unknown, unknown, unknown> | undefined;
}

export class TransactionGround implements TransactionBase {
  readonly #home: GroundHome;
  readonly state: WorkingState;
  /** The group that ending transactions join. */
  group: Group;
  /** The group that is being committed. */
  inFlight: Group | undefined;
  /** Called before a transaction stores nodes that earlier ones made. */
  beforeStoring: () => void = () => undefined;

  constructor(home: GroundHome) {
    this.#home = home;
    this.state = new WorkingState(home);
    this.group = new Group(home);
    home.nodes.pushed = (id) => this.group.get(id) ?? this.inFlight?.get(id);
  }

  get nodes(): GroupHome['nodes'] {
    return this.#home.nodes;
  }

  get limits(): GroupHome['limits'] {
    return this.#home.limits;
  }

  get sharesShape(): GroupHome['sharesShape'] {
    return this.#home.sharesShape;
  }

  get shares(): TreeRoot {
    return this.state.shares;
  }

  nextOwner(): number {
    return this.#home.nextOwner();
  }

  session(): Session {
    return this.group.session;
  }

  stored(ref: NodeRef): void {
    this.group.stored.add(ref);
  }

  /**
   * Withdraws what a failed transaction has pushed. Throws `VARVE_CLOSED` and `VARVE_POISONED`: the
   * store will never commit it.
   */
  withdraw({ pushed, stored }: Edit): void {
    const own = new Set(pushed);
    const ids = [...pushed, ...this.group.withdraw(stored, own)];
    for (const id of ids) {
      // If a commit has stored the value, or the one in flight will, the next commit archives it.
      const taken = this.inFlight?.taken.has(id) === true || this.#home.store.has(id);
      if (own.has(id) && taken) this.state.leave(id);
      else this.group.session.archive(id);
    }
    if (this.group.waiters.length === 0) this.#startAnew();
  }

  /** Transactions that end from now on join a new group. */
  startGroup(): void {
    this.group = new Group(this.#home);
  }

  /**
   * Replaces a group without waiters: frees the memory of its session, and drops the error of a
   * write-ahead, which must not reach another transaction.
   */
  #startAnew(): void {
    this.group.abandon();
    this.startGroup();
  }

  newClaim(): Session {
    return this.#home.store.session();
  }

  /** The record of the tree in the working state. */
  record(name: string): TreeRecord | undefined {
    return this.state.record(name);
  }

  schemaOf(tree: object): TreeSchema<unknown, unknown, unknown> | undefined {
    return this.#home.schemaOf(tree);
  }

  isPushed(id: GrainId): boolean {
    return this.group.pushed.has(id) || this.inFlight?.pushed.has(id) === true;
  }

  isArchived(id: GrainId): boolean {
    const { archives } = this.group;
    return archives.has(id) || this.inFlight?.archives.has(id) === true;
  }
}
