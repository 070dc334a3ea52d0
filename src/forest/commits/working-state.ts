/**
 * The state that the next transaction stands on: the durable one, and what transactions since have
 * changed.
 *
 * Invariant: it is what the last transaction that ended well left. Where a commit fails it is the
 * durable state again. It runs and commits nothing.
 */

import type { GrainId, Store } from '../../index.ts';
import type { TreeRoot } from '../nodes/node.ts';
import type { TransactionScope } from '../transactions/transaction.ts';
import type { TreeRecord } from '../trees/tree-record.ts';
import type { ForestVersion, VersionRoots } from './forest-version.ts';
import type { Group } from './group.ts';

/** Where the durable state is. */
export interface DurableHome {
  readonly store: Store;
  readonly durable: ForestVersion;
}

export class WorkingState {
  /** What a transaction under way had pushed when the last commit was prepared. */
  pending: VersionRoots['pending'];
  shares: TreeRoot;
  readonly #home: DurableHome;
  /** What is not durable yet; see `OpenTree.left`. */
  readonly #changed = new Map<string, TreeRecord | undefined>();
  /** What failed transactions may have left in the file, to be archived with the next commit. */
  #leftOver: GrainId[];

  constructor(home: DurableHome) {
    this.#home = home;
    this.pending = home.durable.roots.pending;
    this.shares = home.durable.roots.shares;
    this.#leftOver = this.#leftBehind();
  }

  /**
   * What the durable state says of values that a transaction under way had pushed. Some may be gone
   * by now: whoever archives them asks the store.
   */
  #leftBehind(): GrainId[] {
    return [...(this.#home.durable.roots.pending as readonly GrainId[])];
  }

  record(name: string): TreeRecord | undefined {
    return this.#changed.has(name) ? this.#changed.get(name) : this.#home.durable.record(name);
  }

  /** A transaction has ended well: its changes are the state, and part of the group. */
  join(tx: TransactionScope, group: Group): void {
    // Made first: a reducer may throw.
    const changes = [...tx.changes()];
    for (const { name, left, log } of changes) {
      this.#changed.set(name, left);
      group.change(name, left, log);
    }
    this.shares = tx.edit.sharesRoot;
    for (const ref of tx.edit.gone) group.lose(ref);
    for (const id of tx.edit.goneValues) group.goneValues.push(id);
    for (const id of tx.archives) group.archives.add(id);
    for (const id of tx.pushed) group.pushed.add(id);
    if (tx.claim !== undefined) group.claims.push(tx.claim);
  }

  /** The group's changes are durable, in the state of the home too. */
  committed(group: Group): void {
    for (const [name, record] of group.changed) {
      if (this.#changed.get(name) === record) this.#changed.delete(name);
    }
  }

  /** The durable state is the present one again. */
  reset(): void {
    this.#changed.clear();
    this.pending = this.#home.durable.roots.pending;
    this.shares = this.#home.durable.roots.shares;
    this.#leftOver = this.#leftBehind();
  }

  /** No value is in the file that only a transaction under way, or a failed one, knows. */
  get isClear(): boolean {
    return this.#leftOver.length === 0 && this.pending.length === 0;
  }

  leave(id: GrainId): void {
    this.#leftOver.push(id);
  }

  takeLeftOver(): GrainId[] {
    const ids = this.#leftOver;
    this.#leftOver = [];
    return ids;
  }
}
