/**
 * What a transaction stands on: the state that those before it left, and the group that it will
 * join.
 *
 * Invariant: a transaction that begins now sees every one that has ended well, durable or not, and
 * nothing of one that has come to nothing. It commits nothing; the writer says which group is
 * which.
 */

import type { GrainId, Session } from '../../index.ts';
import type { NodeRef, TreeRoot } from '../nodes/node.ts';
import type { TransactionBase } from '../transactions/transaction.ts';
import type { Edit } from '../trees/edit.ts';
import type { TreeRecord } from '../trees/tree-record.ts';
import type { TreeUse } from '../trees/tree-use.ts';
import { Group, type GroupHome } from './group.ts';
import { type DurableHome, WorkingState } from './working-state.ts';

/** What is asked of the forest. */
export interface GroundHome extends GroupHome, DurableHome {
  useOf(tree: object): TreeUse<unknown, unknown, unknown> | undefined;
}

export class TransactionGround implements TransactionBase {
  readonly #home: GroundHome;
  readonly state: WorkingState;
  /** What ends now joins it. */
  group: Group;
  /** What is being committed. */
  inFlight: Group | undefined;
  /** Called before a transaction stores nodes that it has not made itself. */
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
   * Gives back what a failed transaction has pushed. Throws `VARVE_CLOSED` and `VARVE_POISONED`:
   * then nothing of it will ever be committed.
   */
  withdraw({ pushed, stored }: Edit): void {
    const own = new Set(pushed);
    const ids = [...pushed, ...this.group.withdraw(stored, own)];
    for (const id of ids) {
      // A commit may have taken it along, or be about to: then the next one archives it.
      const taken = this.inFlight?.taken.has(id) === true || this.#home.store.has(id);
      if (own.has(id) && taken) this.state.leave(id);
      else this.group.session.archive(id);
    }
    if (this.group.members.length === 0) this.#startAnew();
  }

  /** What ends from now on joins a new group. */
  startGroup(): void {
    this.group = new Group(this.#home);
  }

  /**
   * The group is empty, but for what its session holds: memory, and the error of a write ahead that
   * is nobody else's.
   */
  #startAnew(): void {
    this.group.abandon();
    this.startGroup();
  }

  newClaim(): Session {
    return this.#home.store.session();
  }

  /** The tree as the transactions so far leave it. */
  record(name: string): TreeRecord | undefined {
    return this.state.record(name);
  }

  useOf(tree: object): TreeUse<unknown, unknown, unknown> | undefined {
    return this.#home.useOf(tree);
  }

  isPushed(id: GrainId): boolean {
    return this.group.pushed.has(id) || this.inFlight?.pushed.has(id) === true;
  }

  isArchived(id: GrainId): boolean {
    const { archives } = this.group;
    return archives.has(id) || this.inFlight?.archives.has(id) === true;
  }
}
